"""Reading files in a process, with deadlines: every file gets an answer, whatever it does.

A process that dies over a file, or comes to no end with it, is ended; another one reads the
files that have no answer one by one, and the file that does it again is said to be guilty. So
nothing that a file holds can stop what reads it, and it costs the others a moment.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from schema.errors import WorkerUnavailable
from schema.parsing.extract import Reading
from schema.parsing.pool import Worker, WorkerDied
from schema.parsing.scan import Passed, Why
from schema.record import ImageRecord


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
        When it has one, and another one before it had no end: who has one such file has many.
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

    async def extract(self, paths: Sequence[str]) -> AsyncIterator[list[ImageRecord | Passed]]:
        """Yield what became of the files, in their order, some at a time; all, unless ended.

        Raises
        ------
        WorkerUnavailable
            No process can be started.
        """
        left = list(paths)
        alone, patience = False, self._deadlines.together
        while left and not self._ended.is_set():
            try:
                async for answers in self._answers(left[:1] if alone else left, patience):
                    left = left[len(answers) :]
                    yield answers
                continue
            except TimeoutError:
                await self._worker.close()
                why, reason = Why.HUNG, f"its header was not read within {patience:g} s"
            except WorkerDied as death:
                why, reason = Why.CRASHED, str(death)
            except WorkerUnavailable:
                if self._ended.is_set():
                    return
                raise
            if self._ended.is_set():
                return
            if alone:
                yield [Passed(left[0], why, reason)]
                left, patience = left[1:], self._deadlines.after_one
            else:
                # Answers come some at a time: it need not be the first one that has none.
                alone, patience = True, self._deadlines.alone

    def end(self) -> None:
        """End the process at once, and for good; `extract` yields no more."""
        self._ended.set()
        self._worker.kill()

    async def close(self) -> None:
        """End the process."""
        await self._worker.close()

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
