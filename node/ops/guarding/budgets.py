"""What may be moved while hours are open, and what was: by all nodes, daemons and commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from node.config import CommonHours, Config
from node.config.durations import Duration
from node.config.wanted.budget import BudgetSettings, Size
from node.ops.guarding.windows import OpenWindow, window_of
from schema import AsyncSession
from schema.guarding.spending import Spent, spent_since
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


def budgets_of(config: Config, name: str, now: datetime) -> list[Budget]:
    """Return the budgets that hold for a peer at an instant, its own first.

    Parameters
    ----------
    now
        Aware.
    """
    found = []
    own = config.peer(name).budget
    if not own.is_any and (window := window_of(config.move_hours(name), now)) is not None:
        key = f"peers.{name}.budget"
        found.append(Budget(key=key, peers=(name,), limits=own, window=window))
    return found + _common(config, now)


def _common(config: Config, now: datetime) -> list[Budget]:
    limits = config.move.budget
    if limits.is_any:
        return []
    hours = config.move.open_times
    window = window_of(CommonHours(() if hours is None else (hours,)), now)
    if window is None:
        return []
    peers = tuple(peer.name for peer in config.move_peers)
    return [Budget(key="move.budget", peers=peers, limits=limits, window=window)]


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
    now = now or datetime.now(UTC)
    held = [
        one
        for peer in config.move_peers
        for one in budgets_of(config, peer.name, now)
        if one.key != "move.budget"
    ]
    return await standings(session, [*held, *_common(config, now)])


def _size(size: int) -> str:
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB")):
        if size >= 10**power:
            return f"{size / 10**power:.1f}{unit}"
    return Size(max(size, 1)).text


def _minutes(seconds: float) -> str:
    return Duration(round(seconds / 60) * 60 if seconds >= 60 else round(seconds)).text
