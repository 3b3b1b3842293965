"""While objects come, queries work one at a time: the least served first."""

import asyncio
from collections import Counter

from node.ops.answering.pace import QueryPace
from node.ops.answering.turns import LeastServed, QueryingTitle, QueryingTitles, Served


class _Work:
    """Pieces of work of queries, of which each goes on until it is told to end."""

    def __init__(self, pace: QueryPace) -> None:
        self.pace = pace
        self.asker = QueryingTitle()
        self.begun: list[float] = []
        self.end = asyncio.Event()

    async def do(self, served: float) -> None:
        async with self.pace.working(Served(seconds=served, asker=self.asker)):
            self.begun.append(served)
            await self.end.wait()


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_has_had_least_goes_first_while_objects_come() -> None:
    work = _Work(QueryPace(lambda: True))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for served in (9.0, 8.0, 7.0, 0.0):
            tasks.create_task(work.do(served))
        await _settled()
        assert work.begun == [9.0]
        work.end.set()
    assert work.begun == [9.0, 0.0, 7.0, 8.0]


async def test_all_work_when_no_more_objects_come() -> None:
    coming = True
    work = _Work(QueryPace(lambda: coming))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for served in (1.0, 2.0, 3.0):
            tasks.create_task(work.do(served))
        await _settled()
        assert work.begun == [1.0]
        coming = False
        tasks.create_task(work.do(4.0))
        await _settled()
        assert work.begun == [1.0, 4.0]
        work.end.set()
    assert sorted(work.begun) == [1.0, 2.0, 3.0, 4.0]


async def test_one_that_is_cancelled_lets_the_next_one_go() -> None:
    work = _Work(QueryPace(lambda: True))
    async with asyncio.timeout(10):
        tasks = [asyncio.create_task(work.do(served)) for served in (1.0, 2.0, 3.0)]
        await _settled()
        for task in tasks[:2]:
            task.cancel()
        await asyncio.wait(tasks[:2])
        work.end.set()
        await tasks[2]
    assert work.begun == [1.0, 3.0]


async def test_thirty_queries_of_one_title_leave_that_of_another_its_part() -> None:
    askers, queue = QueryingTitles(), LeastServed()
    long = askers.served("LONG")
    waiting = {queue.add(one): one for one in (long, *(askers.served("MANY") for _ in range(30)))}
    had: Counter[str] = Counter()
    for _ in range(20):
        assert queue.call()
        (turn,) = (one for one in waiting if one.done())
        served = waiting.pop(turn)
        served.add(1.0)
        had["LONG" if served is long else "MANY"] += 1
        again = long if served is long else askers.served("MANY")
        waiting[queue.add(again)] = again
    assert had == {"LONG": 10, "MANY": 10}


async def test_who_asks_anew_has_had_as_much_as_whoever_had_least() -> None:
    askers = QueryingTitles()
    one, other = askers.served("ONE"), askers.served("OTHER")
    one.add(5.0)
    other.add(7.0)
    assert askers.served("NEW").asker.seconds == 5.0
    assert askers.served("OTHER").asker.seconds == 7.0
    del one, other
    assert askers.served("OTHER").asker.seconds == 0.0
