"""Headers are read in processes of their own, with a memory limit: one may be malicious.

A process that dies over a file, or does not come to an end with it, does not take the node with
it: it is ended, its files are read again one by one until the guilty one is found, and that one
is said to be unreadable.
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.storage.failpoints import reach
from schema import ImageRecord
from schema.errors import WorkerUnavailable
from schema.parsing.extract import Reading
from schema.parsing.pool import Worker, WorkerDied
from schema.parsing.scan import Passed, Why

_TOGETHER = 10.0
_ALONE = 30.0
"""Seconds without an answer after which a process is ended, when a file is read alone or not.

A header takes a few milliseconds; the longest that are known, of large multi-frame objects, take
some seconds.
"""

_NEXT = 5.0
"""The same for the files behind one that had none: who sends one such file sends many."""


_NICENESS = 5
"""Senders wait for the node, nobody waits for the headers: the processors are the node's first."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a file has no record.

    Attributes
    ----------
    lasting
        Whether it will never have one; otherwise the disk did not give it this time.
    """

    reason: str
    lasting: bool = True


class HeaderReader:
    """Reads headers with several processes, which are started again when they die.

    Parameters
    ----------
    institution
        Whose patients these are.
    processes
        How many; None means one for each processor, two at most.
    together, alone, after_one
        Seconds without an answer after which a process is ended: over several files, over one,
        and over one that comes behind another one without an answer.
    """

    def __init__(
        self,
        *,
        institution: str,
        processes: int | None = None,
        together: float = _TOGETHER,
        alone: float = _ALONE,
        after_one: float = _NEXT,
    ) -> None:
        count = processes or min(2, os.cpu_count() or 1)
        reading = Reading(institution=institution, digests=False, niceness=_NICENESS)
        self._workers = [Worker(reading) for _ in range(count)]
        self._together = together
        self._alone = alone
        self._after_one = after_one

    async def start(self) -> None:
        """Start the processes now, so that the first images need not wait for them.

        Where that is not possible now, `read` tries again, and says so.
        """
        with contextlib.suppress(WorkerUnavailable, WorkerDied):
            for worker in self._workers:
                async for _ in worker.extract([]):
                    pass

    async def read(self, paths: Sequence[Path]) -> list[ImageRecord | Unreadable]:
        """Return what the files' headers say, in their order.

        Raises
        ------
        WorkerUnavailable
            No process can be started.
        """
        reach("index.headers")
        share = -(-len(paths) // len(self._workers))
        portions = [paths[start : start + share] for start in range(0, len(paths), share)]
        # None of them may still be at work when this returns.
        answers = await asyncio.gather(
            *(
                self._portion(worker, [str(path) for path in portion])
                for worker, portion in zip(self._workers, portions, strict=False)
            ),
            return_exceptions=True,
        )
        read: list[ImageRecord | Unreadable] = []
        for portion in answers:
            if isinstance(portion, BaseException):
                raise portion
            read += portion
        return read

    async def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            await worker.close()

    async def _portion(self, worker: Worker, paths: list[str]) -> list[ImageRecord | Unreadable]:
        answers: list[ImageRecord | Unreadable] = []
        if await _read_on(worker, paths, answers, self._together) is None:
            return answers
        # Answers come some at a time: it need not be the first one that has none, nor the only one.
        patience = self._alone
        while len(answers) < len(paths):
            suspect = [paths[len(answers)]]
            if why := await _read_on(worker, suspect, answers, patience):
                answers.append(Unreadable(why))
                patience = self._after_one
        return answers


async def _read_on(
    worker: Worker,
    paths: list[str],
    answers: list[ImageRecord | Unreadable],
    patience: float,
) -> str | None:
    """Add a process's answers until all are there, or return what became of the process."""
    try:
        async for _ in worker.extract([]):  # the start of a process is not the files' time
            pass
        coming = worker.extract(paths)
        while True:
            async with asyncio.timeout(patience):
                some = await anext(coming, None)
            if some is None:
                return None
            answers += [_reading(one) for one in some]
    except TimeoutError:
        await worker.close()
        return f"its header was not read within {patience:g} s"
    except WorkerDied as error:
        return str(error)


def _reading(one: ImageRecord | Passed) -> ImageRecord | Unreadable:
    if isinstance(one, ImageRecord):
        return one
    return Unreadable(one.reason, lasting=one.why is not Why.UNREADABLE)
