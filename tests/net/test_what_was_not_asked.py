"""What a find was to cover and never came to ask is a gap, until another find has asked for it."""

import asyncio
import json
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from node.dicom.query import StudyQuery, Window
from node.errors import CycleCancelled
from node.ops.cycling import steering as steering_of_cycles
from node.ops.finding.due import drifts_at
from node.ops.finding.find import find
from node.ops.overseeing import steering
from node.ops.overseeing.history import history_of
from node.ops.overseeing.steering import cancel, get_cycles
from node.ops.stalls import TimeLimits
from schema import Cycle
from schema.coverage.asked import AskedDates
from schema.coverage.ledger import get_coverage
from schema.cycles import interrupt_finds, start_cycle
from schema.tables.columns import utcnow
from tests.support.misbehaving import misbehaving_pacs
from tests.support.node import Node
from tests.support.waiting import wait_until_async

LIMITS = TimeLimits(quiet=20.0, total=20.0)
YEARS = Window(start=date(2015, 1, 1), end=date(2024, 12, 31))
WHOLE = {"archive": {"studies": 60, "start_date": "2015-01-01", "end_date": "2024-12-31"}}
SLOW = WHOLE | {"slow": {"question": 30.0}}


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    monkeypatch.setattr(steering_of_cycles, "_LOOK", 0.05)
    monkeypatch.setattr(steering, "_TO_PAUSE", 0.1)


async def begun(db, pacs, *queries):
    """Begin a find; return it when it has put its first question."""
    asked = pacs.counters.questions
    work = find(db, pacs.peer(), queries, node="NODE", limits=LIMITS)
    task = asyncio.create_task(work)
    await wait_until_async(lambda: pacs.counters.questions > asked)
    return task


async def cancelled(db, task):
    async with db.session() as session:
        *_, newest = await session.scalars(select(Cycle.id).order_by(Cycle.id))
    await cancel(db, (await get_cycles(db, [newest]))[0])
    with pytest.raises(CycleCancelled):
        await task
    return newest


async def gaps(db, keys=None):
    """Return the gaps of a scope: dates, outcome, why, and whose find was to ask."""
    async with db.session() as session:
        scopes = await get_coverage(session, peer="pacs")
    return [
        (str(gap.first), str(gap.last), gap.outcome, gap.reason, gap.cycle_id)
        for scope in scopes
        if scope.query == (keys or {})
        for gap in scope.gaps
    ]


async def test_what_a_cancelled_find_never_asked_is_a_gap_until_a_later_one_has_asked(db):
    async with misbehaving_pacs(**SLOW) as slow, misbehaving_pacs(**WHOLE) as pacs:
        queries = [StudyQuery(window=YEARS), StudyQuery(window=Window(undated=True))]
        number = await cancelled(db, await begun(db, slow, *queries))
        why = f"asked for by find {number}, which was cancelled before it got there"
        assert await gaps(db) == [
            ("2015-01-01", "2024-12-31", "not asked", why, number),
            ("None", "None", "not asked", why, number),
        ]
        shown = await history_of(db, number, limit=9)
        (asked,) = shown.asked
        assert (asked.dates, asked.undated) == (((YEARS.start, YEARS.end),), True)
        assert [(one.dates, one.undated) for one in shown.left] == [(asked.dates, True)]
        async with db.session() as session:
            (scope,) = await get_coverage(session, peer="pacs")
        assert sum(month.gaps for month in scope.months) == (YEARS.end - YEARS.start).days + 1
        some = StudyQuery(window=Window(start=date(2018, 1, 1), end=date(2018, 12, 31)))
        await find(db, pacs.peer(), [some], node="NODE", limits=LIMITS)
        assert [gap[:2] for gap in await gaps(db)] == [
            ("2015-01-01", "2017-12-31"),
            ("2019-01-01", "2024-12-31"),
            ("None", "None"),
        ]
        await find(db, pacs.peer(), queries, node="NODE", limits=LIMITS)
    (undated,) = await gaps(db)
    assert undated[2] == "suspect", "it was asked for, and what came is not believed"
    (left,) = (await history_of(db, number, limit=9)).left
    assert (left.dates, left.undated) == ((), True)


async def rows_of(db, *, asked, peer="pacs", outcome=None):
    async with db.begin() as session:
        number = await start_cycle(session, "find", peer, "NODE", 1, asked=asked)
        if outcome == "interrupted":
            await interrupt_finds(session, peer)
    return number


def year(number, **keys):
    return AskedDates(keys=keys, dates=((date(number, 1, 1), date(number, 12, 31)),))


async def test_dates_that_are_proven_are_no_gap_though_a_later_find_never_got_there(db):
    async with misbehaving_pacs(**WHOLE) as pacs:
        query = StudyQuery(window=Window(start=date(2018, 1, 1), end=date(2018, 12, 31)))
        await find(db, pacs.peer(), [query], node="NODE", limits=LIMITS)
    number = await rows_of(db, asked=[year(2018), year(2019)], outcome="interrupted")
    why = f"asked for by find {number}, which was interrupted before it got there"
    assert await gaps(db) == [("2019-01-01", "2019-12-31", "not asked", why, number)]
    again = await rows_of(db, asked=[year(2019)])
    why = f"asked for by find {again}, which is running, and has not asked for it yet"
    assert await gaps(db) == [("2019-01-01", "2019-12-31", "not asked", why, again)]


async def test_what_was_to_be_asked_with_keys_is_a_gap_of_these_alone(db):
    ct = {"ModalitiesInStudy": "CT"}
    number = await rows_of(db, asked=[year(2018, **ct)], outcome="interrupted")
    assert await gaps(db) == []
    assert [gap[:3] for gap in await gaps(db, ct)] == [("2018-01-01", "2018-12-31", "not asked")]
    async with misbehaving_pacs(**WHOLE) as pacs:
        query = StudyQuery(window=Window(start=date(2018, 1, 1), end=date(2018, 6, 30)))
        await find(db, pacs.peer(), [query], node="NODE", limits=LIMITS)
    assert [gap[:2] for gap in await gaps(db, ct)] == [("2018-07-01", "2018-12-31")]
    (left,) = (await history_of(db, number, limit=9)).left
    assert left == AskedDates(keys=ct, dates=((date(2018, 7, 1), date(2018, 12, 31)),))


async def test_nothing_is_known_of_what_older_versions_were_to_ask_nor_of_days_to_come(db):
    today = date.today()  # noqa: DTZ011 - as study dates are
    await rows_of(db, asked=None)
    await rows_of(db, asked=[])
    ahead = AskedDates(keys={}, dates=((today + timedelta(days=1), None),))
    await rows_of(db, asked=[ahead], outcome="interrupted")
    assert await gaps(db) == []
    async with db.session() as session:
        assert await get_coverage(session) == []
        moment = utcnow()
    await rows_of(db, asked=[year(2018)], outcome="interrupted")
    async with db.session() as session:
        assert await get_coverage(session, as_of=moment) == []
        assert len(await get_coverage(session, as_of=utcnow())) == 1


async def test_of_a_running_find_is_left_what_it_has_no_answer_for_though_it_was_proven_before(db):
    query, dates = StudyQuery(window=YEARS), ((YEARS.start, YEARS.end),)
    async with misbehaving_pacs(**WHOLE) as pacs:
        await find(db, pacs.peer(), [query], node="NODE", limits=LIMITS)
    async with misbehaving_pacs(**SLOW) as pacs:
        task = await begun(db, pacs, query)
        while_it_runs = await history_of(db, 2, limit=1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert while_it_runs.left == [AskedDates(keys={}, dates=dates)]
    assert (await history_of(db, 1, limit=1)).left == []


async def test_the_commands_say_what_was_not_asked_and_only_gaps_closes_it(
    cli, tmp_path, migrated_sqlite_url
):
    async with misbehaving_pacs(**SLOW) as slow, misbehaving_pacs(**WHOLE) as pacs:
        node = Node(
            cli, tmp_path / "node", migrated_sqlite_url, peers={"pacs": ("PACS", slow.port)}
        )
        options = ("--from", "2015-01-01", "--to", "2024-12-31")
        find_years = ("find", "pacs", *options, "--config", node.config)
        process = await asyncio.to_thread(cli.start, *find_years, log=tmp_path / "find.log")
        await wait_until_async(lambda: slow.counters.questions)
        cancel_it = await asyncio.to_thread(node, "cycles", "cancel", "1")
        assert cancel_it.code == 0, cancel_it
        await asyncio.to_thread(process.wait, 10)
        told = await asyncio.to_thread(node, "coverage", "pacs")
        assert told.code == 1
        assert told.stdout.startswith("pacs: 2015-01-01 to 2024-12-31, nothing is proven, ")
        assert "asked for by find 1, which was cancelled before it got there" in told.stdout
        hint = "dicom-node find pacs --from 2015-01-01 --to 2024-12-31 --only-gaps"
        assert hint in told.stdout
        document = json.loads((await asyncio.to_thread(node, "coverage", "--json")).stdout)
        last = document["peers"][0]["scopes"][0]["gaps"][-1]
        assert (last["cycle_id"], last["last_date"], last["asked_on"]) == (1, "2024-12-31", None)
        shown = (await asyncio.to_thread(node, "cycles", "show", "1")).stdout
        assert "is to cover  2015-01-01 to 2024-12-31\n" in shown
        assert "left         2015-01-01 to 2024-12-31\n" in shown
        node.configure({"pacs": ("PACS", pacs.port)})
        only_gaps = await asyncio.to_thread(node, "find", "pacs", *options, "--only-gaps")
        assert only_gaps.code == 0, only_gaps
        assert (await asyncio.to_thread(node, "coverage", "pacs")).code == 0
        cycle = json.loads((await asyncio.to_thread(node, "cycles", "show", "1", "--json")).stdout)
        dates = {"keys": {}, "dates": [["2015-01-01", "2024-12-31"]], "undated": False}
        assert (cycle["asked"], cycle["left"]) == ([dates], [])


async def test_what_a_find_brings_that_goes_on_with_another_one_did_not_come_late(db):
    archive = {"studies": 300, "start_date": "2024-01-01", "end_date": "2024-01-31"}
    async with misbehaving_pacs(archive=archive, cap={"studies": 20}) as pacs:
        december = StudyQuery(window=Window(start=date(2023, 12, 1), end=date(2023, 12, 31)))
        january = StudyQuery(window=Window(start=date(2024, 1, 1), end=date(2024, 1, 31)))
        await find(db, pacs.peer(), [december], node="NODE", limits=LIMITS)
        task = await begun(db, pacs, january)
        await wait_until_async(lambda: pacs.counters.questions > 12)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        report = await find(db, pacs.peer(), [january], node="NODE", limits=LIMITS)
    assert report.recalled > 0
    assert report.counts()["late"] == 0
    async with db.session() as session:
        assert await drifts_at(session, "pacs", await get_coverage(session, peer="pacs")) == []
