"""Finding over the network at PACSs that hold back: what is missing is a gap in the ledger."""

import asyncio
import re
from collections import Counter
from datetime import date, timedelta

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import delete, select

from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery, Window
from node.dicom.status import Status
from node.errors import PeerRefused
from node.ops.finding import asking, inquiry
from node.ops.finding import find as finds
from node.ops.finding.find import find
from node.ops.stalls import TimeLimits
from schema import Cycle, FindWindow, StudyFind
from schema.coverage.ledger import get_coverage
from schema.finding.windows import cut_at, proven_spans, was_silent
from schema.tables.sources import StudySource
from tests.support.misbehaving import misbehaving_pacs
from tests.support.scripted_pacs import ScriptedPacs

START, END = date(2024, 1, 1), date(2024, 1, 30)
MONTH = [StudyQuery(window=Window(start=START, end=END))]
SOONER = date(2024, 1, 12)
DAYS = [StudyQuery(window=Window(start=START, end=SOONER))]
"""Fewer, for those that are asked for each day, and in parts."""
LIMITS = TimeLimits(quiet=20.0, total=20.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(finds, "_PAUSE", 0.001)
    monkeypatch.setattr(inquiry, "_PAUSE", 0.001)


def study(number: int, day: date, hour: int) -> Dataset:
    answer = Dataset()
    answer.StudyInstanceUID = f"1.{day:%Y%m%d}.{number}"
    answer.StudyDate = f"{day:%Y%m%d}"
    answer.StudyTime = f"{hour:02}1500"
    return answer


def archive(per_day: int = 8, days: int = 30) -> list[Dataset]:
    dates = (START + timedelta(days=n) for n in range(days))
    return [study(n, day, 8 + n) for day in dates for n in range(per_day)]


def matching(asked, studies: list[Dataset]) -> list[Dataset]:
    if asked.study_uid:
        return [one for one in studies if one.StudyInstanceUID == asked.study_uid]
    first, _, last = asked.identifier.StudyDate.partition("-")
    begin, _, end = str(asked.identifier.StudyTime or "").partition("-")
    return [
        one
        for one in studies
        if first <= one.StudyDate <= (last or first)
        and (not begin or begin <= one.StudyTime <= end)
    ]


async def recorded(db) -> set[str]:
    async with db.session() as session:
        return set(await session.scalars(select(StudyFind.study_uid)))


async def rows(db) -> list[FindWindow]:
    async with db.session() as session:
        return list(await session.scalars(select(FindWindow).order_by(FindWindow.id)))


async def test_a_peer_that_cuts_its_answers_off_and_says_success_is_found_out(db):
    studies = archive(days=12)

    async def script(asked):
        for one in matching(asked, studies)[:5]:
            asked.pending(one)
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await find(db, pacs.peer(), DAYS, node="NODE", limits=LIMITS)
    assert await recorded(db) == {str(one.StudyInstanceUID) for one in studies}
    assert report.failures == []
    windows = await rows(db)
    # a study that several windows bring is found once
    assert (report.counts()["found"], report.counts()["new"]) == (len(studies), len(studies))
    assert sum(row.matches for row in windows) > len(studies)
    assert {row.outcome for row in windows} == {"complete", "truncated"}
    first, top = [row for row in windows if row.parent_id is None]  # once more, as parts had more
    assert parts_of(first, windows)
    assert (top.start_date, top.end_date, top.outcome) == (START, SOONER, "truncated")
    asked_on = [row.asked_on for row in windows if not parts_of(row, windows) and row is not top]
    assert (top.covered_on, top.asked_on) == (min(asked_on), first.asked_on)
    assert all(row.start_date == row.end_date for row in windows if row.start_time is not None)
    async with db.session() as session:
        spans = await proven_spans(session, "pacs", {})
    assert (START, SOONER) in [(span.start, span.end) for span in spans]


def parts_of(row: FindWindow, windows: list[FindWindow]) -> list[FindWindow]:
    return [one for one in windows if one.parent_id == row.id]


async def test_a_peer_that_announces_that_there_are_more_is_asked_for_the_rest(sqlite):
    studies = archive()

    async def script(asked):
        found = matching(asked, studies)
        for one in found[:50]:
            asked.pending(one)
        asked.done(Status.RESPONSE_LIMIT if len(found) > 50 else Status.SUCCESS)

    async with ScriptedPacs(script) as pacs:
        report = await find(sqlite, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
    assert len(await recorded(sqlite)) == len(studies)
    assert (report.failures, len(pacs.asked) < 30) == ([], True)


async def test_a_peer_that_refuses_each_question_twice_is_asked_until_it_answers(sqlite):
    studies = archive()
    refused: Counter[str] = Counter()

    async def script(asked):
        key = f"{asked.identifier.StudyDate} {asked.identifier.StudyTime}"
        refused[key] += 1
        if refused[key] <= 2:
            asked.done(Status.OUT_OF_RESOURCES)
            return
        for one in matching(asked, studies):
            asked.pending(one)
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await find(sqlite, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
    assert len(await recorded(sqlite)) == len(studies)
    assert report.failures == []
    assert Counter(row.outcome for row in await rows(sqlite))["refused"] >= 2


async def test_a_peer_that_aborts_every_question_is_asked_a_few_times_and_named(sqlite):
    async def script(asked):
        asked.abort()

    year = [StudyQuery(window=Window(start=date(2023, 6, 1), end=date(2024, 5, 31)))]
    async with ScriptedPacs(script) as pacs:
        with pytest.raises(PeerRefused, match="so it did with every question") as refused:
            await find(sqlite, pacs.peer(), year, node="NODE", limits=LIMITS)
        assert len(pacs.asked) == 6
    assert "aborted" in str(refused.value)
    assert {row.outcome for row in await rows(sqlite)} == {"failed"}
    async with sqlite.session() as session:
        (cycle,) = await session.scalars(select(Cycle))
    assert cycle.outcome == "failed"


async def test_a_peer_that_aborts_what_is_wide_is_asked_for_less(sqlite):
    studies = archive(per_day=2)

    async def script(asked):
        first, _, last = str(asked.identifier.StudyDate).partition("-")
        if last and int(last) - int(first) > 10:
            asked.abort()
            return
        for one in matching(asked, studies):
            asked.pending(one)
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await find(sqlite, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
    assert (len(await recorded(sqlite)), report.failures) == (len(studies), [])


async def test_a_peer_that_refuses_everything_is_asked_a_few_times_and_named(sqlite):
    async def script(asked):
        asked.done(0xA900)

    year = [StudyQuery(window=Window(start=date(2023, 6, 1), end=date(2024, 5, 31)))]
    async with ScriptedPacs(script) as pacs:
        with pytest.raises(PeerRefused) as refused:
            await find(sqlite, pacs.peer(), year, node="NODE", limits=LIMITS)
        assert len(pacs.asked) == 8, "two of them once more, over an association of their own"
    message = str(refused.value)
    assert message.startswith("pacs answered the C-FIND with 0xA900")
    assert f"whether PACS at 127.0.0.1:{pacs.port} is the one that answers queries" in message
    assert "lets NODE query it" in message
    asked = await rows(sqlite)
    top = [row for row in asked if row.start_date is not None and row.parent_id is None]
    assert (min(row.start_date for row in top), max(row.end_date for row in top)) == (
        date(2023, 6, 1),
        date(2024, 5, 31),
    )
    assert not any(row.covered_on for row in asked)
    assert {row.outcome for row in asked} == {"refused", "failed"}
    async with sqlite.session() as session:
        (cycle,) = await session.scalars(select(Cycle))
    assert (cycle.outcome, cycle.message) == ("failed", message)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_peer_that_answers_single_days_alone_and_these_late_is_asked_for_all(sqlite, times):
    studies = archive(2, days=12)
    asked_for: Counter[str] = Counter()

    async def script(asked):
        question = f"{asked.identifier.StudyDate} {asked.identifier.StudyTime} {asked.study_uid}"
        asked_for[question] += 1
        if "-" in asked.identifier.StudyDate or asked_for[question] < times:
            asked.done(Status.OUT_OF_RESOURCES)
            return
        for one in matching(asked, studies):
            asked.pending(one)
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await find(sqlite, pacs.peer(), DAYS, node="NODE", limits=LIMITS)
    assert len(await recorded(sqlite)) == len(studies)
    assert report.failures == []
    assert asked_for["19710307  2.25.57360519640018329465026185371094"] == times


async def test_a_peer_that_ignores_dates_is_a_gap_and_asked_a_few_times(sqlite):
    studies = archive()
    year = [StudyQuery(window=Window(start=date(2023, 6, 1), end=date(2024, 5, 31)))]

    async def script(asked):
        for one in studies:
            asked.pending(one)
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await find(sqlite, pacs.peer(), year, node="NODE", limits=LIMITS)
    assert len(pacs.asked) <= 5
    assert len(await recorded(sqlite)) == len(studies)
    assert all("ignores dates" in gap.message for gap in report.failures)
    assert report.failures


async def test_a_study_is_gone_only_when_it_is_in_no_answer_of_the_find(db):
    studies = archive(2)

    async def script(asked):
        for one in (
            matching(asked, studies + strays)
            if asked.study_uid
            else [
                *matching(asked, studies),
                *strays,
            ]
        ):
            asked.pending(one)
        asked.done()

    strays: list[Dataset] = []
    async with ScriptedPacs(script) as pacs:
        await find(db, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
        lost, moved = studies.pop(), studies.pop()
        stray = study(0, date(2025, 1, 1), 8)  # it is none of the find's, with the date it has now
        stray.StudyInstanceUID = moved.StudyInstanceUID
        strays.append(stray)
        report = await find(db, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
    assert (report.gone, report.failures) == (1, [])
    async with db.session() as session:
        gone = await session.scalars(
            select(StudyFind.study_uid)
            .join(StudySource, StudySource.study_find_id == StudyFind.id)
            .where(StudySource.gone_on.is_not(None))
        )
        assert list(gone) == [lost.StudyInstanceUID]


async def test_a_find_that_was_cut_short_goes_on_where_it_was(db):
    studies = archive(days=12)
    asked_for: Counter[str] = Counter()
    broken = True

    async def script(asked):
        asks = asked.identifier
        key = f"{asks.StudyDate} {asks.StudyTime} {asks.ModalitiesInStudy}"
        asked_for[key] += 1
        if broken and len(asked_for) == 16:
            raise_from_here.set()
            return
        for one in matching(asked, studies)[:5]:
            asked.pending(one)
        asked.done()

    raise_from_here = asyncio.Event()
    async with ScriptedPacs(script) as pacs:
        task = asyncio.ensure_future(find(db, pacs.peer(), DAYS, node="NODE", limits=LIMITS))
        await asyncio.wait_for(raise_from_here.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        broken = False
        told = []
        before = len(await rows(db))
        report = await find(db, pacs.peer(), DAYS, node="NODE", limits=LIMITS, watch=told.append)
    resumed = f"pacs: goes on with cycle 1, by which {before} windows had been answered"
    assert resumed in [str(one) for one in told[:2]]
    assert report.counts()["recalled"] == report.recalled == before
    assert report.failures == []
    assert await recorded(db) == {str(one.StudyInstanceUID) for one in studies}
    # the one that was being asked; and twice the largest of those that were answered: before the
    # cap was believed, and to see that it is the same by now
    assert sorted(count for count in asked_for.values() if count > 1) == [2, 3]


async def test_a_find_that_goes_on_sees_that_the_peer_answers_fewer_at_once_by_now(sqlite):
    days = [START + timedelta(days=number) for number in range(240)]
    studies = [study(number, day, 8 + number) for day in days for number in range(2)]
    query = [StudyQuery(window=Window(start=days[0], end=days[-1]))]
    limit, kill = len(studies), asyncio.Event()

    async def script(asked):
        if limit == len(studies) and len(pacs.asked) == 4:
            kill.set()
            return
        for one in matching(asked, studies)[:limit]:
            asked.pending(one)
        asked.done()

    async with ScriptedPacs(script) as pacs:
        task = asyncio.create_task(find(sqlite, pacs.peer(), query, node="NODE", limits=LIMITS))
        await asyncio.wait_for(kill.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        limit = 15
        report = await find(sqlite, pacs.peer(), query, node="NODE", limits=LIMITS)
    assert (report.failures, report.recalled) == ([], 0)
    assert await recorded(sqlite) == {str(one.StudyInstanceUID) for one in studies}


async def test_who_names_dates_wants_them_of_all_studies_and_not_of_each_restricted_find(db):
    studies = archive()

    async def script(asked):
        for one in matching(asked, studies):
            asked.pending(one)
        asked.done()

    some = Window(start=START + timedelta(days=3), end=START + timedelta(days=5))
    async with ScriptedPacs(script) as pacs:
        await find(db, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
        ct = [StudyQuery(window=some, modality="CT")]
        await find(db, pacs.peer(), ct, node="NODE", limits=LIMITS)
    async with db.session() as session:
        whole, restricted = await get_coverage(session)
    assert (restricted.stretches[0].first, restricted.stretches[-1].last) == (some.start, some.end)
    assert whole.within(START, END).gaps == restricted.within(START, END).gaps == ()


async def test_a_find_that_is_cancelled_at_its_first_question_counts_no_window_as_failed(sqlite):
    begun = asyncio.Event()

    async def script(_):
        begun.set()

    async with ScriptedPacs(script) as pacs:
        task = asyncio.ensure_future(find(sqlite, pacs.peer(), MONTH, node="NODE", limits=LIMITS))
        await asyncio.wait_for(begun.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with sqlite.session() as session:
        counts = (await session.scalars(select(Cycle.counts))).one()
    assert (counts["windows"], counts["failed_windows"]) == (0, 0)


async def test_what_has_come_is_recorded_though_that_takes_longer_than_the_peer_may(
    sqlite, monkeypatch
):
    studies = archive()
    quick = asking.record_found

    async def slow(*args, **options):
        await asyncio.sleep(0.6)
        return await quick(*args, **options)

    monkeypatch.setattr(asking, "record_found", slow)

    async def script(asked):
        for one in matching(asked, studies):
            asked.pending(one)
        asked.done()

    limits = TimeLimits(quiet=0.3, total=0.5)
    async with ScriptedPacs(script) as pacs:
        report = await find(sqlite, pacs.peer(), MONTH, node="NODE", limits=limits)
    assert len(await recorded(sqlite)) == len(studies)
    assert report.failures == []


async def test_studies_that_come_late_leave_no_word_of_a_cap_behind(db):
    archive = {"studies": 60, "start_date": "2024-01-01", "end_date": "2024-01-30"}
    late = {"share": 0.2, "after_questions": 2}
    async with misbehaving_pacs(archive=archive, late=late) as pacs:
        profile = PeerProfile(cap=500, cap_kind=CapKind.CUT, widest=0)
        report = await find(db, pacs.peer(), MONTH, node="NODE", limits=LIMITS, profile=profile)
        assert await recorded(db) == set(pacs.truth())
    assert (report.failures, report.contradiction) == ([], None)
    first, again = [row for row in await rows(db) if (row.start_date, row.end_date) == (START, END)]
    assert (again.outcome, again.matches > first.matches) == ("complete", True)
    async with db.session() as session:
        assert await cut_at(session, "pacs") is None


async def test_a_study_that_is_answered_without_its_uid_is_a_gap(sqlite):
    studies = archive()
    studies[17].StudyInstanceUID = ""

    async def script(asked):
        for one in matching(asked, studies):
            asked.pending(one)
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await find(sqlite, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
    assert [(str(gap), gap.outcome) for gap in report.failures] == [("2024-01-03", "failed")]
    assert "1 answer names no study" in report.failures[0].message
    assert len(await recorded(sqlite)) == len(studies) - 1


async def test_answers_without_a_uid_count_where_the_peer_cuts_off(sqlite, caplog):
    studies = archive(per_day=12)[:72]  # a day has more than is answered: it is asked for by times
    for one in studies[5::9]:
        one.StudyInstanceUID = ""
    named = {str(one.StudyInstanceUID) for one in studies if one.StudyInstanceUID}

    async def script(asked):
        for one in matching(asked, studies)[:7]:
            asked.pending(one)
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await find(sqlite, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
    assert await recorded(sqlite) == named
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    (first, in_all) = (one for one in said if "answer" in one)
    assert "undecodable answer" in first
    assert re.fullmatch(r"[1-9][0-9]+ answers of pacs could not be read", in_all)
    told = [gap for gap in report.failures if "no study, or could not be recorded" in gap.message]
    assert all(
        any(gap.query.window.contains(date.fromisoformat(one.StudyDate)) for gap in told)
        for one in studies[5::9]
    )
    without = [row.lacking["StudyInstanceUID"] for row in await rows(sqlite) if row.lacking]
    assert max(without) <= 7


async def test_a_find_that_was_killed_takes_over_windows_with_answers_without_a_uid(db):
    studies = archive(per_day=2)
    for one in studies[10::25]:
        one.StudyInstanceUID = ""
    kill = asyncio.Event()

    async def script(asked):
        for one in matching(asked, studies)[:9]:
            asked.pending(one)
        asked.done()
        if len(pacs.asked) == 12:
            kill.set()

    async with ScriptedPacs(script) as pacs:
        task = asyncio.create_task(find(db, pacs.peer(), MONTH, node="NODE", limits=LIMITS))
        await kill.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        report = await find(db, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
        asked = len(pacs.asked)
        for table in (FindWindow, Cycle):
            async with db.begin() as session:
                await session.execute(delete(table))
        whole = await find(db, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
    assert report.recalled > 0
    assert asked <= len(pacs.asked) - asked + 2, "the one that was put, and the one before"
    assert [str(gap) for gap in report.failures] == [str(gap) for gap in whole.failures] != []


async def test_an_open_range_with_the_most_studies_of_all_may_be_cut_off(sqlite):
    planned = [study(n, date(2030, 1, 1) + timedelta(days=n), 9) for n in range(60)]

    async def script(asked):
        ahead = str(asked.identifier.StudyDate).endswith("-")
        none = asked.identifier.get("ModalitiesInStudy")
        found = ([] if none else planned[:45]) if ahead else matching(asked, archive(1))
        for one in found:
            asked.pending(one)
        asked.done()

    ahead = StudyQuery(window=Window(start=date(2030, 1, 1)))
    async with ScriptedPacs(script) as pacs:
        report = await find(sqlite, pacs.peer(), [*MONTH, ahead], node="NODE", limits=LIMITS)
    (gap,) = report.failures
    assert gap.query.window == ahead.window
    assert "45 studies may be the most that it answers" in gap.message


@pytest.mark.parametrize("then", ["refused", "abort"])
async def test_a_peer_that_takes_three_questions_over_an_association_is_asked_over_the_next(
    sqlite, then
):
    archive = {"studies": 250, "start_date": "2024-01-01", "end_date": "2024-01-30"}
    settings = {
        "archive": archive,
        "cap": {"studies": 30},
        "operations": {"most": 3, "then": then},
    }
    async with misbehaving_pacs(**settings) as pacs:
        report = await find(sqlite, pacs.peer(), MONTH, node="NODE", limits=LIMITS)
        assert await recorded(sqlite) == set(pacs.truth())
        assert report.failures == []
        assert len(report.windows) + 2 == pacs.counters.questions  # then it is known


async def test_how_many_questions_an_association_takes_is_followed_where_it_is_known(sqlite):
    archive = {"studies": 250, "start_date": "2024-01-01", "end_date": "2024-01-30"}
    settings = {"archive": archive, "cap": {"studies": 30}, "operations": {"most": 2}}
    async with misbehaving_pacs(**settings) as pacs:
        report = await find(
            sqlite,
            pacs.peer(),
            MONTH,
            node="NODE",
            limits=LIMITS,
            profile=PeerProfile(operations=2),
        )
        assert (pacs.counters.broken, report.failures) == (0, [])


async def test_a_study_that_comes_meanwhile_does_not_make_a_peer_a_silent_one(sqlite):
    """Most of its studies come while a find asks for the year once more, in parts."""
    year = Window(start=date(2023, 1, 1), end=date(2023, 12, 31))
    archive = {"studies": 8, "start_date": "2023-01-01", "end_date": "2023-12-31", "seed": 2}
    late = {"share": 0.4, "after_questions": 3}
    async with misbehaving_pacs(archive=archive, late=late) as pacs:
        await find(sqlite, pacs.peer(), [StudyQuery(window=year)], node="NODE", limits=LIMITS)
    async with sqlite.session() as session:
        assert not await was_silent(session, "pacs")
