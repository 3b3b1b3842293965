"""Whether images may still be asked for, once there is a connection to ask for them over.

Between the moment when somebody says that a study may be asked for and the request there may be
hours: a peer has as many associations of ours as it may have, and each is waited for. So whoever
asks looks once more before the request, and every now and then while he waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from schema import utcnow

Result = TypeVar("Result")

Leave = Callable[[], Awaitable[bool]]
"""Tells whether images may be asked for at this moment."""

_LOOK = 1.0
"""Seconds from one look to the next while a connection is waited for."""


class Withheld(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """Nothing was asked for: it may not be any more."""


async def unrestrained() -> bool:
    """Let images be asked for whenever it is."""
    return True


class NotedLeave:
    """Leave to ask, and when it was given last.

    Attributes
    ----------
    on
        Naive UTC; before it was asked for, when this was made.
    """

    def __init__(self, leave: Leave) -> None:
        self.on = utcnow()
        self._leave = leave

    async def __call__(self) -> bool:
        """See `Leave`."""
        given = await self._leave()
        if given:
            self.on = utcnow()
        return given


async def with_leave(work: Coroutine[Any, Any, Result], leave: Leave) -> Result:
    """Do what comes before a request, and may wait, as long as there is leave to ask.

    Raises
    ------
    Withheld
        There is none any more; the work is cancelled.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK))[0]:
            if not await leave():
                raise Withheld
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
