"""Finding by Repository Query: the peer announces where it stops, and goes on from there."""

from datetime import date

import pytest
from sqlalchemy import select

from node.config import Config
from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery, Window
from node.dicom.status import Status
from node.ops.finding.find import find
from node.ops.finding.peers import find_at_peers
from node.ops.stalls import TimeLimits
from schema import Database, FindWindow, StudyFind
from tests.support.misbehaving import misbehaving_pacs
from tests.support.scripted_pacs import ScriptedPacs

JANUARY = StudyQuery(window=Window(start=date(2024, 1, 1), end=date(2024, 1, 31)))
LIMITS = TimeLimits(quiet=20.0, total=20.0)


@pytest.fixture
async def db(migrated_url):
    async with Database(migrated_url) as database:
        yield database


@pytest.fixture
async def sqlite(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database:
        yield database


async def finding_at(db, peer, query=JANUARY, **profile):
    known = PeerProfile(repository=True, **profile)
    return await find(db, peer, [query], node="NODE", limits=LIMITS, profile=known, axes=())


async def recorded(db):
    async with db.session() as session:
        return set(await session.scalars(select(StudyFind.study_uid)))


def of_january(pacs):
    return {
        uid
        for uid, study in pacs.truth().items()
        if any(day.startswith("202401") for day in study.get("StudyDate", ()))
    }


async def test_a_month_is_one_window_however_little_the_peer_answers_at_once(db):
    async with misbehaving_pacs(cap={"studies": 40}, repository=True) as pacs:
        report = await finding_at(db, pacs.peer(), cap=40, cap_kind=CapKind.CUT)
        assert await recorded(db) == of_january(pacs)
        assert pacs.counters.questions == -(-len(of_january(pacs)) // 40)
    assert (len(report.windows), report.failures) == (1, [])
    async with db.session() as session:
        (row,) = await session.scalars(select(FindWindow))
    assert (row.outcome, row.matches) == ("complete", len(await recorded(db)))


async def test_the_configuration_says_that_a_peer_is_asked_by_repository_query(sqlite):
    async with misbehaving_pacs(cap={"studies": 40}, repository=True) as pacs:
        known = {"repository": True, "cap": 40, "cap_kind": "cut"}
        peer = {"aetitle": "PACS", "host": "127.0.0.1", "port": pacs.port, "profile": known}
        config = Config(peers={"pacs": peer})
        tour = await find_at_peers(config, sqlite, ["pacs"], [JANUARY])
        assert await recorded(sqlite) == of_january(pacs)
    assert [len(report.windows) for report in tour.reports] == [1]


async def test_a_peer_that_offers_no_repository_query_any_more_is_asked_by_c_find(sqlite, caplog):
    async with misbehaving_pacs(cap={"studies": 40}) as pacs:
        report = await finding_at(sqlite, pacs.peer(), cap=40, cap_kind=CapKind.CUT)
        assert await recorded(sqlite) == of_january(pacs)
    assert (len(report.windows) > 5, report.failures) == (True, [])
    assert "pacs is asked by C-FIND: " in caplog.text
    assert "accepts none of what we need: Repository Query" in caplog.text


ONE_DAY = StudyQuery(window=Window(start=date(2024, 1, 2), end=date(2024, 1, 2)))


def answering(studies, most, *, ends):
    """Answer `most` studies at once, from the Prior Record Key on, and end as `ends` says."""

    async def script(asked):
        after = bytes(asked.identifier.get("PriorRecordKey") or b"").decode().strip("\0 ")
        left = [uid for uid in studies if uid > after]
        for uid in left[:most]:
            answer = type(asked.identifier)()
            answer.StudyInstanceUID, answer.StudyDate = uid, "20240102"
            answer.StudyTime = "101500"
            answer.RecordKey = uid.encode()
            asked.pending(answer)
        asked.done(ends(after, left))

    return script


async def test_an_answer_that_ends_in_silence_where_plain_ones_are_cut_off_is_gone_on_from(sqlite):
    studies = [f"1.2.{number:02}" for number in range(10, 25)]
    script = answering(studies, 5, ends=lambda *_: Status.SUCCESS)
    async with ScriptedPacs(script) as pacs:
        report = await finding_at(sqlite, pacs.peer(), ONE_DAY, cap=5, cap_kind=CapKind.CUT)
    assert (await recorded(sqlite), report.failures) == (set(studies), [])
    assert len(pacs.asked) == 4, "the last one brings nothing"


async def test_a_peer_that_does_not_know_its_own_record_key_leaves_a_gap(sqlite):
    studies = [f"1.2.{number:02}" for number in range(10, 25)]

    def ends(after, left):
        return Status.INVALID_PRIOR_RECORD_KEY if after else Status.RESPONSE_LIMIT

    async with ScriptedPacs(answering(studies, 5, ends=ends)) as pacs:
        report = await finding_at(sqlite, pacs.peer(), ONE_DAY)
    assert {failure.outcome for failure in report.failures} == {"truncated"}
    assert len(await recorded(sqlite)) >= 5
