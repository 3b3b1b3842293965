"""Headers of a batch of files, read by several processes at once."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from schema.errors import WorkerUnavailable
from schema.parsing.extract import Reading
from schema.parsing.pool import WorkerDied
from schema.parsing.reader import FileReader, ReadingDeadlines
from schema.parsing.scan import Passed
from schema.record import ImageRecord

_NICENESS = 5
"""Senders wait for the node, nobody waits for the headers: the processors are the node's first."""


class HeaderReader:
    """Reads headers, without digests, with several processes.

    Parameters
    ----------
    institution
        Whose patients these are.
    processes
        How many; None means one for each processor, two at most.
    deadlines
        How long one may take over files; None means the usual.
    """

    def __init__(
        self,
        *,
        institution: str,
        processes: int | None = None,
        deadlines: ReadingDeadlines | None = None,
    ) -> None:
        count = processes or min(2, os.cpu_count() or 1)
        reading = Reading(institution=institution, digests=False, niceness=_NICENESS)
        self._readers = [FileReader(reading, deadlines or ReadingDeadlines()) for _ in range(count)]

    async def start(self) -> None:
        """Start the processes now, so that the first images need not wait for them.

        Where that is not possible now, `read` tries again, and says so.
        """
        with contextlib.suppress(WorkerUnavailable, WorkerDied):
            for reader in self._readers:
                await reader.start()

    async def read(
        self, paths: Sequence[Path], *, beside: Sequence[Path] = ()
    ) -> list[ImageRecord | Passed]:
        """Return what the files' headers say, in their order.

        Parameters
        ----------
        beside
            Other files, that may show whether the disk and the machine are well when one of these
            is not read in time.

        Raises
        ------
        WorkerUnavailable
            No process can be started.
        """
        share = -(-len(paths) // len(self._readers))
        portions = [paths[start : start + share] for start in range(0, len(paths), share)]
        # None of them may still be at work when this returns.
        answers = await asyncio.gather(
            *(
                _all(reader, portion, [*beside, *_some_of(portions, portion)])
                for reader, portion in zip(self._readers, portions, strict=False)
            ),
            return_exceptions=True,
        )
        read: list[ImageRecord | Passed] = []
        for portion in answers:
            if isinstance(portion, BaseException):
                raise portion
            read += portion
        return read

    async def close(self) -> None:
        """End the processes."""
        for reader in self._readers:
            await reader.close()


def _some_of(portions: Sequence[Sequence[Path]], but: Sequence[Path]) -> list[Path]:
    """Return the first files of the other portions."""
    return [portion[0] for portion in portions if portion is not but]


async def _all(
    reader: FileReader, paths: Sequence[Path], beside: Sequence[Path]
) -> list[ImageRecord | Passed]:
    coming = reader.extract(list(map(str, paths)), beside=list(map(str, beside)))
    return [one async for answers in coming for one in answers]
