"""What waits for the indexer: new entries in order, and those that are put off for a while."""

import asyncio
import heapq
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from node.ops.indexing.outages import BACKOFF
from node.storage.writing import Entry

_MOST_AT_ONCE = 256
_MOST_PUT_OFF = 64
"""Put off ones in a batch while there are new ones: they do not hold those up."""
_MOST_BYTES = 1 << 26
"""Bytes of the files of one batch, when there is more than one: their headers are in memory."""

_ENOUGH = 128
"""Entries in a batch from which on a larger one costs hardly less for each."""

_LONGEST_GATHER = 0.25
"""Seconds that entries may gather while they come one after the other."""

_QUIET = 0.02
"""Seconds without a new entry after which nobody waits for more."""

_UNKNOWN = 1 << 20
"""Bytes that a file counts for that nobody has looked at."""


@dataclass(slots=True, order=True)
class _PutOff:
    due: float
    number: int
    entry: Entry | Path = field(compare=False)
    alone: bool = field(compare=False)


def _path(entry: Entry | Path) -> Path:
    return entry if isinstance(entry, Path) else entry.path


class Waiting:
    """The entries that are not indexed yet: waiting, taken, or put off.

    A path is an entry of an earlier process that nobody has looked at yet.
    """

    def __init__(self) -> None:
        self._fresh: deque[Entry | Path] = deque()
        self._taken: dict[Path, Entry | Path] = {}
        self._put_off: list[_PutOff] = []
        self._failures: dict[Path, int] = {}
        self._number = 0
        self._change = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._settled = asyncio.Event()
        self._settled.set()

    def __len__(self) -> int:
        return len(self._fresh) + len(self._taken) + len(self._put_off)

    @property
    def put_off_ones(self) -> int:
        """How many are put off."""
        return len(self._put_off)

    def under_way(self) -> frozenset[Path]:
        """Return the paths of those that are waiting or taken, and not put off."""
        return frozenset((*map(_path, self._fresh), *self._taken))

    def uids(self) -> tuple[frozenset[str], bool]:
        """Return the SOP Instance UIDs of all, and whether there are some nobody has looked at."""
        put_off = (one.entry for one in self._put_off)
        every = [*self._fresh, *self._taken.values(), *put_off]
        known = frozenset(one.sop_instance_uid for one in every if isinstance(one, Entry))
        return known, any(isinstance(one, Path) for one in every)

    def put(self, entry: Entry | Path) -> None:
        """Add one at the end."""
        self._fresh.append(entry)
        self._empty.clear()
        self._settled.clear()
        self._change.set()

    async def gather(self) -> None:
        """Let entries that come one after the other become a batch, while they do.

        A larger batch costs the disk no more than a small one, and the syncs of the spool, for
        which senders wait, share it with fewer others.
        """
        loop = asyncio.get_running_loop()
        latest = loop.time() + _LONGEST_GATHER
        seen = 0
        while seen < (now := len(self._fresh)) < _ENOUGH and loop.time() < latest:
            seen = now
            await asyncio.sleep(_QUIET)

    def taken(self) -> list[Entry | Path]:
        """Return what was taken and is neither done nor put off."""
        return list(self._taken.values())

    async def take(self) -> list[Entry | Path]:
        """Return the next batch, when there is one: put off ones that are due, then new ones."""
        while not (batch := self._batch()):
            self._change.clear()
            now = asyncio.get_running_loop().time()
            due = self._put_off[0].due - now if self._put_off else None
            try:
                async with asyncio.timeout(due):
                    await self._change.wait()
            except TimeoutError:
                continue
        self._taken = {_path(one): one for one in batch}
        self._settled.clear()
        return batch

    def replace(self, path: Path, entry: Entry) -> None:
        """Take note of what a path is."""
        self._taken[path] = entry

    def done(self, entry: Entry) -> None:
        """Forget one that is indexed."""
        self.forget(entry.path)

    def forget(self, path: Path) -> None:
        """Forget one."""
        self._taken.pop(path, None)
        self._failures.pop(path, None)
        self._tell()

    def put_off(self, entry: Entry | Path, *, alone: bool) -> None:
        """Let one that was taken come again later, each time after a longer while.

        Parameters
        ----------
        alone
            In a batch of its own.
        """
        path = _path(entry)
        self._failures[path] = failures = self._failures.get(path, 0) + 1
        self._number += 1
        due = asyncio.get_running_loop().time() + BACKOFF.pause(failures)
        heapq.heappush(self._put_off, _PutOff(due, self._number, entry, alone))
        self._taken.pop(path, None)
        self._tell()

    async def wait_empty(self) -> None:
        """Wait until none is left."""
        await self._empty.wait()

    async def wait_settled(self) -> None:
        """Wait until none is left but what is put off."""
        await self._settled.wait()

    def _tell(self) -> None:
        if not self._fresh and not self._taken:
            self._settled.set()
            if not self._put_off:
                self._empty.set()

    def _batch(self) -> list[Entry | Path]:
        batch: list[Entry | Path] = []
        size = 0
        now = asyncio.get_running_loop().time()
        while len(batch) < _MOST_AT_ONCE and size < _MOST_BYTES:
            due = bool(self._put_off) and self._put_off[0].due <= now
            if self._fresh and not (due and len(batch) < _MOST_PUT_OFF):
                entry = self._fresh.popleft()
            elif not due or (self._put_off[0].alone and batch):
                break
            else:
                one = heapq.heappop(self._put_off)
                if one.alone:
                    return [one.entry]
                entry = one.entry
            batch.append(entry)
            size += _UNKNOWN if isinstance(entry, Path) else entry.size
        return batch
