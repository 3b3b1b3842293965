"""How often a PACS is asked, to see whether it is slow, while images are retrieved from it."""

import asyncio
import time
from contextlib import contextmanager
from itertools import pairwise

from node.ops.politeness.pacing import Pacer
from node.ops.politeness.throttle import Throttle
from node.ops.politeness.watching import watching
from tests.support.virtual_time import run_in_virtual_time


class Images:
    """Images that are seen to arrive."""

    count = 0

    @contextmanager
    def telling(self, _listener):
        yield


async def probes(hold: asyncio.Event, images: Images) -> list[float]:
    """Return when a PACS was asked while one retrieval was held, until it was let go."""
    asked: list[float] = []

    class Retriever:
        method = "C-MOVE"

        async def ask(self, _wanted, _progress, _leave):
            await hold.wait()

    clock = asyncio.get_running_loop().time

    async def probe():
        asked.append(clock())
        await asyncio.sleep(0.01)

    pacer = Pacer(1, throttle=Throttle(1, now=time.monotonic()))
    pacer._judge = lambda *_: None
    async with watching(pacer, probe):
        await asyncio.sleep(300)
        assert asked == [], "nothing is retrieved"
        retriever = Retriever()
        assert await pacer.turn(retriever)
        await pacer.ask(retriever, None, images)
    return asked


def test_while_images_come_it_is_asked_often_and_while_none_come_seldom():
    async def work():
        clock = asyncio.get_running_loop().time
        hold, images = asyncio.Event(), Images()
        asking = asyncio.create_task(probes(hold, images))
        await asyncio.sleep(300)
        for _ in range(600):
            await asyncio.sleep(0.1)
            images.count += 1
        came_until = clock()
        await asyncio.sleep(3600)
        came_again = clock()
        for _ in range(100):
            await asyncio.sleep(0.1)
            images.count += 1
        hold.set()
        return await asking, came_until, came_again

    asked, came_until, came_again = run_in_virtual_time(work())
    first = [one for one in asked if one < came_until]
    quiet = [one for one in asked if came_until <= one < came_again]
    again = [one for one in asked if one >= came_again]
    assert len(first) > 60
    assert max(late - early for early, late in pairwise(first)) < 3
    assert 80 < len(quiet) < 300
    assert max(late - early for early, late in pairwise(quiet)) < 50
    assert len(again) > 5
    assert again[0] - came_again < 3
