"""How fast studies come: what attempts have brought in some time, and how long moves ran in it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.cycles import is_heard
from schema.guarding.spending import seconds_taken
from schema.moving.senders import peer_key
from schema.tables.ledger import Cycle, MoveAttempt
from schema.tables.models import RETRIEVED
from schema.tables.statements import shared_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a PACS has given in some time.

    Attributes
    ----------
    since, until
        The time, naive UTC.
    attempts, studies
        Attempts that ended in it, and those of them after which their study was complete.
    images, bytes
        What they brought that was not here before.
    seconds
        How long moves from it ran in that time; where several ran at once, it counts once.
    taken
        How long its attempts took, in seconds, added up: two at once count twice.
    """

    peer: str
    since: datetime
    until: datetime
    attempts: int = 0
    studies: int = 0
    images: int = 0
    bytes: int = 0
    seconds: float = 0.0
    taken: float = 0.0


async def rates(
    session: AsyncSession, peers: Collection[str], *, since: datetime, until: datetime
) -> dict[str, Rate]:
    """Return what PACSs have given in some time, by name; moments are naive UTC."""
    ran = await _ran(session, since, until)
    found: dict[str, Rate] = {}
    for peer in peers:
        query = select(
            func.count(),
            func.count().filter(MoveAttempt.outcome == RETRIEVED),
            func.coalesce(func.sum(MoveAttempt.arrived), 0),
            func.coalesce(func.sum(MoveAttempt.arrived_bytes), 0),
            func.coalesce(func.sum(seconds_taken(session)), 0.0),
        ).where(
            MoveAttempt.peer == peer_key(peer),
            MoveAttempt.ended_on >= since,
            MoveAttempt.ended_on <= until,
        )
        attempts, studies, images, size, taken = (await session.execute(query)).one()
        found[peer] = Rate(
            peer=peer,
            since=since,
            until=until,
            attempts=attempts,
            studies=studies,
            images=int(images or 0),
            bytes=int(size or 0),
            seconds=together(ran.get(peer, ())),
            taken=float(taken or 0),
        )
    return found


async def _ran(
    session: AsyncSession, since: datetime, until: datetime
) -> dict[str, list[tuple[datetime, datetime]]]:
    """Return when moves ran, by the PACS, within a time."""
    now = await shared_now(session)
    query = select(Cycle.peer, Cycle.started_on, Cycle.finished_on, Cycle.heard_on).where(
        Cycle.kind == "move",
        Cycle.peer.is_not(None),
        or_(Cycle.finished_on.is_(None), Cycle.finished_on >= since),
        Cycle.started_on <= until,
    )
    ran: dict[str, list[tuple[datetime, datetime]]] = {}
    for peer, begin, finished, heard in await session.execute(query):
        runs = heard is None or is_heard(heard, now)  # a sign of life may be seconds old
        end = finished or (until if runs else heard) or until
        if end > since:
            ran.setdefault(peer or "", []).append((max(begin, since), min(end, until)))
    return ran


def together(spans: Iterable[tuple[datetime, datetime]]) -> float:
    """Return how many seconds some spans cover together: what several cover counts once."""
    total, last = 0.0, None
    for begin, end in sorted(spans):
        start = begin if last is None else max(begin, last)
        if end > start:
            total += (end - start).total_seconds()
            last = end
    return total
