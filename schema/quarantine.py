"""What is in quarantine, how an image's file gets there, and how an object leaves it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from os import PathLike

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.finding.standing import DOUBTED, doubt
from schema.header.values import clean_or_none, clean_text, path_key
from schema.inventory import Held
from schema.tables.columns import utcnow
from schema.tables.ledger import Quarantined, QuarantineKind
from schema.tables.models import Image, StudyFind
from schema.tables.statements import among, insert_new, table_of


@either
async def add_quarantined(
    session: AsyncSession,
    *,
    filepath: str | PathLike[str],
    reason: str,
    kind: QuarantineKind,
    sop_instance_uid: str | None = None,
    study_uid: str | None = None,
    sha256: str | None = None,
    source: str | None = None,
    received_on: datetime | None = None,
    storage_id: str | None = None,
) -> int:
    """Record an object that is kept but not indexed; return the row's id.

    The same file again is the same row, which stays as it is but for who else has sent it.

    Parameters
    ----------
    filepath
        Where its bytes are; one that is too long for an index is kept whole in `reason`.
    reason, kind
        Why, in words and as a word.
    sop_instance_uid, study_uid
        As far as they are known.
    received_on
        Naive UTC; None means now.
    storage_id
        Of the storage directory that keeps it.
    """
    path, sender = clean_text(str(filepath)), clean_or_none(source)
    if path_key(path) != path:
        reason = f"{reason}; it is kept at {path}"
    row = {
        "filepath": path,
        "reason": clean_text(reason),
        "kind": QuarantineKind(kind),
        "sop_instance_uid": clean_or_none(sop_instance_uid),
        "study_uid": clean_or_none(study_uid),
        "sha256": sha256,
        "source": sender,
        "received_on": received_on or utcnow(),
        "storage_id": storage_id,
    }
    inserted = await insert_new(
        session, table_of(Quarantined), [row], key=["filepath"], returning=["id"]
    )
    if inserted:
        return int(inserted[0][0])
    known = select(Quarantined.id, Quarantined.source, Quarantined.also_from).where(
        Quarantined.filepath == path
    )
    id_, first, others = (await session.execute(known.with_for_update())).one()
    if sender is not None and sender not in senders(first, others):
        await session.execute(
            update(Quarantined)
            .where(Quarantined.id == id_)
            .values(also_from="\\".join([*senders(None, others), sender]))
            .execution_options(synchronize_session=False)
        )
    return int(id_)


def senders(source: str | None, also_from: str | None) -> list[str]:
    """Return the AE titles of all who sent an object of the quarantine."""
    return [*filter(None, [source]), *(also_from.split("\\") if also_from else [])]


async def quarantine_file(
    session: AsyncSession,
    held: Held,
    *,
    filepath: str | PathLike[str],
    reason: str,
    kind: QuarantineKind,
    sha256: str | None,
    storage_id: str | None,
) -> None:
    """Record the file of an image that is set aside; the rest is as `add_quarantined` has it.

    Parameters
    ----------
    held
        The image, as its row was: of which instance and study it is, and who had sent it.
    filepath, sha256
        Where the file is now, and what its dataset is now.
    """
    await add_quarantined(
        session,
        filepath=filepath,
        reason=reason,
        kind=kind,
        sop_instance_uid=held.image_uid,
        study_uid=held.study_uid,
        sha256=sha256,
        source=held.source,
        storage_id=storage_id,
    )


async def quarantine_page(
    session: AsyncSession,
    *,
    after: int = 0,
    ids: Collection[int] | None = None,
    kinds: Collection[QuarantineKind] | None = None,
    limit: int = 512,
) -> Sequence[Quarantined]:
    """Return the next rows of the quarantine in the order of their keys; empty at the end.

    Parameters
    ----------
    after
        The key of the last one that has been seen.
    ids, kinds
        Only these.
    """
    query = select(Quarantined).where(Quarantined.id > after)
    if ids is not None:
        query = query.where(among(session, Quarantined.id, sorted(ids)))
    if kinds is not None:
        query = query.where(Quarantined.kind.in_(sorted(kinds)))
    return (await session.scalars(query.order_by(Quarantined.id).limit(limit))).all()


async def quarantined_at(session: AsyncSession, paths: Iterable[str]) -> set[str]:
    """Return those of these paths that a row of the quarantine names."""
    wanted = {clean_text(path) for path in paths}
    query = select(Quarantined.filepath).where(among(session, Quarantined.filepath, sorted(wanted)))
    named = set(await session.scalars(query))
    return {path for path in wanted if path_key(path) in named}


async def remove_quarantined(session: AsyncSession, row_id: int) -> None:
    """Remove a row: its object is an image of the index now."""
    await session.execute(
        delete(Quarantined)
        .where(Quarantined.id == row_id)
        .execution_options(synchronize_session=False)
    )


async def forget_file(session: AsyncSession, held: Held, *, size: int) -> bool:
    """Let the row of an image name no file any more, while it says what was seen.

    It keeps its digest and its size, so that the same object is known again when it comes.

    Parameters
    ----------
    size
        For a row that has none: a row without path and without size never had a file.

    Returns
    -------
    bool
        Whether it was done; otherwise the image has got another file, or is gone.
    """
    done = await session.scalars(
        update(Image)
        .where(
            Image.id == held.id,
            Image.filepath == held.filepath,
            Image.sha256.is_not_distinct_from(held.sha256),
        )
        .values(
            filepath=None,
            size=func.coalesce(Image.size, size),
            revision=Image.revision + 1,
        )
        .returning(Image.id)
        .execution_options(synchronize_session=False)
    )
    return bool(done.all())


async def name_file_again(session: AsyncSession, held: Held) -> None:
    """Undo `forget_file`, unless the image has got another file."""
    await session.execute(
        update(Image)
        .where(Image.id == held.id, Image.filepath.is_(None))
        .values(filepath=held.filepath, revision=Image.revision + 1)
        .execution_options(synchronize_session=False)
    )


async def reopen_study(session: AsyncSession, held: Held, why: str) -> bool:
    """Open the study of an image for the next move.

    Returns
    -------
    bool
        Whether there is such a study: one that no PACS was asked for cannot be moved.
    """
    found = await session.scalars(
        update(StudyFind)
        .where(StudyFind.study_uid == held.study_uid)
        .values(
            retrieved_on=None,
            evidence=None,
            state=DOUBTED,
            attempts=0,
            next_attempt_on=None,
            last_error=clean_text(why),
            updated_on=utcnow(),
        )
        .returning(StudyFind.study_uid)
        .execution_options(synchronize_session=False)
    )
    uids = found.all()
    await doubt(session, uids)
    return bool(uids)


async def requarantine(
    session: AsyncSession, row_id: int, *, kind: QuarantineKind, reason: str
) -> None:
    """Note why an object is still in quarantine."""
    await session.execute(
        update(Quarantined)
        .where(Quarantined.id == row_id)
        .values(kind=kind, reason=clean_text(reason))
        .execution_options(synchronize_session=False)
    )
