"""Turns of retrievals: they are lent, and they go round while others wait."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from node.ops.answering.giving import turns as module
from node.ops.answering.giving.turns import RetrievalTurn, RetrievalTurns
from tests.support.waiting import wait_until_async


@pytest.fixture
def turns():
    return RetrievalTurns(1)


@asynccontextmanager
async def reclaiming(turn):
    """Have a turn waited for."""
    task = asyncio.create_task(turn.reclaim())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_turn_is_lent_and_waited_for_again(turns):
    one, other = RetrievalTurn(turns), RetrievalTurn(turns)
    await one.reclaim()
    async with reclaiming(other) as waits:
        await wait_until_async(lambda: turns.waiting)
        assert not waits.done()
        one.lend()
        one.lend()  # it is lent already
        await waits
        async with reclaiming(one) as again:
            await wait_until_async(lambda: turns.waiting)
            other.lend()
            await again
    assert turns.waiting == 0


async def test_who_has_had_a_turn_for_long_waits_behind_the_others(turns, monkeypatch):
    monkeypatch.setattr(module, "_AT_MOST", 0.0)
    one, other = RetrievalTurn(turns), RetrievalTurn(turns)
    await one.reclaim()
    await one.reclaim()  # nobody waits
    async with reclaiming(other) as first:
        await wait_until_async(lambda: turns.waiting)
        async with reclaiming(one) as second:
            await first
            assert not second.done()
            other.lend()
            await second


async def test_a_turn_is_kept_for_a_while_though_others_wait(turns):
    one, other = RetrievalTurn(turns), RetrievalTurn(turns)
    await one.reclaim()
    async with reclaiming(other) as waits:
        await wait_until_async(lambda: turns.waiting)
        await one.reclaim()
        assert not waits.done()


async def test_who_waits_no_more_leaves_the_turn_to_the_next(turns):
    one, other, third = (RetrievalTurn(turns) for _ in range(3))
    await one.reclaim()
    async with reclaiming(other):
        await wait_until_async(lambda: turns.waiting)
    assert turns.waiting == 0
    one.lend()
    await third.reclaim()
