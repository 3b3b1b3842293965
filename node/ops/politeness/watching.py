"""Measuring how long a peer takes to answer while images are retrieved from it."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from node.ops.politeness.pacing import Pacer
from node.ops.politeness.throttle import Throttle


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """How often probes come, at most.

    Attributes
    ----------
    seconds
        From one to the next.
    times
        As above, in times as long as one takes: it is work for the peer, too.
    """

    seconds: float
    times: float


_SOON = _Pace(seconds=0.15, times=8)
"""While several retrievals at once may be too much: others wait until that is known."""

_OFTEN = _Pace(seconds=0.3, times=20)
"""While one at a time may be too much."""

_SELDOM = _Pace(seconds=0.75, times=50)
"""While little is to be learnt."""

_QUIET = 10
"""A probe every so many parts of the time for which no image has come: then nothing is to be learnt
from it, and a retrieval may hang for hours ..."""

_LONGEST = 30.0
"""... but at the latest after so many seconds; and at once when images come again."""

_SPREAD = 0.5
"""Probes come at random, by this part sooner or later: what recurs could always be missed."""


@asynccontextmanager
async def watching(pacer: Pacer, probe: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Put probes for the length of the block, while anything is retrieved.

    Parameters
    ----------
    probe
        Puts one; what comes of it is told to the pacer by whoever times it.
    """
    if pacer.throttle is None:
        yield
        return
    task = asyncio.create_task(_watch(pacer, pacer.throttle, probe), name="watch a peer")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def wait_before(throttle: Throttle, now: float, took: float) -> float:
    """Return how long to wait before the next probe, in seconds; by and large.

    Parameters
    ----------
    now
        In seconds, as the throttle's signals have it.
    took
        Seconds that the last one took.
    """
    pace = _SELDOM
    if throttle.is_unsure(now):
        pace = _SOON if throttle.at_once > 1 else _OFTEN
    return max(pace.seconds, pace.times * took)


async def _watch(pacer: Pacer, throttle: Throttle, probe: Callable[[], Awaitable[None]]) -> None:
    clock = asyncio.get_running_loop().time
    sign, since, ended, took = pacer.sign, clock(), clock(), 0.0
    while True:
        spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)
        await asyncio.sleep(wait_before(throttle, time.monotonic(), took) * spread)
        while pacer.is_at_work:
            if pacer.sign != sign:
                sign, since = pacer.sign, clock()
            if clock() - ended >= min(_LONGEST, (clock() - since) / _QUIET) * spread:
                break
            await asyncio.sleep(_SELDOM.seconds)
        if pacer.is_at_work:
            began = time.monotonic()
            await probe()
            took, ended = time.monotonic() - began, clock()
