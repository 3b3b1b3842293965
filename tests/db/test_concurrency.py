"""Sixteen writers bring the same new patients at once: no error, no orphan, no lost row."""

import asyncio
import json
import os
import subprocess
import sys

import pytest
from sqlalchemy import func, select, text

from schema import (
    Database,
    DatabaseUnavailable,
    Image,
    Patient,
    Series,
    Study,
    add_images,
    record_found,
    retrying,
)
from tests.db.records import finding, record

WRITERS = 16
ROUNDS = 4
PER_BATCH = 6

WRITER = """
import asyncio, json, sys
from schema import Database, add_images, record_found, retrying
from tests.db.records import finding
from tests.db.test_concurrency import batch

async def main(url, writers, rounds):
    results = []
    async with Database(url) as db:
        print("ready", flush=True)
        sys.stdin.readline()
        async def write(writer):
            for n in range(rounds):
                async def work(session):
                    added = await add_images(session, batch(writer, n))
                    await record_found(session, [finding(f"{n}.{m}") for m in range(3)], peer="p")
                    return added
                results.extend(await retrying(db, work))
        await asyncio.gather(*(write(writer) for writer in writers))
    print(json.dumps(sum(one.inserted for one in results)))

asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])))
"""


def batch(writer: int, n: int) -> list:
    """Return images of the same patients, studies and series for every writer.

    One image of each batch is common to all, the others are the writer's own; each writer
    brings them in another order.
    """
    images = [
        record(
            f"{n}.{writer if m else 'common'}.{m}",
            f"{n}.{m % 3}.1",
            f"{n}.{m % 3}",
            patient_id=f"P{n}.{m % 3}",
        )
        for m in range(PER_BATCH)
    ]
    turn = writer % PER_BATCH
    return images[turn:] + images[:turn]


async def assert_complete(db: Database, inserted: int) -> None:
    """Assert that every row is there, under its parents, and was reported exactly once."""
    images = ROUNDS * (WRITERS * (PER_BATCH - 1) + 1)
    async with db.session() as session:
        counts = {
            model: await session.scalar(select(func.count()).select_from(model))
            for model in (Image, Series, Study, Patient)
        }
        joined = await session.scalar(
            select(func.count(Image.id))
            .join(Image.series)
            .join(Series.study)
            .join(Study.patient)
            .where(
                Series.series_uid == Image.series_uid,
                Study.study_uid == Image.study_uid,
                Patient.patient_id == Image.patient_id,
            )
        )
        flagged = await session.scalar(select(func.count(Image.flag)))
    assert counts == {Image: images, Series: ROUNDS * 3, Study: ROUNDS * 3, Patient: ROUNDS * 3}
    assert (joined, inserted, flagged) == (images, images, 0)


async def test_sixteen_tasks_lose_nothing(db):
    async def write(writer: int) -> int:
        inserted = 0
        for n in range(ROUNDS):
            # No retry: without it, too, nothing fails.
            async with db.begin() as session:
                inserted += sum(one.inserted for one in await add_images(session, batch(writer, n)))
        return inserted

    inserted = sum(await asyncio.gather(*(write(writer) for writer in range(WRITERS))))
    await assert_complete(db, inserted)


async def test_sixteen_writers_in_four_processes_lose_nothing(db, database_url):
    root = os.getcwd()  # noqa: PTH109 - handed on as a search path

    def start(writers: list[int]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, database_url, json.dumps(writers), str(ROUNDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": root},
        )

    running = [start(list(range(first, WRITERS, 4))) for first in range(4)]
    try:
        for process in running:
            assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        for process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [await asyncio.to_thread(process.communicate, None, 120) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [process.returncode for process in running] == [0] * 4
    await assert_complete(db, sum(json.loads(output) for output, _ in outputs))
    async with db.session() as session:
        linked = await session.scalar(
            select(func.count(Study.id)).where(Study.study_find_id.is_not(None))
        )
    assert linked > 0


async def test_two_finds_of_the_same_studies_at_once_record_each_once(db):
    identifiers = [finding(f"1.{n}") for n in range(60)]

    async def find(turn: int) -> list[str]:
        ordered = identifiers[turn:] + identifiers[:turn]
        async with db.begin() as session:
            found = await record_found(session, ordered, peer=f"pacs{turn}")
        return [one.study_uid for one in found if one.outcome == "new"]

    new = [uid for found in await asyncio.gather(*map(find, range(8))) for uid in found]
    assert sorted(new) == sorted(f"1.{n}" for n in range(60))


async def test_readers_do_not_wait_for_a_writer(db):
    async with db.begin() as writing:
        await add_images(writing, [record("1")])
        async with asyncio.timeout(5):
            async with db.session() as reading:
                assert await reading.scalar(select(func.count(Image.id))) == 0
    async with db.session() as reading:
        assert await reading.scalar(select(func.count(Image.id))) == 1


async def test_a_conflict_is_retried_and_another_error_is_not(db):
    tried = 0

    async def lose_twice(session: object) -> str:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise DatabaseUnavailable("lost", conflict=True)
        return "won"

    assert await retrying(db, lose_twice) == "won"
    assert tried == 3

    async def fail(session: object) -> None:
        nonlocal tried
        tried += 1
        raise DatabaseUnavailable("away")

    with pytest.raises(DatabaseUnavailable, match="away"):
        await retrying(db, fail)
    assert tried == 4


async def test_a_deadlock_is_a_conflict_that_one_of_the_two_survives(postgresql_url):
    async with Database(postgresql_url) as db:
        await db.initialize()
        async with db.begin() as session:
            session.add_all([Patient(patient_id="a"), Patient(patient_id="b")])
        met = asyncio.Barrier(2)
        first_time = {"ab": True, "ba": True}

        async def cross(order: str) -> None:
            async def work(session: object) -> None:
                for name in order:
                    await session.execute(
                        text("UPDATE patients SET patient_name = 'x' WHERE patient_id = :name"),
                        {"name": name},
                    )
                    if first_time[order] and name == order[0]:
                        first_time[order] = False
                        await met.wait()

            await retrying(db, work)

        async with asyncio.timeout(30):
            await asyncio.gather(cross("ab"), cross("ba"))


async def test_a_writer_that_waits_too_long_is_told_that_the_database_is_locked(sqlite_url):
    async with Database(sqlite_url, busy_timeout=0.2) as db, Database(sqlite_url) as other:
        await db.initialize()
        async with other.begin() as session:
            await add_images(session, [record("1")])
            with pytest.raises(DatabaseUnavailable, match="locked") as caught:
                async with db.begin() as second:
                    await add_images(second, [record("2")])
            assert caught.value.conflict
        async with db.begin() as writing:
            await add_images(writing, [record("3")])
            with pytest.raises(DatabaseUnavailable, match="this process"):
                async with db.begin():
                    pytest.fail("a second writer came in")
