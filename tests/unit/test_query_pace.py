"""While objects come, queries work one at a time: the least served first."""

import asyncio

from node.ops.answering.pace import QueryPace
from node.ops.answering.turns import Served


class _Work:
    """Pieces of work of queries, of which each goes on until it is told to end."""

    def __init__(self, pace: QueryPace) -> None:
        self.pace = pace
        self.begun: list[float] = []
        self.end = asyncio.Event()

    async def do(self, served: float) -> None:
        async with self.pace.working(Served(served)):
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
