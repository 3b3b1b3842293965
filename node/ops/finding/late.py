"""Which studies came late: found among dates of which an earlier find had found all."""

from datetime import datetime, timedelta

from schema import Database
from schema.coverage.daily import get_study_days
from schema.coverage.drift import Drift, late
from schema.coverage.ledger import get_coverage
from schema.coverage.newest import SETTLED
from schema.finding.past import last_find_ended


async def last_ended(database: Database, peer: str) -> datetime | None:
    """Return when a find came to its end at a peer for the last time, naive UTC; or None.

    What finds have found since that did not come to theirs belongs to the one that begins.
    """
    async with database.session() as session:
        return await last_find_ended(session, peer)


async def came_late(database: Database, peer: str, since: datetime | None) -> tuple[Drift, ...]:
    """Return where studies were found since the last find, among dates settled before, by month."""
    if since is None:
        return ()
    day = timedelta(days=1)
    last = (since - SETTLED + day).date()  # later ones were not settled then
    async with database.session() as session:
        days = await get_study_days(session, peer, last=last, found_since=since)
        scopes = await get_coverage(session, peer=peer) if days else []
    known = next((scope.stretches for scope in scopes if not scope.query), ())
    return tuple(late(known, days))
