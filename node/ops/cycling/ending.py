"""Attempts that an operator ends: what is under way is cancelled, and the rest is not begun."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from node.errors import PermanentError

Result = TypeVar("Result")

_ENDED = "an operator has ended it"


class AttemptEnded(PermanentError):  # noqa: N818 - reads as a sentence where it is raised
    """An operator has ended the attempt."""


class Endings:
    """Which attempts of a move are to end, and the work that is under way for each."""

    def __init__(self) -> None:
        self._unwanted: dict[int, bool] = {}
        self._work: dict[int, set[asyncio.Task[Any]]] = {}
        self._cancelled: set[asyncio.Task[Any]] = set()

    def take(self, unwanted: Mapping[int, bool]) -> None:
        """Take notice of what is to end; what is to end at once is cancelled here.

        Parameters
        ----------
        unwanted
            By the attempt's key, whether at once.
        """
        for attempt, at_once in unwanted.items():
            known = self._unwanted.get(attempt)
            self._unwanted[attempt] = at_once
            if at_once and known is not True:
                for task in self._work.get(attempt, ()):
                    self._cancelled.add(task)
                    task.cancel()

    def unwanted(self, attempt: int) -> bool:
        """Tell whether an attempt that has not begun is not to begin."""
        return attempt in self._unwanted

    async def within(self, attempt: int, work: Coroutine[Any, Any, Result]) -> Result:
        """Do some work for an attempt, which ends with it; in the task that asks for it.

        Raises
        ------
        AttemptEnded
            An operator has ended it, and the work is cancelled.
        """
        task = asyncio.current_task()
        if task is None or self._unwanted.get(attempt):
            work.close()
            raise AttemptEnded(_ENDED)
        tasks = self._work.setdefault(attempt, set())
        tasks.add(task)
        try:
            result = await work
            if task in self._cancelled:  # it was done before that has reached it
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if task not in self._cancelled or task.uncancel():
                raise  # somebody else wants the task itself to end
            raise AttemptEnded(_ENDED) from None
        finally:
            self._cancelled.discard(task)
            tasks.discard(task)
            if not tasks:
                self._work.pop(attempt, None)
        return result
