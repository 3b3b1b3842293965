"""The run over a folder: walk, read, keep, each as fast as the slowest of them lets it.

One task walks the folder and leaves out what the sink has already; the other files go, in
portions, to processes that read headers and digests; one task takes what they have read, in
the order of the walk, and keeps it in batches. Each hands over through a bounded queue, so that
memory does not grow with the number of files, whichever is slowest.
"""

import asyncio
import time
from asyncio import Event, Queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from schema.parsing.extract import Reading
from schema.parsing.reader import FileReader, ReadingDeadlines
from schema.parsing.report import ParseReport, Tally, Verdict
from schema.parsing.scan import File, Passed, Why, walk
from schema.parsing.sink import Sink
from schema.record import ImageRecord

PORTION = 200
"""Files that are looked up in the index, and given to a process, at once."""

BATCH_IMAGES = 500
"""Images that are kept in one transaction; fewer when they are large, or come slowly."""

DEADLINES = ReadingDeadlines()
"""How long a process may take over files."""

_BATCH_BYTES = 8 << 20
_BATCH_SECONDS = 1.0
_MESSAGES = 4


@dataclass(slots=True, kw_only=True)
class _Job:
    """Files for one process; `results` is ended by None."""

    paths: list[str]
    results: Queue[list[ImageRecord | Passed] | None] = field(
        default_factory=lambda: Queue(_MESSAGES)
    )


class Run:
    """One run of `schema.parser.parse`, whose parameters these are."""

    def __init__(
        self,
        source: str,
        sink: Sink,
        reading: Reading,
        *,
        workers: int,
        watch: Callable[[ParseReport], None],
        failed: Callable[[Passed], None],
        stop: Event | None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._readers = [FileReader(reading, DEADLINES) for _ in range(workers)]
        self._watch = watch
        self._failed = failed
        self._stop = stop or Event()
        self._tally = Tally(source, reading.institution)
        self._in_order: Queue[_Job | None] = Queue(2 * workers + 2)
        self._to_read: Queue[_Job] = Queue()

    async def run(self) -> ParseReport:
        """Do all of it."""
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(self._find(), name="parse-find"),
                    group.create_task(self._end_on_stop(), name="parse-stop"),
                    *(
                        group.create_task(self._read(reader), name=f"parse-read-{number}")
                        for number, reader in enumerate(self._readers)
                    ),
                ]
                await self._keep()
                for helper in helpers:
                    helper.cancel()
        except BaseExceptionGroup as group_of:
            raise _first(group_of) from None
        return self._tally.report()

    async def _find(self) -> None:
        """Walk the folder, and hand on what the index does not have."""
        entries = walk(self._source)
        while portion := await asyncio.to_thread(_take, entries):
            if self._stop.is_set():
                self._tally.interrupted = True
                break
            files = []
            for entry in portion:
                if isinstance(entry, File):
                    files.append(entry)
                else:
                    self._pass_over(entry)
            known = await self._sink.known(files)
            self._tally.add(Verdict.KNOWN, len(known))
            if paths := [file.path for file in files if file.path not in known]:
                job = _Job(paths=paths)
                await self._in_order.put(job)
                self._to_read.put_nowait(job)
            self._watch(self._tally.report())
        await self._in_order.put(None)

    async def _read(self, reader: FileReader) -> None:
        """Let a process read one portion after the other."""
        try:
            while True:
                job = await self._to_read.get()
                left = len(job.paths)
                async for answers in reader.extract(job.paths):
                    left -= len(answers)
                    await job.results.put(answers)
                if left:
                    self._tally.interrupted = True
                await job.results.put(None)
        finally:
            await reader.close()

    async def _keep(self) -> None:
        """Take what was read, in the order of the walk, and keep it in batches."""
        batch: list[ImageRecord] = []
        size, since = 0, time.monotonic()
        while job := await self._in_order.get():
            while answers := await job.results.get():
                for answer in answers:
                    if isinstance(answer, Passed):
                        self._pass_over(answer)
                    else:
                        batch.append(answer)
                        size += len(answer.meta)
                late = time.monotonic() - since > _BATCH_SECONDS
                if late or len(batch) >= BATCH_IMAGES or size >= _BATCH_BYTES:
                    await self._flush(batch)
                    batch, size, since = [], 0, time.monotonic()
        await self._flush(batch)

    async def _flush(self, batch: list[ImageRecord]) -> None:
        if batch:
            for verdict in await self._sink.add(batch):
                if isinstance(verdict, Passed):
                    self._pass_over(verdict)
                else:
                    self._tally.add(verdict)
        self._watch(self._tally.report())

    def _pass_over(self, passed: Passed) -> None:
        self._tally.pass_over(passed)
        if passed.why is not Why.SKIPPED:
            self._failed(passed)

    async def _end_on_stop(self) -> None:
        await self._stop.wait()
        for reader in self._readers:
            reader.end()


def _take(entries: Iterator[File | Passed]) -> list[File | Passed]:
    return list(islice(entries, PORTION))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of those that ended the tasks."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
