"""Several peers asked at once: none waits for another, and the order changes nothing."""

import asyncio
from contextlib import AsyncExitStack
from datetime import date

import pytest
from sqlalchemy import select

from node.config import Config
from node.dicom.query import StudyQuery, Window
from node.ops.finding.peers import find_at_peers
from node.ops.finding.report import FindReport
from schema import Cycle, Database, StudyFind
from tests.db.records import finding
from tests.support.processes import free_port
from tests.support.scripted_pacs import ScriptedPacs

DAY = StudyQuery(window=Window(start=date(2024, 1, 2), end=date(2024, 1, 2)))


@pytest.fixture
async def db(migrated_url):
    async with Database(migrated_url) as database:
        yield database


@pytest.fixture
async def sqlite(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database:
        yield database


def configured(ports):
    peers = {
        name: {"aetitle": "PACS", "host": "127.0.0.1", "port": port} for name, port in ports.items()
    }
    return Config(peers=peers)


async def asking(db, ports, concurrency, told=lambda _: None):
    async with asyncio.timeout(20):
        return await find_at_peers(
            configured(ports), db, list(ports), [DAY], concurrency=concurrency, watch=told
        )


async def uids(db):
    async with db.session() as session:
        return set(await session.scalars(select(StudyFind.study_uid)))


async def test_peers_that_are_asked_at_once_do_not_wait_for_each_other_or_for_one_that_is_down(db):
    last = asyncio.Event()

    def answering(uid):
        async def script(asked):
            if uid == "1.3":
                last.set()
            else:
                await last.wait()  # it would be asked in vain before the last one is
            asked.pending(finding(uid))
            asked.done()

        return script

    told = []
    async with AsyncExitStack() as stack:
        pacs = [
            await stack.enter_async_context(ScriptedPacs(answering(uid)))
            for uid in ("1.1", "1.2", "1.3")
        ]
        ports = {"one": pacs[0].port, "down": free_port(), "two": pacs[1].port}
        ports["three"] = pacs[2].port
        tour = await asking(db, ports, 4, told.append)
    assert [report.peer for report in tour.reports] == ["one", "two", "three"]
    assert [trouble.peer for trouble in tour.troubles] == ["down"]
    ended = [one.peer for one in told if isinstance(one, FindReport)]
    assert sorted(ended) == ["one", "three", "two"], "each is told when it ends"
    assert await uids(db) == {"1.1", "1.2", "1.3"}
    assert [one.associations for one in pacs] == [1, 1, 1]


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_no_more_peers_are_asked_at_once_than_is_allowed(sqlite, concurrency):
    busy = most = 0

    async def script(asked):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        while most < concurrency:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        asked.pending(finding(f"1.{asked.number}"))
        asked.done()
        busy -= 1

    async with AsyncExitStack() as stack:
        pacs = [await stack.enter_async_context(ScriptedPacs(script)) for _ in range(4)]
        ports = {f"p{number}": one.port for number, one in enumerate(pacs)}
        tour = await asking(sqlite, ports, concurrency)
    assert most == concurrency
    assert [report.peer for report in tour.reports] == list(ports)


async def test_an_interrupted_find_ends_at_every_peer(sqlite):
    all_asked = asyncio.Event()
    asked_so_far = 0

    async def script(asked):
        nonlocal asked_so_far
        asked_so_far += 1
        if asked_so_far == 3:
            all_asked.set()
        await asyncio.Event().wait()

    async with AsyncExitStack() as stack:
        pacs = [await stack.enter_async_context(ScriptedPacs(script)) for _ in range(3)]
        ports = {f"p{number}": one.port for number, one in enumerate(pacs)}
        work = asyncio.create_task(asking(sqlite, ports, 3))
        await asyncio.wait_for(all_asked.wait(), 10)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    async with sqlite.session() as session:
        outcomes = list(await session.scalars(select(Cycle.outcome)))
    assert outcomes == ["interrupted"] * 3
