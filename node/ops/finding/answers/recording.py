"""Recording the answers to a question while others still come."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from schema import AsyncSession
from schema.finding.answer import StudyAnswer

_AT_ONCE = 500
"""Answers that are recorded in one transaction while others come: a window of the usual size.
Fewer cost more transactions, each of which waits for the disk."""

_MOST = 1000
"""Answers that wait while others are recorded: from there on the peer waits as well."""

TO_RECORD = 3.0
"""Seconds that may pass until what came is recorded when a find is broken off. The database may be
locked for minutes; what is not recorded is asked again."""

Also = Callable[[AsyncSession], Awaitable[None]]
"""Writes something else in the same transaction; it may be run several times."""


class AnswerRecorder:
    """Records the answers to one question in their order, one transaction after the other.

    Parameters
    ----------
    keep
        Records some answers, and something else with them, in one transaction; what it raises,
        `add` and what `finish` returns raise.
    after
        What records the answers to the question before, which come first.
    """

    def __init__(
        self,
        keep: Callable[[Sequence[StudyAnswer], Also | None], Coroutine[Any, Any, None]],
        after: "AnswerRecorder | None" = None,
    ) -> None:
        self._keep = keep
        self._waiting: list[StudyAnswer] = []
        self._task = None if after is None else after.finish()
        self._finished = False

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
            self._task = asyncio.create_task(self._keep(self._take(), None), name="record answers")

    def finish(self, also: Also | None = None) -> asyncio.Task[None]:
        """Record what is left, no more answers come; all is recorded when the task is done.

        Parameters
        ----------
        also
            Writes something else in the last transaction.
        """
        if self._task is None or not self._finished or also is not None:
            self._finished = True
            self._task = asyncio.create_task(
                self._record_rest(self._task, also), name="record the last answers"
            )
        return self._task

    async def _record_rest(self, before: asyncio.Task[None] | None, also: Also | None) -> None:
        if before is not None:
            await before
        if self._waiting or also is not None:
            await self._keep(self._take(), also)

    def _take(self) -> list[StudyAnswer]:
        answers, self._waiting = self._waiting, []
        return answers


async def in_short(recording: asyncio.Task[None]) -> None:
    """Wait for what is being recorded as long as somebody waits who breaks a find off.

    Raises
    ------
    SchemaError
        The database refuses it.
    """
    await asyncio.wait([recording], timeout=TO_RECORD)
    recording.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await recording
