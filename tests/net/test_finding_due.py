"""What is due at a PACS, asked over the network: no more and no less than the ledger says."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import func, select

from node.config import Config
from node.daemon.cycles import find_cycle, last_find, peers_by_hours
from node.dicom.query import StudyQuery, Window
from node.ops.finding import find as finds
from node.ops.finding.peers import find_at_peers
from node.ops.finding.proving.plans import plan_at_peer
from schema import Cycle, Database, FindWindow
from schema.tables.sources import StudySource
from tests.support.scripted_pacs import ScriptedPacs

TODAY = datetime.now(UTC).astimezone().date()
START = TODAY - timedelta(days=400)


def now():
    return datetime.now(UTC).astimezone()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(finds, "_PAUSE", 0.001)


@pytest.fixture
async def db(migrated_url):
    async with Database(migrated_url) as database:
        yield database


@pytest.fixture
async def sqlite(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database:
        yield database


def study(day: date, number: int = 0) -> Dataset:
    answer = Dataset()
    answer.StudyInstanceUID = f"1.{day:%Y%m%d}.{number}"
    answer.StudyDate = f"{day:%Y%m%d}"
    answer.StudyTime = "081500"
    return answer


class Archive:
    """Answers truthfully, and keeps the ranges of dates that it was asked for."""

    def __init__(self, studies):
        self.studies = studies
        self.ranges = []

    async def __call__(self, asked):
        for one in self.matching(asked):
            asked.pending(one)
        asked.done()

    def matching(self, asked):
        if asked.study_uid:
            return [one for one in self.studies if one.StudyInstanceUID == asked.study_uid]
        first, _, last = asked.identifier.StudyDate.partition("-")
        self.ranges.append((date.fromisoformat(first), date.fromisoformat(last or first)))
        return [one for one in self.studies if first <= one.StudyDate <= (last or first)]


@pytest.fixture
async def pacs():
    days = (START + timedelta(days=2 * n) for n in range(200))
    archive = Archive([study(day) for day in days])
    async with ScriptedPacs(archive) as server:
        server.archive = archive
        yield server


def configured(pacs, *, cap=1000, **find):
    peer = pacs.peer()
    settings = {"aetitle": peer.aetitle, "host": peer.host, "port": peer.port}
    settings["profile"] = {"cap": cap, "cap_kind": "cut"}
    return Config(peers={"pacs": settings}, find={"start_date": START, **find})


async def find_due(config, db, pacs, **options):
    """Find what is due; return the report, and the ranges that the PACS was asked for."""
    pacs.archive.ranges.clear()
    tour = await find_at_peers(config, db, ["pacs"], (), due=now(), **options)
    assert not tour.troubles
    return tour.reports[0] if tour.reports else None, sorted(pacs.archive.ranges)


async def age(db, **by):
    """Let everything that was ever asked have happened so long ago."""
    since = timedelta(**by)
    async with db.begin() as session:
        for table, names in (
            (FindWindow, ("asked_on", "covered_on")),
            (Cycle, ("started_on", "finished_on")),
            (StudySource, ("found_on", "last_seen_on")),
        ):
            for row in await session.scalars(select(table)):
                for name in names:
                    if getattr(row, name) is not None:
                        setattr(row, name, getattr(row, name) - since)


async def test_after_a_find_a_minute_ago_only_the_newest_is_asked_for(db, pacs):
    config = configured(pacs)
    report, ranges = await find_due(config, db, pacs)
    assert (report.counts()["new"], report.failures) == (200, [])
    assert (ranges[0][0], ranges[-1][1]) == (START, TODAY)
    report, ranges = await find_due(config, db, pacs)
    assert ranges == [(TODAY - timedelta(days=7), TODAY)]
    assert report.late == ()


async def test_after_weeks_of_downtime_nothing_is_skipped_and_what_expired_is_asked_once(
    sqlite, pacs
):
    config = configured(pacs)
    await find_due(config, sqlite, pacs)
    await age(sqlite, days=21)
    async with sqlite.begin() as session:  # nobody has asked for what came since
        for row in await session.scalars(select(FindWindow)):
            row.end_date = min(row.end_date, TODAY - timedelta(days=21))
    report, ranges = await find_due(config, sqlite, pacs)
    assert ranges == [(TODAY - timedelta(days=90), TODAY)]
    assert report.failures == []


async def test_what_an_archive_was_proven_to_have_is_asked_for_again_in_one_question(sqlite, pacs):
    config = configured(pacs)
    _, first = await find_due(config, sqlite, pacs)
    assert len(first) > 1
    await age(sqlite, days=370)
    report, ranges = await find_due(config, sqlite, pacs)
    # what was still to come when the proof that has expired was new is not known by it
    assert len(ranges) == 2
    assert (ranges[0][0], ranges[1][1]) == (START, TODAY)
    assert (report.counts()["new"], report.counts()["gone"], report.failures) == (0, 0, [])


async def test_a_study_that_came_late_is_told_and_its_dates_are_asked_for_more_often(db, pacs):
    config = configured(pacs, modality=[])
    await find_due(config, db, pacs)
    await age(db, days=40)
    old = START + timedelta(days=100)
    pacs.archive.studies += [study(old, 1), study(old, 2), study(TODAY)]
    report, ranges = await find_due(config, db, pacs)
    # more came than were known: the largest answer is held against its halves
    assert max(ranges, key=lambda one: one[1] - one[0]) == (START, TODAY)
    assert len(ranges) == 3
    assert [(one.first, one.last, one.studies) for one in report.late] == [(old, old, 2)]
    assert report.counts()["late"] == 2
    async with db.session() as session:
        *_, last = await session.scalars(select(Cycle).order_by(Cycle.id))
    assert last.counts["late"] == 2
    for days, wanted in ((1, True), (1, False), (1, True), (3, False), (1, True)):
        await age(db, days=days)
        plan = await plan_at_peer(config, db, "pacs", (), due=now())
        asked = [query.window for query in plan.queries]
        assert any(window.contains(old) for window in asked) is wanted, (days, asked)
        if wanted:
            report, _ = await find_due(config, db, pacs)
            assert report.late == ()


async def test_a_find_stops_when_the_hours_end_and_the_rest_is_due_in_the_next_one(db, pacs):
    config = configured(pacs)
    left = iter([True, True, True])
    report, ranges = await find_due(config, db, pacs, proceed=lambda _: next(left, False))
    assert (len(ranges), report.stopped) == (2, True)
    async with db.session() as session:
        (cycle,) = await session.scalars(select(Cycle))
    assert (cycle.outcome, cycle.message) == ("interrupted", "the hours ended")
    rest, _ = await find_due(config, db, pacs)
    assert report.counts()["new"] + rest.counts()["new"] == 200
    assert rest.failures == []


async def test_each_peer_is_asked_in_its_own_hours_which_may_end_in_the_middle(
    sqlite, pacs, caplog
):
    caplog.set_level("INFO")
    config = configured(pacs)
    later = datetime.now(UTC) + timedelta(hours=2)
    closed = f"{later:%H:%M}-{later + timedelta(hours=1):%H:%M} UTC"
    settings = {"aetitle": "PACS", "host": "127.0.0.1", "port": pacs.port}
    peers = {name: {**settings, "hours": closed} for name in ("pacs", "other", "third")}
    peers["third"]["hours"] = f"{later + timedelta(hours=2):%H:%M}-{later:%H:%M} UTC"
    peers["fourth"] = settings
    config = Config(peers=peers, find={"start_date": START, "hours": "00:00-24:00 UTC"})
    assert list(peers_by_hours(peers, config.find_hours).values()) == [
        ("pacs", "other"),
        ("third",),
        ("fourth",),
    ]
    await find_cycle(config, sqlite)
    for name in ("pacs", "other"):
        assert f"Find at {name}: the hours ended; what is left is due next time" in caplog.text
    async with sqlite.session() as session:
        assert set(await session.scalars(select(Cycle.peer))) == {"third", "fourth"}
    pacs.archive.ranges.clear()
    held = asyncio.Semaphore(0)
    waiting = asyncio.create_task(find_cycle(config, sqlite, ["fourth"], turns=held))
    await find_cycle(config, sqlite, ["third"])
    async with sqlite.session() as session:
        count = select(func.count()).select_from(Cycle)
        assert await session.scalar(count.where(Cycle.peer == "fourth")) == 1
    held.release()
    await waiting
    async with sqlite.session() as session:
        assert await session.scalar(count.where(Cycle.peer == "fourth")) == 2


async def test_where_everything_was_that_is_gone_a_wide_answer_of_nothing_is_not_believed(
    sqlite, pacs
):
    config = configured(pacs)
    await find_due(config, sqlite, pacs)
    await age(sqlite, days=370)
    truth, pacs.archive.studies = pacs.archive.studies, []
    _, ranges = await find_due(config, sqlite, pacs)
    assert max((end - start).days for start, end in ranges) > 100
    assert min((end - start).days for start, end in ranges) <= 1
    pacs.archive.studies = truth


async def test_studies_without_a_date_are_asked_for_once_whatever_else_is_due(sqlite):
    undated = []

    async def script(asked):
        undated.append(not asked.identifier.StudyDate)
        asked.done()

    async with ScriptedPacs(script) as server:
        server.archive = Archive([])
        config = configured(server, undated=True, start_date=TODAY - timedelta(days=3))
        await find_due(config, sqlite, server)
        assert sum(undated) == 1
        await find_due(config, sqlite, server)
        assert sum(undated) == 1
        await age(sqlite, days=1)
        await find_due(config, sqlite, server)
        assert sum(undated) == 2


async def test_a_find_of_gaps_asks_for_studies_without_a_date_once_and_only_while_they_are_one(
    sqlite,
):
    days = [TODAY - timedelta(days=days) for days in (40, 30, 20, 10)]
    asked_for, answered = [], False
    undated = Dataset()
    undated.StudyInstanceUID = "1.0"

    async def script(asked):
        asked_for.append(str(asked.identifier.StudyDate))
        if not asked_for[-1] and not answered:
            asked.done(0xA700)
            return
        for one in archive.matching(asked) if asked_for[-1] else [*archive.studies, undated]:
            asked.pending(one)
        asked.done()

    async def find_gaps(first, last):
        asked_for.clear()
        dates = StudyQuery(window=Window(start=first, end=last))
        tour = await find_at_peers(config, sqlite, ["pacs"], [dates], only_gaps=True)
        (report,) = tour.reports
        return report.failures, asked_for.count("")

    archive = Archive([study(day) for day in days])
    async with ScriptedPacs(script) as server:
        config = configured(server, cap=0, undated=True)
        refused, times = await find_gaps(days[1], days[2])
        assert ([str(gap.query.window) for gap in refused], times > 1) == (["without a date"], True)
        answered = True
        assert await find_gaps(days[0], days[3]) == ([], 1), "between two gaps among the dates"
        assert any(asked_for)
        assert await find_gaps(days[0], days[3]) == ([], 0)
        assert await find_gaps(days[0] - timedelta(days=9), days[3]) == ([], 0)
        assert any(asked_for)


async def test_the_daemon_says_that_it_is_not_known_whether_studies_are_gone(sqlite, pacs, caplog):
    async def by_date_alone(asked):
        if asked.study_uid:
            asked.done()
        else:
            await pacs.archive(asked)

    pacs.script = by_date_alone
    config = configured(pacs, start_date=TODAY - timedelta(days=5))
    await find_cycle(config, sqlite)
    assert "did not come again" not in caplog.text
    pacs.archive.studies.remove(pacs.archive.studies[-1])
    await find_cycle(config, sqlite)
    assert "Find at pacs: 1 study did not come again: whether " in caplog.text


async def test_the_daemon_warns_of_each_gap_with_its_dates(sqlite, pacs, caplog):
    bad = TODAY - timedelta(days=2)

    async def refuse_a_day(asked):
        first, _, last = str(asked.identifier.StudyDate).partition("-")
        if first <= f"{bad:%Y%m%d}" <= (last or first):
            asked.done(0xA700)
        else:
            await pacs.archive(asked)

    pacs.script = refuse_a_day
    config = configured(pacs, start_date=TODAY - timedelta(days=5))
    await find_cycle(config, sqlite)
    (warning,) = [
        record.getMessage()
        for record in caplog.records
        if record.levelname == "WARNING" and record.name == "node.daemon.cycles"
    ]
    assert warning == (
        "Find at pacs: 2 gaps, and what it has there is not known: "
        f"{bad} 00:00:00 to 00:00:59: refused; {bad} 00:01:00 to 23:59:59: refused"
    )


async def test_each_modality_is_due_by_itself(sqlite, pacs):
    config = configured(pacs, modality=["CT"])
    await find_due(config, sqlite, pacs)
    both = configured(pacs, modality=["CT", "MR"])
    plan = await plan_at_peer(both, sqlite, "pacs", (), due=now())
    asked = [(query.modality, query.window.start) for query in plan.queries]
    assert ("CT", TODAY - timedelta(days=7)) in asked
    assert ("MR", START) in asked
    assert ("CT", START) not in asked


async def test_when_the_next_cycle_is_due_follows_from_the_ledger(sqlite, pacs):
    config = configured(pacs)
    assert await last_find(config, sqlite) is None
    before = datetime.now(UTC).replace(tzinfo=None)
    await find_due(config, sqlite, pacs)
    began = await last_find(config, sqlite)
    assert before <= began <= datetime.now(UTC).replace(tzinfo=None)
    report, ranges = await find_due(config, sqlite, pacs, proceed=lambda _: False)
    assert (report.stopped, report.windows, ranges) == (True, (), [])
    assert await last_find(config, sqlite) == began
    left = iter([True])
    await age(sqlite, days=2)
    await find_due(config, sqlite, pacs, proceed=lambda _: next(left, False))
    assert await last_find(config, sqlite) is None
    await find_due(config, sqlite, pacs)
    assert await last_find(config, sqlite) > began
    two = Config(peers={**config.peers, "other": config.peer("pacs")}, find={"every": "1h"})
    assert await last_find(two, sqlite) is None
