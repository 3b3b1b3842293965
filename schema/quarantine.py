"""What is in quarantine, and how an object leaves it: when it has become an image."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.header.values import clean_text, path_key
from schema.tables.ledger import Quarantined, QuarantineKind
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
