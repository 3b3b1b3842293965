"""Finding and moving at a peer that does exactly what a test wants; images come from elsewhere."""

import asyncio
import contextlib
import functools
from datetime import date, timedelta
from itertools import product

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import func, select, update

from node.dicom.query import StudyQuery, Window
from node.dicom.status import Status
from node.errors import PeerRefused
from node.ops.counting.inquiring import ImageInquiry
from node.ops.finding import asking
from node.ops.finding.find import find
from node.ops.moving import arrivals as looks
from node.ops.moving import lines
from node.ops.moving.arrivals import Lookout
from node.ops.moving.move import move
from node.ops.moving.report import MoveWaits, Patience, StudyOutcome
from node.ops.moving.supply import ListedStudies, ReadyStudies
from node.ops.retrieving.c_move import MoveRequests
from node.ops.stalls import TimeLimits
from schema import (
    Cycle,
    Database,
    Image,
    StudyFind,
    add_images,
    get_studies_to_move,
    record_found,
    update_retrieved_study,
    utcnow,
)
from schema.cycles import LEASE, finish_cycle, interrupt_silent, start_cycle
from schema.errors import ValuesRefused
from schema.inventory import held_by_uid, lose_files
from schema.moving.attempts import begin_attempts
from schema.moving.senders import Senders
from schema.tables.ledger import MoveAttempt
from schema.tables.sources import StudySource
from tests.db.records import finding, record
from tests.support.scripted_intake import ScriptedIntake
from tests.support.scripted_pacs import ScriptedPacs
from tests.support.variants import on_sqlite, variants
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.virtual_time

IMAGES = 2
SENDERS = Senders(peers={"PACS": frozenset({"pacs"})}, ours=frozenset({"NODE"}))


async def found(db, count, images=IMAGES):
    """Record studies as found, and return them."""
    async with db.begin() as session:
        answers = [finding(f"1.{number}", images) for number in range(1, count + 1)]
        await record_found(session, answers, peer="pacs")
    async with db.session() as session:
        return await get_studies_to_move(session)


async def arrive(db, study, *numbers, source="PACS"):
    """Index images of a study, as another process would."""
    images = [
        record(f"{study}.1.{number}", f"{study}.1", study, source=source) for number in numbers
    ]
    async with db.begin() as session:
        await add_images(session, images)


def patience(*, settle=0.5, quiet=20.0, total=30.0):
    limits = TimeLimits(quiet=quiet, total=total)
    return Patience(limits=limits, query=limits, settle=settle)


async def moving(db, pacs, studies, *, intake=None, lines=1, watch=lambda _: None, **given):
    limits = patience(**given).limits
    async with asyncio.timeout(30):
        return await move(
            db,
            pacs.peer(),
            ListedStudies(studies) if isinstance(studies, list) else studies,
            line=lambda answered: MoveRequests(
                pacs.peer(), destination="NODE", limits=limits, answered=answered
            ),
            node="NODE",
            senders=SENDERS,
            patience=patience(**given),
            intake=intake or ScriptedIntake(),
            lines=lines,
            watch=watch,
        )


def outcomes(report):
    return [result.outcome.value for result in report.results]


async def another_is_at(db, *studies):
    """Claim studies as another node does; return the key of its cycle."""
    theirs = await db.run(start_cycle, "move", peer="elsewhere", node="OTHER")
    await db.run(begin_attempts, studies, peer="elsewhere", cycle_id=theirs, node="OTHER")
    return theirs


async def is_running(db, cycle):
    async with db.session() as session:
        return await session.scalar(select(Cycle.outcome).where(Cycle.id == cycle)) == "running"


async def delivering(db, asked):
    """Do as a good PACS does."""
    await arrive(db, asked.study_uid, *range(IMAGES))
    asked.pending(remaining=0, completed=IMAGES, failed=0, warning=0)
    asked.done()


# 1. One association


@on_sqlite
async def test_several_studies_are_asked_for_over_one_association(db):
    studies = await found(db, 3)
    async with ScriptedPacs(lambda asked: delivering(db, asked), questions=False) as pacs:
        report = await moving(db, pacs, studies)
    assert outcomes(report) == ["complete"] * 3
    assert [asked.study_uid for asked in pacs.asked] == [study.study_uid for study in studies]
    assert pacs.associations == 1


@pytest.mark.parametrize("ending", ["releases after one", "aborts after one", "aborts the second"])
async def test_a_peer_that_takes_one_move_for_each_association_gets_one_for_each(sqlite, ending):
    async def script(asked):
        if asked.number > 1:
            asked.abort()
            return
        await delivering(sqlite, asked)
        if ending == "releases after one":
            asked.release()
        elif ending == "aborts after one":
            asked.abort()

    studies = await found(sqlite, 4)
    async with ScriptedPacs(script, questions=False) as pacs:
        report = await moving(sqlite, pacs, studies)
    assert outcomes(report) == ["complete"] * 4
    # who has aborted a second one is not asked for another second one
    assert sum(asked.number > 1 for asked in pacs.asked) <= 1
    assert pacs.associations == 4
    async with sqlite.session() as session:
        assert list(await session.scalars(select(StudyFind.attempts))) == [1] * 4


async def test_what_is_lost_on_the_way_is_asked_for_again_when_the_others_were(sqlite):
    async def script(asked):
        if asked.study_uid == "1.2":
            await arrive(sqlite, "1.2", 0)
            asked.pending(remaining=1, completed=1, failed=0, warning=0)
            await asyncio.sleep(0.1)
            asked.abort()
        else:
            await delivering(sqlite, asked)

    studies = await found(sqlite, 3)
    async with ScriptedPacs(script, questions=False) as pacs:
        report = await moving(sqlite, pacs, studies)
    assert outcomes(report) == ["complete", "partial", "complete"]
    assert "the association ended" in report.results[1].message
    assert pacs.moved == ["1.1", "1.2", "1.3", "1.2"]  # the second time in vain
    assert pacs.associations in (2, 3)  # it may have been closed while all others settled
    async with sqlite.session() as session:
        attempts = (await session.scalars(select(MoveAttempt).order_by(MoveAttempt.id))).all()
    facts = [(one.outcome, one.failure, one.arrived, one.images) for one in attempts]
    assert facts[1] == ("partial", "busy", 1, 1)
    assert facts[3] == ("partial", "busy", 0, 1)


# 2. Several associations


class Overlapping:
    """Answers as a good PACS does, but not before so many are asked for at once, if ever."""

    def __init__(self, db, most=2, patience=1.0):
        self.db = db
        self.most = most
        self.patience = patience
        self.under_way = set()
        self.together = 0
        self.moved = []

    async def __call__(self, asked):
        if not asked.is_move:
            asked.done()
            return
        self.under_way.add(asked.association)
        self.moved.append(asked.study_uid)
        self.together = max(self.together, len(self.under_way))
        asked.pending(remaining=IMAGES, completed=0, failed=0, warning=0)
        with contextlib.suppress(AssertionError):
            await wait_until_async(lambda: self.together >= self.most, self.patience)
        await asyncio.sleep(0.02)
        await delivering(self.db, asked)
        self.under_way.discard(asked.association)


async def test_studies_are_asked_for_over_as_many_associations_as_are_allowed(db):
    studies = await found(db, 9)
    script = Overlapping(db, most=3)
    async with ScriptedPacs(script, questions=False) as pacs:
        report = await moving(db, pacs, studies, lines=3)
    assert outcomes(report) == ["complete"] * 9
    assert (script.together, pacs.associations) == (3, 3)
    assert sorted(script.moved) == sorted(study.study_uid for study in studies)
    async with db.session() as session:
        assert set(await session.scalars(select(StudyFind.attempts))) == {1}


async def test_a_peer_that_takes_one_association_is_asked_over_one(sqlite):
    script = Overlapping(sqlite, patience=0.1)
    async with ScriptedPacs(script, questions=False) as pacs:
        pacs.most = 1
        report = await moving(sqlite, pacs, await found(sqlite, 4), lines=3)
    assert outcomes(report) == ["complete"] * 4
    assert script.together == 1


async def test_a_peer_that_ends_an_association_after_one_study_is_asked_over_several(sqlite):
    script = Overlapping(sqlite)

    async def releasing(asked):
        await script(asked)
        asked.release()

    async with ScriptedPacs(releasing, questions=False) as pacs:
        report = await moving(sqlite, pacs, await found(sqlite, 5), lines=2)
    assert outcomes(report) == ["complete"] * 5
    assert script.together == 2
    assert len(script.moved) == 5


@variants("refusal", "status", "abort")
async def test_a_peer_that_serves_one_move_at_a_time_is_asked_one_by_one(db, refusal):
    busy = set()

    async def script(asked):
        if not asked.is_move:
            asked.done()
        elif busy:
            if refusal == "status":
                asked.done(Status.UNABLE_TO_PERFORM_SUBOPERATIONS)
            else:
                asked.abort()
        else:
            busy.add(asked.study_uid)
            asked.pending(remaining=IMAGES, completed=0, failed=0, warning=0)
            await asyncio.sleep(0.1)
            await delivering(db, asked)
            busy.discard(asked.study_uid)

    async with ScriptedPacs(script) as pacs:
        report = await moving(db, pacs, await found(db, 6), lines=3)
    assert outcomes(report) == ["complete"] * 6
    assert len(pacs.moved) <= 6 + 6  # the other associations were given up soon
    async with db.session() as session:
        assert set(await session.scalars(select(StudyFind.attempts))) == {1}


async def test_a_peer_with_one_association_that_it_ends_after_each_study_gives_all(sqlite):
    async def script(asked):
        await asyncio.sleep(0.05)
        await delivering(sqlite, asked)
        asked.release()

    async with ScriptedPacs(script, questions=False) as pacs:
        pacs.most = 1
        report = await moving(sqlite, pacs, await found(sqlite, 5), lines=2)
    assert outcomes(report) == ["complete"] * 5


async def test_a_study_that_fails_by_itself_does_not_cost_the_others_their_associations(sqlite):
    script = Overlapping(sqlite, patience=0.2)

    async def failing(asked):
        if asked.is_move and asked.study_uid == "1.3":
            asked.done(Status.UNABLE_TO_PROCESS)
        else:
            await script(asked)

    async with ScriptedPacs(failing) as pacs:
        report = await moving(sqlite, pacs, await found(sqlite, 8), lines=2)
    assert sorted(outcomes(report)) == ["complete"] * 7 + ["failed"]
    assert pacs.moved.count("1.3") <= 2
    assert pacs.associations >= 3  # the second one was made again


async def test_what_a_peer_sends_with_a_warning_is_not_asked_for_again_while_it_is_indexed(sqlite):
    async def script(asked):
        if not asked.is_move:
            asked.done()
            return
        asked.pending(remaining=0, completed=IMAGES, failed=0, warning=0)
        asked.done(0xB000)
        await asyncio.sleep(0.2)
        await arrive(sqlite, asked.study_uid, *range(IMAGES))

    async with ScriptedPacs(script) as pacs:
        report = await moving(sqlite, pacs, await found(sqlite, 4), lines=2)
    assert outcomes(report) == ["complete"] * 4
    assert sorted(pacs.moved) == ["1.1", "1.2", "1.3", "1.4"]


async def test_one_study_is_asked_for_over_one_association(sqlite):
    async with ScriptedPacs(lambda asked: delivering(sqlite, asked), questions=False) as pacs:
        report = await moving(sqlite, pacs, await found(sqlite, 1), lines=3)
    assert outcomes(report) == ["complete"]
    assert pacs.associations == 1


async def test_a_destination_that_is_unknown_ends_what_is_asked_over_all_associations(sqlite):
    script = Overlapping(sqlite)

    async def until_forgotten(asked):
        if asked.is_move and asked.study_uid == "1.4":
            asked.done(Status.MOVE_DESTINATION_UNKNOWN)
        else:
            await script(asked)

    studies = await found(sqlite, 15)
    async with ScriptedPacs(until_forgotten) as pacs:
        with pytest.raises(PeerRefused, match="has to know the AE title NODE"):
            await moving(sqlite, pacs, studies, lines=2)
    async with sqlite.session() as session:
        left = {study.study_uid: study.attempts for study in await get_studies_to_move(session)}
        told = (
            await session.scalars(select(MoveAttempt).where(MoveAttempt.status.is_not(None)))
        ).all()
    assert set(left.values()) == {0}  # it says nothing of any study
    assert [one.failure for one in told if one.status == Status.MOVE_DESTINATION_UNKNOWN] == [
        "configuration"
    ]


async def test_what_waits_for_room_is_left_to_other_nodes(db, migrated_url, monkeypatch):
    monkeypatch.setattr(lines, "_LOOK_AT_GATE", 0.05)
    intake, told = ScriptedIntake(), []

    async def script(asked):
        await delivering(db, asked)
        if asked.study_uid == "1.1":
            intake.reason = "the disk is full"

    studies = await found(db, 4)
    async with ScriptedPacs(script, questions=False) as full:
        task = asyncio.create_task(
            moving(db, full, studies, intake=intake, lines=2, watch=told.append)
        )
        await wait_until_async(lambda: any(isinstance(one, MoveWaits) for one in told))
        async with Database(migrated_url) as other:
            async with ScriptedPacs(
                lambda asked: delivering(other, asked), questions=False
            ) as pacs:
                report = await moving(other, pacs, studies[2:])
        assert outcomes(report) == ["complete"] * 2
        intake.reason = None
        mine = await task
    assert not mine.incomplete
    assert {*full.moved, *pacs.moved} == {study.study_uid for study in studies}
    assert len(full.moved) + len(pacs.moved) == 4


# 3. Settling, and looking


@on_sqlite
async def test_what_is_incomplete_settles_while_the_others_are_asked_for(db):
    async def script(asked):
        if asked.is_move:
            await arrive(db, asked.study_uid, 0)
        asked.done()

    studies = await found(db, 7)
    loop = asyncio.get_running_loop()
    async with ScriptedPacs(script) as pacs:
        began = loop.time()
        report = await moving(db, pacs, studies, settle=1.0)
    assert loop.time() - began < 5
    assert outcomes(report) == ["partial"] * 7
    assert [result.study_uid for result in report.results] == [s.study_uid for s in studies]


async def test_images_that_come_after_the_last_response_complete_their_study(sqlite):
    async def script(asked):
        asked.done()
        await asyncio.sleep(0.5)
        await arrive(sqlite, asked.study_uid, 0)
        await asyncio.sleep(1.0)
        await arrive(sqlite, asked.study_uid, 1)

    async with ScriptedPacs(script, questions=False) as pacs:
        report = await moving(sqlite, pacs, await found(sqlite, 2), settle=3.0)
    assert outcomes(report) == ["complete"] * 2


async def test_who_is_told_what_is_indexed_does_not_wait_for_the_next_look(sqlite, monkeypatch):
    monkeypatch.setattr(looks, "_LONGEST", 600.0)
    intake = ScriptedIntake(told=True)

    async def script(asked):
        asked.done()
        await asyncio.sleep(0.3)
        await arrive(sqlite, asked.study_uid, *range(IMAGES))
        for tell in intake.listeners:
            tell({asked.study_uid: IMAGES, "1.2.3": 1})

    async with ScriptedPacs(script, questions=False) as pacs:
        report = await moving(sqlite, pacs, await found(sqlite, 1), intake=intake, settle=25.0)
    assert outcomes(report) == ["complete"]


async def test_images_are_looked_for_soon_and_then_ever_more_slowly(sqlite):
    lookout = Lookout(sqlite)
    arrivals = lookout.watch("1.1", 0)
    lookout.expect(arrivals, None)
    loop = asyncio.get_running_loop()
    waits = [arrivals.due - loop.time()]
    for _ in range(15):
        waits.append(arrivals.wait)
        lookout._look_again(arrivals)
    assert 0 < waits[0] <= 0.02
    assert waits == sorted(waits)
    assert waits[-1] == 1.0


# 4. Deadlines


@on_sqlite
async def test_pending_without_progress_ends_a_move_and_the_next_study_is_asked_for(db):
    async def script(asked):
        if not asked.is_move:
            asked.done()
        elif asked.study_uid == "1.1":
            await arrive(db, "1.1", 0)
            while True:
                asked.pending(remaining=1, completed=1, failed=0, warning=0)
                await asyncio.sleep(0.05)
        else:
            await delivering(db, asked)

    async with ScriptedPacs(script) as pacs:
        report = await moving(db, pacs, await found(db, 2), quiet=1.0)
    assert outcomes(report) == ["partial", "complete"]
    assert "the C-MOVE at pacs has made no progress for 1 s" in report.results[0].message


async def test_images_that_come_keep_a_silent_move_alive(sqlite):
    async def script(asked):
        for number in range(8):
            await asyncio.sleep(0.4)
            await arrive(sqlite, asked.study_uid, number)
        asked.done()

    async with ScriptedPacs(script, questions=False) as pacs:
        report = await moving(sqlite, pacs, await found(sqlite, 1, images=8), quiet=2.5)
    assert outcomes(report) == ["complete"]


async def test_a_move_that_goes_on_for_ever_ends_after_the_longest_time_there_is(sqlite):
    async def script(asked):
        for remaining in range(10_000):
            asked.pending(remaining=remaining, completed=1, failed=0, warning=0)
            await asyncio.sleep(0.05)

    async with ScriptedPacs(script, questions=False) as pacs:
        report = await moving(sqlite, pacs, await found(sqlite, 1), quiet=20.0, total=1.0)
    assert outcomes(report) == ["failed"]
    assert "the C-MOVE at pacs has taken more than 1 s" in report.results[0].message


def nothing_new(asked):
    asked.pending(finding(StudyInstanceUID="1.1"))


def no_identifier(asked):
    asked.pending()


@variants("answer", nothing_new, no_identifier)
async def test_a_find_of_which_nothing_new_comes_ends_and_the_next_question_is_asked(db, answer):
    async def script(asked):
        while "20240102" in asked.identifier.StudyDate:
            answer(asked)
            await asyncio.sleep(0.02)
        asked.pending(finding("1.3", StudyDate="20240103"))
        asked.done()

    query = StudyQuery(window=Window(start=date(2024, 1, 2), end=date(2024, 1, 3)))
    limits = TimeLimits(quiet=0.5, total=20.0)
    async with ScriptedPacs(script) as pacs, asyncio.timeout(30):
        report = await find(db, pacs.peer(), [query], node="NODE", limits=limits)
    assert [window.outcome for window in report.windows] == ["failed", "failed", "complete"]
    assert [str(gap) for gap in report.failures] == ["2024-01-02"]
    assert report.windows[0].message == "the C-FIND at pacs has made no progress for 0.5 s"
    assert report.windows[0].found == (answer is nothing_new)


async def test_a_study_that_the_database_refuses_fails_its_window_and_costs_no_other(
    db, monkeypatch
):
    async def script(asked):
        for day in asked.identifier.StudyDate.split("-"):
            for number in range(3):
                asked.pending(finding(f"1.{day}.{number}", StudyDate=day))
        asked.done()

    async def refusing(session, answers, **how):
        if any(answer.study_uid == "1.20240102.1" for answer in answers):
            raise ValuesRefused("the database refuses it: a number out of range")
        return await record_found(session, answers, **how)

    monkeypatch.setattr(asking, "record_found", refusing)
    query = StudyQuery(window=Window(start=date(2024, 1, 2), end=date(2024, 1, 3)))
    limits = TimeLimits(quiet=20.0, total=20.0)
    async with ScriptedPacs(script) as pacs, asyncio.timeout(30):
        report = await find(db, pacs.peer(), [query], node="NODE", limits=limits)
    assert [window.outcome for window in report.windows] == ["failed", "failed", "complete"]
    assert [(window.found, window.new) for window in report.windows] == [(5, 5), (0, 0), (0, 0)]
    assert [str(gap) for gap in report.failures] == ["2024-01-02"]
    async with db.session() as session:
        uids = set(await session.scalars(select(StudyFind.study_uid)))
    assert uids == {"1.20240102.0", "1.20240102.2", *(f"1.20240103.{n}" for n in range(3))}


async def test_a_find_that_goes_on_for_ever_ends_after_the_longest_time_there_is(sqlite):
    async def script(asked):
        for number in range(10_000):
            asked.pending(finding(f"1.2.{number}"))
            await asyncio.sleep(0.05)

    query = StudyQuery(window=Window(start=date(2024, 1, 2), end=date(2024, 1, 2)))
    limits = TimeLimits(quiet=20.0, total=1.0)
    async with ScriptedPacs(script) as pacs, asyncio.timeout(30):
        report = await find(sqlite, pacs.peer(), [query], node="NODE", limits=limits)
    assert report.windows[0].message == "the C-FIND at pacs has taken more than 1 s"
    assert report.windows[0].found > 0


async def test_a_peer_that_lists_images_for_ever_cannot_be_asked_for_single_images():
    async def script(asked):
        series = Dataset()
        series.StudyInstanceUID, series.SeriesInstanceUID = "1.1", "1.1.1"
        while True:
            asked.pending(series)
            await asyncio.sleep(0.02)

    async with ScriptedPacs(script) as pacs, asyncio.timeout(30):
        limits = TimeLimits(quiet=0.5, total=9.0)
        async with ImageInquiry(pacs.peer(), limits) as inquiry:
            assert await inquiry.list("1.1", images=None, series=None) is None


# 5. Several nodes


async def test_a_study_that_another_node_is_moving_is_skipped_and_said_so(db, migrated_url):
    studies = await found(db, 3)
    async with (
        Database(migrated_url) as other,
        ScriptedPacs(lambda asked: delivering(db, asked), questions=False) as pacs,
    ):
        theirs = await another_is_at(other, "1.2")
        report = await moving(db, pacs, studies)
        assert outcomes(report) == ["complete", "skipped", "complete"]
        assert report.results[1].message == "another node is moving it"
        assert report.counts() == {
            "studies": 2,
            "complete": 2,
            "incomplete": 0,
            "images": 4,
            "skipped": 1,
        }
        assert pacs.moved == ["1.1", "1.3"]
        await other.run(finish_cycle, theirs, "done")
        async with db.session() as session:
            left = await get_studies_to_move(session)
        assert [study.attempts for study in left] == [0]
        assert outcomes(await moving(db, pacs, left)) == ["complete"]


async def test_two_nodes_that_begin_together_never_ask_for_the_same_study(db, migrated_url):
    async def script(asked):
        await asyncio.sleep(0.02)
        await delivering(db, asked)

    async with Database(migrated_url) as other, ScriptedPacs(script, questions=False) as pacs:
        studies = await found(db, 6)
        reports = await asyncio.gather(moving(db, pacs, studies), moving(other, pacs, studies))
    assert sorted(pacs.moved) == sorted(study.study_uid for study in studies)
    assert not any(report.incomplete for report in reports)
    async with db.session() as session:
        assert set(await session.scalars(select(StudyFind.attempts))) == {1}


async def test_a_study_that_two_pacs_have_is_moved_from_one_of_them_at_a_time(db, migrated_url):
    reports = []

    async def script(asked):
        reports.append(await moving(other, elsewhere, studies))
        await delivering(db, asked)

    async with (
        Database(migrated_url) as other,
        ScriptedPacs(lambda asked: delivering(db, asked), questions=False) as elsewhere,
        ScriptedPacs(script, questions=False) as pacs,
    ):
        elsewhere.peer = functools.partial(elsewhere.peer, "elsewhere")
        studies = await found(db, 1)
        reports.append(await moving(db, pacs, studies))
    assert [outcomes(report) for report in reports] == [["skipped"], ["complete"]]
    assert elsewhere.moved == []


async def test_a_node_that_was_taken_for_dead_asks_for_nothing_that_another_one_has_taken(
    db, migrated_url
):
    async def script(asked):
        if asked.study_uid != "1.1":
            await delivering(db, asked)
            return
        # nothing was heard of it for long
        async with other.begin() as session:
            ours = await session.scalar(select(func.max(Cycle.id)))
            assert await interrupt_silent(session, later=2 * LEASE) == 1
        await another_is_at(other, "1.1", "1.2", "1.3")
        await arrive(other, "1.3", *range(IMAGES))
        async with other.begin() as session:
            await update_retrieved_study(session, "1.3", peer="pacs")
        await wait_until_async(lambda: is_running(other, ours), 10)  # it has seen that it was
        asked.done()

    async with (
        Database(migrated_url) as other,
        ScriptedPacs(script, questions=False) as pacs,
    ):
        report = await moving(db, pacs, await found(db, 4))
        assert pacs.moved == ["1.1", "1.4"]
        assert outcomes(report) == ["skipped", "skipped", "complete", "complete"]
        assert "another node has taken it over" in report.results[0].message
        assert report.results[1].message == "another node is moving it"
        async with db.session() as session:
            rows = await session.execute(select(StudyFind.study_uid, StudyFind.attempts))
        assert dict(rows.all()) == {"1.1": 0, "1.2": 0, "1.3": 0, "1.4": 1}


# 6. The gate


@on_sqlite
async def test_nothing_is_asked_for_while_nothing_is_taken_and_the_row_says_why(db, monkeypatch):
    monkeypatch.setattr(lines, "_LOOK_AT_GATE", 0.05)
    intake, told = ScriptedIntake(), []

    async def script(asked):
        await delivering(db, asked)
        intake.reason = "the disk is full" if asked.study_uid == "1.1" else None

    async def message():
        async with db.session() as session:
            return await session.scalar(select(Cycle.message))

    studies = await found(db, 3)
    async with ScriptedPacs(script, questions=False) as pacs:
        task = asyncio.create_task(moving(db, pacs, studies, intake=intake, watch=told.append))
        await wait_until_async(lambda: any(isinstance(one, MoveWaits) for one in told))

        async def waits():
            return await message() == "waiting: the disk is full"

        await wait_until_async(waits)
        await asyncio.sleep(0.3)
        assert pacs.moved == ["1.1"]
        intake.reason = None
        report = await task
    assert outcomes(report) == ["complete"] * 3
    reasons = [one.reason for one in told if isinstance(one, MoveWaits)]
    assert reasons == ["the disk is full", None]
    assert await message() is None
    assert {one.result.outcome for one in told if getattr(one, "result", None)} == {
        StudyOutcome.COMPLETE
    }


async def test_a_move_that_waits_for_room_ends_cleanly_when_it_is_cancelled(db):
    async with ScriptedPacs(lambda asked: delivering(db, asked), questions=False) as pacs:
        intake = ScriptedIntake(reason="the disk is full")
        told = []
        move = moving(db, pacs, await found(db, 2), intake=intake, watch=told.append)
        task = asyncio.create_task(move)
        await wait_until_async(lambda: told)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert pacs.asked == []
    async with db.session() as session:
        assert await session.scalar(select(Cycle.outcome)) == "interrupted"
        assert set(await session.scalars(select(StudyFind.attempts))) == {0}


@variants("lists, fails", *product([True, False], [True, False]))
async def test_what_is_here_from_another_peer_is_not_taken_for_what_this_one_has(db, lists, fails):
    async def script(asked):
        if asked.is_move:
            if fails:
                asked.done(0xC000)
                return
            await arrive(db, "1.1", *range(IMAGES))
        elif lists:
            list_images(asked, "1.1", IMAGES)
        asked.done()

    await found(db, 1)
    async with db.begin() as session:
        await record_found(session, [finding("1.1", IMAGES)], peer="other")
    await arrive(db, "1.1", *range(100, 100 + IMAGES), source="OTHER")
    async with db.begin() as session:
        await update_retrieved_study(session, "1.1", peer="other")
    async with db.session() as session:
        studies = await get_studies_to_move(session, peer="pacs")
    async with ScriptedPacs(script) as pacs:
        report = await moving(db, pacs, studies)
    assert outcomes(report) == ["partial" if fails else "complete"]
    assert pacs.moved == ["1.1"]
    async with db.session() as session:
        study = await StudyFind.by_uid(session, "1.1")
        assert (study.retrieved_on is None) == fails
        here = await session.scalar(select(func.count(Image.id)))
    assert here == (IMAGES if fails else 2 * IMAGES)


async def test_what_a_peer_has_sent_and_does_not_list_is_waited_for_before_its_list_is_believed(
    sqlite,
):
    late = set()

    async def script(asked):
        if not asked.is_move:
            list_images(asked, "1.1", 1)
        elif not late:
            await arrive(sqlite, "1.1", 0)
            late.add(asyncio.ensure_future(arrive_late()))
            asked.pending(remaining=0, completed=2, failed=0, warning=0)
        asked.done()

    async def arrive_late():
        await asyncio.sleep(0.3)
        await arrive(sqlite, "1.1", 1)

    studies = await found(sqlite, 1, images=None)
    async with ScriptedPacs(script) as pacs:
        await moving(sqlite, pacs, studies)
    async with sqlite.session() as session:
        first = (await session.scalars(select(MoveAttempt).order_by(MoveAttempt.id))).first()
    assert (first.evidence, first.images) == (None, 2)


# 7. What changes while it is moved


async def say_again(db, study, images):
    """Let a find record what the peer says by now."""
    async with db.begin() as session:
        await record_found(session, [finding(study, images)], peer="pacs")


async def row_of(db, study):
    async with db.session() as session:
        row = await StudyFind.by_uid(session, study)
    return row.state, row.expected_images, row.retrieved_on, row.next_attempt_on, row.last_error


async def test_a_study_that_grows_while_it_is_moved_is_not_complete_without_its_new_images(db):
    async def script(asked):
        if asked.is_move:
            await say_again(db, asked.study_uid, 5)
            await arrive(db, asked.study_uid, *range(IMAGES))
        asked.done()

    async with ScriptedPacs(script) as pacs:
        report = await moving(db, pacs, await found(db, 1))
    lack = "3 of 5 images are missing"
    (result,) = report.results
    assert (result.outcome, result.expected, result.received) == (StudyOutcome.PARTIAL, 5, IMAGES)
    assert result.message == lack
    state, expected, retrieved_on, due, error = await row_of(db, "1.1")
    assert (state, expected, retrieved_on, error) == ("partial", 5, None, lack)
    assert due is not None  # once more it was in vain
    async with db.session() as session:
        assert await session.scalar(select(Cycle.outcome)) == "partial"
        assert len(await get_studies_to_move(session, peer="pacs")) == 1


@variants("delivers", 1, 3)
async def test_a_study_that_grows_before_its_turn_is_asked_for_although_all_was_here(db, delivers):
    async def script(asked):
        if asked.is_move and asked.study_uid == "1.1":
            await say_again(db, "1.2", 5)
            await delivering(db, asked)
            return
        if asked.is_move:
            await arrive(db, "1.2", *range(IMAGES, IMAGES + delivers))
        asked.done()

    studies = await found(db, 2)
    await arrive(db, "1.2", *range(IMAGES))
    async with ScriptedPacs(script) as pacs:
        report = await moving(db, pacs, studies)
    assert [one.arrived for one in report.results] == [IMAGES, delivers]
    assert report.counts()["images"] == IMAGES + delivers  # not those that were here
    complete = delivers == 3
    assert pacs.moved == ["1.1", "1.2"] + ["1.2"] * (not complete)
    assert outcomes(report) == ["complete", "complete" if complete else "partial"]
    state, expected, retrieved_on, _, error = await row_of(db, "1.2")
    assert (state, expected) == ("retrieved" if complete else "partial", 5)
    assert (retrieved_on is not None) == complete
    assert error == (None if complete else "2 of 5 images are missing")


async def test_a_study_that_loses_a_file_before_its_turn_is_asked_for(db):
    async def gone(images):
        return images

    async def script(asked):
        if asked.is_move and asked.study_uid == "1.1":
            async with db.begin() as session:
                lost = await held_by_uid(session, ["1.2.1.0"])
                await lose_files(session, list(lost.values()), gone=gone)
            await delivering(db, asked)
            return
        asked.done()

    studies = await found(db, 2)
    async with db.begin() as session:
        await add_images(
            session,
            [
                record(f"1.2.1.{one}", "1.2.1", "1.2", filepath=f"/{one}", size=1, source="PACS")
                for one in (0, 1)
            ],
        )
    async with ScriptedPacs(script) as pacs:
        report = await moving(db, pacs, studies)
    assert pacs.moved == ["1.1", "1.2"]
    assert outcomes(report) == ["complete", "partial"]
    state, expected, retrieved_on, _, error = await row_of(db, "1.2")
    assert (state, expected, retrieved_on) == ("partial", IMAGES, None)
    assert error == "1 of 2 images are missing"


def list_images(asked, study, count):
    """Answer a SERIES or an IMAGE query for a study of one series."""
    answer = Dataset()
    answer.StudyInstanceUID, answer.SeriesInstanceUID = study, f"{study}.1"
    if asked.identifier.QueryRetrieveLevel == "SERIES":
        answer.NumberOfSeriesRelatedInstances = count
        asked.pending(answer)
        return
    for number in range(count):
        answer.SOPInstanceUID = f"{study}.1.{number}"
        asked.pending(answer)


# 8. Page by page


async def test_what_is_ready_is_asked_for_page_by_page_and_once_more_where_some_has_come(db):
    async def script(asked):
        whole = asked.study_uid not in ("1.3", "1.9") or asked.study_uid in pacs.moved[:-1]
        await arrive(db, asked.study_uid, *range(IMAGES if whole else 1))
        asked.done()

    await found(db, 20)
    async with db.begin() as session:
        await record_found(session, [finding("2.1", 1)], peer="other")
    studies = await ReadyStudies.of(db, "pacs", longest_wait=60)
    assert (studies.studies, studies.images) == (20, 20 * IMAGES)
    async with ScriptedPacs(script, questions=False) as pacs:
        report = await moving(db, pacs, studies, settle=0.1)
    assert outcomes(report) == ["complete"] * 20, "each once"
    assert sorted(pacs.moved) == sorted([*(f"1.{one}" for one in range(1, 21)), "1.3", "1.9"])
    assert not (await ReadyStudies.of(db, "pacs", longest_wait=60)).left


async def test_no_more_studies_are_taken_than_a_cycle_may_have(sqlite):
    await found(sqlite, 20)
    studies = await ReadyStudies.of(sqlite, "pacs", longest_wait=60, limit=11)
    async with ScriptedPacs(lambda asked: delivering(sqlite, asked), questions=False) as pacs:
        report = await moving(sqlite, pacs, studies)
    assert (len(pacs.moved), len(report.results), report.left) == (11, 11, 0)


# 9. A study that hangs


@variants(
    "answers, failing",
    *[(True, "1.4"), (True, "1.2"), (True, None), (False, None)],
    ids=["beside one that fails last", "beside one that fails first", "pending", "silent"],
)
async def test_a_study_that_hangs_costs_its_own_place_alone(db, answers, failing):
    others = {"1.2", "1.3", "1.4"} - {failing}
    done, told = [], []

    async def script(asked):
        if not asked.is_move:
            asked.done()
        elif asked.study_uid == "1.1":
            if answers:
                asked.pending(remaining=IMAGES, completed=0, failed=0, warning=0)
            await found(db, 4)  # nobody knew of the others when the move began
            await wait_until_async(lambda: others <= set(done))
            await delivering(db, asked)
        elif asked.study_uid == failing:
            asked.done(Status.UNABLE_TO_PROCESS)
        elif asked.study_uid == "1.3" and pacs.moved.count("1.3") == 1:
            await arrive(db, "1.3", 0)
            asked.done()
        else:
            await delivering(db, asked)

    def watch(progress):
        told.append(progress)
        if progress.result is not None and progress.result.outcome is StudyOutcome.COMPLETE:
            done.append(progress.study_uid)

    await found(db, 1)
    studies = await ReadyStudies.of(db, "pacs", longest_wait=60, every=0.5)
    async with ScriptedPacs(script) as pacs:
        report = await moving(db, pacs, studies, lines=2, settle=0.1, watch=watch)
    assert sorted(outcomes(report)) == ["complete"] * (len(others) + 1) + ["failed"] * bool(failing)
    assert done[-1] == "1.1"
    came = sorted(uid for uid in pacs.moved if uid != failing)
    assert came == sorted(["1.1", "1.3", *others])
    assert pacs.moved.count(failing) <= 3, "beside a question, beside the other one, by itself"
    assert [max(one.studies for one in told if one.study_uid == uid) for uid in ("1.1", "1.4")] == [
        1,
        4,
    ], "the counts grow"
    assert report.left == 0


async def test_what_becomes_ready_is_seen_and_what_was_done_is_not_given_again(db):
    await found(db, 3)
    studies = await ReadyStudies.of(db, "pacs", longest_wait=60, every=0.5)
    assert len(await drawn(db, studies)) == 3
    studies.done_with("1.1")
    async with db.begin() as session:
        waits = update(StudySource).values(next_attempt_on=utcnow() + timedelta(seconds=30))
        await session.execute(waits)
    await studies.look()
    assert not studies.left
    async with db.begin() as session:
        await session.execute(update(StudySource).values(next_attempt_on=utcnow()))
    await found(db, 4)
    await studies.look()
    assert (studies.left, studies.studies) == (True, 6)
    assert [one.study_uid for one in await drawn(db, studies)] == ["1.2", "1.3", "1.4"]


async def drawn(db, studies):
    async with db.begin() as session:
        given = await studies.draw(session, 10)
    studies.drawn(given, 10)
    return given
