"""How long the rest takes, from what was measured; pure but for `expectations`.

The rate is what attempts have brought while moves ran: hours in which nothing is moved are no part
of it, and are counted on top, as the hours of the configuration have them. Where the number of
images is known of all studies that are left, it is by images; else by studies.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from node.config import Config
from node.config.hours.opening import CommonHours
from schema import Database
from schema.accounting.rates import Rate, rates
from schema.accounting.tallies import PeerTally, one_view, tally_peers
from schema.tables.columns import utcnow

BASIS = timedelta(days=7)
"""How far back attempts count."""

_LONGEST = timedelta(days=365 * 1000).total_seconds()
"""What takes longer takes as long: dates have an end."""

_COUNTED = 60
"""Openings that are looked at one by one; what needs more is as these are, on average."""


class Unknown(StrEnum):
    """Why nobody can tell how long it takes."""

    NOTHING_MEASURED = "nothing measured"
    """No study was complete in the time that counts."""
    NEVER_OPEN = "never open"
    """The hours never open."""
    STRANGER = "stranger"
    """It is no peer of the configuration: nobody can ask it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How long the rest of a PACS takes.

    Attributes
    ----------
    as_of
        When it was reckoned, naive UTC.
    studies, images, unknown
        What is left: studies, how many images these have as far as the PACS says it, those that are
        here already among them, and of how many nobody says it.
    bytes
        About how many they have, by the mean size of what came; None when nobody knows.
    given_up, held
        Those of these studies that the daemon does not ask for: somebody has to.
    basis
        What was measured.
    by
        images or studies: by whose rate.
    seconds
        How long moves have to run; None when nobody knows, and then why.
    openings
        In how many of the hours' openings; None where there are no hours.
    ends_on
        When it is done, naive UTC.
    """

    peer: str
    as_of: datetime
    studies: int
    images: int
    unknown: int
    bytes: int | None
    given_up: int
    held: int
    basis: Rate
    by: str = "images"
    seconds: float | None = None
    why: Unknown | None = None
    openings: int | None = None
    ends_on: datetime | None = None


async def expectations(
    config: Config, database: Database, *, peer: str | None = None
) -> list[Forecast]:
    """Return how long the rest of each PACS takes, or of one.

    Raises
    ------
    ConfigurationError
        There is no such peer, neither in the configuration nor among what was found.
    DatabaseUnavailable
    """
    async with database.session() as session:
        await one_view(session)
        tallies = {one.peer: one for one in await tally_peers(session) if one.peer is not None}
        names = [*config.peers, *sorted(name for name in tallies if name not in config.peers)]
        if peer is not None and peer not in tallies:
            config.peer(peer)
        wanted = [name for name in names if peer in (None, name)]
        now = utcnow()
        measured = await rates(session, wanted, since=now - BASIS, until=now)
    return expected(config, wanted, tallies, measured, now=now)


def expected(
    config: Config,
    names: Collection[str],
    tallies: Mapping[str, PeerTally],
    measured: Mapping[str, Rate],
    *,
    now: datetime,
) -> list[Forecast]:
    """Return how long the rest of some PACSs takes; of those of which anything was found."""
    found = []
    for name in names:
        if name not in tallies:
            continue
        hours = config.move_hours(name) if name in config.peers else None
        found.append(_expected(tallies[name], measured[name], hours, now=now))
    return found


def _expected(
    tally: PeerTally, basis: Rate, hours: CommonHours | None, *, now: datetime
) -> Forecast:
    held = max(0, tally.states.get("held", 0))
    by = "images" if tally.images and not tally.unknown and basis.images else "studies"
    size = round(tally.images * basis.bytes / basis.images) if basis.images else None
    said = Forecast(
        peer=tally.peer or "",
        as_of=now,
        studies=tally.open,
        images=tally.images,
        unknown=tally.unknown,
        bytes=size if tally.images else None,
        given_up=tally.given_up,
        held=held,
        basis=basis,
        by=by,
    )
    return _reckoned(said, hours)


def _reckoned(said: Forecast, hours: CommonHours | None) -> Forecast:
    if said.studies <= 0:
        return replace(said, seconds=0.0, ends_on=said.as_of)
    if hours is None:
        return replace(said, why=Unknown.STRANGER)
    done = said.basis.images if said.by == "images" else said.basis.studies
    if not (said.basis.studies and done and said.basis.seconds):
        return replace(said, why=Unknown.NOTHING_MEASURED)
    left = said.images if said.by == "images" else said.studies
    seconds = left * said.basis.seconds / done
    if not hours.parts:
        ends = said.as_of + timedelta(seconds=min(seconds, _LONGEST))
        return replace(said, seconds=seconds, ends_on=ends)
    walked = walk(hours, said.as_of.replace(tzinfo=UTC), seconds)
    if walked is None:
        return replace(said, seconds=seconds, why=Unknown.NEVER_OPEN)
    openings, ends_on = walked
    return replace(
        said,
        seconds=seconds,
        openings=openings,
        ends_on=ends_on.astimezone(UTC).replace(tzinfo=None),
    )


def walk(hours: CommonHours, start: datetime, seconds: float) -> tuple[int, datetime] | None:
    """Return in how many openings so many seconds are over, and when; None where it never opens.

    Parameters
    ----------
    start
        From when on, aware. An opening that has begun counts as one.
    """
    left, at, openings = min(seconds, _LONGEST), start, 0
    first: datetime | None = None
    opened = 0.0
    while True:
        opens = hours.opens_next(at)
        if opens is None:
            return None
        first = first or opens
        if openings == _COUNTED:
            mean, apart = opened / _COUNTED, (opens - first) / _COUNTED
            whole = int(left // mean)
            over = min(whole * apart.total_seconds(), _LONGEST) + left - whole * mean
            return openings + whole + 1, opens + timedelta(seconds=over)
        closes = hours.closes_next(opens)
        openings += 1
        if closes is None or opens + timedelta(seconds=left) <= closes:
            return openings, opens + timedelta(seconds=left)
        opened += (closes - opens).total_seconds()
        left -= (closes - opens).total_seconds()
        at = closes
