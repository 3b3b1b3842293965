"""Sixteen writers bring the same new patients at once: no error, no orphan, no lost row."""

import asyncio
import sys

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from schema import (
    Database,
    DatabaseUnavailable,
    Image,
    Patient,
    Series,
    Study,
    StudyFind,
    add_images,
    record_found,
)
from schema.engine.retry import retrying
from schema.errors import ValuesRefused
from tests.db.records import finding, record
from tests.support.index_writers import OWN, STUDIES, Meeting, batch, write
from tests.support.processes import Processes

WRITERS = 16
PROCESSES = 4
ROUNDS = 3


async def assert_complete(db: Database, inserted: int) -> None:
    """Assert that every row is there, under its parents, and was reported exactly once."""
    images = ROUNDS * (WRITERS * OWN + 1)
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
    parents = ROUNDS * STUDIES
    assert counts == {Image: images, Series: parents, Study: parents, Patient: parents}
    assert (joined, inserted, flagged) == (images, images, 0)


async def assert_few_ids_burnt(db: Database) -> None:
    """Assert that ids are lost only where several writers tried to insert one row.

    PostgreSQL takes an id from the sequence before it looks for the conflict, so each writer that
    comes too late for a row loses one id; a row that it could see beforehand costs none. SQLite
    has one writer at a time, which sees everything.
    """
    contested = {
        Image: ROUNDS,
        Series: ROUNDS * STUDIES,
        Study: ROUNDS * STUDIES,
        Patient: ROUNDS * STUDIES,
    }
    losers = WRITERS - 1 if db.dialect == "postgresql" else 0
    for model, rows in contested.items():
        assert await burnt_ids(db, model) <= losers * rows
    before = [await burnt_ids(db, model) for model in contested]
    for turn in range(ROUNDS):
        assert [await write(db, writer, turn) for writer in range(3)] == [0, 0, 0]
    async with db.begin() as session:
        await add_images(session, [record("later", "0.0.1", "0.0", patient_id="P0.0")])
    assert [await burnt_ids(db, model) for model in contested] == before


async def burnt_ids(db: Database, model: type) -> int:
    """Return how many ids of a table were given out and have no row."""
    table = model.__tablename__
    async with db.session() as session:
        rows = await session.scalar(select(func.count()).select_from(model))
        if db.dialect == "postgresql":
            given = await session.scalar(text(f"SELECT last_value FROM {table}_id_seq"))
        else:
            given = await session.scalar(select(func.max(model.id)))
    return given - rows


async def test_sixteen_tasks_lose_nothing(db):
    inserted = 0
    for turn in range(ROUNDS):
        # No retry: without it, too, nothing fails.
        inserted += sum(await asyncio.gather(*(write(db, one, turn) for one in range(WRITERS))))
    await assert_complete(db, inserted)
    await assert_few_ids_burnt(db)


async def test_sixteen_writers_in_four_processes_lose_nothing(
    db: Database, migrated_url: str, processes: Processes
):
    each = WRITERS // PROCESSES
    async with Meeting(PROCESSES) as meeting:
        module = (sys.executable, "-m", "tests.support.index_writers")
        started = [
            processes.fork(
                *module, migrated_url, str(meeting.port), str(first), str(each), str(ROUNDS)
            )
            for first in range(0, WRITERS, each)
        ]
        for _ in range(ROUNDS):
            await meeting.let_in()
        codes = [await asyncio.to_thread(process.wait, 60.0) for process in started]
    outputs = [process.output() for process in started]
    assert codes == [0] * PROCESSES, outputs
    words = [output.split() for output in outputs]
    assert [first for first, _ in words] == ["inserted"] * PROCESSES, outputs
    await assert_complete(db, sum(int(number) for _, number in words))
    await assert_few_ids_burnt(db)


async def test_writers_that_disagree_leave_no_row_without_an_image(db):
    """Each writer says another patient, study or series: the first wins, the others are flagged."""

    async def bring(writer: int, turn: int) -> None:
        other_patient = record(
            f"{turn}.{writer}.p", f"{turn}.p", f"{turn}.p.1", patient_id=f"{writer}"
        )
        other_study = record(f"{turn}.{writer}.s", f"{turn}.s", f"{turn}.s.{writer}")
        other_series = record(f"{turn}.i", f"{turn}.i.{writer}", f"{turn}.i.{writer}.1")
        async with db.begin() as session:
            await add_images(session, [other_patient, other_study, other_series])

    for turn in range(ROUNDS):
        await asyncio.gather(*(bring(writer, turn) for writer in range(WRITERS)))
    async with db.session() as session:
        images = await session.scalar(select(func.count(Image.id)))
        flagged = await session.scalar(select(func.count(Image.flag)))
        series = await session.scalar(select(func.count(Series.id)))
        studies = await session.scalar(select(func.count(Study.id)))
        childless = [
            await session.scalar(select(func.count(model.id)).where(~children.any()))
            for model, children in (
                (Patient, Patient.studies),
                (Study, Study.series),
                (Series, Series.images),
            )
        ]
    assert childless == [0, 0, 0]
    assert (images, series, studies) == (ROUNDS * (2 * WRITERS + 1), ROUNDS * 3, ROUNDS * 3)
    assert flagged == ROUNDS * 2 * (WRITERS - 1)


async def test_finding_and_receiving_the_same_studies_at_once_links_them_all(db):
    uids = [f"0.{n}" for n in range(STUDIES)]

    async def find() -> None:
        async def work(session: AsyncSession) -> None:
            await record_found(session, [finding(uid) for uid in uids], peer="pacs")

        await retrying(db, work)

    async def receive(writer: int) -> None:
        async def work(session: AsyncSession) -> None:
            await add_images(session, batch(writer, 0))

        await retrying(db, work)

    await asyncio.gather(*(find() if n % 4 == 0 else receive(n) for n in range(WRITERS)))
    # Where neither saw the other's row, the next of the two makes the link.
    await find()
    async with db.session() as session:
        linked = await session.scalars(
            select(StudyFind.study_uid)
            .join(StudyFind.study)
            .where(StudyFind.study_uid == Study.study_uid)
            .order_by(StudyFind.study_uid)
        )
        assert linked.all() == uids


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


async def test_a_function_runs_in_a_transaction_of_its_own_and_again_after_a_conflict(db):
    calls = []

    async def lose_once(session, image, *, then):
        calls.append(image)
        await add_images(session, [record(image)])
        if len(calls) == 1:
            raise DatabaseUnavailable("lost", conflict=True)
        return then

    assert await db.run(lose_once, "1.2.3", then="won") == "won"
    assert calls == ["1.2.3", "1.2.3"]
    async with db.session() as session:
        assert await session.scalar(select(func.count()).select_from(Image)) == 1


async def test_a_value_that_the_database_does_not_take_is_refused_and_not_quoted(db):
    async def store(session):
        added = (await add_images(session, [record("1.2.3", patient_name="SECRET")]))[0]
        await session.execute(update(Image).where(Image.id == added.id).values(study_date="SECRET"))

    for attempt in (db.run(store), db.run(store)):
        with pytest.raises(ValuesRefused, match="the database refuses it") as caught:
            await attempt
        assert "SECRET" not in str(caught.value)
        assert isinstance(caught.value.__cause__, StatementError)


async def test_a_mistake_in_a_statement_is_nobodys_value(db):
    with pytest.raises(StatementError, match="bind parameter 'x'"):
        async with db.session() as session:
            await session.execute(text("SELECT :x"))


async def test_a_deadlock_is_a_conflict_that_one_of_the_two_survives(migrated_postgresql_url):
    async with Database(migrated_postgresql_url) as db:
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


async def test_a_writer_that_waits_too_long_is_told_that_the_database_is_locked(
    migrated_sqlite_url,
):
    url = migrated_sqlite_url
    async with Database(url, busy_timeout=0.2) as db, Database(url) as other:
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
