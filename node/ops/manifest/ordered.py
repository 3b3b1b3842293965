"""Work on many portions at once, in threads, with the results in order and bounded memory."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from node.ops.threads import Threads

T = TypeVar("T")
R = TypeVar("R")

_PORTION = 16
"""How many a thread does before it comes back."""


async def in_order(
    pages: AsyncGenerator[Sequence[T], None], work: Callable[[T], R], *, threads: int, name: str
) -> AsyncGenerator[list[tuple[T, R]], None]:
    """Yield everything with what a function makes of it, in portions, in the order of the pages.

    Parameters
    ----------
    pages
        What there is to do. Closed at the end.
    work
        Called in a thread.
    threads
        How many of them work at once.
    name
        Of the threads, for debuggers.
    """
    pool = Threads(threads, name)
    begun: deque[asyncio.Task[list[tuple[T, R]]]] = deque()

    def done(portion: Sequence[T]) -> list[tuple[T, R]]:
        return [(one, work(one)) for one in portion]

    try:
        async with aclosing(pages):
            async for page in pages:
                for start in range(0, len(page), _PORTION):
                    portion = page[start : start + _PORTION]
                    begun.append(asyncio.create_task(pool.run(done, portion), name=name))
                    while len(begun) > 2 * threads:
                        yield await begun.popleft()
        while begun:
            yield await begun.popleft()
    finally:
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        await pool.close()
