"""How long the rest takes, from what was measured; pure but for `expectations`.

The rate is what attempts have brought while moves ran: hours in which nothing is moved are no part
of it, and are counted on top, as the hours of the configuration have them, its budgets, and what is
moved at most in a cycle. While the breaker of a PACS is open, there is no date. Where the number of
images is known of all studies that are still to come, it is by images; else by studies. Those
that nobody asks for take no time: they do not come.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from node.config import Config
from node.config.hours.opening import CommonHours
from node.ops.accounting.spreading import Allowance, spread
from node.ops.guarding.budgets import BudgetUse, uses
from node.ops.overseeing.policies import policy_of
from schema import Database
from schema.accounting.rates import Rate, rates
from schema.accounting.tallies import one_view, tally_peers
from schema.accounting.tally import PeerTally
from schema.guarding.breakers import breakers, opening_of
from schema.guarding.breaking import Breaker, BreakerState
from schema.standing.states import StudyState
from schema.tables.columns import utcnow

BASIS = timedelta(days=7)
"""How far back attempts count."""

LEAST = 5.0
"""For so many seconds moves have to have run: what came in less says nothing of the rest."""

_BROKEN = (BreakerState.OPEN, BreakerState.HALF_OPEN)


class Unknown(StrEnum):
    """Why nobody can tell when it is done."""

    NOTHING_MEASURED = "nothing measured"
    """No study was complete in the time that counts."""
    TOO_LITTLE = "too little"
    """Moves ran for less than `LEAST` in the time that counts."""
    NOT_RUNNING = "not running"
    """No node runs here, and nobody moves: it is done so long after somebody has begun to."""
    NEVER_OPEN = "never open"
    """The hours never open."""
    STRANGER = "stranger"
    """It is no peer of the configuration: nobody can ask it."""
    NOBODY_ASKS = "nobody asks"
    """All that is left was given up, or is held."""
    BY_COMMAND = "by command"
    """The daemon moves nothing from it: it is done so long after somebody has begun to."""
    BREAKER = "breaker"
    """The daemon moves nothing from it until a study that is tried has come."""


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
    coming
        Those of these studies that take the time: those that are asked for.
    given_up, held
        Those of them that the daemon does not ask for: somebody has to.
    unwanted
        How many studies the policy does not want: these are not left.
    policy
        What is wanted, in words; "" is everything. Each study that is left is judged when it is its
        turn, and may turn out not to be.
    basis
        What was measured.
    by
        images or studies: by whose rate.
    seconds
        How long moves have to run; None when nobody knows.
    why
        Why nobody knows when it is done.
    broken
        Why the breaker is open, in words, where that is why; else empty.
    tried_on
        When a study is tried, naive UTC; None where that is not known, or now.
    cycles
        How many cycles of the daemon it takes, where `move.limit` makes it more than one.
    openings
        In how many of the hours' openings something is moved; None where there are no hours.
    days
        On how many days; None where there are hours, or no budget.
    budgets
        The keys of those that are used up before it is done: without them it were done earlier.
    ends_on
        When it is done, naive UTC.
    """

    peer: str
    as_of: datetime
    studies: int
    images: int
    unknown: int
    coming: int
    bytes: int | None
    given_up: int
    held: int
    basis: Rate
    unwanted: int = 0
    policy: str = ""
    by: str = "images"
    seconds: float | None = None
    why: Unknown | None = None
    broken: str = ""
    tried_on: datetime | None = None
    cycles: int | None = None
    openings: int | None = None
    days: int | None = None
    budgets: tuple[str, ...] = ()
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
        spent = await uses(config, session, wanted, now=now.replace(tzinfo=UTC))
        broken = await breakers(session)
    return expected(config, wanted, tallies, measured, spent, broken=broken, now=now)


def expected(
    config: Config,
    names: Collection[str],
    tallies: Mapping[str, PeerTally],
    measured: Mapping[str, Rate],
    spent: Mapping[str, Sequence[BudgetUse]] | None = None,
    *,
    broken: Mapping[str, Breaker] | None = None,
    now: datetime,
) -> list[Forecast]:
    """Return how long the rest of some PACSs takes; of those of which anything was found.

    Parameters
    ----------
    tallies
        Of all PACSs: several share a budget by what each of them has left.
    spent
        The budgets of each, and how much of them is.
    broken
        Where the breakers stand of those that have had one.
    now
        Naive UTC.
    """
    known = broken or {}
    moved = {peer.name for peer in config.move_peers} if config.move.every is not None else ()
    found = []
    for name in names:
        if name not in tallies:
            continue
        said = _said(tallies[name], measured[name], now)
        if name in config.peers:
            said = replace(said, policy=str(policy_of(config, name)))
        if said.studies <= 0:
            found.append(replace(said, seconds=0.0, ends_on=now))
        elif name not in config.peers:
            found.append(replace(said, why=Unknown.STRANGER))
        elif said.coming <= 0:
            found.append(replace(said, why=Unknown.NOBODY_ASKS))
        elif name in moved and (breaker := known.get(name, Breaker())).state in _BROKEN:
            found.append(
                _waiting_for(breaker, replace(said, seconds=_seconds(said, tallies[name])))
            )
        elif (seconds := _seconds(said, tallies[name])) is None:
            found.append(replace(said, why=Unknown.NOTHING_MEASURED))
        elif said.basis.seconds < LEAST:
            found.append(replace(said, why=Unknown.TOO_LITTLE))
        elif name not in moved:
            found.append(replace(said, seconds=seconds, why=Unknown.BY_COMMAND))
        else:
            said, pace = _paced(replace(said, seconds=seconds), config)
            of_each = [_allowance(said, use, tallies, pace) for use in (spent or {}).get(name, ())]
            allowances = [one for one in of_each if one is not None]
            found.append(_ended(said, config.move_hours(name), tallies[name], allowances, pace))
    return found


def without_a_node(said: Forecast) -> Forecast:
    """Return a forecast where nobody moves: how long the rest takes is known, and no date."""
    if said.ends_on is None or not said.studies:
        return said
    return replace(
        said,
        why=Unknown.NOT_RUNNING,
        cycles=None,
        openings=None,
        days=None,
        budgets=(),
        ends_on=None,
    )


def _said(tally: PeerTally, basis: Rate, now: datetime) -> Forecast:
    """Return what is known without reckoning."""
    by = "images" if tally.coming_images and not tally.coming_unknown else "studies"
    size = round(tally.images * basis.bytes / basis.images) if basis.images else None
    return Forecast(
        peer=tally.peer or "",
        as_of=now,
        studies=tally.open,
        images=tally.images,
        unknown=tally.unknown,
        coming=tally.coming,
        bytes=size if tally.images else None,
        given_up=tally.given_up,
        held=max(0, tally.states.get(StudyState.HELD, 0)),
        unwanted=tally.unwanted,
        basis=basis,
        by=by if basis.images else "studies",
    )


def _seconds(said: Forecast, tally: PeerTally) -> float | None:
    """Return how long moves have to run; None when nothing was measured."""
    done = said.basis.images if said.by == "images" else said.basis.studies
    if not (said.basis.studies and done and said.basis.seconds):
        return None
    left = tally.coming_images if said.by == "images" else tally.coming
    return left * said.basis.seconds / done


def _waiting_for(breaker: Breaker, said: Forecast) -> Forecast:
    return replace(
        said,
        seconds=said.seconds if said.basis.seconds >= LEAST else None,
        why=Unknown.BREAKER,
        broken=opening_of(breaker),
        tried_on=breaker.retry_on if (breaker.retry_on or said.as_of) > said.as_of else None,
    )


def _paced(said: Forecast, config: Config) -> tuple[Forecast, float]:
    """Return in how many cycles it is done, and for how long, with the time between these."""
    seconds, limit, every = said.seconds or 0.0, config.move.limit, config.move.every
    if limit is None or every is None or said.coming <= limit:
        return said, seconds
    cycles = math.ceil(said.coming / limit)
    one = seconds * limit / said.coming  # a cycle that takes longer is followed at once
    pace = (cycles - 1) * max(one, every) + seconds - (cycles - 1) * one
    return replace(said, cycles=cycles), pace


def _allowance(
    said: Forecast, use: BudgetUse, tallies: Mapping[str, PeerTally], pace: float
) -> Allowance | None:
    """Return how long moves may run by a budget; None where it does not matter.

    What is left is taken to be of one kind: with half of the bytes half of the time is over.

    Parameters
    ----------
    pace
        Seconds that all takes, with the time between cycles.
    """
    basis, limits, seconds = said.basis, use.rule.limits, said.seconds or 0.0
    sharing = (tallies[one] for one in use.rule.peers if one in tallies)
    share = said.coming / sum(max(0, one.coming) for one in sharing)
    done = basis.seconds / seconds if seconds else 0.0
    needs = (
        (limits.studies, use.spent.studies, float(said.coming)),
        (limits.bytes, use.spent.bytes, basis.bytes / done if done else 0.0),
        (limits.duration, use.spent.seconds, basis.taken / done if done else 0.0),
    )
    parts = [
        (max(0.0, limit - spent) * share / need, limit * share / need)
        for limit, spent, need in needs
        if limit is not None and need > 0
    ]
    if not parts:
        return None
    return Allowance(
        key=use.rule.key,
        hours=use.rule.hours,
        left=min(left for left, _ in parts) * pace,
        whole=min(whole for _, whole in parts) * pace,
    )


def _ended(
    said: Forecast,
    hours: CommonHours,
    tally: PeerTally,
    allowances: Sequence[Allowance],
    pace: float,
) -> Forecast:
    start = said.as_of
    if tally.waiting == tally.coming and tally.next_on is not None:
        start = max(start, tally.next_on)
    found = spread(hours, start.replace(tzinfo=UTC), pace, allowances)
    if found is None:
        return replace(said, why=Unknown.NEVER_OPEN)
    return replace(
        said,
        openings=max(1, found.openings) if hours.parts else None,
        days=max(1, found.openings) if allowances and not hours.parts else None,
        budgets=found.budgets,
        ends_on=found.ends_on.astimezone(UTC).replace(tzinfo=None),
    )
