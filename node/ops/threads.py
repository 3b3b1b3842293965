"""Threads for what blocks on the disk."""

import asyncio
import contextlib
import functools
import queue
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Told = Callable[[], None]
_Job = Callable[[], _Told]
"""Does a call, and returns what tells its outcome."""


class Threads:
    """A number of threads; what they do is done to its end, though nobody waits for it.

    The standard library's executor hands each result over through two futures of different
    kinds, with a lock each: that took as long as writing a small image. Here a call goes
    through one queue, and its result straight into the event loop. A thread is started when
    one more call is under way than there are threads.

    Parameters
    ----------
    count
        How many threads there are at most.
    name
        Of the threads, for debuggers.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0
        self._lock = threading.Lock()
        self._closed = False

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread, and return what it returns."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def job() -> _Told:
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                return functools.partial(_tell, loop, functools.partial(_fail, outcome, error))
            return functools.partial(_tell, loop, functools.partial(_succeed, outcome, result))

        self._put(job)
        return await outcome

    def submit(self, function: Callable[[], object]) -> None:
        """Call a function in a thread; what it raises is lost.

        Raises
        ------
        RuntimeError
            When they have been closed.
        """

        def job() -> _Told:
            with contextlib.suppress(Exception):
                function()
            return _nobody

        self._put(job)

    async def close(self) -> None:
        """Take no more calls, and wait for those that run."""
        self.abandon()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def abandon(self) -> None:
        """Take no more calls, and wait for none."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._jobs.put(None)

    def _put(self, job: _Job) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the {self._name} threads have ended")
            self._under_way += 1
            if self._under_way > len(self._threads) and len(self._threads) < self._count:
                number = len(self._threads)
                # A thread that hangs in the disk must not keep the process from ending.
                thread = threading.Thread(
                    target=self._work, name=f"{self._name}_{number}", daemon=True
                )
                thread.start()
                self._threads.append(thread)
            self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            tell = job()
            with self._lock:  # first: who is told makes the next call, and that needs no new thread
                self._under_way -= 1
            tell()


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
        loop.call_soon_threadsafe(what)


def _nobody() -> None:
    """Tell nobody."""


def _succeed(outcome: asyncio.Future[T], result: T) -> None:
    if not outcome.done():
        outcome.set_result(result)


def _fail(outcome: asyncio.Future[T], error: BaseException) -> None:
    if not outcome.done():
        outcome.set_exception(error)
