"""While the last answers to a question are recorded, the next question is put."""

import asyncio
from datetime import date

import pytest
from sqlalchemy import func, select

from node.dicom.query import StudyQuery, Window
from node.ops.finding import asking
from node.ops.finding.asking import Questioner
from node.ops.finding.find import find
from node.ops.stalls import TimeLimits
from schema import Cycle, Database, FindWindow, StudyFind, record_found
from schema.errors import ValuesRefused
from tests.support.misbehaving import misbehaving_pacs

LIMITS = TimeLimits(quiet=20, total=60)
ARCHIVE = {"studies": 60, "start_date": "2024-01-01", "end_date": "2024-12-31"}
HALVES = [
    StudyQuery(window=Window(start=date(2024, 1, 1), end=date(2024, 6, 30))),
    StudyQuery(window=Window(start=date(2024, 7, 1), end=date(2024, 12, 31))),
]


@pytest.fixture
async def db(migrated_url):
    async with Database(migrated_url) as database:
        yield database


@pytest.fixture
async def pacs():
    async with misbehaving_pacs(archive=ARCHIVE) as server:
        yield server


@pytest.fixture
def held(monkeypatch):
    """What holds back the recording of answers; `asked` is set when something is to be recorded."""
    keep, free, asked = Questioner._keep, asyncio.Event(), asyncio.Event()

    async def wait(self, answers, tally):
        asked.set()
        await free.wait()
        await keep(self, answers, tally)

    monkeypatch.setattr(Questioner, "_keep", wait)
    return free, asked


def found_at(database, pacs):
    return find(database, pacs.peer(), HALVES, node="NODE", limits=LIMITS)


async def count_of(database, table):
    async with database.session() as session:
        return await session.scalar(select(func.count()).select_from(table))


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def test_the_next_question_is_put_before_the_last_one_is_recorded(db, pacs, held):
    free, _ = held
    task = asyncio.create_task(found_at(db, pacs))
    await until(lambda: pacs.counters.questions == 2)
    assert await count_of(db, FindWindow) == 0, "a window is no row before its studies are"
    free.set()
    report = await task
    assert report.gaps == ()
    assert await count_of(db, StudyFind) == len(pacs.truth()) == 60


async def test_one_window_and_no_more_is_answered_and_not_recorded(db, pacs, held):
    free, _ = held
    thirds = [(1, 4), (5, 8), (9, 12)]
    queries = [
        StudyQuery(window=Window(start=date(2024, first, 1), end=date(2024, last, 30)))
        for first, last in thirds
    ]
    task = asyncio.create_task(find(db, pacs.peer(), queries, node="NODE", limits=LIMITS))
    await until(lambda: pacs.counters.questions == 2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await asyncio.shield(task)
    assert pacs.counters.questions == 2
    free.set()
    await task


async def test_what_was_answered_before_a_find_is_cancelled_is_recorded(db, pacs, held):
    free, asked = held
    task = asyncio.create_task(found_at(db, pacs))
    await until(asked.is_set)
    await until(lambda: pacs.counters.questions == 2)
    task.cancel()
    await asyncio.sleep(0)
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.session() as session:
        outcome = await session.scalar(select(Cycle.outcome))
        first = await session.scalar(select(FindWindow).order_by(FindWindow.id))
    assert outcome == "interrupted"
    assert first.start_date == date(2024, 1, 1)
    assert await count_of(db, StudyFind) >= first.matches > 0


async def test_a_window_with_an_answer_that_the_database_refuses_is_a_gap(db, pacs, monkeypatch):
    (bad, *_), others = pacs.truth(), len(pacs.truth()) - 1

    async def refuse(session, answers, **given):
        if any(answer.study_uid == bad for answer in answers):
            raise ValuesRefused("a value is out of range")
        return await record_found(session, answers, **given)

    monkeypatch.setattr(asking, "record_found", refuse)
    report = await found_at(db, pacs)
    assert len(report.gaps) == 1
    assert "1 answer names no study, or could not be recorded" in report.gaps[0].message
    assert await count_of(db, StudyFind) == others, "the others of its window are kept"
    async with db.session() as session:
        outcomes = (await session.scalars(select(FindWindow.outcome))).all()
    assert "failed" in outcomes


async def test_no_window_says_that_the_find_has_not_ended_when_it_has(db):
    archive = {"studies": 400, "start_date": "2024-01-01", "end_date": "2024-12-31"}
    async with misbehaving_pacs(archive=archive, cap={"studies": 50}) as pacs:
        report = await found_at(db, pacs)
    async with db.session() as session:
        windows = (await session.scalars(select(FindWindow))).all()
    boxes = {(one.start_date, one.end_date) for one in windows if one.start_time is None}
    whole_days = [one for one in windows if one.start_time is None]
    assert len(boxes) < len(whole_days), "one was asked once more"
    assert report.gaps == ()
    assert [one.message for one in windows if one.covered_on is None] == []
