"""Watching the index for the images of several studies, whichever process receives them.

Who indexes in this process says so. What another one indexes has to be looked for: soon after
something is expected, then ever more slowly. One query looks at all studies whose turn it is.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from node.ops.receiving.intake import Intake
from schema import Database, SchemaError, count_images

log = logging.getLogger(__name__)

_SOON = 0.02
"""Seconds to the first look, where images are expected and nobody tells; more when those of the
studies before have taken longer to be indexed."""

_SLOWER = 2.0
"""How much longer each following wait is."""

_LONGEST = 1.0
"""Seconds from one look to the next in the end; from the beginning while the peer still sends, and
where somebody tells."""

_MOSTLY = 0.7
"""Which part of the usual time is over before the first look."""

_TOGETHER = 0.01
"""Seconds by which a look may come too early, to be one with another one."""


class Arrivals:
    """The images of one study, counted.

    Attributes
    ----------
    count
        Images in the index, at the last look.
    expected
        Whether all of them may be there any moment.
    wanted
        How many that are; None when nobody knows.
    told
        How many more have come into the index since that look began, as far as anybody tells.
    due, wait
        When it is looked for next, in the event loop's time, and how long after that.
    """

    def __init__(self, study_uid: str, count: int) -> None:
        self.study_uid = study_uid
        self.count = count
        self.expected = False
        self.wanted: int | None = None
        self.told = 0
        self.expected_since = 0.0
        self.due = 0.0
        self.wait = _LONGEST
        self._listeners: list[Callable[[], None]] = []
        self._changed = asyncio.Event()
        self.touch()

    def touch(self) -> None:
        """Note a sign of life."""
        self._last_sign = asyncio.get_running_loop().time()

    def took(self) -> float:
        """Return the seconds from when all was expected to the last sign of life."""
        return self._last_sign - self.expected_since

    def quiet_for(self) -> float:
        """Return the seconds since the last sign of life."""
        return asyncio.get_running_loop().time() - self._last_sign

    @property
    def may_be_all(self) -> bool:
        """Whether a look could find all that is wanted."""
        return self.expected and self.count + self.told >= (self.wanted or 0)

    @contextmanager
    def telling(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call a function whenever there are more, for the length of the block."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def counted(self, count: int) -> None:
        """Take note of what a look has found; more images than before are a sign of life."""
        grown = count > self.count
        self.count = count
        if grown:
            self.touch()
            self._changed.set()
            for tell in self._listeners:
                tell()

    async def changed(self, patience: float) -> None:
        """Wait until there are more, at most for so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._changed.wait()
        self._changed.clear()


class Lookout:
    """Counts the images of the studies that are watched, when it is told or time to look.

    Attributes
    ----------
    told
        Whether who indexes says so, with `tell`.
    """

    def __init__(self, database: Database, *, told: bool = False) -> None:
        self.told = told
        self._database = database
        self._watched: dict[str, Arrivals] = {}
        self._wake = asyncio.Event()
        self._failing = False
        self._usual = 0.0

    def watch(self, study_uid: str, count: int) -> Arrivals:
        """Watch a study until it is forgotten.

        Parameters
        ----------
        count
            How many images of it are there already.
        """
        arrivals = self._watched[study_uid] = Arrivals(study_uid, count)
        self._look_again(arrivals)
        return arrivals

    def forget(self, arrivals: Arrivals) -> None:
        """Watch a study no longer, and remember how long its images took to be indexed."""
        self._watched.pop(arrivals.study_uid, None)
        if arrivals.expected:
            self._usual = min((self._usual + arrivals.took()) / 2, _LONGEST)

    def expect(self, arrivals: Arrivals, wanted: int | None) -> None:
        """Look at a study soon, and often at first: all its images may be there any moment.

        Where somebody tells, look when all that are wanted have been told.

        Parameters
        ----------
        wanted
            How many that are; None when nobody knows.
        """
        arrivals.expected = True
        arrivals.wanted = wanted
        arrivals.expected_since = asyncio.get_running_loop().time()
        if not self.told:
            arrivals.due = arrivals.expected_since + max(_SOON, self._usual * _MOSTLY)
            arrivals.wait = _SOON
        elif arrivals.may_be_all:
            arrivals.due = 0.0
        self._wake.set()

    def tell(self, images: Mapping[str, int]) -> None:
        """Look at once at those of these studies that may be complete: they have grown.

        While the peer still sends, nothing depends on it.

        Parameters
        ----------
        images
            How many have come into the index, by Study Instance UID.
        """
        for uid, count in images.items():
            if (arrivals := self._watched.get(uid)) is not None:
                arrivals.told += count
                if arrivals.may_be_all:
                    arrivals.due = 0.0
                    self._wake.set()

    async def look(self, studies: Collection[Arrivals]) -> None:
        """Count the images of studies now.

        Raises
        ------
        SchemaError
        """
        told = [one.told for one in studies]
        async with self._database.session() as session:
            counts = await count_images(session, [one.study_uid for one in studies])
        for one, before in zip(studies, told, strict=True):
            one.told -= before
            one.counted(counts.get(one.study_uid, 0))

    async def run(self) -> None:
        """Look, for ever; while the index cannot be looked into, go on all the same."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            due = [one for one in self._watched.values() if one.due <= loop.time() + _TOGETHER]
            if not due:
                first = min((one.due for one in self._watched.values()), default=None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(first):
                        await self._wake.wait()
                continue
            for one in due:
                self._look_again(one)
            try:
                await self.look(due)
                self._failing = False
            except Exception as error:  # noqa: BLE001 - the move goes on, and so does looking
                if not self._failing:
                    reason = str(error) if isinstance(error, SchemaError) else type(error).__name__
                    log.warning("Cannot look into the index: %s", reason)
                self._failing = True

    def _look_again(self, arrivals: Arrivals) -> None:
        arrivals.due = asyncio.get_running_loop().time() + arrivals.wait
        arrivals.wait = min(arrivals.wait * _SLOWER, _LONGEST)


@asynccontextmanager
async def looking(database: Database, intake: Intake) -> AsyncIterator[Lookout]:
    """Look into the index for the length of the block."""
    lookout = Lookout(database)
    with intake.telling(lookout.tell) as told:
        lookout.told = told
        task = asyncio.create_task(lookout.run(), name="look into the index")
        try:
            yield lookout
        finally:
            await _end(task)


async def _end(task: "asyncio.Task[None]") -> None:
    """End it, and do not wait long where the database does not even let go of its connection."""
    for _ in range(3):
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=1.0)
        if done:
            await asyncio.gather(task, return_exceptions=True)
            return
