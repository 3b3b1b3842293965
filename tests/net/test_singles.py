"""Asking for single studies over the network, at PACSs with ideas of their own about lists."""

import asyncio
import json
from datetime import UTC, date, datetime

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select, update

from node.config import load
from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery
from node.errors import PeerRefused
from node.net.scu import requestor
from node.ops.finding import inquiry
from node.ops.finding.singles import asking, lines, planning
from node.ops.finding.singles.lines import LineAnswer, LineOutcome, find_lines
from node.ops.finding.singles.studies import find_studies
from node.ops.probing.facts import Fact, to_document
from node.ops.stalls import TimeLimits
from schema import Cycle, Database, FindWindow, StudyFind, record_found
from schema.finding.asking import add_window
from schema.finding.profiles import keep_probe, newest_probes
from schema.project.entries import add_to_project, create_project
from schema.project.members import get_project_members
from schema.tables.sources import StudySource
from tests.support.misbehaving import MisbehavingPacs, misbehaving_pacs
from tests.support.qido_server import QidoServer, good
from tests.support.scripted_pacs import ScriptedPacs
from tests.support.waiting import wait_until_async

LIMITS = TimeLimits(quiet=20.0, total=20.0)
NOWHERE = "1.2.3.4.5"
LIARS = ("first", "ignored", "nothing", "refused")


@pytest.fixture
async def db(migrated_url):
    async with Database(migrated_url) as database:
        yield database


@pytest.fixture
async def sqlite(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database:
        yield database


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """Let questions that are put again wait no seconds."""
    for module in (asking, inquiry):
        monkeypatch.setattr(module, "_PAUSE", 0.001)


async def ask(db, pacs, uids=(), numbers=(), profile: PeerProfile | None = None):
    queries = [StudyQuery(study_uids=tuple(uids))] if uids else []
    queries += [StudyQuery(accession_number=number) for number in numbers]
    return await find_studies(
        db,
        pacs.peer(),
        queries,
        node="NODE",
        limits=LIMITS,
        profile=profile or PeerProfile(),
    )


async def acquaint(db, pacs: MisbehavingPacs, count: int = 3) -> list[str]:
    """Have some studies found there before."""
    known = sorted(pacs.truth())[:count]
    answers = []
    for uid in known:
        answer = Dataset()
        answer.StudyInstanceUID = uid
        answer.AccessionNumber = pacs.truth()[uid].get("AccessionNumber", ("",))[0]
        answers.append(answer)
    async with db.begin() as session:
        await record_found(session, answers, peer="pacs")
    return known


async def recorded(db) -> set[str]:
    async with db.session() as session:
        return set(await session.scalars(select(StudyFind.study_uid)))


async def gone(db) -> set[str]:
    async with db.session() as session:
        query = (
            select(StudyFind.study_uid).join(StudySource).where(StudySource.gone_on.is_not(None))
        )
        return set(await session.scalars(query))


async def rows(db) -> list[FindWindow]:
    async with db.session() as session:
        return list(await session.scalars(select(FindWindow).order_by(FindWindow.id)))


@pytest.mark.parametrize("acquainted", [True, False])
@pytest.mark.parametrize("handling", ["honest", *LIARS])
async def test_all_studies_are_found_whatever_a_peer_makes_of_lists(sqlite, handling, acquainted):
    async with misbehaving_pacs(uid_lists=handling) as pacs:
        if acquainted:
            await acquaint(sqlite, pacs)
        wanted = sorted(pacs.truth())[-12:]
        report = await ask(sqlite, pacs, [*wanted, NOWHERE])
        assert (report.counts()["found"], report.failures) == (12, [])
        assert await recorded(sqlite) >= set(wanted)
    lists = [len(one.query.study_uids) for one in report.windows if len(one.query.study_uids) > 1]
    if handling == "honest":
        assert lists == [2] * acquainted + [13]
    elif acquainted:
        assert lists == [2]
    else:
        assert lists == ([13, 6, 3] if handling == "refused" else [13])
    (last,) = [row for row in await rows(sqlite) if row.query == {"StudyInstanceUID": NOWHERE}]
    assert (last.outcome, last.matches) == ("complete", 0)


async def test_what_a_list_leaves_out_is_not_recorded_as_missing(db):
    async with misbehaving_pacs(uid_lists="first") as pacs:
        known = await acquaint(db, pacs, 4)
        async with db.begin() as session:  # they were seen before anything was asked here
            long_ago = StudySource.found_on
            await session.execute(update(StudySource).values(last_seen_on=long_ago))
        report = await ask(db, pacs, known)
        assert report.counts()["found"] == 4
    assert await gone(db) == set()
    (listed, *singles) = await rows(db)
    assert (listed.outcome, listed.matches) == ("suspect", 1)
    assert "does not prove" in listed.message
    assert {row.outcome for row in singles} == {"complete"}


async def test_a_study_is_gone_when_a_question_for_it_alone_says_so(db):
    async with misbehaving_pacs() as pacs:
        known = await acquaint(db, pacs, 2)
        answer = Dataset()
        answer.StudyInstanceUID = NOWHERE
        async with db.begin() as session:
            await record_found(session, [answer], peer="pacs")
        report = await ask(db, pacs, [NOWHERE])
        assert (report.gone, report.failures) == (1, [])
    assert await gone(db) == {NOWHERE}
    assert await recorded(db) == {*known, NOWHERE}


async def test_a_peer_that_answers_no_question_for_a_uid_has_nothing_less(db):
    async def script(asked):
        asked.done()

    async with ScriptedPacs(script) as pacs:
        answer = Dataset()
        answer.StudyInstanceUID = NOWHERE
        async with db.begin() as session:
            await record_found(session, [answer], peer="pacs")
            project = await create_project(session, "knee")
            await add_to_project(session, project.id, study_uids=["1.9.9"], accession_numbers=["A"])
        report = await ask(db, pacs, [NOWHERE, "1.9.9"], ["A"])
    assert await gone(db) == set()
    assert [failure.outcome for failure in report.failures] == ["suspect"] * 3
    assert {row.outcome for row in await rows(db)} == {"suspect"}
    async with db.session() as session:
        members = await get_project_members(session, project.id)
    assert [one.asked.answered for one in members] == [False, False]
    assert all("not proven" in one.asked.message for one in members)


async def test_a_peer_that_answers_nothing_from_some_question_on_has_nothing_less(db):
    async def script(asked):
        uid = str(asked.identifier.StudyInstanceUID)
        if not asked_for:
            answer = Dataset()
            answer.StudyInstanceUID = uid
            asked.pending(answer)
        asked_for.append(uid)
        asked.done()

    asked_for: list[str] = []
    async with ScriptedPacs(script) as pacs:
        answers = [Dataset(), Dataset()]
        for number, answer in enumerate(answers):
            answer.StudyInstanceUID = f"1.9.{number}"
        async with db.begin() as session:
            await record_found(session, answers, peer="pacs")
        report = await ask(db, pacs, ["1.9.0", "1.9.1"], profile=PeerProfile(uid_lists=False))
    assert await gone(db) == set()
    assert [(str(one), one.outcome) for one in report.failures] == [("1.9.1", "suspect")]


HELD = {"1.9.1": ("A1", "20190504"), "1.9.2": ("A2", "20260101")}


async def only_recent_without_a_date(asked):
    """Answer as a PACS does that looks no further back than 2020 where no date is asked for."""
    named, day = asked.study_uid.split("\\"), str(asked.identifier.get("StudyDate", "") or "")
    for uid, (number, its) in HELD.items():
        looked_at = day == its if day else its > "2020"
        number_asked = str(asked.identifier.get("AccessionNumber", "") or "")
        if looked_at and (not named[0] or uid in named) and number_asked in {"", number}:
            asked.pending(study(uid, number, its))
    asked.done()


def study(uid: str, number: str, day: str) -> Dataset:
    answer = Dataset()
    answer.StudyInstanceUID, answer.AccessionNumber, answer.StudyDate = uid, number, day
    return answer


async def know_all(db) -> None:
    async with db.begin() as session:
        answers = [study(uid, *facts) for uid, facts in HELD.items()]
        await record_found(session, answers, peer="pacs")


async def test_a_study_that_is_known_is_not_denied_because_no_date_was_asked_for(db):
    await know_all(db)
    async with ScriptedPacs(only_recent_without_a_date) as pacs:
        report = await ask(db, pacs, ["1.9.1", NOWHERE], ["A1", "A2", "A9"])
    assert report.counts()["found"] == 2
    gaps = {str(gap): (gap.outcome, gap.message) for gap in report.failures}
    assert gaps == dict.fromkeys((NOWHERE, "A9"), ("suspect", planning.LEFT_OUT))
    assert await gone(db) == set()
    asked = {(tuple(row.query), row.start_date is None): row for row in await rows(db)}
    assert asked[("StudyInstanceUID",), False].outcome == "complete"
    assert all(row.outcome == "suspect" for row in await rows(db) if not row.matches)


async def test_what_answers_deny_without_a_date_makes_a_probe_stale(sqlite, tmp_path):
    await know_all(sqlite)
    learned = datetime(2026, 1, 1, tzinfo=UTC)
    facts = {"universal": Fact(value=True, how="it answered 2 studies", learned_on=learned)}
    async with sqlite.begin() as session:
        await keep_probe(session, peer="pacs", facts=to_document(facts), questions=9)
    queries = [StudyQuery(accession_number=number) for number in ("A9", "A1")]
    kept = {}
    async with ScriptedPacs(only_recent_without_a_date) as pacs:
        config = config_for(tmp_path, pacs.peer().port)
        await find_lines(config, sqlite, "pacs", [queries], keep=kept.update)
    unknown, known = kept.values()
    assert (known.outcome, known.study_uids) == (LineOutcome.FOUND, ("1.9.1",))
    assert unknown.outcome is LineOutcome.FAILED
    assert unknown.message.startswith("not confirmed: it has studies that it answers only")
    async with sqlite.session() as session:
        probe = (await newest_probes(session, ["pacs"]))["pacs"]
    assert probe.stale_reason is not None
    assert probe.stale_reason.startswith("universal: it has studies")


async def test_lists_are_not_sent_where_the_profile_says_that_they_are_not_understood(sqlite):
    async with misbehaving_pacs(uid_lists="ignored") as pacs:
        wanted = sorted(pacs.truth())[:5]
        report = await ask(sqlite, pacs, wanted, profile=PeerProfile(uid_lists=False))
        assert report.counts()["found"] == 5
        assert pacs.counters.answers == 5


async def test_lines_are_kept_up_to_where_the_peer_went_away(sqlite, tmp_path, monkeypatch):
    monkeypatch.setattr(inquiry, "_PAUSE", 0.001)
    monkeypatch.setattr(requestor, "_ATTEMPTS", 1)

    async def script(asked):
        if str(asked.identifier.AccessionNumber) == "A2":
            pacs.most = 0
            asked.abort()
            return
        answer = Dataset()
        answer.StudyInstanceUID = "1.2.1"
        answer.AccessionNumber = "A1"
        asked.pending(answer)
        asked.done()

    queries = [StudyQuery(accession_number=f"A{n}") for n in range(1, 4)]
    kept = {}
    async with ScriptedPacs(script) as pacs:
        config = config_for(tmp_path, pacs.peer().port)
        report = await find_lines(config, sqlite, "pacs", [queries, queries], keep=kept.update)
    assert list(kept) == queries[:1]
    assert kept[queries[0]] == LineAnswer(outcome=LineOutcome.FOUND, study_uids=("1.2.1",))
    assert "local limit exceeded" in report.stopped


async def test_a_single_study_that_is_refused_is_asked_for_as_often_as_a_window(sqlite):
    async with misbehaving_pacs(refuse={"first": 2}) as pacs:
        wanted = sorted(pacs.truth())[:2]
        numbers = [pacs.truth()[wanted[1]]["AccessionNumber"][0], "NOWHERE"]
        report = await ask(sqlite, pacs, wanted[:1], numbers)
        assert (report.counts()["found"], report.failures) == (2, [])
        assert [str(one) for one in report.absent] == ["NOWHERE"]
    assert [row.outcome for row in await rows(sqlite)][:3] == ["complete"] * 3


async def test_a_peer_that_refuses_everything_is_not_asked_for_a_second_line(sqlite, tmp_path):
    async def script(asked):
        asked.done(0xA700)

    kept = {}
    async with ScriptedPacs(script) as pacs:
        config = config_for(tmp_path, pacs.peer().port)
        lines = [StudyQuery(accession_number=f"A{n}") for n in range(5)]
        with pytest.raises(PeerRefused, match="so it did with every question"):
            await find_lines(config, sqlite, "pacs", [lines], keep=kept.update)
    assert [answer.outcome for answer in kept.values()] == [LineOutcome.FAILED]


async def test_a_peer_that_answers_no_line_is_not_asked_for_a_hundred_thousand(sqlite, tmp_path):
    async def script(asked):
        asked.done(0 if asked.study_uid else 0xA700)

    batches = ([StudyQuery(accession_number=f"A{n}-{m}") for n in range(200)] for m in range(500))
    kept = {}
    async with ScriptedPacs(script) as pacs:
        config = config_for(tmp_path, pacs.peer().port)
        report = await find_lines(config, sqlite, "pacs", batches, keep=kept.update)
        # ten lines, of which the first three are put three times
        assert report.questions == 10 + 3 * 2 + 1
    assert {answer.outcome for answer in kept.values()} == {LineOutcome.FAILED}
    assert len(kept) == 10
    assert report.stopped is not None


async def test_what_lines_came_to_is_kept_while_others_are_asked_for(sqlite, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "_OFTEN", 0.0)
    going = asyncio.Event()

    async def script(asked):
        number = str(asked.identifier.AccessionNumber)
        if number == "A2":
            await going.wait()
        if number == "A3":
            asked.done(0xA700)
            return
        answer = Dataset()
        answer.StudyInstanceUID = f"1.2.{number[1:]}"
        answer.AccessionNumber = number
        asked.pending(answer)
        asked.done()

    queries = [StudyQuery(accession_number=f"A{n}") for n in range(5)]
    kept = {}
    async with ScriptedPacs(script) as pacs:
        config = config_for(tmp_path, pacs.peer().port)
        work = find_lines(config, sqlite, "pacs", [queries], keep=kept.update)
        finding = asyncio.create_task(work)
        await wait_until_async(lambda: len(pacs.asked) == 3)
        assert list(kept) == queries[:2]
        async with sqlite.session() as session:
            recorded_before = len(list(await session.scalars(select(FindWindow))))
        assert recorded_before == 2, "what is kept is in the ledger before"
        going.set()
        await finding
    assert list(kept) == queries
    outcomes = [kept[query].outcome.value for query in queries]
    assert outcomes == ["found", "found", "found", "failed", "found"]
    async with sqlite.session() as session:
        (cycle,) = await session.scalars(select(Cycle))
    assert cycle.outcome == "partial", "a line that failed is something that is not known"
    assert {key: cycle.counts[key] for key in ("windows", "failed_windows", "found", "new")} == {
        "windows": 5 + 2,
        "failed_windows": 1,
        "found": 4,
        "new": 4,
    }


async def test_the_lines_of_a_list_are_asked_for_by_qido_as_well(sqlite, tmp_path):
    study = {"StudyInstanceUID": "1.2.3", "StudyDate": "20240101", "AccessionNumber": "A1"}
    path = tmp_path / "node.yaml"
    kept = {}
    with QidoServer([study], good) as server:
        path.write_text(json.dumps({"peers": {"web": {"url": server.url}}}), encoding="utf-8")
        config = load(path, environ={}).config
        batch = [StudyQuery(accession_number="A1"), StudyQuery(study_uids=("1.2.9",))]
        await find_lines(config, sqlite, "web", [batch], keep=kept.update)
    assert kept[batch[0]].study_uids == ("1.2.3",)
    assert kept[batch[1]].outcome is LineOutcome.NOT_FOUND


async def test_as_many_studies_as_a_peer_answers_at_most_are_perhaps_not_all(sqlite, tmp_path):
    async def script(asked):
        for n in range(3):
            answer = Dataset()
            answer.StudyInstanceUID = f"1.2.{n}"
            answer.PatientID = "P"
            asked.pending(answer)
        asked.done()

    kept = {}
    async with ScriptedPacs(script) as pacs:
        config = config_for(tmp_path, pacs.peer().port, cap=3)
        batch = [StudyQuery(patient_id="P"), StudyQuery(study_uids=("1.2.1",))]
        await find_lines(config, sqlite, "pacs", [batch], keep=kept.update)
    answer, single = kept.values()
    assert single.outcome is LineOutcome.FOUND
    assert (answer.outcome, len(answer.study_uids)) == (LineOutcome.FAILED, 3)
    assert "answers 3 at most" in answer.message


async def test_an_accession_number_is_held_against_the_cap_wherever_it_is_known_from(sqlite):
    async def script(asked):
        for n in range(3):
            asked.pending(study(f"1.2.{n}", "A1", "20240131"))
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await ask(sqlite, pacs, numbers=["A1"])
        assert report.failures == []
        report = await ask(sqlite, pacs, numbers=["A1"], profile=PeerProfile(cap=3))
        (gap,) = report.failures
        assert (gap.outcome, "answers 3 at most" in gap.message) == ("suspect", True)
        assert report.counts()["found"] == 3
        async with sqlite.begin() as session:
            day = date(2024, 1, 31)
            await add_window(
                session, cycle_id=None, peer="pacs", query={}, start_date=day, end_date=day,
                outcome="truncated", matches=3,
            )  # fmt: skip
        report = await ask(sqlite, pacs, numbers=["A1"])
        assert [one.outcome for one in report.failures] == ["suspect"]
        report = await ask(sqlite, pacs, numbers=["A1"], profile=PeerProfile(cap=0))
        assert report.failures == []


def config_for(tmp_path, port: int, **profile: int):
    peer = {"aetitle": "PACS", "host": "127.0.0.1", "port": port, "profile": profile}
    path = tmp_path / "node.yaml"
    path.write_text(json.dumps({"peers": {"pacs": peer}}), encoding="utf-8")
    return load(path, environ={}).config


async def test_an_accession_number_is_held_against_the_answer_without_padding_but_with_case(sqlite):
    async def script(asked):
        for uid, number in (("1.2.1", " abc "), ("1.2.2", "ABC "), ("1.2.3", "ABCD")):
            answer = Dataset()
            answer.StudyInstanceUID = uid
            answer.AccessionNumber = number
            asked.pending(answer)
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await ask(sqlite, pacs, numbers=["ABC"])
        assert report.counts()["found"] == 1
        report = await ask(sqlite, pacs, numbers=["XYZ"])
        (failure,) = report.failures
        assert failure.message == planning._OUTSIDE
    assert await recorded(sqlite) == {"1.2.2"}
