"""What may be moved while hours are open, and what was: by all nodes, daemons and commands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from node.config import CommonHours, Config
from node.config.durations import Duration
from node.config.wanted.budget import BudgetSettings, Size
from node.ops.guarding.windows import OpenWindow, window_of
from schema import AsyncSession
from schema.guarding.spending import Spent, spent_since
from schema.tables.columns import present
from schema.text.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be moved in a window.

    Attributes
    ----------
    key
        Where the configuration says so: move.budget, or that of a peer.
    peers
        Whose studies count.
    """

    key: str
    peers: tuple[str, ...]
    limits: BudgetSettings
    window: OpenWindow

    def used_up(self, spent: Spent) -> str | None:
        """Return in words what of it is used up; None while there is some left."""
        limits = self.limits
        used = None
        if limits.studies is not None and spent.studies >= limits.studies:
            used = f"{spent.studies} of {counted(limits.studies, 'study')}"
        elif limits.bytes is not None and spent.bytes >= limits.bytes:
            used = f"{_size(spent.bytes)} of {limits.bytes.text}"
        elif limits.duration is not None and spent.seconds >= limits.duration:
            used = f"{_minutes(spent.seconds)} of {limits.duration.text}"
        if used is None:
            return None
        following = self.window.next
        rest = "" if following is None else f"; the rest waits until {following:%Y-%m-%d %H:%M} UTC"
        when = "day" if self.window.day else "night"
        return f"the budget of this {when} is used up, {used} ({self.key}){rest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStanding:
    """How much of a budget is spent.

    Attributes
    ----------
    reason
        In words what of it is used up; None while there is some left.
    """

    budget: Budget
    spent: Spent
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRule:
    """A budget of the configuration, whether its hours are open or not.

    Attributes
    ----------
    key, peers, limits
        As in `Budget`.
    hours
        From when they open until they close it holds; a day, where they always are.
    """

    key: str
    peers: tuple[str, ...]
    limits: BudgetSettings
    hours: CommonHours

    def at(self, now: datetime) -> Budget | None:
        """Return the budget at an instant (aware); None where the hours are closed then."""
        window = window_of(self.hours, now)
        if window is None:
            return None
        return Budget(key=self.key, peers=self.peers, limits=self.limits, window=window)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """How much of a budget of the configuration is spent since its hours have opened.

    Where they are closed, nothing is.
    """

    rule: BudgetRule
    spent: Spent


def rules_of(config: Config, name: str) -> list[BudgetRule]:
    """Return the budgets that the configuration has for a peer, its own first."""
    found = []
    own = config.peer(name).budget
    if not own.is_any:
        hours = config.move_hours(name)
        key = f"peers.{name}.budget"
        found.append(BudgetRule(key=key, peers=(name,), limits=own, hours=hours))
    return found + _common(config)


def budgets_of(config: Config, name: str, now: datetime) -> list[Budget]:
    """Return the budgets that hold for a peer at an instant, its own first.

    Parameters
    ----------
    now
        Aware.
    """
    held = (rule.at(now) for rule in rules_of(config, name))
    return [one for one in held if one is not None]


def _common(config: Config) -> list[BudgetRule]:
    limits = config.move.budget
    if limits.is_any:
        return []
    hours = config.move.open_times
    peers = tuple(peer.name for peer in config.move_peers)
    open_times = CommonHours(() if hours is None else (hours,))
    return [BudgetRule(key="move.budget", peers=peers, limits=limits, hours=open_times)]


async def standings(session: AsyncSession, held: Sequence[Budget]) -> list[BudgetStanding]:
    """Return how much of budgets is spent."""
    found = []
    for one in held:
        spent = await spent_since(session, one.peers, one.window.begin)
        found.append(BudgetStanding(budget=one, spent=spent, reason=one.used_up(spent)))
    return found


async def budgets(
    config: Config, session: AsyncSession, *, now: datetime | None = None
) -> list[BudgetStanding]:
    """Return how much of all budgets that are in force now is spent.

    Those of peers whose hours are closed are left out.

    Parameters
    ----------
    now
        Aware; None is the clock's.
    """
    now = now or present()
    held = [
        one
        for peer in config.move_peers
        for one in budgets_of(config, peer.name, now)
        if one.key != "move.budget"
    ]
    common = (rule.at(now) for rule in _common(config))
    return await standings(session, [*held, *(one for one in common if one is not None)])


async def uses(
    config: Config, session: AsyncSession, names: Iterable[str], *, now: datetime
) -> dict[str, list[BudgetUse]]:
    """Return how much is spent of the budgets that the configuration has for peers, by name.

    Parameters
    ----------
    names
        Those that are no peers of the configuration have none.
    now
        Aware.
    """
    known: dict[str, BudgetUse] = {}
    found: dict[str, list[BudgetUse]] = {}
    for name in names:
        for rule in rules_of(config, name) if name in config.peers else ():
            if rule.key not in known:
                budget, spent = rule.at(now), Spent()
                if budget is not None:
                    spent = await spent_since(session, budget.peers, budget.window.begin)
                known[rule.key] = BudgetUse(rule=rule, spent=spent)
            found.setdefault(name, []).append(known[rule.key])
    return found


def _size(size: int) -> str:
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB")):
        if size >= 10**power:
            return f"{size / 10**power:.1f}{unit}"
    return Size(max(size, 1)).text


def _minutes(seconds: float) -> str:
    return Duration(round(seconds / 60) * 60 if seconds >= 60 else round(seconds)).text
