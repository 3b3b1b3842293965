"""A loop whose time is not waited for: a day of waiting ends at once.

Sockets, files and threads are real. When none of them has anything for the loop, and nothing is
under way, the loop's clock jumps to its next timer. It stands still while anything is done, however
long that really takes; so nothing comes too late because the machine has much to do. `utcnow`
follows it.

What is under way: calls in threads (the loop's executor, `node.ops.threads`, aiosqlite), questions
to PostgreSQL and to the processes that read headers. Both ends of each other connection have to be
in this process: what has been written to a socket of its own machine can be read at once, which a
datagram that is sent after it shows.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import queue
import selectors
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Self, TypeVar
from unittest.mock import patch

import aiosqlite.core
import sqlalchemy.dialects.postgresql.asyncpg

import node.ops.threads
from schema.parsing import pool
from schema.tables import columns

T = TypeVar("T")

START = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
"""When the time of each loop begins."""

_QUIET = 0.0005
"""Seconds in which nothing may really happen before the clock jumps."""

_LONG = 0.5
"""Seconds from which on a jump is long: it may be to the end of somebody's patience."""

_PATIENCE = 60.0
"""Seconds that something may really be under way."""

_LATE = 1e-6
"""Seconds by which a timer comes late: who looks at the clock then finds that its time is over."""

_TICK = timedelta(microseconds=1)
"""From one moment that somebody is told to the next: two are never the same."""


class StandStillError(Exception):
    """Nothing will ever happen any more, or what is under way does not end."""


class Jobs:
    """Counts what is under way, in threads and elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._at_work: set[threading.Thread] = set()

    @property
    def open(self) -> int:
        """How many are under way."""
        with self._lock:
            for thread in [one for one in self._at_work if not one.is_alive()]:
                self._at_work.remove(thread)  # it has told of its last call, and looks for no more
                self._open -= 1
            return self._open

    def begin(self) -> None:
        """Count one more."""
        with self._lock:
            self._open += 1

    def end(self) -> None:
        """Count one less."""
        with self._lock:
            self._open -= 1

    def take(self) -> None:
        """Note that this thread does one of them."""
        with self._lock:
            self._at_work.add(threading.current_thread())

    def give_back(self) -> None:
        """Note that it has done it, and has told so, if there was one."""
        with self._lock:
            if (thread := threading.current_thread()) in self._at_work:
                self._at_work.remove(thread)
                self._open -= 1

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have one under way for the length of the block."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def queue(self) -> _CallQueue:
        """Return a queue for threads: what is put into it is under way until it has been done."""
        return _CallQueue(self)

    def counting(
        self, function: Callable[..., Coroutine[Any, Any, T]]
    ) -> Callable[..., Coroutine[Any, Any, T]]:
        """Return a coroutine function that is under way while it runs."""

        async def counted(*arguments: Any, **options: Any) -> T:
            with self.one():
                return await function(*arguments, **options)

        return counted


class _CallQueue(queue.SimpleQueue[Any]):
    """What threads have to do; who asks for the next one has done the one before."""

    def __new__(cls, _jobs: Jobs) -> Self:
        return super().__new__(cls)

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is not None:
            self._jobs.begin()
        super().put(item, block, timeout)

    def put_nowait(self, item: Any) -> None:
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        self._jobs.give_back()
        item = super().get(block, timeout)
        if item is not None:
            self._jobs.take()
        return item

    def get_nowait(self) -> Any:
        return self.get(block=False)


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; there is one at a time, from when it is made until it is closed.

    Attributes
    ----------
    jobs
        What is under way.
    jumps
        How often its clock has jumped.
    """

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.jumps = 0
        self._now = 0.0
        self._told = START
        self._telling = threading.Lock()
        self._canary = _Canary()
        self._patches = ExitStack()
        super().__init__(_JumpingSelector(self))
        for what in _patches(self):
            self._patches.enter_context(what)

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        return self._now

    def clock(self) -> datetime:
        """Return the time now; never the same twice."""
        with self._telling:
            self._told = max(START + timedelta(seconds=self._now), self._told + _TICK)
            return self._told

    def jump(self, seconds: float) -> None:
        """Let time have passed."""
        self.jumps += 1
        self._now += seconds + _LATE

    def is_quiet(self) -> bool:
        """Tell whether nothing is under way; what has been sent before has arrived then."""
        if self.jobs.open:
            return False
        self._canary.fly()
        return True

    async def shutdown_default_executor(self, *arguments: Any) -> None:
        """Wait for its threads, of which none counts itself."""
        with self.jobs.one():
            await super().shutdown_default_executor(*arguments)

    def close(self) -> None:
        """Close it; the time is the machine's again."""
        if not self.is_closed():
            self._patches.close()
            self._canary.close()
        super().close()


class _Canary:
    """Sends itself datagrams: when one has arrived, so has all that was sent before."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(_PATIENCE)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._socket.getsockname())

    def fly(self) -> None:
        self._socket.send(b"?")
        self._socket.recv(1)

    def close(self) -> None:
        self._socket.close()


class _JumpingSelector(selectors.BaseSelector):
    """Waits for files in real time only while something is under way."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, selectors._EventMask]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        began = time.monotonic()
        while True:
            if self._loop.is_quiet():
                ready = self._real.select(_QUIET if (timeout or 1) >= _LONG else 0)
                if not ready and timeout is not None and self._loop.is_quiet():
                    self._loop.jump(timeout)
                    return []
            else:
                ready = self._real.select(0.01)
            if ready:
                return ready
            if time.monotonic() - began > _PATIENCE:
                what = f"{self._loop.jobs.open} calls do not end" if timeout else "nothing is due"
                raise StandStillError(what)

    def register(
        self, fileobj: selectors._FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: selectors._FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(
        self, fileobj: selectors._FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[selectors._FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()


def _patches(loop: VirtualLoop) -> Iterator[Any]:
    jobs = loop.jobs
    queues = SimpleNamespace(**{**vars(queue), "SimpleQueue": jobs.queue})
    yield patch.object(columns, "clock", loop.clock)
    yield patch.object(concurrent.futures.thread, "queue", queues)
    yield patch.object(node.ops.threads, "queue", queues)
    yield patch.object(aiosqlite.core, "SimpleQueue", jobs.queue)
    yield patch.object(pool, "receive_message", jobs.counting(pool.receive_message))
    yield patch.object(pool.Worker, "_ended", jobs.counting(pool.Worker._ended))
    postgresql = sqlalchemy.dialects.postgresql.asyncpg
    wait_for = postgresql.await_

    def counted_await(awaitable: Awaitable[T]) -> T:
        async def counted() -> T:
            with jobs.one():
                return await awaitable

        return wait_for(counted())

    yield patch.object(postgresql, "await_", counted_await)


def run_in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Run as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
