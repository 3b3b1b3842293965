"""A study is gone at a PACS only when a question for it alone, which is answered, says so."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select

from node.config import Config
from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding import asking, inquiry, witnesses
from node.ops.finding import find as finds
from node.ops.finding.find import find
from node.ops.finding.peers import find_at_peers
from node.ops.finding.report import FindReport
from node.ops.finding.singles.studies import find_studies
from node.ops.probing.facts import Fact, to_document
from node.ops.stalls import TimeLimits
from schema import FindWindow, StudyFind, found, utcnow
from schema.coverage.ledger import get_coverage
from schema.finding.profiles import keep_probe, newest_probes
from schema.project.entries import create_project
from schema.project.members import get_project_members
from schema.tables.sources import StudyChange, StudySource
from tests.support.scripted_pacs import Asked, ScriptedPacs

MONTH = [StudyQuery(window=Window(start=date(2024, 1, 1), end=date(2024, 1, 31)))]
LIMITS = TimeLimits(quiet=20.0, total=20.0)

Archive = list[Dataset]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(finds, "_PAUSE", 0.001)
    monkeypatch.setattr(inquiry, "_PAUSE", 0.001)


def study(uid: str, day: str, time: str = "080000", **more: str) -> Dataset:
    answer = Dataset()
    answer.StudyInstanceUID, answer.StudyDate, answer.StudyTime = uid, day, time
    for keyword, value in more.items():
        setattr(answer, keyword, value)
    return answer


def month(per_day: int = 2) -> Archive:
    return [
        study(f"1.{day}.{n}", f"202401{day:02}", f"{8 + n:02}0000")
        for day in range(1, 32)
        for n in range(per_day)
    ]


def in_range(one: Dataset, asked: Asked) -> bool:
    first, _, last = str(asked.identifier.StudyDate or "").partition("-")
    begin, _, end = str(asked.identifier.StudyTime or "").partition("-")
    dated = not first or first <= one.StudyDate <= (last or first)
    return dated and (not begin or begin <= (one.StudyTime or "") <= end)


def honest(asked: Asked, studies: Archive) -> Archive:
    uid = asked.study_uid
    return [
        one for one in studies if in_range(one, asked) and (not uid or one.StudyInstanceUID == uid)
    ]


class Pacs(ScriptedPacs):
    """A PACS with `studies`, which answers as `answers` says."""

    def __init__(self, studies: Archive, answers: Callable[[Asked, Archive], Archive] = honest):
        super().__init__(self._answer)
        self.studies = studies
        self.answers = answers

    @property
    def singly(self) -> list[str]:
        """The studies that it was asked for by their UIDs."""
        return [asked.study_uid for asked in self.asked if asked.study_uid]

    async def _answer(self, asked: Asked) -> None:
        for one in self.answers(asked, self.studies):
            asked.pending(one)
        asked.done()


async def ask(db, pacs: ScriptedPacs, queries=MONTH, **options) -> FindReport:
    return await find(db, pacs.peer(), queries, node="NODE", limits=LIMITS, **options)


async def gone(db) -> set[str]:
    async with db.session() as session:
        uids = (
            select(StudyFind.study_uid)
            .join(StudySource, StudySource.study_find_id == StudyFind.id)
            .where(StudySource.gone_on.is_not(None))
        )
        return set(await session.scalars(uids))


async def windows(db) -> list[FindWindow]:
    async with db.session() as session:
        return list(await session.scalars(select(FindWindow).order_by(FindWindow.id)))


async def gaps(db) -> list[str]:
    async with db.session() as session:
        (known,) = await get_coverage(session)
    return [f"{gap.first} to {gap.last}" for gap in known.gaps]


async def test_what_is_deleted_is_gone_once_a_question_for_it_alone_says_so(db):
    async with Pacs(month()) as pacs:
        await ask(db, pacs)
        lost = pacs.studies.pop(9)
        report = await ask(db, pacs)
        assert (report.gone, report.unconfirmed, report.failures) == (1, 0, [])
        assert await gone(db) == {lost.StudyInstanceUID}
        control, *asked_for, again = pacs.singly
        assert (asked_for, again) == ([lost.StudyInstanceUID] * 2, control)
        assert [str(asked.identifier.StudyDate) for asked in pacs.asked[-4:]] == [
            "",
            "",
            lost.StudyDate,
            "",
        ]
        assert control == "1.1.0", "the oldest that it has"
        assert {row.outcome for row in await windows(db)} == {"complete"}
        assert (await ask(db, pacs)).gone == 0
        assert len(pacs.singly) == 4, "it is not asked for again"


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(
            lambda asked, studies: studies[:3] if asked.study_uid else honest(asked, studies),
            id="it ignores UIDs",
        ),
        pytest.param(
            lambda asked, studies: [] if asked.study_uid else honest(asked, studies),
            id="it needs a date",
        ),
    ],
)
async def test_a_peer_that_does_not_answer_for_what_it_has_proves_nothing(sqlite, answers):
    async with Pacs(month(), answers) as pacs:
        await ask(sqlite, pacs)
        del pacs.studies[9:14]
        report = await ask(sqlite, pacs)
    assert (report.gone, report.unconfirmed, report.failures) == (0, 5, [])
    assert await gone(sqlite) == set()
    assert len(set(pacs.singly)) == 6, "three that it has, three that it may have"
    assert len(pacs.singly) <= 2 * 6, "without its date, and with it"


def recent(asked: Asked, studies: Archive) -> Archive:
    """Answer as a PACS does that looks at recent studies alone where no date is asked for."""
    found = honest(asked, studies)
    return found if asked.identifier.StudyDate else [s for s in found if s.StudyDate >= "20240120"]


@pytest.mark.parametrize("day", ["20231231", "", "20240205"])
async def test_a_peer_that_denies_old_studies_without_a_date_proves_none_of_them_gone(sqlite, day):
    async with Pacs(month(), recent) as pacs:
        await ask(sqlite, pacs)
        pacs.studies[9].StudyDate = day
        pacs.studies[60].StudyDate = "20231230"
        report = await ask(sqlite, pacs)
    moved = day == "20240205"  # it came by its UID, and is known again
    assert (report.gone, report.unconfirmed) == (0, 1 if moved else 2)
    assert not report.is_whole
    assert await gone(sqlite) == set()


@pytest.mark.parametrize("universal", [True, None])
async def test_a_control_question_that_needs_a_date_makes_the_probe_stale_that_denies_that(
    sqlite, universal
):
    learned = datetime(2026, 1, 1, tzinfo=UTC)
    facts = {"universal": Fact(value=universal, how="one came", learned_on=learned)}
    async with sqlite.begin() as session:
        await keep_probe(session, peer="pacs", facts=to_document(facts), questions=9)
    async with Pacs(month(), recent) as pacs:
        peer = {"aetitle": pacs.peer().aetitle, "host": "127.0.0.1", "port": pacs.peer().port}
        config = Config(peers={"pacs": peer})
        await find_at_peers(config, sqlite, ["pacs"], MONTH)
        del pacs.studies[9]
        (report,) = (await find_at_peers(config, sqlite, ["pacs"], MONTH)).reports
    assert (report.gone, report.unconfirmed) == (0, 1)
    async with sqlite.session() as session:
        stale = (await newest_probes(session))["pacs"].stale_reason
    if universal:
        assert stale is not None
        assert stale.startswith("universal: it has studies that it answers only together")
    else:
        assert stale is None


async def test_a_window_that_left_out_what_comes_by_uid_with_its_date_alone_is_a_gap(sqlite):
    async with Pacs(month(), recent) as pacs:
        await ask(sqlite, pacs)
        hidden = pacs.studies[9]

        def without_it(asked: Asked, studies: Archive) -> Archive:
            found = recent(asked, studies)
            return [one for one in found if asked.study_uid or one is not hidden]

        pacs.answers = without_it
        report = await ask(sqlite, pacs)
    assert (report.gone, report.unconfirmed, await gone(sqlite)) == (0, 0, set())
    assert "asked for by its UID, it has a study" in report.failures[0].message
    assert any(gap.query.window.contains(date(2024, 1, 5)) for gap in report.failures)


async def test_the_oldest_study_that_is_known_speaks_for_all_also_from_before_the_dates(sqlite):
    async with Pacs(month()) as pacs:
        await ask(sqlite, pacs)
        del pacs.studies[30:50]
        later = [StudyQuery(window=Window(start=date(2024, 1, 10), end=date(2024, 1, 31)))]
        report = await ask(sqlite, pacs, later)
    assert (report.gone, report.unconfirmed, report.failures) == (20, 0, [])
    assert len(pacs.singly) == 2 + 2 * 20
    assert (pacs.singly[0], pacs.singly[-1]) == ("1.1.0", "1.1.0")


async def test_what_is_older_than_all_that_is_left_is_gone_where_the_oldest_is_answered(sqlite):
    async with Pacs(month()) as pacs:
        await ask(sqlite, pacs)
        del pacs.studies[:8]
        report = await ask(sqlite, pacs)
    assert (report.gone, report.unconfirmed, report.failures) == (8, 0, [])
    assert pacs.singly[0] == "1.5.0"


@pytest.mark.parametrize(("blind", "counts"), [(False, (1, 0)), (True, (0, 1))])
async def test_a_study_without_a_date_is_gone_only_where_the_oldest_is_answered(
    sqlite, blind, counts
):
    def by_uid_recent_alone(asked: Asked, studies: Archive) -> Archive:
        return (recent if blind and asked.study_uid else honest)(asked, studies)

    everything = [StudyQuery()]
    async with Pacs([*month(), study("1.999", "")], by_uid_recent_alone) as pacs:
        await ask(sqlite, pacs, everything)
        del pacs.studies[-1]
        pacs.studies.append(study("1.998", "20240125"))
        report = await ask(sqlite, pacs, everything)
    assert (report.gone, report.unconfirmed, report.failures) == (*counts, [])


@pytest.mark.parametrize(("first", "counts"), [(30, (2, 0)), (20, (0, 2))])
async def test_a_younger_study_speaks_for_none_where_it_is_open_whether_older_ones_are_there(
    sqlite, first, counts
):
    later = [StudyQuery(window=Window(start=date(2024, 1, 11), end=date(2024, 1, 31)))]

    def strange(asked: Asked, studies: Archive) -> Archive:
        named = honest(asked, studies)  # of the earliest studies it gives the whole day
        early = asked.study_uid and [s.StudyDate for s in named if s.StudyDate < "20240103"]
        return [s for s in studies if s.StudyDate in early] if early else named

    async with Pacs(month(), strange) as pacs:
        await ask(sqlite, pacs)
        del pacs.studies[first : first + 2]
        report = await ask(sqlite, pacs, later)
    assert (report.gone, report.unconfirmed) == counts


async def test_a_peer_that_stops_to_answer_for_what_it_has_proves_nothing(sqlite):
    async with Pacs(month()) as pacs:
        await ask(sqlite, pacs)
        del pacs.studies[9:14]

        def away(asked: Asked, studies: Archive) -> Archive:
            return honest(asked, studies) if len(pacs.singly) < 2 else []

        pacs.answers = away
        report = await ask(sqlite, pacs)
        assert (report.gone, report.unconfirmed) == (0, 5)
        assert {row.outcome for row in await windows(sqlite) if row.matches == 0} == {"suspect"}
        pacs.answers = honest
        assert (await ask(sqlite, pacs)).gone == 5


async def test_only_so_many_studies_are_asked_for_in_a_find_and_the_others_later(
    sqlite, monkeypatch
):
    monkeypatch.setattr(witnesses, "MOST", 4)
    async with Pacs(month()) as pacs:
        await ask(sqlite, pacs)
        del pacs.studies[5:11]
        reports = [await ask(sqlite, pacs) for _ in range(3)]
    assert [(one.gone, one.unconfirmed) for one in reports] == [(4, 2), (2, 0), (0, 0)]


async def test_a_study_whose_date_was_corrected_is_refreshed_and_not_gone(db):
    async with Pacs(month()) as pacs:
        await ask(db, pacs)
        pacs.studies[9].StudyDate = "20240210"
        async with db.begin() as session:
            project = await create_project(session, "knee")
        report = await ask(db, pacs, project_id=project.id)
        assert (report.gone, report.unconfirmed, report.failures) == (0, 0, [])
    async with db.session() as session:
        changed = (await session.scalars(select(StudyChange))).one()
        members = await get_project_members(session, project.id)
    assert (changed.field, changed.became[:10]) == ("study_date", "2024-02-10")
    assert len(members) == len(pacs.studies) - 1, "by the date it has now it is none of the find's"


def without_the_first_day(asked: Asked, studies: Archive) -> Archive:
    first, dash, _ = str(asked.identifier.StudyDate or "").partition("-")
    return [one for one in honest(asked, studies) if not dash or one.StudyDate > first]


async def test_a_window_that_left_out_what_the_peer_has_is_a_gap(db):
    day = [StudyQuery(window=Window(start=date(2024, 1, 1), end=date(2024, 1, 1)))]
    async with db.begin() as session:
        await keep_probe(session, peer="pacs", facts={}, questions=1)
    async with Pacs(month(), without_the_first_day) as pacs:
        assert (await ask(db, pacs, day)).failures == []
        pacs.studies = [one for one in pacs.studies if not "20240115" < one.StudyDate < "20240118"]
        report = await ask(db, pacs)
    assert (report.gone, await gone(db)) == (0, set())
    assert any(gap.query.window.contains(date(2024, 1, 1)) for gap in report.failures)
    assert "asked for by its UID, it has a study" in report.failures[0].message
    assert await gaps(db) == [
        "2024-01-01 to 2024-01-01",
        "2024-01-02 to 2024-01-16",
        "2024-01-17 to 2024-01-31",  # it brought as many, and may lack some, too
    ]
    async with db.session() as session:
        assert (await newest_probes(session))["pacs"].stale_reason is not None


async def test_a_peer_that_says_nothing_to_what_it_has_is_soon_asked_no_more(sqlite):
    async with Pacs(month()) as pacs:
        await ask(sqlite, pacs)

        def late(asked: Asked, studies: Archive) -> Archive:
            found = honest(asked, studies)
            return [one for one in found if asked.study_uid or one.StudyDate > "20240120"]

        pacs.answers = late
        report = await ask(sqlite, pacs)
    assert (report.gone, await gone(sqlite)) == (0, set())
    assert len(pacs.singly) <= 5
    assert report.failures
    before = {date(2024, 1, day) for day in range(1, 21)}
    open_ = {day for day in before for gap in report.failures if gap.query.window.contains(day)}
    assert open_ == before


async def test_a_peer_that_answers_no_range_any_more_is_believed_nothing(sqlite):
    async with Pacs(month()) as pacs:
        await ask(sqlite, pacs)
        pacs.answers = lambda asked, studies: honest(asked, studies) if asked.study_uid else []
        report = await ask(sqlite, pacs)
        assert (report.gone, len(pacs.singly)) == (0, 0)
        named = [gap.query.window for gap in report.failures]
        assert named[0].start == MONTH[0].window.start
        assert named[-1].end == MONTH[0].window.end
        assert sum(window.days or 0 for window in named) == MONTH[0].window.days
        pacs.answers = lambda *_: []
        report = await ask(sqlite, pacs)
    assert (report.gone, bool(report.failures)) == (0, True)


async def test_where_nothing_came_and_there_was_something_nothing_proves_nothing(sqlite):
    def narrow(asked: Asked, studies: Archive) -> Archive:
        first, _, last = str(asked.identifier.StudyDate or "").partition("-")
        wide = bool(last) and int(last) - int(first) > 7
        return [] if wide else honest(asked, studies)

    async with Pacs([one for one in month() if one.StudyDate < "20240115"]) as pacs:
        await ask(sqlite, pacs)
        pacs.answers = narrow
        last = (await windows(sqlite))[-1].id
        report = await ask(sqlite, pacs)
    assert (report.gone, bool(report.failures)) == (0, True)
    rows = [row for row in await windows(sqlite) if row.id > last]
    split = {row.parent_id for row in rows}
    empty = [row for row in rows if row.matches == 0 and row.id not in split]
    assert {row.covered_on for row in empty} == {None}
    assert await gaps(sqlite) == ["2024-01-17 to 2024-01-31"]


async def test_a_study_without_a_time_is_not_gone_by_questions_that_cannot_reach_it(sqlite):
    untimed = study("1.999", "20240110", "")
    async with Pacs([*month(), untimed]) as pacs:
        await ask(sqlite, pacs)

        def capped(asked: Asked, studies: Archive) -> Archive:
            return honest(asked, studies)[:50]

        more = [study(f"1.1.{n}", "20240110", f"{7 + n % 12:02}{n % 60:02}00") for n in range(70)]
        pacs.studies, pacs.answers = [*month(), *more, untimed], capped
        report = await ask(sqlite, pacs)
    assert await gone(sqlite) == set()
    assert [str(gap) for gap in report.failures] == ["2024-01-10"]


async def killed(db, pacs: Pacs, after: int, **options) -> None:
    """Begin a find, and end it when it has had so many answers."""
    answers, enough = pacs.answers, asyncio.Event()

    async def script(asked: Asked) -> None:
        if len(pacs.asked) > after:
            enough.set()
            return
        for one in answers(asked, pacs.studies):
            asked.pending(one)
        asked.done()

    pacs.script = script
    task = asyncio.ensure_future(ask(db, pacs, **options))
    await asyncio.wait_for(enough.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pacs.script = pacs._answer


async def test_what_an_interrupted_find_has_seen_is_not_gone_when_it_goes_on(db):
    async with Pacs(month()) as pacs:
        await killed(db, pacs, after=2)
        report = await ask(db, pacs)
    assert (report.gone, report.unconfirmed, report.failures) == (0, 0, [])
    assert pacs.singly == []
    assert await gone(db) == set()


async def test_nothing_is_proven_by_a_find_that_was_interrupted_until_it_has_gone_on(sqlite):
    async with Pacs(month()) as pacs:
        await killed(sqlite, pacs, after=2)
        assert [row.covered_on for row in await windows(sqlite)] == [None, None]
        assert await gaps(sqlite) == ["2024-01-01 to 2024-01-31"]
        await ask(sqlite, pacs)
        unproven = [row.message for row in await windows(sqlite) if row.covered_on is None]
        assert unproven == ["asked once more, to see whether as many studies come as before"]
        assert await gaps(sqlite) == []


async def test_what_was_proven_before_is_no_gap_while_it_is_asked_for_again(db):
    days = [
        StudyQuery(window=Window(start=day, end=day))
        for day in (date(2024, 1, 5), date(2024, 1, 6))
    ]
    profile = PeerProfile(cap=0)
    async with Pacs(month()) as pacs:
        await ask(db, pacs, days, profile=profile)
        await killed(db, pacs, after=3, queries=days, profile=profile)
        assert [row.covered_on is None for row in await windows(db)] == [False, False, True]
        assert await gaps(db) == []


@pytest.mark.parametrize("queries", [MONTH, [StudyQuery(window=MONTH[0].window, modality="CT")]])
async def test_a_project_has_what_an_interrupted_find_has_found_of_it(db, queries):
    def by_modality(asked: Asked, studies: Archive) -> Archive:
        wanted = str(asked.identifier.ModalitiesInStudy or "")
        found = honest(asked, studies)
        return [one for one in found if wanted in {"", one.ModalitiesInStudy}]

    studies = month()
    for number, one in enumerate(studies):
        one.ModalitiesInStudy = "CT" if number % 2 else "MR"
    async with Pacs(studies, by_modality) as pacs:
        await killed(db, pacs, after=2, queries=queries)
        async with db.begin() as session:
            project = await create_project(session, "knee")
        await ask(db, pacs, queries, project_id=project.id)
    async with db.session() as session:
        members = await get_project_members(session, project.id)
    assert len(members) == (len(studies) if queries is MONTH else len(studies) // 2)


async def test_what_a_node_whose_clock_is_late_has_found_meanwhile_is_not_gone(db, monkeypatch):
    single = [StudyQuery(study_uids=("1.777",))]
    last, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(asked: Asked) -> None:
        if asked.association == 2 and asked.number == 3:
            last.set()
            await goes_on.wait()
        for one in honest(asked, pacs.studies):
            asked.pending(one)
        asked.done()

    async with Pacs(month()) as pacs:
        await ask(db, pacs)
        pacs.script = slow
        task = asyncio.ensure_future(ask(db, pacs))
        await asyncio.wait_for(last.wait(), 30)
        pacs.studies.append(study("1.777", "20240105"))
        with monkeypatch.context() as late:
            for module in (asking, found):
                late.setattr(module, "utcnow", lambda: utcnow() - timedelta(minutes=10))
            await find_studies(
                db, pacs.peer(), single, node="NODE", limits=LIMITS, profile=PeerProfile()
            )
        meanwhile = len(pacs.singly)
        goes_on.set()
        report = await task
    assert (report.gone, report.unconfirmed, report.failures) == (0, 0, [])
    assert pacs.singly[meanwhile:] == []
    assert await gone(db) == set()


async def test_the_last_word_of_a_find_counts(db):
    def grown(asked: Asked, studies: Archive) -> Archive:
        images = "3" if len(pacs.asked) == 1 else "10"
        return [
            study(one.StudyInstanceUID, one.StudyDate, NumberOfStudyRelatedInstances=images)
            for one in honest(asked, studies)
        ]

    async with Pacs(month(1), grown) as pacs:
        report = await ask(db, pacs)
    assert report.counts()["found"] == 31
    async with db.session() as session:
        assert set(await session.scalars(select(StudyFind.expected_images))) == {10}


async def test_a_match_that_comes_with_the_last_response_counts(sqlite, caplog):
    studies = month()

    async def script(asked: Asked) -> None:
        found = honest(asked, studies)
        for one in found[:-1]:
            asked.pending(one)
        asked._respond(0, found[-1] if found else asked.identifier)

    async with ScriptedPacs(script) as pacs:
        report = await ask(sqlite, pacs)
        assert (report.counts()["found"], report.failures) == (len(studies), [])
        assert "a match with the last response" in caplog.text
        lost = studies.pop(9)
        report = await ask(sqlite, pacs)
    assert report.gone == 1, "the echo of a question is no match"
    assert await gone(sqlite) == {lost.StudyInstanceUID}
