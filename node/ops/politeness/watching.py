"""Measuring how long a peer takes to answer while images are retrieved from it."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from node.ops.politeness.pacing import Pacer
from node.ops.politeness.throttle import Throttle

_OFTEN = 0.3
"""Seconds from one probe to the next while much is to be learnt ..."""

_SELDOM = 0.75
"""... and while little is."""

_WORK = 20
"""A probe every so many times as long as one takes, at least: it is work for the peer, too ..."""

_LITTLE_WORK = 50
"""... and so many times while little is to be learnt."""

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


async def _watch(pacer: Pacer, throttle: Throttle, probe: Callable[[], Awaitable[None]]) -> None:
    clock = asyncio.get_running_loop().time
    sign, since, ended, took = pacer.sign, clock(), clock(), 0.0
    while True:
        unsure = throttle.is_unsure(time.monotonic())
        wait = max(_OFTEN, _WORK * took) if unsure else max(_SELDOM, _LITTLE_WORK * took)
        spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)
        await asyncio.sleep(wait * spread)
        while pacer.is_at_work:
            if pacer.sign != sign:
                sign, since = pacer.sign, clock()
            if clock() - ended >= min(_LONGEST, (clock() - since) / _QUIET) * spread:
                break
            await asyncio.sleep(_SELDOM)
        if pacer.is_at_work:
            began = time.monotonic()
            await probe()
            took, ended = time.monotonic() - began, clock()
