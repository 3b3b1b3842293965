"""A loop whose time is not waited for: what is under way is."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from node.ops.threads import Threads
from schema import Database, utcnow
from schema.parsing.extract import Reading
from schema.parsing.pool import Worker
from tests.support import virtual_time
from tests.support.virtual_time import START, StandStillError, VirtualLoop, run_in_virtual_time

REALLY = 0.05
"""Seconds that something really takes: far more than the loop waits until it jumps."""


def now():
    return asyncio.get_running_loop().time()


async def first_of(work):
    """Say what comes first: the end of some work, or a timer that is due in a virtual second."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=1)
    said = "the work" if task in done else "the timer"
    await task
    return said


def test_a_day_ends_at_once():
    async def sleep():
        began = now(), utcnow()
        await asyncio.sleep(86_400)
        assert now() - began[0] == pytest.approx(86_400)
        return utcnow() - began[1]

    really = time.monotonic()
    assert run_in_virtual_time(sleep()) == pytest.approx(
        timedelta(days=1), abs=timedelta(seconds=1)
    )
    assert time.monotonic() - really < 10


def test_timers_come_in_their_order_and_the_clock_says_when():
    async def several():
        async def one(seconds):
            await asyncio.sleep(seconds)
            ended.append((seconds, now()))

        ended = []
        await asyncio.gather(*(one(seconds) for seconds in (3600, 0.5, 60, 86_400 * 3)))
        return ended

    ended = run_in_virtual_time(several())
    assert [seconds for seconds, _ in ended] == [0.5, 60, 3600, 86_400 * 3]
    assert all(seconds == pytest.approx(moment, abs=1e-3) for seconds, moment in ended)


def test_who_has_waited_finds_that_the_time_is_over():
    async def several():
        left = 0.0
        for begin in (0.1, 0.3, 0.7, 1000.1):
            await asyncio.sleep(begin)
            began = now()
            await asyncio.sleep(0.5)
            left = max(left, 0.5 - (now() - began))
        return left

    assert run_in_virtual_time(several()) <= 0


def test_its_time_begins_where_it_is_said_and_no_two_moments_are_the_same():
    async def look():
        return [utcnow() for _ in range(1000)]

    told = run_in_virtual_time(look())
    assert sorted(set(told)) == told
    assert timedelta() < told[-1] - START.replace(tzinfo=None) < timedelta(seconds=1)


def test_the_time_stands_still_while_something_is_done():
    async def work():
        time.sleep(REALLY)  # noqa: ASYNC251
        return now()

    assert run_in_virtual_time(work()) == 0


@pytest.mark.parametrize("size", [1, 5_000_000])
def test_what_is_sent_comes_before_a_timer(size):
    async def answer(reader, writer):
        writer.write(b"x" * int((await reader.readline()).decode()))
        await writer.drain()
        writer.close()

    async def ask(port):
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{size}\n".encode())
            assert len(await reader.read(-1)) == size
            writer.close()
            await writer.wait_closed()

    async def both():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            return await first_of(ask(server.sockets[0].getsockname()[1]))

    assert run_in_virtual_time(both()) == "the work"


async def in_the_executor():
    await asyncio.to_thread(time.sleep, REALLY)


async def in_threads():
    threads = Threads(2, "test")
    await asyncio.gather(*(threads.run(time.sleep, REALLY) for _ in range(4)))
    await threads.close()


async def in_sqlite(url):
    async with Database(url) as database, database.session() as session:
        await _slowly(session)


async def _slowly(session):
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000)"
    await session.execute(text(f"{count} SELECT max(i) FROM n"))


async def in_a_reader(path):
    worker = Worker(Reading(institution="A"))
    path.write_bytes(b"no image")
    assert [len(answers) async for answers in worker.extract([str(path)])] == [1]
    await worker.close()


@pytest.mark.parametrize("work", [in_the_executor, in_threads], ids=lambda work: work.__name__)
def test_what_threads_do_ends_before_a_timer(work):
    assert run_in_virtual_time(first_of(work())) == "the work"


def test_what_the_database_does_ends_before_a_timer(database_url):
    async def work():
        async with Database(database_url) as database:
            await database.initialize()
            async with database.session() as session:
                if database.dialect == "postgresql":
                    await session.execute(text(f"SELECT pg_sleep({REALLY})"))
                else:
                    await _slowly(session)

    assert run_in_virtual_time(first_of(work())) == "the work"


def test_what_a_process_reads_is_there_before_a_timer(tmp_path):
    assert run_in_virtual_time(first_of(in_a_reader(tmp_path / "file"))) == "the work"


def test_a_call_that_was_given_up_is_waited_for_all_the_same():
    ended = threading.Event()

    def call():
        time.sleep(REALLY)
        ended.set()

    async def give_up():
        task = asyncio.ensure_future(asyncio.to_thread(call))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(1)
        return ended.is_set()

    assert run_in_virtual_time(give_up())


def test_where_nothing_is_due_it_does_not_wait_for_ever(monkeypatch):
    async def wait():
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(virtual_time, "_PATIENCE", 0.1)
    with pytest.raises(StandStillError, match="nothing is due"):
        run_in_virtual_time(wait())


def test_a_call_that_does_not_end_is_named(monkeypatch):
    goes_on = threading.Event()

    async def wait():
        await asyncio.wait_for(asyncio.to_thread(goes_on.wait, 10), 1)

    monkeypatch.setattr(virtual_time, "_PATIENCE", 0.1)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        with pytest.raises(StandStillError, match="1 calls do not end"):
            runner.run(wait())
        goes_on.set()


def test_when_it_is_closed_the_time_is_the_machine_s():
    run_in_virtual_time(asyncio.sleep(86_400))
    assert abs(utcnow() - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)
