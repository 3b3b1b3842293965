"""Work that can wait: in order, a little of it in each round of the loop."""

import asyncio

from node.net.transport.turns import Turns


async def test_work_is_done_in_order_and_never_at_once():
    done = []
    turns = Turns()
    for number in range(5):
        turns.later(lambda number=number: done.append(number))
    assert done == []
    await asyncio.sleep(0)
    assert done == [0, 1, 2, 3, 4]


async def test_a_round_ends_when_its_time_is_up(monkeypatch):
    monkeypatch.setattr("node.net.transport.turns._ROUND", 0.0)
    done = []
    turns = Turns()
    for number in range(3):
        turns.later(lambda number=number: done.append(number))
    rounds = []
    while len(done) < 3:
        await asyncio.sleep(0)
        rounds.append(len(done))
    assert rounds == [1, 2, 3]


async def test_work_that_goes_on_takes_turns_with_the_rest():
    done = []
    turns = Turns()

    def piece(name, left):
        done.append(name)
        if left:
            turns.later(lambda: piece(name, left - 1))

    turns.later(lambda: piece("a", 2))
    turns.later(lambda: piece("b", 2))
    while len(done) < 6:
        await asyncio.sleep(0)
    assert done == ["a", "b", "a", "b", "a", "b"]


async def test_work_that_fails_holds_up_no_other():
    loop, done, failed = asyncio.get_running_loop(), [], []
    loop.set_exception_handler(lambda _, context: failed.append(context["exception"]))
    turns = Turns()
    turns.later(lambda: 1 / 0)
    turns.later(lambda: done.append(1))
    while not done:
        await asyncio.sleep(0)
    assert [type(error) for error in failed] == [ZeroDivisionError]
