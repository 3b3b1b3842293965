"""While the last answers to a question are recorded, the next question is put."""

import asyncio
import gc
from datetime import date

import pytest
from sqlalchemy import func, select

from node.config import Config
from node.daemon.cycles import find_cycle, run_on_schedule
from node.daemon.schedule import Schedule
from node.dicom.query import StudyQuery, Window
from node.ops.finding import asking, ledger
from node.ops.finding.answers import recording
from node.ops.finding.asking import Questioner
from node.ops.finding.find import find
from node.ops.stalls import TimeLimits
from schema import Cycle, Database, FindWindow, StudyFind, record_found
from schema.errors import DatabaseUnavailable, ValuesRefused
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

    async def wait(self, *given):
        asked.set()
        await free.wait()
        await keep(self, *given)

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


@pytest.fixture
def answered(monkeypatch):
    """One entry for each question that has been answered to the end."""
    ask, done = Questioner.ask, []

    async def count(self, query, **given):
        asked = await ask(self, query, **given)
        done.append(query)
        return asked

    monkeypatch.setattr(Questioner, "ask", count)
    return done


async def test_an_answer_behind_another_is_recorded_when_the_find_is_cancelled(
    db, pacs, held, answered
):
    free, _ = held
    task = asyncio.create_task(found_at(db, pacs))
    await until(lambda: len(answered) == 2)
    task.cancel()
    await asyncio.sleep(0)
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count_of(db, FindWindow) == 2
    assert await count_of(db, StudyFind) == pacs.counters.answers > 0


async def test_a_find_that_is_cancelled_waits_no_longer_for_a_locked_database_than_it_says(
    db, pacs, held, answered, monkeypatch
):
    monkeypatch.setattr(recording, "TO_RECORD", 0.05)
    task = asyncio.create_task(found_at(db, pacs))
    await until(lambda: len(answered) == 2)
    task.cancel()
    async with asyncio.timeout(10):  # nothing lets its answers be recorded
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await count_of(db, StudyFind) == await count_of(db, FindWindow) == 0
    left = [one for one in asyncio.all_tasks() if "record" in one.get_name()]
    assert left == []


async def test_a_database_that_fails_while_answers_are_recorded_is_told_once(
    db, pacs, answered, monkeypatch
):
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def fail(*_):
        await until(lambda: len(answered) == 2)
        raise DatabaseUnavailable("it is gone")

    monkeypatch.setattr(Questioner, "_keep", fail)
    with pytest.raises(DatabaseUnavailable, match="it is gone"):
        await found_at(db, pacs)
    gc.collect()  # an error that nobody has looked at is told then
    await asyncio.sleep(0)
    assert told == []


async def test_a_window_and_its_answers_are_counted_once_when_their_transaction_is_run_again(
    db, pacs, monkeypatch
):
    add, lost = ledger.add_window, []

    async def lose(session, **given):
        row = await add(session, **given)
        if len(lost) < 3:
            lost.append(await session.scalar(select(func.count()).select_from(StudyFind)))
            raise DatabaseUnavailable("another transaction was first", conflict=True)
        return row

    monkeypatch.setattr(ledger, "add_window", lose)
    report = await found_at(db, pacs)
    assert lost[0] == lost[1] == lost[2] > 0, "its answers are in the transaction of its row"
    async with db.session() as session:
        windows = (await session.scalars(select(FindWindow))).all()
    assert report.gaps == ()
    assert sum(one.new for one in report.windows) == sum(one.new for one in windows) == 60
    assert await count_of(db, StudyFind) == 60
    assert len(windows) == len(report.windows) == pacs.counters.questions


async def test_a_database_that_fails_in_a_find_ends_no_cycles_of_the_node(
    db, pacs, tmp_path, monkeypatch
):
    peer = {"aetitle": "PACS", "host": "127.0.0.1", "port": pacs.port}
    config = Config.model_validate(
        {
            "node": {"aetitle": "NODE"},
            "storage": {"directory": tmp_path, "resources": f"sqlite:///{tmp_path}/other.db"},
            "peers": {"pacs": peer},
        }
    )
    failed: list[object] = []

    async def fail(*_):
        failed.append(_)
        raise DatabaseUnavailable("it is away")

    monkeypatch.setattr(Questioner, "_keep", fail)
    cycles = run_on_schedule("find", Schedule(every=0.01), lambda: find_cycle(config, db))
    task = asyncio.create_task(cycles)
    await until(lambda: len(failed) >= 2 or task.done())
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
