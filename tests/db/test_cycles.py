"""Cycles, windows and quarantine are rows; the reports count what is there."""

from datetime import date, timedelta

from sqlalchemy import select, update

from schema import (
    Cycle,
    FindWindow,
    Quarantined,
    add_images,
    record_found,
    summary,
    update_retrieved_study,
)
from schema.accounting.rates import rates
from schema.cycles import (
    finish_cycle,
    get_wish,
    hear_of_cycle,
    interrupt_cycles,
    pause_cycle,
    start_cycle,
    want_of_cycle,
)
from schema.finding.asking import add_window
from schema.moves import record_move_attempt
from schema.moving.attempts import begin_attempts, note_answers
from schema.quarantine import add_quarantined
from schema.reports import recent_studies
from schema.tables.columns import utcnow
from schema.tables.ledger import Wish
from tests.db.records import finding, record


async def test_a_cycle_is_a_row_from_its_start_to_its_end(db):
    async with db.begin() as session:
        cycle_id = await start_cycle(session, "find", "pacs", "NODE", 42)
    async with db.session() as session:
        cycle = await Cycle.by_id(session, cycle_id)
        assert (cycle.outcome, cycle.finished_on) == ("running", None)
    async with db.begin() as session:
        await finish_cycle(session, cycle_id, "partial", {"new": 3}, "1 window failed")
    async with db.session() as session:
        cycle = await Cycle.by_id(session, cycle_id)
        assert (cycle.outcome, cycle.counts) == ("partial", {"new": 3})
        assert cycle.finished_on >= cycle.started_on


async def test_cycles_that_a_dead_process_left_are_interrupted(db):
    async with db.begin() as session:
        dead = await start_cycle(session, "move", "pacs", "NODE", 1)
        other = await start_cycle(session, "move", "pacs", "OTHER", 2)
        done = await start_cycle(session, "find", "pacs", "NODE", 1)
        await finish_cycle(session, done, "done", {})
    async with db.begin() as session:
        assert await interrupt_cycles(session, "NODE", alive=lambda _id, pid, _: pid == 1) == 0
        assert await interrupt_cycles(session, "NODE") == 1
        assert await interrupt_cycles(session, "NODE") == 0
    async with db.session() as session:
        outcomes = dict((await session.execute(select(Cycle.id, Cycle.outcome))).all())
    assert outcomes == {dead: "interrupted", other: "running", done: "done"}


async def test_a_move_that_was_killed_ran_until_its_last_attempt_and_its_study_says_so(db):
    async with db.begin() as session:
        await record_found(session, [finding("1.1", 84)], peer="pacs")
        cycle = await start_cycle(session, "move", "pacs", "NODE", 1)
        attempts = await begin_attempts(session, ["1.1"], peer="pacs", cycle_id=cycle, node="NODE")
        await note_answers(session, dict.fromkeys(attempts.values(), utcnow()))
        ago = {"started_on": utcnow() - timedelta(minutes=1)}
        ago["heard_on"] = ago["started_on"]
        await session.execute(update(Cycle).where(Cycle.id == cycle).values(**ago))
        (attempt,) = attempts.values()
        await add_images(
            session, [record(one, attempt_id=attempt, received_on=utcnow()) for one in ("1", "2")]
        )
    async with db.begin() as session:
        assert (await recent_studies(session))[0].interrupted_at == ()
        assert await interrupt_cycles(session, "NODE") == 1
    async with db.session() as session:
        found = await rates(session, ["pacs"], since=ago["started_on"], until=utcnow())
        assert 59 < found["pacs"].seconds < 90
        (study,) = await recent_studies(session)
        assert (study.state, study.interrupted_at) == ("pending", ("pacs",))
    async with db.begin() as session:  # the next one goes on
        await begin_attempts(session, ["1.1"], peer="pacs", cycle_id=None, node="NODE")
        assert (await recent_studies(session))[0].interrupted_at == ()


async def test_a_paused_cycle_of_a_dead_process_is_interrupted_and_its_pause_is_inherited(db):
    async with db.begin() as session:
        paused = await start_cycle(session, "find", "pacs", "NODE", 1)
        assert await want_of_cycle(session, paused, Wish.PAUSE)
        await pause_cycle(session, paused, paused=True)
        assert await interrupt_cycles(session, "NODE") == 1
        for kind, peer, node in (
            ("move", "pacs", "NODE"),
            ("find", "other", "NODE"),
            ("find", "pacs", "OTHER"),
        ):
            other = await start_cycle(session, kind, peer, node, 2)
            assert await get_wish(session, other) is None
        heir = await start_cycle(session, "find", "pacs", "NODE", 2)
        assert await get_wish(session, heir) is Wish.PAUSE
        assert not await want_of_cycle(session, paused, None)


async def test_a_move_begins_paused_where_one_is_of_which_nobody_knows_whether_it_runs(db):
    async with db.begin() as session:
        paused = await start_cycle(session, "move", "pacs", "NODE", 1, process="elsewhere 1")
        assert await want_of_cycle(session, paused, Wish.PAUSE)
        assert await interrupt_cycles(session, "NODE", alive=lambda *_: None) == 0
        heir = await start_cycle(session, "move", "pacs", "NODE", 1)
        assert await get_wish(session, heir) is Wish.PAUSE
        assert await get_wish(session, paused) is Wish.PAUSE
        single = await start_cycle(session, "find", "pacs", "NODE", 1)
        assert await want_of_cycle(session, single, Wish.PAUSE)
        other = await start_cycle(session, "find", "pacs", "NODE", 1)
        assert await get_wish(session, other) is None


async def test_a_cycle_that_was_taken_for_dead_goes_on_and_is_running_again(db):
    async with db.begin() as session:
        taken = await start_cycle(session, "find", "pacs", "NODE", 1)
        assert await interrupt_cycles(session, "NODE") == 1
        assert await get_wish(session, taken) is None
        await hear_of_cycle(session, taken)
        assert await want_of_cycle(session, taken, Wish.PAUSE)
        cycle = await Cycle.by_id(session, taken)
        assert (cycle.outcome, cycle.finished_on) == ("running", None)
        await finish_cycle(session, taken, "done")
        await hear_of_cycle(session, taken)
        assert await get_wish(session, taken) is Wish.CANCEL
    async with db.session() as session:
        cycle = await Cycle.by_id(session, taken)
    assert (cycle.outcome, cycle.finished_on is None) == ("done", False)


async def test_a_window_keeps_its_question_and_its_outcome(db):
    async with db.begin() as session:
        cycle_id = await start_cycle(session, "find", "pacs", "NODE", 1)
        await add_window(
            session,
            cycle_id=cycle_id,
            peer="pacs",
            query={"ModalitiesInStudy": "CT"},
            start_date=date(2024, 1, 1),
            end_date=None,
            outcome="failed",
            matches=0,
            message="0xA700 \x00",
            facts={"new": 2},
        )
        assert await interrupt_cycles(session, "NODE") == 1
    async with db.session() as session:
        window = (await session.scalars(select(FindWindow))).one()
    assert window.query == {"ModalitiesInStudy": "CT"}
    assert (window.start_date, window.end_date) == (date(2024, 1, 1), None)
    assert (window.outcome, window.matches, window.message) == ("failed", 0, "0xA700 \ufffd")
    async with db.session() as session:
        cycle = await Cycle.by_id(session, cycle_id)
    assert cycle.counts == {"windows": 1, "new": 2}, "of one that was killed, by its rows"


async def test_what_is_set_aside_has_a_row(db):
    async with db.begin() as session:
        row_id = await add_quarantined(
            session,
            filepath="quarantine/1",
            reason="truncated \udcff",
            kind="undecodable",
            sop_instance_uid="1\x00",
        )
    async with db.session() as session:
        row = await Quarantined.by_id(session, row_id)
    assert (row.reason, row.sop_instance_uid) == ("truncated \ufffd", "1\ufffd")
    assert row.received_on is not None


async def test_the_summary_of_an_empty_database_is_zeros(db):
    async with db.session() as session:
        report = await summary(session)
    assert (report.found, report.retrieved, report.to_move, report.partial) == (0, 0, 0, 0)
    assert (report.patients, report.studies, report.series, report.images) == (0, 0, 0, 0)
    assert report.last_cycles == ()


async def test_the_summary_counts_and_shows_the_last_cycle_of_each_peer(db):
    async with db.begin() as session:
        await record_found(session, [finding(str(n), n) for n in (1, 2, 3)], peer="pacs")
        await record_move_attempt(session, "2", state="partial")
        await update_retrieved_study(session, "1")
        await add_images(session, [record("1.1", "1.1", "1"), record("1.2", "1.1", "9")])
        await add_quarantined(session, filepath="q", reason="r", kind="conflict")
        for outcome in ("failed", "done"):
            cycle_id = await start_cycle(session, "find", "pacs", "NODE", 1, asked=[])
            await finish_cycle(session, cycle_id, outcome, {"found": 3})
        single = await start_cycle(session, "find", "pacs", "NODE", 1)
        await finish_cycle(session, single, "partial")
        await start_cycle(session, "move", "pacs", "NODE", 1)
    async with db.session() as session:
        report = await summary(session)
        studies = await recent_studies(session, limit=2)
    assert (report.found, report.retrieved, report.to_move, report.partial) == (3, 1, 2, 1)
    assert (report.studies, report.images, report.flagged, report.quarantined) == (1, 2, 1, 1)
    assert [(one.kind, one.outcome) for one in report.last_cycles] == [
        ("find", "done"),
        ("find", "partial"),
        ("move", "running"),
    ]
    assert report.last_cycles[0].counts == {"found": 3}
    assert [one.study_uid for one in studies] == ["1", "2"]
    assert (studies[0].received_images, studies[0].state) == (1, "retrieved")
    assert (studies[1].received_images, studies[1].expected_images) == (0, 2)
