"""An operator's hand on a cycle: cancelled, paused and resumed in whatever state it is."""

import asyncio
import os
import time
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select, update

from node.dicom.query import StudyQuery, Window
from node.errors import CycleCancelled
from node.ops import cycles as running
from node.ops.cycles import end_the_dead
from node.ops.cycling import running as running_cycles
from node.ops.cycling import steering as steering_of_cycles
from node.ops.finding.find import find
from node.ops.moving.move import move
from node.ops.moving.report import Patience
from node.ops.moving.supply import ListedStudies
from node.ops.overseeing import steering
from node.ops.overseeing import studies as deciding
from node.ops.overseeing.steering import CycleEnded, cancel, get_cycles, pause, resume
from node.ops.overseeing.studies import end_moves, end_studies, hold
from node.ops.processes import start_of
from node.ops.retrieving.c_move import MoveRequests
from node.ops.stalls import TimeLimits
from schema import (
    Cycle,
    FindWindow,
    StudyFind,
    add_images,
    get_studies_to_move,
    record_found,
)
from schema.cycles import finish_cycle, start_cycle
from schema.deciding.ending import get_unwanted, open_attempts
from schema.errors import DatabaseUnavailable
from schema.moving.attempts import begin_attempts
from schema.moving.senders import Senders
from schema.tables.ledger import MoveAttempt, Wish
from schema.tables.sources import StudySource
from schema.tables.statements import shared_now
from tests.db.records import finding, record
from tests.support.scripted_intake import ScriptedIntake
from tests.support.scripted_pacs import ScriptedPacs
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.virtual_time

LIMITS = TimeLimits(quiet=60.0, total=60.0)
DAYS = StudyQuery(window=Window(start=date(2024, 1, 1), end=date(2024, 1, 3)))


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    monkeypatch.setattr(steering_of_cycles, "_LOOK", 0.05)
    monkeypatch.setattr(steering, "_TO_PAUSE", 0.3)


@pytest.fixture
def seen_to_pause(monkeypatch):
    """Tell whether the cycle has seen that it is to pause: what it is at when it sees is its last.

    One look that has begun after another one has seen it shows that this one has come to its end.
    """
    look, looks = running_cycles.get_wish, []

    async def kept(session, id_):
        wish = await look(session, id_)
        looks.append(wish)
        return wish

    monkeypatch.setattr(running_cycles, "get_wish", kept)
    return lambda: looks.count(Wish.PAUSE) > 1


async def studies_of(db, count):
    async with db.begin() as session:
        await record_found(session, [finding(f"1.{n}", 1) for n in range(count)], peer="pacs")
    async with db.session() as session:
        return await get_studies_to_move(session)


async def arrive(db, study):
    async with db.begin() as session:
        await add_images(session, [record(f"{study}.1.1", f"{study}.1", study, source="PACS")])


def finding_at(db, pacs):
    return asyncio.create_task(find(db, pacs.peer(), [DAYS], node="NODE", limits=LIMITS))


def moving_from(db, pacs, studies, *, intake=None, settle=60.0):
    patience = Patience(limits=LIMITS, query=LIMITS, settle=settle)
    work = move(
        db,
        pacs.peer(),
        ListedStudies(studies),
        line=lambda answered: MoveRequests(
            pacs.peer(), destination="NODE", limits=LIMITS, answered=answered
        ),
        node="NODE",
        senders=Senders(peers={"PACS": frozenset({"pacs"})}),
        patience=patience,
        intake=intake or ScriptedIntake(),
    )
    return asyncio.create_task(work)


async def rows(db):
    async with db.session() as session:
        return [
            (row.kind, row.outcome, row.wanted)
            for row in await session.scalars(select(Cycle).order_by(Cycle.id))
        ]


async def the_cycle(db):
    """Return the newest cycle."""
    async with db.session() as session:
        newest = (await session.scalars(select(func.max(Cycle.id)))).one()
    return (await get_cycles(db, [newest]))[0]


async def cancelled_at_once(db, task):
    """Cancel the newest cycle, which the task runs; see that it ends, and says how."""
    cycle = await the_cycle(db)
    began = time.monotonic()
    steered = await cancel(db, cycle)
    assert (steered.cycle.outcome, steered.cycle.finished_on is not None) == ("cancelled", True)
    assert not steered.silent
    with pytest.raises(CycleCancelled, match=f"cycle {cycle.id} was cancelled by an operator"):
        await task
    assert time.monotonic() - began < 5
    assert (await rows(db))[-1][1:] == ("cancelled", None)


async def silence(asked):
    await asyncio.sleep(60)


async def test_a_find_is_cancelled_in_the_middle_of_a_question(db):
    async with ScriptedPacs(silence) as pacs:
        task = finding_at(db, pacs)
        await wait_until_async(lambda: pacs.asked)
        await cancelled_at_once(db, task)


async def test_a_move_is_cancelled_in_the_middle_of_a_study_and_the_one_before_stays_moved(db):
    async def script(asked):
        if asked.study_uid == "1.1":
            await silence(asked)
        await arrive(db, asked.study_uid)
        asked.done()

    studies = await studies_of(db, 3)
    async with ScriptedPacs(script, questions=False) as pacs:
        task = moving_from(db, pacs, studies)
        await wait_until_async(lambda: "1.1" in pacs.moved)

        async def retrieved():
            query = select(StudyFind.study_uid).where(StudyFind.retrieved_on.is_not(None))
            async with db.session() as session:
                return list(await session.scalars(query))

        await wait_until_async(retrieved)
        await cancelled_at_once(db, task)
        assert pacs.moved == ["1.0", "1.1"]
    assert await retrieved() == ["1.0"]
    async with db.session() as session:
        assert (await session.scalars(select(Cycle.counts))).one()["complete"] == 1


async def test_a_move_is_cancelled_while_nothing_is_taken(sqlite):
    async with ScriptedPacs(silence, questions=False) as pacs:
        full = ScriptedIntake(reason="the disk is full")
        task = moving_from(sqlite, pacs, await studies_of(sqlite, 1), intake=full)

        async def waits():
            async with sqlite.session() as session:
                return "the disk is full" in (await session.scalar(select(Cycle.message)) or "")

        await wait_until_async(waits)
        await cancelled_at_once(sqlite, task)
        assert pacs.asked == []


async def test_a_move_is_cancelled_while_its_studies_settle(sqlite):
    async def script(asked):
        asked.done()

    async with ScriptedPacs(script, questions=False) as pacs:
        task = moving_from(sqlite, pacs, await studies_of(sqlite, 2))
        await wait_until_async(lambda: len(pacs.moved) == 2)
        await asyncio.sleep(0.1)
        await cancelled_at_once(sqlite, task)


async def test_a_paused_find_asks_nothing_until_it_is_resumed(db, monkeypatch, seen_to_pause):
    answering = asyncio.Event()

    async def script(asked):
        await answering.wait()
        asked.done()

    async with ScriptedPacs(script) as pacs:
        task = finding_at(db, pacs)
        await wait_until_async(lambda: pacs.asked)
        cycle = await the_cycle(db)
        steered = await pause(db, cycle)  # the question that is asked is answered to its end
        assert (steered.cycle.outcome, steered.cycle.wanted) == ("running", "pause")
        await wait_until_async(seen_to_pause)
        answering.set()

        async def paused():
            return await rows(db) == [("find", "paused", "pause")]

        await wait_until_async(paused)
        await asyncio.sleep(0.3)
        assert len(pacs.asked) == 1
        monkeypatch.setattr(steering, "_TO_PAUSE", 10.0)  # it returns when the find goes on
        assert (await resume(db, cycle)).cycle.outcome in ("running", "partial")
        report = await task
        assert {window.outcome for window in report.windows} == {"complete"}
        assert pacs.associations == 2  # none is kept while nobody knows for how long
    assert await rows(db) == [("find", "partial", None)]
    async with db.session() as session:
        windows = (await session.scalars(select(func.count(FindWindow.id)))).one()
    assert windows == len(report.windows) > 1


async def test_a_paused_move_ends_its_study_and_can_be_cancelled(sqlite, seen_to_pause):
    going = asyncio.Event()

    async def script(asked):
        await going.wait()
        await arrive(sqlite, asked.study_uid)
        asked.done()

    async with ScriptedPacs(script, questions=False) as pacs:
        task = moving_from(sqlite, pacs, await studies_of(sqlite, 3))
        await wait_until_async(lambda: pacs.moved)
        cycle = await the_cycle(sqlite)
        await pause(sqlite, cycle)
        await wait_until_async(seen_to_pause)
        going.set()

        async def paused():
            return await rows(sqlite) == [("move", "paused", "pause")]

        await wait_until_async(paused)
        await cancelled_at_once(sqlite, task)
        assert pacs.moved == ["1.0"]


async def test_a_pause_outlives_its_process_and_the_next_cycle_begins_with_it(db):
    answering = asyncio.Event()

    async def script(asked):
        await answering.wait()
        asked.done()

    async with ScriptedPacs(script) as pacs:
        first = finding_at(db, pacs)
        await wait_until_async(lambda: pacs.asked)
        await pause(db, await the_cycle(db))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await rows(db) == [("find", "interrupted", "pause")]
        second = finding_at(db, pacs)

        async def paused():
            return (await rows(db))[-1] == ("find", "paused", "pause")

        await wait_until_async(paused)
        assert (await rows(db))[0] == ("find", "interrupted", None)
        assert len(pacs.asked) == 1
        answering.set()
        await resume(db, await the_cycle(db))
        await second
    assert (await rows(db))[-1] == ("find", "partial", None)


async def test_what_was_left_paused_can_be_resumed_before_the_next_cycle(sqlite):
    async with sqlite.begin() as session:
        left = await start_cycle(session, "find", "pacs", "NODE", 1)
    (cycle,) = await get_cycles(sqlite, [left])
    await pause(sqlite, cycle)
    async with sqlite.begin() as session:
        await finish_cycle(session, left, "interrupted")
    steered = await resume(sqlite, cycle)
    assert (steered.cycle.outcome, steered.cycle.wanted) == ("interrupted", None)


async def test_a_cycle_whose_process_is_dead_is_ended_by_who_cancels_it(db, monkeypatch):
    monkeypatch.setattr(steering, "_TO_END", 0.3)
    async with db.begin() as session:
        just_now = await start_cycle(session, "find", "pacs", "NODE", 1)
        long_ago = await start_cycle(session, "move", "pacs", "NODE", 1)
        then = await shared_now(session) - timedelta(hours=1)
        await session.execute(update(Cycle).where(Cycle.id == long_ago).values(heard_on=then))
    for cycle, silent in zip(
        await get_cycles(db, [just_now, long_ago]), (False, True), strict=True
    ):
        assert cycle.silent == silent
        steered = await cancel(db, cycle)
        assert (steered.cycle.outcome, steered.silent) == ("cancelled", True)
        assert "its process did not answer" in steered.cycle.message
        with pytest.raises(CycleEnded, match=f"cycle {cycle.id} has ended already: cancelled"):
            await cancel(db, cycle)
        for hand in (pause, resume):
            with pytest.raises(CycleEnded):
                await hand(db, cycle)


async def test_a_cycle_of_a_process_that_had_our_number_before_us_is_ended(db, monkeypatch):
    pid = os.getpid()
    start = start_of(pid)
    assert start is not None
    assert start == start_of(pid) != start_of(1)
    place, _, ticks = start.rpartition(" ")
    async with db.begin() as session:
        cycles = {
            process: await start_cycle(session, "find", "pacs", "NODE", pid, process=process)
            for process in (start, None, f"{place} {int(ticks) - 1}")
        }
    monkeypatch.setattr("node.ops.processes.CYCLES", {cycles[start]})
    assert await end_the_dead(db, "NODE") == 1
    left = {one.id for one in await get_cycles(db, list(cycles.values())) if not one.finished_on}
    assert left == {cycles[start], cycles[None]}, "of one without a start the number says it all"
    monkeypatch.setattr("node.ops.processes.CYCLES", set())  # its end was not recorded
    assert await end_the_dead(db, "NODE") == 1
    left = {one.id for one in await get_cycles(db, list(cycles.values())) if not one.finished_on}
    assert left == {cycles[None]}
    async with running.cycle(db, "find", peer="pacs", node="NODE") as record:
        async with db.session() as session:
            row = await Cycle.by_id(session, record.id)
        assert (row.pid, row.process) == (pid, start)


async def test_a_process_whose_cycle_was_ended_for_it_stops_when_it_sees_that(sqlite):
    async with ScriptedPacs(silence) as pacs:
        task = finding_at(sqlite, pacs)
        await wait_until_async(lambda: pacs.asked)
        async with sqlite.begin() as session:
            await finish_cycle(session, (await the_cycle(sqlite)).id, "cancelled")
        with pytest.raises(CycleCancelled):
            await asyncio.wait_for(task, 5)


async def test_a_database_that_is_away_for_a_while_changes_nothing(sqlite, monkeypatch):
    look, looks = running_cycles.get_wish, []

    async def away(session, id_):
        looks.append(id_)
        if len(looks) < 4:
            raise DatabaseUnavailable("the database is away")
        return await look(session, id_)

    monkeypatch.setattr(running_cycles, "get_wish", away)
    async with ScriptedPacs(silence) as pacs:
        task = finding_at(sqlite, pacs)
        await wait_until_async(lambda: pacs.asked)
        await cancelled_at_once(sqlite, task)
    assert len(looks) >= 4


async def test_who_ends_the_command_is_not_taken_for_an_operator(sqlite):
    async with ScriptedPacs(silence) as pacs:
        task = finding_at(sqlite, pacs)
        await wait_until_async(lambda: pacs.asked)
        async with sqlite.begin() as session:
            await session.execute(update(Cycle).values(wanted="cancel"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await rows(sqlite))[0][1] == "interrupted"


async def test_one_study_of_a_move_is_ended_and_the_move_goes_on(db):
    async def script(asked):
        if asked.study_uid == "1.0":
            await silence(asked)
        await arrive(db, asked.study_uid)
        asked.done()

    async with ScriptedPacs(script, questions=False) as pacs:
        task = moving_from(db, pacs, await studies_of(db, 2))
        await wait_until_async(lambda: pacs.moved)
        held = {"held": True, "reason": "it hangs"}
        ended = await end_studies(db, ["1.0"], peer="pacs", **held)
        assert (ended.studies, ended.silent, ended.held) == (("1.0",), (), 1)
        report = await task
        assert pacs.moved == ["1.0", "1.1"]
        assert pacs.cancels == 1
    assert [(one.study_uid, one.outcome.value) for one in report.results] == [
        ("1.0", "cancelled"),
        ("1.1", "complete"),
    ]
    async with db.session() as session:
        attempts = await session.execute(select(MoveAttempt.outcome, MoveAttempt.ended_on))
        assert [(outcome, on is not None) for outcome, on in attempts] == [
            ("interrupted", True),
            ("retrieved", True),
        ]
        study = await StudyFind.by_uid(session, "1.0")
        reasons = select(StudySource.held_reason).where(StudySource.study_find_id == study.id)
        assert (study.state, await session.scalar(reasons)) == ("held", "it hangs")
    assert await rows(db) == [("move", "partial", None)]


async def test_what_is_next_is_not_asked_for_once_it_is_held_and_what_settles_is_ended(sqlite):
    going = asyncio.Event()

    async def script(asked):
        await going.wait()
        asked.done()  # and nothing comes: it settles for a minute

    async with ScriptedPacs(script, questions=False) as pacs:
        task = moving_from(sqlite, pacs, await studies_of(sqlite, 3))
        await wait_until_async(lambda: pacs.moved)
        assert (await hold(sqlite, ["1.0", "1.1"])).changed == 2
        cycle = await the_cycle(sqlite)

        async def seen():
            async with sqlite.session() as session:
                return len(await get_unwanted(session, cycle.id)) == 2

        await wait_until_async(seen)
        await asyncio.sleep(0.2)  # it looks each 0.05 s
        going.set()
        await wait_until_async(lambda: pacs.moved == ["1.0", "1.2"])
        assert (await end_studies(sqlite, ["1.0", "1.2"])).silent == ()
        report = await task
    assert [one.outcome.value for one in report.results] == ["cancelled"] * 3
    async with sqlite.session() as session:
        states = select(StudyFind.state).order_by(StudyFind.study_uid)
        assert list(await session.scalars(states)) == ["held", "held", "pending"]


async def test_all_moves_from_a_peer_are_ended_and_what_they_were_at_is_held(sqlite):
    async with ScriptedPacs(silence, questions=False) as pacs:
        task = moving_from(sqlite, pacs, await studies_of(sqlite, 1))
        await wait_until_async(lambda: pacs.moved)
        ended = await end_moves(sqlite, "pacs", held=True)
        with pytest.raises(CycleCancelled):
            await task
    assert (ended.studies, ended.silent, len(ended.cycles)) == (("1.0",), (), 1)
    async with sqlite.session() as session:
        assert (await StudyFind.by_uid(session, "1.0")).state == "held"


async def test_attempts_of_a_process_that_does_not_answer_are_ended_for_it(db, monkeypatch):
    monkeypatch.setattr(deciding, "_TO_END", 0.3)
    monkeypatch.setattr(steering, "_TO_END", 0.3)
    await studies_of(db, 3)
    async with db.begin() as session:
        cycle = await start_cycle(session, "move", "pacs", "OTHER", 1)
        of_it = {"peer": "pacs", "cycle_id": cycle, "node": "OTHER"}
        await begin_attempts(session, ["1.0", "1.1", "1.2"], **of_it)
    ended = await end_studies(db, ["1.0"])
    assert (ended.studies, ended.silent) == (("1.0",), ("1.0",))
    with pytest.raises(CycleEnded):  # it ends for whoever cancels the whole as well
        for _ in range(2):
            await cancel(db, await the_cycle(db))
    async with db.session() as session:
        states = select(StudyFind.state).order_by(StudyFind.study_uid)
        assert list(await session.scalars(states)) == ["pending"] * 3
        assert not await open_attempts(session, cycle_ids=[cycle])
