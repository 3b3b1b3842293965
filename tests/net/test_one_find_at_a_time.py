"""One find of dates at a time at each peer: the second one asks nothing, and says who does."""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import date, timedelta

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select, update

from node.config import Config
from node.daemon.cycles import find_cycle
from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery, Window
from node.errors import Busy
from node.ops.cycles import end_the_dead
from node.ops.cycling import steering as steering_of_cycles
from node.ops.finding.find import find
from node.ops.finding.singles.studies import find_studies
from node.ops.overseeing import steering
from node.ops.overseeing.steering import cancel, get_cycles, pause
from node.ops.processes import is_alive, start_of
from node.ops.stalls import TimeLimits
from schema import Cycle, Database
from schema.cycles import SILENT, start_cycle
from schema.engine.claims import claiming
from schema.tables.columns import utcnow
from tests.support.postgresql import end_claims
from tests.support.scripted_pacs import ScriptedPacs
from tests.support.waiting import wait_until_async

LIMITS = TimeLimits(quiet=60.0, total=60.0)
DAYS = StudyQuery(window=Window(start=date(2024, 1, 1), end=date(2024, 3, 31)))


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    monkeypatch.setattr(steering_of_cycles, "_LOOK", 0.05)
    monkeypatch.setattr(steering, "_TO_PAUSE", 0.1)


@pytest.fixture
async def pacs():
    """A PACS that says nothing about dates before it may, and has nothing else."""

    async def script(asked):
        if asked.study_uid:
            found = Dataset()
            found.StudyInstanceUID = asked.study_uid
            asked.pending(found)
        else:
            await pacs.may.wait()
        asked.done()

    async with ScriptedPacs(script) as pacs:
        pacs.may = asyncio.Event()
        yield pacs


def find_at(db, pacs, *, name="pacs", node="NODE"):
    return find(db, pacs.peer(name), [DAYS], node=node, limits=LIMITS)


async def begun(db, pacs):
    """Return a find that waits for its first answer."""
    task = asyncio.create_task(find_at(db, pacs))
    await wait_until_async(lambda: pacs.asked)
    return task


async def cycles(db):
    async with db.session() as session:
        return list(await session.scalars(select(Cycle).order_by(Cycle.id)))


async def test_a_second_find_at_a_peer_asks_nothing_and_says_who_asks_and_what_to_do(db, pacs):
    first = await begun(db, pacs)
    (row,) = await cycles(db)
    number = row.id
    with pytest.raises(Busy) as refused:
        await find_at(db, pacs, node="OTHER")
    assert str(refused.value) == (
        f"another find at pacs is running, cycle {number}, begun by process {os.getpid()} of NODE "
        f"at {row.started_on:%Y-%m-%d %H:%M:%S} UTC, and only one at a time asks a peer: nothing "
        f"was asked; wait until it has ended, see what it does (`dicom-node cycles show {number}`)"
        f", or end it (`dicom-node cycles cancel {number}`)"
    )
    assert (len(pacs.asked), len(await cycles(db))) == (1, 1)
    pacs.may.set()
    await first
    await find_at(db, pacs, node="OTHER")


async def test_other_peers_and_single_studies_are_asked_while_a_find_runs(db, pacs):
    first = await begun(db, pacs)
    single = StudyQuery(study_uids=("1.2",))
    report = await find_studies(
        db, pacs.peer(), [single], node="NODE", limits=LIMITS, profile=PeerProfile()
    )
    assert report.counts()["found"] == 1
    second = asyncio.create_task(find_at(db, pacs, name="other"))
    await wait_until_async(lambda: sum(not asked.study_uid for asked in pacs.asked) == 2)
    pacs.may.set()
    await asyncio.gather(first, second)
    assert {row.outcome for row in await cycles(db)} <= {"done", "partial"}


async def test_a_find_that_is_paused_holds_its_peer_and_a_cancelled_one_does_not(db, pacs):
    first = await begun(db, pacs)
    (cycle,) = await get_cycles(db, [(await cycles(db))[0].id])
    await pause(db, cycle)
    pacs.may.set()

    async def paused():
        return (await cycles(db))[0].outcome == "paused"

    await wait_until_async(paused)
    with pytest.raises(Busy, match=f"is paused, cycle {cycle.id}, .*`dicom-node cycles resume"):
        await find_at(db, pacs)
    await cancel(db, cycle)
    await asyncio.gather(first, return_exceptions=True)
    await find_at(db, pacs)
    assert (await cycles(db))[0].outcome == "cancelled"


async def test_of_finds_that_begin_at_the_same_instant_exactly_one_asks(migrated_url, pacs):
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(Database(migrated_url)) for _ in range(6)]
        tasks = [asyncio.create_task(find_at(one, pacs)) for one in databases]
        await wait_until_async(lambda: sum(task.done() for task in tasks) == 5)
        assert len(pacs.asked) == 1
        pacs.may.set()
        came = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, Busy) for one in came) == 5
        assert len(await cycles(databases[0])) == 1


async def test_what_a_dead_process_of_any_node_left_running_is_ended_by_who_has_the_peer(db, pacs):
    async with db.begin() as session:
        left = [
            await start_cycle(session, "find", "pacs", node, 1, process="elsewhere 1", asked=[])
            for node in ("NODE", "OTHER")
        ]
        single = await start_cycle(session, "find", "pacs", "OTHER", 1)
        elsewhere = await start_cycle(session, "find", "other", "OTHER", 1, asked=[])
    pacs.may.set()
    await find_at(db, pacs)
    outcomes = {row.id: row.outcome for row in await cycles(db)}
    assert [outcomes[one] for one in left] == ["interrupted", "interrupted"]
    assert (outcomes[single], outcomes[elsewhere]) == ("running", "running")


async def test_a_find_whose_peer_another_one_has_since_the_connection_was_lost_ends(
    migrated_postgresql_url, pacs, monkeypatch
):
    monkeypatch.setattr(steering_of_cycles, "TO_BE_HEARD", 0.2)
    async with (
        Database(migrated_postgresql_url) as db,
        Database(migrated_postgresql_url) as other,
        claiming(other) as claims,
    ):
        first = await begun(db, pacs)
        await end_claims(other)
        assert await claims.take("find pacs")
        with pytest.raises(Busy, match="another find asks this peer since"):
            await first
        assert [row.outcome for row in await cycles(db)] == ["interrupted"]


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
async def test_a_find_notices_at_once_that_another_one_has_taken_its_peer_over(
    migrated_postgresql_url, pacs, monkeypatch, twice
):
    """Twice: the other one loses the claim as well, which the first one could take back."""
    monkeypatch.setattr(steering_of_cycles, "TO_BE_HEARD", 3600)
    async with Database(migrated_postgresql_url) as db, Database(migrated_postgresql_url) as other:
        first = await begun(db, pacs)
        await end_claims(other)
        second = asyncio.create_task(find_at(other, pacs))
        if twice:
            await wait_until_async(lambda: len(pacs.asked) == 2)
            await end_claims(other)
        with pytest.raises(Busy, match="another find asks this peer since"):
            await first
        pacs.may.set()
        await second
        assert [row.outcome for row in await cycles(db)] == ["interrupted", "partial"]


async def test_the_daemon_leaves_a_peer_out_at_which_a_find_runs_and_asks_it_next_time(
    sqlite, pacs, caplog
):
    caplog.set_level("INFO")
    peer = pacs.peer()
    config = Config(
        peers={"pacs": {"aetitle": peer.aetitle, "host": peer.host, "port": peer.port}},
        find={"start_date": "2024-01-01", "end_date": "2024-04-30"},
    )
    first = await begun(sqlite, pacs)
    await find_cycle(config, sqlite)
    assert "Find at pacs left out this time: another find at pacs is running" in caplog.text
    assert (len(pacs.asked), len(await cycles(sqlite))) == (1, 1)
    pacs.may.set()
    await first
    pacs.may.clear()
    pacs.asked.clear()
    scheduled = asyncio.create_task(find_cycle(config, sqlite))
    await wait_until_async(lambda: pacs.asked)
    with pytest.raises(Busy, match="is running, cycle 2"):
        await find_at(sqlite, pacs)
    pacs.may.set()
    await scheduled


async def test_a_cycle_of_another_container_is_not_dead_because_its_number_is_unknown_here(db):
    pid = os.getpid()
    boot, namespace, ticks = start_of(pid).split()
    assert is_alive(pid, f"{boot} {namespace} {ticks}")
    assert is_alive(pid, f"{boot} {ticks}"), "as older versions have noted it"
    assert is_alive(pid, f"{boot} {namespace} {int(ticks) - 1}") is False
    assert is_alive(pid, f"{boot} pid:[1] {ticks}") is None
    assert is_alive(pid, f"another {namespace} {ticks}") is None
    async with db.begin() as session:
        here, heard, silent = [
            await start_cycle(session, "move", "pacs", "NODE", pid, process=process)
            for process in (
                f"{boot} {namespace} {int(ticks) - 1}",
                f"{boot} pid:[1] {ticks}",
                f"{boot} pid:[2] {ticks}",
            )
        ]
        long_ago = utcnow() - SILENT - timedelta(seconds=1)
        await session.execute(update(Cycle).where(Cycle.id == silent).values(heard_on=long_ago))
    assert await end_the_dead(db, "NODE") == 2
    rows = {row.id: row for row in await cycles(db)}
    assert [rows[one].outcome for one in (here, heard, silent)] == [
        "interrupted",
        "running",
        "interrupted",
    ]
    assert rows[silent].finished_on == rows[silent].started_on
