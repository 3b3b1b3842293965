"""The threads that handlers run in: a fixed number, and one piece of an association's at a time."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue

from node.net.transport.failures import log_failure

Work = Callable[[], None]


class Crew:
    """Threads, each begun when it is first needed; a handler that never ends keeps no process up.

    Parameters
    ----------
    most
        How many there may be; further work waits.
    name
        What they are called.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, work: Work) -> None:
        """Have work done; called in the event loop only."""
        self._work.put(work)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
            name = f"{self._name} handler {len(self._threads) + 1}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def has(self, thread: threading.Thread) -> bool:
        """Tell whether a thread is one of these."""
        return thread in self._threads

    def close(self) -> None:
        """Let the threads end once they have nothing to do."""
        for _ in self._threads:
            self._work.put(None)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - the thread goes on with the next one's
                log_failure("crew", error)
            del work
            self._idle.release()


class Lane:
    """What is done for one association: piece by piece, in order, in the threads of a crew.

    Parameters
    ----------
    crew
        Who does it.
    loop
        Where it is asked for.
    """

    def __init__(self, crew: Crew, loop: asyncio.AbstractEventLoop) -> None:
        self._crew = crew
        self._loop = loop
        self._waiting: deque[tuple[Work, Callable[[], None] | None]] = deque()
        self._working = False

    @property
    def is_working(self) -> bool:
        """Whether something is being done, or waits for it."""
        return self._working

    def add(self, work: Work, done: Callable[[], None] | None = None) -> None:
        """Have a piece of work done behind the others; `done` is called in the event loop."""
        self._waiting.append((work, done))
        if not self._working:
            self._next()

    async def run(self, work: Work) -> None:
        """Have a piece of work done behind the others, and wait for its end."""
        ended = self._loop.create_future()
        self.add(work, partial(_end, ended))
        await ended

    def _next(self) -> None:
        self._working = True
        work, done = self._waiting.popleft()
        self._crew.submit(partial(self._do, work, done))

    def _do(self, work: Work, done: Callable[[], None] | None) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the library's classes catch handlers' own
            log_failure("door", error)
        with suppress(RuntimeError):  # the loop has ended before the handler
            self._loop.call_soon_threadsafe(self._done, done)

    def _done(self, done: Callable[[], None] | None) -> None:
        self._working = False
        if done is not None:
            done()
        if self._waiting and not self._working:
            self._next()


def _end(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)
