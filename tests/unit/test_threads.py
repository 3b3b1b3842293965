"""Threads for what blocks: results and errors come back, and what is begun is done to its end."""

import asyncio
import threading

import pytest

from node.ops.threads import Threads


@pytest.fixture
async def threads():
    pool = Threads(3, "test")
    yield pool
    await pool.close()


async def test_results_and_errors_come_back_to_who_waits(threads):
    def divide(one, other):
        return one / other

    assert await threads.run(divide, 6, other=3) == 2
    with pytest.raises(ZeroDivisionError):
        await threads.run(divide, 1, 0)
    assert await threads.run(threading.get_ident) != threading.get_ident()


async def test_no_more_calls_run_at_once_than_there_are_threads(threads):
    most = threading.Barrier(3)
    names = set()

    def meet():
        most.wait(10)  # breaks unless three are here at once
        names.add(threading.current_thread().name)

    await asyncio.gather(*(threads.run(meet) for _ in range(9)))
    assert names == {"test_0", "test_1", "test_2"}


async def test_one_thread_is_enough_for_one_call_after_the_other(threads):
    seen = {await threads.run(threading.get_ident) for _ in range(50)}
    assert len(seen) == 1


async def test_what_nobody_waits_for_any_more_is_done_to_its_end():
    pool = Threads(1, "test")
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work():
        begun.set()
        go_on.wait(10)
        done.set()

    waiting = asyncio.create_task(pool.run(work))
    await asyncio.to_thread(begun.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not done.is_set()
    go_on.set()
    await pool.close()
    assert done.is_set()


async def test_what_was_put_in_before_the_end_is_done_and_nothing_after_it():
    pool = Threads(1, "test")
    numbers = []
    for number in range(20):
        pool.submit(lambda number=number: numbers.append(number))
    pool.submit(lambda: 1 / 0)  # nobody asked what became of it
    pool.submit(lambda: numbers.append(20))
    await pool.close()
    assert numbers == list(range(21))
    with pytest.raises(RuntimeError, match="test threads have ended"):
        pool.submit(numbers.clear)
    with pytest.raises(RuntimeError, match="have ended"):
        await pool.run(numbers.clear)


async def test_a_call_that_hangs_does_not_hold_up_who_gives_the_threads_up():
    pool = Threads(1, "test")
    go_on = threading.Event()
    waiting = asyncio.create_task(pool.run(go_on.wait, 10))
    await asyncio.sleep(0)
    pool.abandon()
    go_on.set()
    assert await waiting is True
