"""The attempts to bring a study here, with what came late and what came again."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.explaining.story import AttemptStory
from schema.tables.ledger import Cycle, MoveAttempt, RepeatedArrival
from schema.tables.models import Image, StudyFind
from schema.tables.statements import among

_COLUMNS = (
    *("id", "peer", "cycle_id", "node", "method", "level", "requested", "requests"),
    *("claimed_on", "started_on", "ended_on", "outcome", "failure", "status", "comment"),
    *("message", "completed", "failed", "warning", "remaining", "failed_uids", "refused"),
    *("arrived", "arrived_bytes", "images", "expected", "missing", "evidence"),
)
_LISTS = frozenset(("failed_uids", "refused", "missing"))


async def read_attempts(
    session: AsyncSession, *, study_uid: str | None = None, ids: Collection[int] = ()
) -> list[AttemptStory]:
    """Return attempts in their order: those of a study, or these."""
    query = select(*(getattr(MoveAttempt, name) for name in _COLUMNS)).order_by(MoveAttempt.id)
    if study_uid is not None:
        query = query.join(StudyFind, StudyFind.id == MoveAttempt.study_find_id).where(
            StudyFind.study_uid == study_uid
        )
    else:
        query = query.where(among(session, MoveAttempt.id, sorted(ids)))
    rows = (await session.execute(query)).all()
    if not rows:
        return []
    late = await _late(session, rows, study_uid)
    heard = await _heard(session, [row for row in rows if row.ended_on is None])
    again = dict(
        (
            await session.execute(
                select(RepeatedArrival.attempt_id, func.count())
                .join(Image, Image.id == RepeatedArrival.image_id)
                .where(
                    among(session, RepeatedArrival.attempt_id, [row.id for row in rows]),
                    Image.attempt_id.is_distinct_from(RepeatedArrival.attempt_id),
                )
                .group_by(RepeatedArrival.attempt_id)
            )
        ).all()
    )
    stories = []
    for row in rows:
        came, last = late.get(row.id, (0, None))
        values: dict[str, Any] = {
            name: tuple(value or ()) if name in _LISTS else value
            for name, value in zip(_COLUMNS, row, strict=True)
        }
        stories.append(
            AttemptStory(
                **values,
                heard_on=heard.get(row.id),
                late=came,
                late_on=last,
                repeated=again.get(row.id, 0),
            )
        )
    return stories


async def _heard(session: AsyncSession, rows: Iterable[Any]) -> dict[int, datetime]:
    """Return when something was heard last of who makes these attempts, as far as it is known."""
    cycles = {row.id: row.cycle_id for row in rows if row.cycle_id is not None}
    if not cycles:
        return {}
    query = select(Cycle.id, Cycle.heard_on).where(among(session, Cycle.id, {*cycles.values()}))
    heard = {key: on for key, on in await session.execute(query) if on is not None}
    return {key: heard[cycle] for key, cycle in cycles.items() if cycle in heard}


async def _late(
    session: AsyncSession, rows: Iterable[Any], study_uid: str | None
) -> dict[int, tuple[int, Any]]:
    """Return how many images of attempts came after these had ended, and when the last one did."""
    if study_uid is None:
        return {}
    ended = {row.id: row.ended_on for row in rows}
    query = select(Image.attempt_id, Image.received_on).where(
        Image.study_uid == study_uid,
        Image.attempt_id.is_not(None),
        Image.received_on.is_not(None),
    )
    found: dict[int, tuple[int, Any]] = {}
    for attempt, received_on in await session.execute(query):
        end = ended.get(attempt)
        if attempt is not None and end is not None and received_on > end:
            count, last = found.get(attempt, (0, received_on))
            found[attempt] = (count + 1, max(last, received_on))
    return found
