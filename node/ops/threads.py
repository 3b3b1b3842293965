"""Threads for what blocks on the disk."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A number of threads; what they do is done to its end, though nobody waits for it."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread, and return what it returns."""
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def submit(self, function: Callable[[], object]) -> None:
        """Call a function in a thread.

        Raises
        ------
        RuntimeError
            When they have been closed.
        """
        self._pool.submit(function)

    async def close(self) -> None:
        """Take no more calls, and wait for those that run."""
        await asyncio.to_thread(self._pool.shutdown)

    def abandon(self) -> None:
        """Take no more calls, and wait for none."""
        self._pool.shutdown(wait=False)
