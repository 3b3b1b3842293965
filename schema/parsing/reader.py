"""Reading files in a process, with deadlines: every file gets an answer, whatever it does.

A process that dies over a file, or comes to no end with it, is ended, and another one reads the
files that have no answer one by one. So nothing that a file holds can stop what reads it.

A time-out alone says nothing about a file: the disk may stand still, or the machine swap. Guilty
is a file that fails alone, twice, while another one is read. Where the others fail as well, or
there is none, a file is only late: it is unreadable for now, and can be read again.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from schema.errors import WorkerUnavailable
from schema.parsing.extract import Reading
from schema.parsing.pool import Worker, WorkerDied
from schema.parsing.scan import Passed, Why
from schema.record import ImageRecord

_IN_A_ROW = 3
"""Files that fail one after the other until somebody asks whether any can be read at all."""

_NOT_TRIED = "it was not read: others before it were not read in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingDeadlines:
    """Seconds without a sign of life after which a process is ended.

    A header takes a few milliseconds; the longest that are known, of large multi-frame objects,
    take some seconds. While a process reads on in a large file, for its digest, it says so.

    Attributes
    ----------
    together, alone
        When it has several files to read, or one.
    after_one
        When it has one, and another one before it had no end: who has one such file has many. And
        when one is read a second time.
    """

    together: float = 10.0
    alone: float = 30.0
    after_one: float = 5.0


class FileReader:
    """A process that reads files, started again when it has to be ended.

    Parameters
    ----------
    reading
        How it reads them.
    deadlines
        How long it may take.
    """

    def __init__(self, reading: Reading, deadlines: ReadingDeadlines) -> None:
        self._worker = Worker(reading)
        self._deadlines = deadlines
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""
        return self._worker.pid

    async def start(self) -> None:
        """Start the process now, which else is started when it is first needed.

        Raises
        ------
        WorkerDied
            It ended at once.
        WorkerUnavailable
            No process can be started.
        """
        async for _ in self._worker.extract([]):
            pass

    async def extract(
        self, paths: Sequence[str], *, beside: Sequence[str] = ()
    ) -> AsyncIterator[list[ImageRecord | Passed]]:
        """Yield what became of the files, in their order, some at a time; all, unless ended.

        Parameters
        ----------
        beside
            Other files, that may show whether the disk and the machine are well, where none of
            these does.

        Raises
        ------
        WorkerUnavailable
            No process can be started.
        """
        left = list(paths)
        try:
            async for answers in self._answers(left, self._deadlines.together):
                left = left[len(answers) :]
                yield answers
        except (TimeoutError, WorkerDied):
            await self._worker.close()
        except WorkerUnavailable:
            if not self._ended.is_set():
                raise
        if left and not self._ended.is_set():
            # Answers come some at a time: it need not be the first one that has none.
            read = list(paths)[: len(paths) - len(left)]
            async for answers in self._one_by_one(left, [*reversed(read), *beside]):
                yield answers

    def end(self) -> None:
        """End the process at once, and for good; `extract` yields no more."""
        self._ended.set()
        self._worker.kill()

    async def close(self) -> None:
        """End the process."""
        await self._worker.close()

    async def _one_by_one(
        self, paths: Sequence[str], beside: Sequence[str]
    ) -> AsyncIterator[list[ImageRecord | Passed]]:
        """Yield what became of files of which some have no end, or are the end of a process."""
        answers: dict[int, ImageRecord | Passed] = {}
        suspects: dict[int, Passed] = {}
        others = list(beside)
        order = deque(range(len(paths)))
        patience = self._deadlines.alone
        given = in_a_row = 0
        while order:
            number = order.popleft()
            answer = await self._alone(paths[number], patience)
            if answer is None:
                return
            if not _is_suspect(answer):
                answers[number] = answer
                if isinstance(answer, ImageRecord):
                    others.insert(0, paths[number])
                in_a_row = 0
                while given in answers:
                    yield [answers[given]]
                    given += 1
                continue
            suspects[number] = answer
            in_a_row += 1
            if answer.why is Why.HUNG:
                patience = self._deadlines.after_one
            if not others:  # the next ones may be as bad, and come in this order again
                random.shuffle(order)
            if in_a_row == _IN_A_ROW:
                if not await self._is_well(others):
                    break
                in_a_row = 0
        else:
            answers |= await self._tried(paths, suspects, others)
        for number in range(given, len(paths)):
            if self._ended.is_set():
                return
            reason = suspects[number].reason if number in suspects else _NOT_TRIED
            yield [answers.get(number) or Passed(paths[number], Why.UNREADABLE, reason)]

    async def _tried(
        self, paths: Sequence[str], suspects: dict[int, Passed], others: Sequence[str]
    ) -> dict[int, ImageRecord | Passed]:
        """Return what the second time tells of files that have failed once, as far as it does."""
        answers: dict[int, ImageRecord | Passed] = {}
        for number, failure in suspects.items():
            again = await self._alone(paths[number], self._deadlines.after_one)
            if again is None:
                break
            if not _is_suspect(again):
                answers[number] = again
            elif await self._is_well(others):
                answers[number] = failure
            else:
                break
        return answers

    async def _is_well(self, others: Sequence[str]) -> bool:
        """Tell whether a file can be read now, so that it is not the disk or the machine."""
        for path in others[:_IN_A_ROW]:
            answer = await self._alone(path, self._deadlines.after_one)
            if isinstance(answer, ImageRecord):
                return True
        return False

    async def _alone(self, path: str, patience: float) -> ImageRecord | Passed | None:
        """Return what became of one file; None when reading was ended."""
        answer: ImageRecord | Passed | None = None
        try:
            async for answers in self._answers([path], patience):
                (answer,) = answers
        except TimeoutError:
            await self._worker.close()
            answer = Passed(path, Why.HUNG, f"its header was not read within {patience:g} s")
        except WorkerDied as death:
            answer = Passed(path, Why.CRASHED, str(death))
        except WorkerUnavailable:
            if not self._ended.is_set():
                raise
        return None if self._ended.is_set() else answer

    async def _answers(
        self, paths: Sequence[str], patience: float
    ) -> AsyncIterator[list[ImageRecord | Passed]]:
        """Yield a process's answers, as long as each of them comes in time."""
        await self.start()  # which is not the files' time
        coming = self._worker.extract(paths)
        while True:
            async with asyncio.timeout(patience):
                answers = await anext(coming, None)
            if answers is None:
                return
            if answers:  # else it says that it is still reading
                yield answers


def _is_suspect(answer: ImageRecord | Passed) -> TypeGuard[Passed]:
    """Tell whether the process that read a file did not outlive it."""
    return isinstance(answer, Passed) and answer.why in (Why.HUNG, Why.CRASHED)
