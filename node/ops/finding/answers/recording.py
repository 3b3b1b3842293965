"""Recording the answers to a question while others still come."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from schema.finding.answer import StudyAnswer

_AT_ONCE = 500
"""Answers that are recorded in one transaction while others come: a window of the usual size.
Fewer cost more transactions, each of which waits for the disk."""

_MOST = 1000
"""Answers that wait while others are recorded: from there on the peer waits as well."""


class AnswerRecorder:
    """Records the answers to one question in their order, one transaction after the other.

    Parameters
    ----------
    keep
        Records some answers; what it raises, `add` or `finish` raises.
    after
        What records the answers to the question before, which come first.
    """

    def __init__(
        self,
        keep: Callable[[Sequence[StudyAnswer]], Coroutine[Any, Any, None]],
        after: asyncio.Task[None] | None = None,
    ) -> None:
        self._keep = keep
        self._waiting: list[StudyAnswer] = []
        self._task = after

    async def add(self, answer: StudyAnswer) -> None:
        """Take an answer; wait where too many of them do."""
        self._waiting.append(answer)
        if len(self._waiting) < _AT_ONCE:
            return
        task = self._task
        if task is not None and (task.done() or len(self._waiting) >= _MOST):
            await asyncio.shield(task)  # who is cancelled here still waits for it, in `finish`
            self._task = None
        if self._task is None:
            answers, self._waiting = self._waiting, []
            self._task = asyncio.create_task(self._keep(answers), name="record answers")

    async def finish(self) -> None:
        """Record what is left; all is recorded when this returns."""
        if self._task is not None:
            task, self._task = self._task, None
            await task
        if self._waiting:
            answers, self._waiting = self._waiting, []
            await self._keep(answers)
