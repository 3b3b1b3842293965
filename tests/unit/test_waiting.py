"""What waits for the indexer: order, batches, and what is put off."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from node.ops.indexing import backlog as module
from node.ops.indexing.backlog import Waiting
from node.storage.writing import Entry, Sender
from schema.engine.backoff import Backoff


def entry(number, size=1000):
    return Entry(
        path=Path(f"/spool/{number}.dcm"),
        size=size,
        sha256="0",
        sop_class_uid="1",
        sop_instance_uid=f"1.{number}",
        transfer_syntax_uid="1",
        sender=Sender(aetitle="A"),
        received_on=datetime(2026, 1, 1),  # noqa: DTZ001
    )


@pytest.fixture
async def waiting():
    return Waiting()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "BACKOFF", Backoff(first=0.02, longest=30.0))


async def take(waiting):
    async with asyncio.timeout(5):
        return await waiting.take()


async def test_batches_come_in_order_and_end(waiting):
    entries = [entry(number) for number in range(300)]
    for one in entries:
        waiting.put(one)
    first = await take(waiting)
    assert first == entries[:256]
    assert len(waiting) == 300
    for one in first:
        waiting.done(one)
    assert await take(waiting) == entries[256:]
    assert len(waiting) == 44


async def test_large_files_make_small_batches_but_never_empty_ones(waiting):
    for number in range(4):
        waiting.put(entry(number, size=1 << 30))
    assert len(await take(waiting)) == 1
    waiting = Waiting()
    for number in range(200):
        waiting.put(entry(number, size=1 << 20))
    assert len(await take(waiting)) == 64


async def test_what_is_put_off_comes_again_after_longer_and_longer_pauses(waiting):
    one = entry(1)
    waiting.put(one)
    loop = asyncio.get_running_loop()
    pauses = []
    assert await take(waiting) == [one]
    for _ in range(3):
        before = loop.time()
        waiting.put_off(one, alone=False)
        assert await take(waiting) == [one]
        pauses.append(loop.time() - before)
    assert pauses[0] >= 0.019
    assert pauses[1] >= 0.039
    assert pauses[2] >= 0.079
    waiting.done(one)
    assert len(waiting) == 0
    await asyncio.wait_for(waiting.wait_empty(), 5)


async def test_new_ones_do_not_wait_for_what_is_put_off(waiting):
    old = [entry(number) for number in range(200)]
    for one in old:
        waiting.put(one)
    for one in await take(waiting):
        waiting.put_off(one, alone=False)
    await asyncio.wait_for(waiting.wait_settled(), 5)
    new = [entry(1000 + number) for number in range(400)]
    for one in new:
        waiting.put(one)
    await asyncio.sleep(0.05)  # until the old ones are due
    batch = await take(waiting)
    assert len(batch) == 256
    assert batch[:64] == old[:64]
    assert batch[64:] == new[:192]


async def test_one_that_spoilt_a_batch_is_alone_in_the_next(waiting):
    for number in range(3):
        waiting.put(entry(number))
    for one in await take(waiting):
        waiting.put_off(one, alone=True)
    assert waiting.taken() == []
    assert [len(await take(waiting)) for _ in range(3)] == [1, 1, 1]


async def test_it_is_settled_while_something_is_put_off_but_not_empty(waiting):
    waiting.put(entry(1))
    (one,) = await take(waiting)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting.wait_settled(), 0.01)
    waiting.put_off(one, alone=False)
    await asyncio.wait_for(waiting.wait_settled(), 5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting.wait_empty(), 0.01)


# Gathering


async def test_nobody_waits_where_nothing_has_come(waiting):
    async with asyncio.timeout(1):
        await waiting.gather()


async def test_entries_gather_while_they_come_and_no_longer(waiting, monkeypatch):
    monkeypatch.setattr(module, "_LONGEST_GATHER", 60.0)
    waiting.put(entry(0))
    gathering = asyncio.create_task(waiting.gather())
    for number in range(1, 6):
        await asyncio.sleep(0)
        assert not gathering.done()
        waiting.put(entry(number))
    async with asyncio.timeout(10):
        await gathering  # nothing comes any more
    assert len(await take(waiting)) == 6


async def test_there_is_an_end_to_gathering(waiting, monkeypatch):
    monkeypatch.setattr(module, "_QUIET", 0.0)
    monkeypatch.setattr(module, "_LONGEST_GATHER", 60.0)
    for number in range(module._ENOUGH):
        waiting.put(entry(number))
    async with asyncio.timeout(10):
        await waiting.gather()  # there are enough
    monkeypatch.setattr(module, "_ENOUGH", 1 << 30)
    monkeypatch.setattr(module, "_LONGEST_GATHER", 0.05)

    async def without_end():
        while True:
            waiting.put(entry(1))
            await asyncio.sleep(0)

    coming = asyncio.create_task(without_end())
    try:
        async with asyncio.timeout(10):
            await waiting.gather()  # it takes too long
    finally:
        coming.cancel()
