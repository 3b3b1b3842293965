"""Attempts that are to end, as operators want it: written into the row of the move that makes them.

The process that runs the move looks there each second (`node.ops.cycles`). The row is locked while
it is written, so that two operators do not overwrite what the other wants.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_text, key_of
from schema.tables.ledger import Cycle, MoveAttempt
from schema.tables.models import StudyFind
from schema.tables.statements import among


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAttempt:
    """An attempt that has not ended."""

    id: int
    cycle_id: int | None
    peer: str
    study_uid: str


async def open_attempts(
    session: AsyncSession,
    *,
    study_uids: Collection[str] = (),
    cycle_ids: Collection[int] = (),
    peer: str | None = None,
) -> list[OpenAttempt]:
    """Return the attempts that have not ended, of these studies or of these cycles.

    Parameters
    ----------
    peer
        Only at this PACS; None means at any.
    """
    these = among(session, StudyFind.study_uid, sorted(study_uids))
    if cycle_ids:
        these = among(session, MoveAttempt.cycle_id, sorted(cycle_ids))
    query = (
        select(MoveAttempt.id, MoveAttempt.cycle_id, MoveAttempt.peer, StudyFind.study_uid)
        .join(StudyFind, StudyFind.id == MoveAttempt.study_find_id)
        .where(these, MoveAttempt.ended_on.is_(None))
        .order_by(MoveAttempt.id)
    )
    if peer is not None:
        query = query.where(MoveAttempt.peer == key_of(clean_text(peer)))
    return [
        OpenAttempt(id=key, cycle_id=cycle, peer=name, study_uid=uid)
        for key, cycle, name, uid in await session.execute(query)
    ]


@either
async def want_ended(
    session: AsyncSession, attempts: Collection[OpenAttempt], *, at_once: bool
) -> None:
    """Let who makes attempts know that they are to end.

    Parameters
    ----------
    at_once
        Whatever they are at; else only where nobody has been asked for the study yet.
    """
    of_cycles: dict[int, list[int]] = defaultdict(list)
    for one in attempts:
        if one.cycle_id is not None:
            of_cycles[one.cycle_id].append(one.id)
    for cycle, keys in sorted(of_cycles.items()):
        query = select(Cycle.unwanted).where(Cycle.id == cycle).with_for_update(key_share=True)
        before = await session.scalar(query) or {}
        wanted = {str(key): at_once or bool(before.get(str(key))) for key in keys}
        await session.execute(
            update(Cycle)
            .where(Cycle.id == cycle)
            .values(unwanted={**before, **wanted})
            .execution_options(synchronize_session=False)
        )


async def get_unwanted(session: AsyncSession, cycle_id: int) -> Mapping[int, bool]:
    """Return the keys of the attempts of a cycle that are to end, and whether that is at once."""
    found = await session.scalar(select(Cycle.unwanted).where(Cycle.id == cycle_id))
    return {int(key): bool(at_once) for key, at_once in (found or {}).items()}
