"""Studies under a policy, in the tables: which are unwanted, and which a new policy judges anew."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.header.values import clean_or_none
from schema.hierarchy.sources import lock_studies
from schema.hooking.recording import record_complete
from schema.moving.senders import peer_key
from schema.standing.states import StudyEvent, StudyState, after
from schema.standing.whole import Drawn, draw_studies, redraw_states
from schema.tables.columns import utcnow
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource, reopened_source, reopened_study
from schema.tables.statements import among

_AT_ONCE = 500


async def mark_unwanted(
    session: AsyncSession, reasons: Mapping[str, str], *, peer: str, policy: str
) -> None:
    """Note that nothing of studies is wanted from a PACS.

    Parameters
    ----------
    reasons
        Why, in words, by Study Instance UID.
    policy
        By which policy, in words.
    """
    drawn: list[Drawn] = []
    rows = {row.id: row for row in await lock_studies(session, reasons)}
    for row in rows.values():
        drawn.append(
            Drawn(
                study=row.id,
                attempts=0,
                error=clean_or_none(reasons.get(row.study_uid)),
                expected=None,
                here=0,
                complete=False,
                evidence=None,
                state=StudyState.UNWANTED,
                due=None,
            )
        )
        states = [
            state.value
            for state in StudyState
            if after(state, StudyEvent.UNWANTED) is StudyState.UNWANTED
        ]
        await session.execute(
            update(StudySource)
            .where(
                StudySource.study_find_id == row.id,
                StudySource.peer == peer_key(peer),
                StudySource.state.in_(states),
            )
            .values(
                state=StudyState.UNWANTED.value,
                policy=policy,
                last_error=clean_or_none(reasons.get(row.study_uid)),
            )
            .execution_options(synchronize_session=False)
        )
    complete = await draw_studies(session, drawn, on=utcnow())
    news = [rows[key].study_uid for key in sorted(complete) if rows[key].retrieved_on is None]
    await record_complete(session, news)


async def count_judged(session: AsyncSession, *, peer: str, policy: str | None) -> int:
    """Return how many studies `reopen_judged` would open at a PACS, in all."""
    query = select(func.count()).select_from(StudySource).where(*_judged_otherwise(peer, policy))
    return int(await session.scalar(query) or 0)


def _judged_otherwise(peer: str, policy: str | None) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that another policy than this one has judged a study at a PACS."""
    judged = (StudySource.peer == peer_key(peer), StudySource.policy.is_not(None))
    if policy is None:
        return judged
    return (*judged, or_(StudySource.policy < policy, StudySource.policy > policy))


async def reopen_judged(session: AsyncSession, *, peer: str, policy: str | None) -> int:
    """Open some of what another policy than this one has judged at a PACS; return how many.

    Both what was unwanted, and what was complete under it. 0: there is no more.

    Parameters
    ----------
    policy
        In words; None: there is none any more.
    """
    query = (
        select(StudyFind.study_uid)
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(*_judged_otherwise(peer, policy))
        .limit(_AT_ONCE)
    )
    rows = await lock_studies(session, list(await session.scalars(query)))
    keys = [row.id for row in rows]
    if not keys:
        return 0
    await session.execute(
        update(StudySource)
        .where(among(session, StudySource.study_find_id, keys), StudySource.peer == peer_key(peer))
        .values(**reopened_source())
        .execution_options(synchronize_session=False)
    )
    await session.execute(
        update(StudyFind)
        .where(among(session, StudyFind.id, keys))
        .values(**reopened_study())
        .execution_options(synchronize_session=False)
    )
    await redraw_states(session, keys)
    return len(keys)
