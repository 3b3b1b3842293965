"""What a move asks before each study: whether the daemon may still ask this PACS for one."""

import time
from typing import Protocol

from node.config import Config
from node.ops.guarding.budgets import Budget, BudgetStanding, rules_of, standings
from node.ops.guarding.under_way import UnderWay
from schema import Database, utcnow
from schema.guarding.breakers import breaker_of, opening_of
from schema.guarding.breaking import BreakerState
from schema.tables.columns import present

_LOOK = 2.0
"""Seconds from one look whether another node has opened the breaker to the next; and for which a
place is waited for before it is looked whether the move goes on at all."""

_SHARE = 20
"""What was moved is added up anew when the last time was so many times as long ago as it took."""


class Guard(Protocol):
    """Gives each study a place, and gets it back.

    Attributes
    ----------
    used_up
        Whether what was refused last was for a budget: as the configuration wants it.
    """

    used_up: bool

    async def refusal(self) -> str | None:
        """Return why no further study is to be asked for, and the move is to end.

        Raises
        ------
        SchemaError
            Nobody can tell.
        """

    def take(self) -> bool:
        """Take a place for one more study, just after it was not refused.

        Returns
        -------
        bool
            False where one that is under way has to end first: see `freed`.
        """

    async def freed(self) -> None:
        """Wait until there may be a place, and no longer than a moment."""

    def release(self) -> None:
        """Give a place back: what became of its study is recorded, or it was not asked for."""


class Unguarded:
    """Gives any number of studies a place: who asks by command knows what he does."""

    used_up = False

    async def refusal(self) -> str | None:
        """See `Guard.refusal`."""
        return None

    def take(self) -> bool:
        """See `Guard.take`."""
        return True

    async def freed(self) -> None:
        """See `Guard.freed`: there is one always."""

    def release(self) -> None:
        """See `Guard.release`."""


class PeerGuard:
    """Ends a move when the breaker of its PACS has opened, or a budget is used up.

    Studies that are under way count as if they were studies already; what they bring, and how long
    they take, counts when they are judged.

    Parameters
    ----------
    under_way
        What this process moves, from this PACS and from others.
    alone
        Whether the move is the one that tries a study while the breaker is open.
    """

    def __init__(
        self,
        config: Config,
        database: Database,
        name: str,
        *,
        under_way: UnderWay,
        alone: bool = False,
    ) -> None:
        self.used_up = False
        self._rules = rules_of(config, name)
        self._database = database
        self._name = name
        self._alone = alone
        self._under_way = under_way
        self._looked = float("-inf")
        self._opening: str | None = None
        self._known: list[BudgetStanding] = []
        self._counted: dict[str, int] = {}
        self._added = float("-inf")
        self._cost = 0.0

    async def refusal(self) -> str | None:
        """See `Guard.refusal`."""
        broken = await self._broken()
        why = broken or await self._used_up()
        self.used_up = broken is None and why is not None
        return why

    def take(self) -> bool:
        """See `Guard.take`."""
        if not self._has_room():
            return False
        self._under_way.begin(self._name)
        return True

    async def freed(self) -> None:
        """See `Guard.freed`."""
        await self._under_way.changed(_LOOK)

    def release(self) -> None:
        """See `Guard.release`."""
        self._under_way.end(self._name)

    async def _broken(self) -> str | None:
        if not self._alone and time.monotonic() - self._looked >= _LOOK:
            self._looked = time.monotonic()
            async with self._database.session() as session:
                breaker = await breaker_of(session, self._name)
            is_closed = breaker.state is BreakerState.CLOSED
            self._opening = None if is_closed else opening_of(breaker)
        return self._opening

    async def _used_up(self) -> str | None:
        """Return which budget is used up, by what has ended."""
        now, naive = present(), utcnow()
        held = [one.budget for one in self._known]
        is_over = any(one.window.end <= naive for one in held)
        if is_over or len(held) < len(self._rules):  # those that are closed may have opened
            held = [one for rule in self._rules if (one := rule.at(now)) is not None]
            await self._add_up(held)
        elif held and (self._is_old() or not self._has_room()):
            await self._add_up(held)
        return next((one.reason for one in self._known if one.reason is not None), None)

    def _is_old(self) -> bool:
        return time.monotonic() - self._added >= _SHARE * self._cost

    async def _add_up(self, held: list[Budget]) -> None:
        began = time.monotonic()
        counted = {one.key: self._under_way.ended(one.peers) for one in held}
        async with self._database.session() as session:
            self._known = await standings(session, held)
        self._counted = counted
        self._added = time.monotonic()
        self._cost = self._added - began

    def _has_room(self) -> bool:
        """Tell whether one more study is none too many, beside those that are under way."""
        return all(self._is_room_in(one) for one in self._known)

    def _is_room_in(self, standing: BudgetStanding) -> bool:
        budget = standing.budget
        if (most := budget.limits.studies) is None:
            return True
        since = self._under_way.ended(budget.peers) - self._counted[budget.key]
        return standing.spent.studies + since + self._under_way.now(budget.peers) < most
