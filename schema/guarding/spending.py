"""How much was moved from PACSs since a moment, by all nodes: from the attempts that have ended.

An index over the PACS and the moment leads to them: what was moved before costs nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Double, cast, extract, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.moving.patience import FailureKind
from schema.moving.senders import peer_key
from schema.standing.states import StudyState
from schema.tables.columns import latest
from schema.tables.ledger import MoveAttempt
from schema.tables.statements import is_postgresql

_OF_THE_PEER = [kind.value for kind in FailureKind if kind.is_of_the_peer]
_SECONDS_A_DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was moved from PACSs.

    Attributes
    ----------
    studies
        That they were asked for, each counted once.
    bytes
        Of the files of images that were not here before.
    seconds
        That attempts took, from when a PACS was asked until the verdict: two at once count twice.
    """

    studies: int = 0
    bytes: int = 0
    seconds: float = 0.0


@either
async def spent_since(session: AsyncSession, peers: Collection[str], since: datetime) -> Spent:
    """Return what was moved from PACSs in attempts that began since a moment, and have ended.

    What began later than now was written by a clock that has been set back since: when it was,
    nobody knows, and it does not count.

    Parameters
    ----------
    peers
        By their configured names; all together.
    since
        Naive UTC.
    """
    query = select(
        func.count(MoveAttempt.study_find_id.distinct()),
        func.coalesce(func.sum(MoveAttempt.arrived_bytes), 0),
        func.coalesce(func.sum(seconds_taken(session)), 0.0),
    ).where(*_ended_since(peers, since))
    studies, size, seconds = (await session.execute(query)).one()
    return Spent(studies=studies, bytes=int(size or 0), seconds=float(seconds or 0))


@either
async def has_come_since(
    session: AsyncSession, peer: str, since: datetime, *, last: datetime | None = None
) -> bool:
    """Tell whether a PACS has sent something that it was asked for since a moment.

    A study of which all was here already counts, as long as the PACS was asked.

    Parameters
    ----------
    since
        Naive UTC: when it was asked.
    last
        Since when, at the earliest, the last one has ended; None is any time.
    """
    query = select(MoveAttempt.id).where(
        *_ended_since([peer], since),
        or_(MoveAttempt.arrived > 0, MoveAttempt.outcome == StudyState.RETRIEVED.value),
        MoveAttempt.failure.not_in(_OF_THE_PEER),
    )
    if last is not None:
        query = query.where(MoveAttempt.ended_on >= last)
    return await session.scalar(query.limit(1)) is not None


def _ended_since(peers: Collection[str], since: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        MoveAttempt.peer.in_([peer_key(peer) for peer in sorted(peers)]),
        MoveAttempt.started_on >= since,
        MoveAttempt.started_on <= latest(),
        MoveAttempt.ended_on.is_not(None),
    )


def seconds_taken(session: AsyncSession) -> ColumnElement[float]:
    """Return how long an attempt took, in seconds; NULL where nobody was asked."""
    if is_postgresql(session):
        taken = extract("epoch", MoveAttempt.ended_on - MoveAttempt.started_on)
        return cast(taken, Double)
    days = func.julianday(MoveAttempt.ended_on) - func.julianday(MoveAttempt.started_on)
    return days * _SECONDS_A_DAY
