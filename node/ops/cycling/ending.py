"""Attempts that an operator ends: what is under way is cancelled, and the rest is not begun."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from node.errors import PermanentError

Result = TypeVar("Result")


class AttemptEnded(PermanentError):  # noqa: N818 - reads as a sentence where it is raised
    """An operator has ended the attempt."""


class Endings:
    """Which attempts of a move are to end, and the work that is under way for each."""

    def __init__(self) -> None:
        self._unwanted: dict[int, bool] = {}
        self._work: dict[int, set[asyncio.Task[Any]]] = {}

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
                    task.cancel()

    def unwanted(self, attempt: int) -> bool:
        """Tell whether an attempt that has not begun is not to begin."""
        return attempt in self._unwanted

    async def within(self, attempt: int, work: Coroutine[Any, Any, Result]) -> Result:
        """Do some work for an attempt, which ends with it.

        Raises
        ------
        AttemptEnded
            An operator has ended it, and the work is cancelled.
        """
        task = asyncio.create_task(work, name=f"attempt {attempt}")
        self._work.setdefault(attempt, set()).add(task)
        try:
            if self._unwanted.get(attempt):
                task.cancel()
            return await task
        except asyncio.CancelledError:
            ours = asyncio.current_task()
            if not self._unwanted.get(attempt) or (ours is not None and ours.cancelling()):
                raise
            raise AttemptEnded("an operator has ended it") from None
        finally:
            self._work[attempt].discard(task)
            if not self._work[attempt]:
                del self._work[attempt]
