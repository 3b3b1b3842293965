"""Which studies came late: found among dates of which an earlier find had found all."""

from dataclasses import dataclass
from datetime import datetime

from schema import Database
from schema.coverage.daily import get_study_days
from schema.coverage.drift import Drift, late
from schema.coverage.ledger import get_coverage
from schema.coverage.proof import DateStretch
from schema.finding.past import last_find_ended


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBefore:
    """What was known of a peer when the last find there came to its end.

    Attributes
    ----------
    ended_on
        When that was, naive UTC.
    stretches
        What is known of each date.
    """

    ended_on: datetime
    stretches: tuple[DateStretch, ...]


async def known_before(database: Database, peer: str) -> KnownBefore | None:
    """Return what is known of a peer before a find; None when no find has come to its end there.

    What finds have found since that did not come to their end belongs to the one that begins.
    """
    async with database.session() as session:
        ended_on = await last_find_ended(session, peer)
        if ended_on is None:
            return None
        scopes = await get_coverage(session, peer=peer)
    stretches = next((scope.stretches for scope in scopes if not scope.query), ())
    return KnownBefore(ended_on=ended_on, stretches=stretches)


async def came_late(database: Database, peer: str, before: KnownBefore | None) -> tuple[Drift, ...]:
    """Return where studies have come since, among dates that were settled before, by month."""
    if before is None or all(one.settled_on is None for one in before.stretches):
        return ()
    async with database.session() as session:
        days = await get_study_days(session, peer, found_since=before.ended_on)
    return tuple(late(before.stretches, days))
