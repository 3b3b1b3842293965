"""What is said of a received object: to whoever judges it, and in its row."""

from collections.abc import Sequence
from dataclasses import replace

from node.errors import StorageError
from node.storage.archive import Placed
from node.storage.writing import Entry
from schema import AsyncSession, Database, ImageRecord, add_images
from schema.header.values import clean_or_none, clean_text
from schema.images import Added, have_headers, replace_file
from schema.inventory import Held
from schema.judgement import Came, Kept, Lies
from schema.moving.arrivals import attributed
from schema.moving.attempts import count_late
from schema.moving.senders import Senders
from schema.parsing.kept import known_of


async def came_as(
    database: Database, held: Held | None, kept: Kept, record: ImageRecord, *, agrees: bool = True
) -> Came:
    """Return what `judge` is to know of an object that was received.

    Headers are compared only where there is nothing else to compare.
    """
    same_header = False
    if held is not None and held.sha256 is None and kept.lies is Lies.NOTHING:
        async with database.session() as session:
            (same_header,) = await have_headers(session, [(held.id, record)])
    return Came(
        sha256=record.sha256,
        size=record.size,
        received=True,
        agrees=agrees,
        same_header=same_header,
    )


def completed(
    entry: Entry, record: ImageRecord, placed: Placed, *, aetitle: str, storage_id: str
) -> ImageRecord:
    """Return a record with what only its receiver knows."""
    return replace(
        record,
        filepath=clean_text(str(placed.path)),
        sha256=entry.sha256,
        size=entry.size,
        transfer_syntax_uid=entry.transfer_syntax_uid,
        source=clean_text(entry.sender.aetitle),
        source_address=clean_or_none(entry.sender.address),
        node=aetitle,
        storage_id=storage_id,
        received_on=entry.received_on,
    )


async def add_received(
    session: AsyncSession, came: Sequence[tuple[ImageRecord, str]], senders: Senders
) -> tuple[list[ImageRecord], list[Added]]:
    """Insert what was received, each with its Move Originator, for the attempts that it is of.

    Returns
    -------
    tuple
        The records with their attempts, and what became of each.
    """
    records = await attributed(session, came, senders)
    added = await add_images(session, records)
    await count_late(
        session, [one for one, what in zip(records, added, strict=True) if what.inserted]
    )
    return records, added


async def name_file(
    session: AsyncSession, held: Held, record: ImageRecord, *, parsed_from: str | None = None
) -> None:
    """Let a row name the file of a record, unless the row was changed since it was looked at.

    Parameters
    ----------
    held
        The row, as it was then.
    parsed_from
        Where its file lay outside the storage directory; else the row's own stays.

    Raises
    ------
    StorageError
        It was changed.
    """
    replaced = await replace_file(
        session,
        held.id,
        filepath=record.filepath or "",
        sha256=record.sha256,
        size=record.size,
        transfer_syntax_uid=record.transfer_syntax_uid,
        received_on=record.received_on,
        source=record.source,
        node=record.node,
        source_address=record.source_address,
        attempt_id=record.attempt_id,
        storage_id=record.storage_id,
        parsed_from=parsed_from,
        seen=known_of(held, record.storage_id),
    )
    if not replaced:
        raise changed(held)


def changed(held: Held) -> StorageError:
    """Return the error that a row is not what it was when it was looked at: it is to be again."""
    return StorageError(f"the row of image {held.image_uid} was changed meanwhile")
