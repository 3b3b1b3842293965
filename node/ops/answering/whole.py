"""Work that comes to its end, also when the task that waits for it is cancelled.

SQLite's lock is with a transaction that is broken off until somebody finds out, and whoever writes
next waits for it: here that is who takes down that something was broken off. And what was claimed
has to be known to who gives it back.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_TO_END = 3.0
"""Seconds that it has when the task is cancelled."""


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Do it, and let it end where the task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        done, late = await asyncio.wait({task}, timeout=_TO_END)
        for one in late:
            one.cancel()
        for one in done:
            if not one.cancelled():
                one.exception()  # nobody waits for it
        raise
