"""What a move asks before each study: whether the daemon may still ask this PACS for one."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

from node.config import Config
from node.ops.guarding.budgets import Budget, BudgetStanding, budgets_of, standings
from schema import Database
from schema.guarding.breakers import breaker_of, opening_of
from schema.guarding.breaking import BreakerState

_LOOK = 2.0
"""Seconds from one look whether another node has opened the breaker to the next."""

_SHARE = 20
"""What was moved is added up anew when the last time was so many times as long ago as it took."""


class Guard(Protocol):
    """Gives each study a place, and gets it back."""

    async def claim(self) -> str | None:
        """Take a place for one more study; return why there is none, and the move is to end.

        Raises
        ------
        SchemaError
            Nobody can tell.
        """

    def release(self) -> None:
        """Give a place back: what became of its study is recorded, or it was not asked for."""


class Unguarded:
    """Gives any number of studies a place: who asks by command knows what he does."""

    async def claim(self) -> str | None:
        """See `Guard.claim`."""
        return None

    def release(self) -> None:
        """See `Guard.release`."""


class PeerGuard:
    """Ends a move when the breaker of its PACS has opened, or a budget is used up.

    Studies that are under way count as if they were studies already; what they bring, and how long
    they take, counts when they are judged.

    Parameters
    ----------
    alone
        Whether the move is the one that tries a study while the breaker is open.
    """

    def __init__(
        self, config: Config, database: Database, name: str, *, alone: bool = False
    ) -> None:
        self._config = config
        self._database = database
        self._name = name
        self._alone = alone
        self._under_way = 0
        self._ended = 0
        self._released = asyncio.Event()
        self._looked = float("-inf")
        self._budgets: list[Budget] | None = None
        self._known: list[BudgetStanding] = []
        self._counted = -1
        self._added = float("-inf")
        self._cost = 0.0

    async def claim(self) -> str | None:
        """See `Guard.claim`."""
        if (reason := await self._broken()) is not None:
            return reason
        while True:
            reason = await self._used_up()
            if reason is not None:
                return reason
            if not self._under_way or self._has_room():
                self._under_way += 1
                return None
            self._released.clear()
            await self._released.wait()

    def release(self) -> None:
        """See `Guard.release`."""
        self._under_way -= 1
        self._ended += 1
        self._released.set()

    async def _broken(self) -> str | None:
        if self._alone or time.monotonic() - self._looked < _LOOK:
            return None
        self._looked = time.monotonic()
        async with self._database.session() as session:
            breaker = await breaker_of(session, self._name)
        return None if breaker.state is BreakerState.CLOSED else opening_of(breaker)

    async def _used_up(self) -> str | None:
        """Return which budget is used up, by what has ended."""
        now = datetime.now(UTC)
        naive = now.replace(tzinfo=None)
        if self._budgets is None or any(one.window.end <= naive for one in self._budgets):
            self._budgets = budgets_of(self._config, self._name, now)
            self._counted = -1
        if not self._budgets:
            return None
        old = time.monotonic() - self._added >= _SHARE * self._cost
        if self._counted < 0 or old or not self._has_room():
            await self._add_up(self._budgets)
        return next((one.reason for one in self._known if one.reason is not None), None)

    async def _add_up(self, held: list[Budget]) -> None:
        began, counted = time.monotonic(), self._ended
        async with self._database.session() as session:
            self._known = await standings(session, held)
        self._counted = counted
        self._added = time.monotonic()
        self._cost = self._added - began

    def _has_room(self) -> bool:
        """Tell whether one more study is none too many, beside those that are under way."""
        more = self._under_way + self._ended - max(self._counted, 0)
        return all(
            one.budget.limits.studies is None
            or one.spent.studies + more < one.budget.limits.studies
            for one in self._known
        )
