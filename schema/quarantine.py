"""What is in quarantine, how an image's file gets there, and how an object leaves it."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.finding.standing import doubt
from schema.header.values import clean_text, path_key
from schema.inventory import Held
from schema.tables.columns import utcnow
from schema.tables.ledger import Quarantined, QuarantineKind
from schema.tables.models import PARTIAL, Image, StudyFind
from schema.tables.statements import among


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
        .values(filepath=None, size=func.coalesce(Image.size, size))
        .returning(Image.id)
        .execution_options(synchronize_session=False)
    )
    return bool(done.all())


async def name_file_again(session: AsyncSession, held: Held) -> None:
    """Undo `forget_file`, unless the image has got another file."""
    await session.execute(
        update(Image)
        .where(Image.id == held.id, Image.filepath.is_(None))
        .values(filepath=held.filepath)
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
            state=PARTIAL,
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
