"""Nodes whose clocks differ: signs of life are of the clock that all share."""

import functools
import os
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from node.ops.cycling.running import RunningCycle
from node.ops.processes import runs, start_of
from schema import Cycle, Database, cycles, utcnow
from schema.cycles import (
    LEASE,
    hear_of_cycle,
    interrupt_cycles,
    interrupt_silent,
    start_cycle,
)
from schema.hooking.audience import Audience
from schema.hooking.claiming import Teller, claim_deliveries, settle_delivery
from schema.hooking.kinds import EventKind
from schema.hooking.recording import record_alarm, record_events
from schema.reports import recent_cycles
from schema.tables import columns
from schema.tables.outbox.deliveries import EventDelivery
from schema.tables.outbox.events import RecordedEvent
from schema.tables.statements import shared_now

HOUR = timedelta(hours=1)


def set_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Let the clock of whoever comes next be wrong."""
    right = columns.clock
    monkeypatch.setattr(columns, "clock", lambda: right() + by)


async def running(db: Database) -> set[int]:
    async with db.session() as session:
        return set(await session.scalars(select(Cycle.id).where(Cycle.outcome == "running")))


async def silent(db: Database) -> set[int]:
    async with db.session() as session:
        return {cycle.id for cycle in await recent_cycles(session) if cycle.silent}


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
async def test_nodes_whose_clocks_differ_do_not_take_each_other_for_dead(
    migrated_postgresql_url, monkeypatch, ahead
):
    async with Database(migrated_postgresql_url) as db:
        ours = await db.run(start_cycle, "move", peer="pacs", node="ONE", pid=1, process="a 1")
        with monkeypatch.context() as wrong:
            set_clock(wrong, ahead)
            theirs = await db.run(start_cycle, "move", peer="pacs", node="TWO", pid=1, process="b")
            assert await db.run(interrupt_silent) == 0
            assert await db.run(interrupt_cycles, "ONE", alive=lambda *_: None) == 0
            await db.run(hear_of_cycle, theirs)
            assert await silent(db) == set()
        assert await db.run(interrupt_silent) == 0
        assert await db.run(interrupt_cycles, "TWO", alive=lambda *_: None) == 0
        assert await silent(db) == set()
        assert await running(db) == {ours, theirs}
        # and of both nothing is heard any more
        assert await db.run(interrupt_silent, later=LEASE + timedelta(seconds=30)) == 2


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
async def test_nodes_whose_clocks_differ_do_not_tell_each_others_events(
    migrated_postgresql_url, monkeypatch, ahead
):
    audience = Audience(hooks={EventKind.ALARM: ("lab",)})
    async with Database(migrated_postgresql_url, info=audience.info()) as db:
        claim = functools.partial(db.run, claim_deliveries, "lab", most=1, lease=60)
        ours, theirs = (Teller(node=name, pid=1, process="a") for name in ("ONE", "TWO"))
        await db.run(record_events, EventKind.ALARM, [{}])
        with monkeypatch.context() as wrong:
            set_clock(wrong, ahead)
            (first,) = await claim(worker=theirs)
            await db.run(record_events, EventKind.ALARM, [{}])
        (second,) = await claim(worker=ours)
        assert second.id != first.id
        with monkeypatch.context() as wrong:
            set_clock(wrong, ahead)
            assert await claim(worker=theirs) == []
            await db.run(settle_delivery, first, worker=theirs, again_in=0, reason="busy")
        assert [one.id for one in await claim(worker=ours)] == [first.id]


async def test_what_waits_since_a_moment_to_come_is_told_at_once(migrated_url):
    audience = Audience(hooks={EventKind.ALARM: ("lab",)})
    async with Database(migrated_url, info=audience.info()) as db:
        claim = functools.partial(db.run, claim_deliveries, "lab", most=5, lease=60)
        worker, again = Teller(node="ONE", pid=1, process="a"), 2 * HOUR.total_seconds()
        assert await db.run(record_alarm, "nobody answers", peer="pacs")
        (failed,) = await claim(worker=worker)
        await db.run(settle_delivery, failed, worker=worker, again_in=again, reason="busy")
        assert await db.run(record_alarm, "the disk is full", peer="pacs")
        assert not await db.run(record_alarm, "the disk is full", peer="pacs")
        (new,) = await claim(worker=worker)
        assert await claim(worker=worker) == []
        await db.run(settle_delivery, new, worker=worker, again_in=again, reason="busy")
        async with db.begin() as session:  # as by a clock that was ahead
            now = await shared_now(session)
            ahead = {"started_on": now + HOUR, "next_on": now + 3 * HOUR}
            one = update(EventDelivery).where(EventDelivery.id == failed.id)
            await session.execute(one.values(**ahead))
            await session.execute(update(RecordedEvent).values(created_on=now + HOUR))
        assert [one.id for one in await claim(worker=worker)] == [failed.id], "and no other"
        assert await db.run(record_alarm, "the disk is full", peer="pacs"), "it was long ago"


async def test_what_was_heard_in_the_future_is_no_sign_of_life(db):
    left, soon = [
        await db.run(start_cycle, "move", peer="pacs", node="ONE", pid=1, process="elsewhere 1")
        for _ in range(2)
    ]
    async with db.begin() as session:
        now = await shared_now(session)
        for cycle, heard_on in ((left, now + HOUR), (soon, now + LEASE / 2)):
            await session.execute(update(Cycle).where(Cycle.id == cycle).values(heard_on=heard_on))
    assert await silent(db) == {left}
    assert await db.run(interrupt_silent) == 1
    assert await running(db) == {soon}


async def test_a_clock_that_is_set_ends_no_cycle_of_a_process_that_runs_here(db):
    pid = os.getppid()
    here, _, _ = [
        await db.run(start_cycle, "move", peer="pacs", node=node, pid=number, process=process)
        for node, number, process in (
            ("ONE", pid, start_of(pid)),
            ("TWO", os.getpid(), start_of(os.getpid())),  # it runs no cycle of that number
            ("THREE", pid, None),
        )
    ]
    for by in (HOUR, -HOUR):
        async with db.begin() as session:
            wrong = utcnow() + by
            await session.execute(update(Cycle).values(heard_on=wrong, outcome="running"))
            assert await interrupt_cycles(session, "ONE", alive=runs) == 2
        assert await running(db) == {here}
        async with db.begin() as session:
            await session.execute(update(Cycle).values(outcome="running"))
            assert await interrupt_silent(session, alive=runs) == 2
        assert await running(db) == {here}


async def test_nobody_is_taken_for_dead_just_after_the_clock_was_set(db, monkeypatch):
    ours, theirs = [
        await db.run(start_cycle, "move", peer="pacs", node=node, pid=1, process="elsewhere 1")
        for node in ("ONE", "TWO")
    ]
    record, newcomer = RunningCycle(db, ours), RunningCycle(db, ours)
    await record.be_heard()

    async def set_since(session):
        return await shared_now(session) + HOUR

    monkeypatch.setattr(cycles, "shared_now", set_since)
    for _ in range(2):
        await record.be_heard()
        assert await running(db) == {ours, theirs}
    await newcomer.be_heard()  # of whom it is long ago, or never was
    assert await running(db) == {ours}
