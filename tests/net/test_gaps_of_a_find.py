"""What a find calls a gap is what coverage says of the same dates, whatever the PACS does."""

import asyncio
import logging
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from node.cli.ledger.calendar import window_of
from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding import find as finds
from node.ops.finding.find import find
from node.ops.stalls import TimeLimits
from schema import Cycle, Database, FindWindow
from schema.coverage.ledger import get_coverage
from schema.finding.past import last_find_began
from tests.support.misbehaving import misbehaving_pacs
from tests.support.node import Node

LIMITS = TimeLimits(quiet=1.0, total=20.0)
CALM = TimeLimits(quiet=10.0, total=60.0)
"""For PACSs that answer everything: a machine that is busy for a second is no failure of theirs."""
MONTH = Window(start=date(2024, 1, 1), end=date(2024, 1, 31))
HALF = Window(start=date(2024, 1, 10), end=date(2024, 1, 20))
SOME = {"studies": 24, "start_date": "2024-01-01", "end_date": "2024-01-31", "undated": 2}
AT_ONCE = {"date": "2024-01-15", "studies": 9, "time": "093000"}
PILED = SOME | {"migrations": [AT_ONCE]}

BEHAVIOURS = (
    {"archive": PILED, "cap": {"studies": 5}},
    {"archive": PILED, "cap": {"studies": 7, "kind": "empty"}},
    {"archive": PILED, "cap": {"studies": 7, "kind": "refused"}},
    {"archive": SOME | {"studies": 0, "undated": 0}},
    {"archive": SOME, "widest": {"days": 1, "then": "nothing"}, "cap": {"studies": 3}},
    {"archive": SOME, "ignore": ["StudyDate"]},
    {"archive": SOME, "refuse": {"every": 2}},
    {"archive": SOME, "omit": {"StudyInstanceUID": 0.2}},
    {"archive": SOME, "no_date": "refused"},
)


@pytest.fixture(autouse=True)
def quick(monkeypatch, caplog):
    monkeypatch.setattr(finds, "_PAUSE", 0.001)
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
def url_of_one(request, where):
    """Return the URL of a database of the kind that a test is to have."""
    return request.getfixturevalue(f"migrated_{where}_url")


async def said_by_both(db, pacs, *queries):
    """Return the gaps that a find names, and those of the ledger afterwards, of each scope."""
    undated = [replace(query, window=Window(undated=True)) for query in queries]
    report = await find(db, pacs.peer(), [*queries, *undated], node="NODE", limits=LIMITS)
    async with db.session() as session:
        scopes = await get_coverage(session, peer="pacs")
    named = [(str(gap.query.window), gap.outcome, gap.message) for gap in report.failures]
    known = {
        scope.query.get("ModalitiesInStudy", ""): [
            (window_of(gap), gap.outcome, gap.reason) for gap in scope.gaps
        ]
        for scope in scopes
    }
    return named, known


@pytest.mark.parametrize("settings", BEHAVIOURS, ids=" ".join)
async def test_a_find_names_the_gaps_that_coverage_names(settings, sqlite):
    async with misbehaving_pacs(**settings) as pacs:
        named, known = await said_by_both(sqlite, pacs, StudyQuery(window=MONTH))
        assert named
        assert known == {"": named}
        # a part of the same dates: what is known of the others is not this find's to tell
        named, known = await said_by_both(sqlite, pacs, StudyQuery(window=HALF))
        assert {gap[1:] for gap in named} <= {gap[1:] for gap in known[""]}


async def test_a_find_with_keys_names_the_gaps_of_its_own_scope(db):
    async with misbehaving_pacs(archive=PILED, cap={"studies": 3}) as pacs:
        queries = [StudyQuery(window=MONTH, modality=one) for one in ("CT", "MR")]
        named, known = await said_by_both(db, pacs, *queries)
        assert named
        assert named == [*known["CT"], *known["MR"]]


async def test_studies_without_a_date_are_proven_where_all_that_came_with_them_is_below_the_cap(
    sqlite,
):
    known = PeerProfile(cap=500, cap_kind=CapKind.CUT)
    async with misbehaving_pacs(archive=SOME, cap={"studies": 500}) as pacs:
        queries = [
            StudyQuery(window=window, modality=one)
            for window in (MONTH, Window(undated=True))
            for one in ("CT", "MR")
        ]
        report = await find(sqlite, pacs.peer(), queries, node="NODE", limits=LIMITS, profile=known)
    assert report.failures == []


async def test_an_accession_number_that_is_refused_is_a_gap_though_coverage_has_no_dates_for_it(
    sqlite,
):
    async with misbehaving_pacs(archive=SOME, wildcards="refused") as pacs:
        query = StudyQuery(accession_number="17*")
        report = await find(sqlite, pacs.peer(), [query], node="NODE", limits=LIMITS)
    assert [(gap.query, gap.outcome) for gap in report.failures] == [(query, "refused")]


async def test_the_commands_agree_in_words_in_json_and_in_the_exit_code(
    cli, tmp_path, migrated_sqlite_url
):
    async with misbehaving_pacs(archive=PILED, cap={"studies": 5}) as pacs:
        peers = {"pacs": ("PACS", pacs.port)}
        node = Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)
        dates = ("--from", "2024-01-01", "--to", "2024-01-31")
        told = await asyncio.to_thread(node, "find", "pacs", *dates)
        coverage = await asyncio.to_thread(node, "coverage", "pacs")
        assert (told.code, coverage.code) == (1, 1)
        assert "  2024-01-15 09:30:00 to 09:30:59: truncated: 5 studies" in told.stderr
        assert "2024-01-15 09:30:00 to 09:30:59  truncated" in coverage.stdout
        found = await asyncio.to_thread(lambda: node.json("find", "pacs", *dates, code=1))
        document = await asyncio.to_thread(lambda: node.json("coverage", "pacs", code=1))
        (scope,) = document["peers"][0]["scopes"]
        assert [(gap["outcome"], gap["message"]) for gap in scope["gaps"]] == [
            (gap["outcome"], gap["message"]) for gap in found["failures"]
        ]


@pytest.mark.parametrize(
    ("archive", "cap", "where"),
    [
        ({"studies": 45, "seed": 1, "undated": 0}, {"studies": 4}, "sqlite"),
        ({"studies": 45, "seed": 1, "undated": 0}, {"studies": 4}, "postgresql"),
        ({"studies": 60, "seed": 2, "undated": 0}, {"studies": 4, "kind": "empty"}, "sqlite"),
    ],
)
async def test_a_gap_that_is_asked_for_alone_is_judged_by_what_the_find_before_has_seen(
    archive, cap, url_of_one
):
    """Of one day alone nothing shows that the PACS cuts off, or says nothing when it has much."""
    async with (
        misbehaving_pacs(archive=SOME | archive, cap=cap) as pacs,
        Database(url_of_one) as db,
    ):
        await said_by_both(db, pacs, StudyQuery(window=MONTH))
        for _ in range(2):
            async with db.session() as session:
                (scope,) = await get_coverage(session, peer="pacs")
            dated = [gap for gap in scope.gaps if not gap.undated]
            gaps = dict.fromkeys(Window(start=gap.first, end=gap.last) for gap in dated)
            named, _ = await said_by_both(db, pacs, *(StudyQuery(window=gap) for gap in gaps))
            assert gaps
            assert not [gap for gap in gaps if not any(str(gap.end) in day for day, *_ in named)]


@pytest.mark.parametrize(
    ("first", "last", "heap"),
    [
        (date(1, 1, 1), date(1, 1, 31), "0001-01-01"),
        (date(9999, 12, 1), date(9999, 12, 31), "9999-12-31"),
    ],
    ids=["the first", "the last"],
)
async def test_where_the_calendar_ends_gaps_are_named_as_elsewhere(db, first, last, heap):
    heaped = {"date": heap, "studies": 8, "time": "000000"}
    month = {"start_date": first.isoformat(), "end_date": last.isoformat()}
    archive = {"studies": 14, **month, "migrations": [heaped]}
    async with misbehaving_pacs(archive=archive, cap={"studies": 6}) as pacs:
        query = StudyQuery(window=Window(start=first, end=last))
        await find(db, pacs.peer(), [query], node="NODE", limits=CALM)
        again = await find(db, pacs.peer(), [query], node="NODE", limits=CALM)
    async with db.session() as session:
        scopes = await get_coverage(session, peer="pacs")
    found = [str(gap.first) for scope in scopes for gap in scope.within(first, last).gaps]
    assert found == [heap] * (first.year == 1), "days that are still to come are nothing to it"
    assert [str(gap.query.window.start) for gap in again.failures] == [heap]


@pytest.mark.parametrize("year", [1, 2023])
async def test_single_days_at_the_beginning_of_the_calendar_are_proven_as_others_are(sqlite, year):
    first, last = date(year, 1, 1), date(year, 2, 28)
    month = {"start_date": first.isoformat(), "end_date": last.isoformat()}
    archive = {"studies": 30, "seed": 5, **month}
    async with misbehaving_pacs(archive=archive, date_ranges="refused") as pacs:
        query = StudyQuery(window=Window(start=first, end=last))
        report = await find(sqlite, pacs.peer(), [query], node="NODE", limits=CALM)
    assert report.failures == []


async def test_what_a_clock_has_written_that_was_ahead_proves_nothing_and_hides_no_refusal(db):
    async with misbehaving_pacs(archive=SOME) as pacs:
        await find(db, pacs.peer(), [StudyQuery(window=MONTH)], node="NODE", limits=LIMITS)
    ahead = timedelta(days=400)
    async with db.begin() as session:
        moments = {FindWindow: ("asked_on", "covered_on"), Cycle: ("started_on", "finished_on")}
        for table, names in moments.items():
            for row in await session.scalars(select(table)):
                for name in names:
                    if (moment := getattr(row, name)) is not None:
                        setattr(row, name, moment + ahead)
    async with db.session() as session:
        assert await get_coverage(session, peer="pacs") == []
        assert await last_find_began(session, "pacs", node="NODE") is None
    async with misbehaving_pacs(archive=SOME, refuse={"every": 2}) as pacs:
        named, known = await said_by_both(db, pacs, StudyQuery(window=MONTH))
        assert named
        assert known == {"": named}
