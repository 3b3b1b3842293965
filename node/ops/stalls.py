"""Ending what a peer does not bring to an end: silence, and answers of which nothing comes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from node.config import FindSettings, MoveSettings
from node.errors import PeerStalled

_GRAIN = 0.01
"""Progress within this part of the time that may pass without any counts as one: each answer to a
C-FIND is progress, and thousands come in a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """How long an operation with a peer may take, in seconds.

    Attributes
    ----------
    quiet
        Without a sign of progress. A Pending response alone is none: a peer can send those for
        ever.
    total
        In all, whatever progress there is.
    """

    quiet: float
    total: float


def limits_of(settings: FindSettings | MoveSettings) -> TimeLimits:
    """Return how long a C-FIND or a C-MOVE may take."""
    return TimeLimits(quiet=settings.timeout, total=settings.total_timeout)


@asynccontextmanager
async def limited(what: str, limits: TimeLimits) -> AsyncIterator[Callable[[], None]]:
    """End the block when an operation takes too long.

    Parameters
    ----------
    what
        The operation, as the subject of the error's sentence.

    Yields
    ------
    Callable
        To be called at each sign of progress.

    Raises
    ------
    PeerStalled
        In the place of whatever the block was waiting for.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + limits.total

    told = loop.time()

    def progressed() -> None:
        nonlocal told
        now = loop.time()
        if now - told >= limits.quiet * _GRAIN and not deadline.expired():
            told = now
            deadline.reschedule(min(now + limits.quiet, end))

    deadline = asyncio.timeout(min(limits.quiet, limits.total))
    try:
        async with deadline:
            yield progressed
    except TimeoutError as error:
        if not deadline.expired():
            raise
        if loop.time() >= end:
            raise PeerStalled(f"{what} has taken more than {limits.total:g} s") from error
        raise PeerStalled(f"{what} has made no progress for {limits.quiet:g} s") from error
