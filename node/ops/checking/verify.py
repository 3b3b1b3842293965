"""Verify: read every indexed file again, and compare it with the index: size, digest, header.

Rows come in pages, study by study, files are read by several threads at once, and the one hands
over to the others through a bounded queue: memory does not grow with the number of files. What is
found of each study is written down (`recording`).
"""

import asyncio
import random
import time
from asyncio import Queue
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from node.ops.checking.home import Holder, Home
from node.ops.checking.recording import Readings
from node.ops.threads import Threads
from node.storage.inspect import Fault, Inspected, inspect
from schema import Database
from schema.inventory import Held, Selection, count_held, fill_digests
from schema.verifying.files import held_by_study

_PORTION = 16
"""Files that a thread reads before it comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """A file that is not what the index says.

    Attributes
    ----------
    path
        As the row has it; empty when it names none.
    why, reason
        What is wrong, as a word and in words.
    """

    path: str
    why: Fault
    reason: str
    image_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What became of a verification, so far.

    Attributes
    ----------
    images
        How many the selection has; None when only some of them are read.
    checked, bytes
        Files that were compared, and what was read of them.
    correct
        Files that are what the index says.
    faults
        How many are not, by the values of `Fault`.
    undigested
        Correct files whose row had no digest to compare with: only the size was.
    filled
        Those of them whose digest is in the index now.
    without_file
        Images that were indexed without a file.
    elsewhere
        Files of other nodes that cannot be seen from here.
    recorded, verified
        Studies of which it is in the index what was found, and those of them whose files are all
        sound.
    unrecorded, refusal
        Studies of which it is not, and why.
    seconds
        How long it took.
    """

    images: int | None = None
    checked: int = 0
    bytes: int = 0
    correct: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    undigested: int = 0
    filled: int = 0
    without_file: int = 0
    elsewhere: int = 0
    recorded: int = 0
    verified: int = 0
    unrecorded: int = 0
    refusal: str = ""
    seconds: float = 0.0

    @property
    def seen(self) -> int:
        """How many images have been looked at."""
        return self.checked + self.without_file + self.elsewhere

    @property
    def wrong(self) -> int:
        """How many files are not what the index says."""
        return sum(self.faults.values())


class Verification:
    """One run. `report` may be asked for at any time, `run` is called once.

    Parameters
    ----------
    database
        The index.
    home
        This node's storage directory: the files of others may lie where they cannot be seen.
    selection
        Which images.
    threads
        How many files are read at once.
    fill
        Store digests that the index does not have.
    share
        Which part of the images to read, chosen at random; 1.0 is all.
    watch
        Called now and then with what has been done so far.
    found
        Called for each file that is not what the index says.
    set_right
        Awaited for each of them; nothing is changed without.
    """

    def __init__(
        self,
        database: Database,
        *,
        home: Home,
        selection: Selection,
        threads: int,
        fill: bool = False,
        share: float = 1.0,
        watch: Callable[[VerifyReport], None] = lambda _: None,
        found: Callable[[Faulty], None] = lambda _: None,
        set_right: Callable[[Held], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._home = home
        self._selection = selection
        self._fill = fill
        self._share = share
        self._watch = watch
        self._found = found
        self._set_right = set_right
        self._count = threads
        self._threads = Threads(threads, "verify")
        self._portions: Queue[Sequence[Held] | None] = Queue(2 * threads)
        self._readings = Readings(database, all_of_each=selection.since is None)
        self._images: int | None = None
        self._tally: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._started = time.monotonic()

    def report(self) -> VerifyReport:
        """Return what has been done so far."""
        return VerifyReport(
            images=self._images,
            faults=dict(self._faults),
            recorded=self._readings.recorded,
            verified=self._readings.verified,
            unrecorded=self._readings.unrecorded,
            refusal=self._readings.refusal if self._readings.unrecorded else "",
            seconds=time.monotonic() - self._started,
            **self._tally,
        )

    async def run(self) -> VerifyReport:
        """Do all of it.

        Raises
        ------
        DatabaseUnavailable
            When the database is away.
        StorageError
            The id of the storage directory cannot be read.
        """
        await asyncio.to_thread(self._home.identify)
        if self._share >= 1.0:
            async with self._database.session() as session:
                self._images = await count_held(session, self._selection)
        tasks = [asyncio.create_task(self._check(), name="verify") for _ in range(self._count)]
        tasks.append(asyncio.create_task(self._list(), name="verify-list"))
        self._readings.start()
        early = True
        try:
            await asyncio.gather(*tasks)
            early = False
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._threads.close()
            await self._readings.finish(early=early)
        return self.report()

    async def _list(self) -> None:
        """Hand on the rows in portions, at last an end for each thread."""
        after: Held | None = None
        while True:
            async with self._database.session() as session:
                page = await held_by_study(session, after=after, selection=self._selection)
            if not page:
                break
            after = page[-1]
            chosen = page
            if self._share < 1.0:
                chosen = [held for held in page if random.random() < self._share]
            self._readings.list(page, chosen)
            for start in range(0, len(chosen), _PORTION):
                await self._portions.put(chosen[start : start + _PORTION])
        self._readings.end()
        for _ in range(self._count):
            await self._portions.put(None)

    async def _check(self) -> None:
        while (portion := await self._portions.get()) is not None:
            with_file = [held for held in portion if held.filepath is not None or held.lost]
            self._tally["without_file"] += len(portion) - len(with_file)
            for held in portion:
                if held.filepath is None and not held.lost:
                    self._readings.note(held, sound=None)
            shadowed = [held for held in with_file if self._home.shadows(held)]
            self._tally["elsewhere"] += len(shadowed)
            for held in shadowed:
                self._readings.note(held, sound=None, seen=False)
            with_file = [held for held in with_file if held not in shadowed]
            results = await self._threads.run(_inspected, with_file)
            undigested = []
            for held, result in zip(with_file, results, strict=True):
                wrong = self._judge(held, result)
                if wrong and self._set_right is not None:
                    await self._set_right(held)
                if held.sha256 is None and result.sha256 is not None and result.fault is None:
                    undigested.append((held.id, held.filepath, result.sha256, result.size))
            self._tally["undigested"] += len(undigested)
            if undigested and self._fill:
                await self._store(undigested)
            self._watch(self.report())

    def _judge(self, held: Held, result: Inspected) -> bool:
        """Count a file, and tell whether it is not what the index says."""
        of_another = self._home.holder(held) is Holder.ANOTHERS
        if result.fault is Fault.MISSING and of_another and not held.lost:
            self._tally["elsewhere"] += 1
            self._readings.note(held, sound=None, seen=False)
            return False
        self._tally["checked"] += 1
        if result.fault is None:
            self._tally["correct"] += 1
            self._tally["bytes"] += result.size
            self._readings.note(held, sound=True if held.sha256 is not None else None)
            return False
        self._faults[result.fault.value] += 1
        self._readings.note(held, sound=False)
        self._found(
            Faulty(
                path=held.filepath or "",
                why=result.fault,
                reason=result.reason,
                image_uid=held.image_uid,
            )
        )
        return True

    async def _store(self, digests: Sequence[tuple[int, str | None, str, int]]) -> None:
        await self._database.run(fill_digests, digests)
        self._tally["filled"] += len(digests)


def _inspected(portion: Sequence[Held]) -> list[Inspected]:
    return [inspect(held) for held in portion]
