"""How PACSs are spared: nothing is asked of one that sends nothing, and no more than is allowed."""

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from node.cli.explaining.following import told
from node.daemon.cycles import move_cycle
from node.ops.explaining.explain import explain
from node.ops.guarding.budgets import budgets
from node.ops.guarding.canary import name_of
from node.ops.moving.choice import choose
from node.ops.moving.peers import move_chosen, move_due
from schema import Cycle, Database, utcnow
from schema.engine.claims import claiming
from schema.guarding.breakers import breakers
from schema.guarding.breaking import OUTAGES, BreakerCause, BreakerState
from schema.hooking.audience import Audience
from schema.hooking.kinds import EventKind
from schema.tables.guarding.breakers import PeerBreaker
from schema.tables.ledger import MoveAttempt
from schema.tables.outbox.events import RecordedEvent
from tests.moving.node import moving_node
from tests.support.misbehaving import misbehaving_pacs
from tests.support.processes import LOOPBACK, free_port
from tests.support.retrieving import FEW
from tests.support.scripted_intake import ScriptedIntake
from tests.support.variants import on_sqlite
from tests.support.waiting import wait_until_async

ALARMS = Audience(hooks={EventKind.ALARM: ("lab",)})
UNKNOWN = {"failures": {"status": 0xA801}}
NEVER = {"failures": {"status": 0xC000}}


@pytest.fixture
async def db(migrated_url):
    """Return a database of which one hook wants to be told of alarms."""
    async with Database(migrated_url, info=ALARMS.info()) as database:
        yield database


@asynccontextmanager
async def node_and_pacs(db, tmp_path, *names, studies=3, **settings):
    """Move from PACSs of these names, which have the same number of studies, found before."""
    names = names or ("pacs",)
    kept = {"concurrency": 1, "settle": "0.1s"} | settings
    async with moving_node(db, tmp_path, dict.fromkeys(names, ()), **kept) as node:
        async with asyncio.timeout(60):
            if len(names) == 1:
                async with pacs_of(node, names[0], 1, studies) as one:
                    yield node, one
                return
            async with (
                pacs_of(node, names[0], 1, studies) as one,
                pacs_of(node, names[1], 2, studies) as two,
            ):
                yield node, one, two


@asynccontextmanager
async def pacs_of(node, name, seed, studies):
    destinations = {"NODE": (LOOPBACK, node.port)}
    async with misbehaving_pacs(archive=FEW | {"seed": seed}, destinations=destinations) as pacs:
        few = sorted(
            pacs.truth().items(), key=lambda one: int(one[1]["NumberOfStudyRelatedInstances"][0])
        )
        await node.find(name, pacs, [uid for uid, _ in few[:studies]])
        yield pacs


def moves(pacs):
    return pacs.counters.retrieval.moves


async def breaker(db, name="pacs"):
    async with db.session() as session:
        return (await breakers(session))[name]


async def alarms(db):
    async with db.session() as session:
        rows = await session.scalars(select(RecordedEvent.data).order_by(RecordedEvent.id))
        return [row["message"] for row in rows]


async def attempts(db):
    async with db.session() as session:
        return await session.scalar(select(func.count()).select_from(MoveAttempt))


async def messages(db):
    async with db.session() as session:
        return list(await session.scalars(select(Cycle.message).order_by(Cycle.id)))


async def outcomes(db):
    async with db.session() as session:
        return list(await session.scalars(select(Cycle.outcome)))


async def let_time_pass(db):
    async with db.begin() as session:
        await session.execute(update(PeerBreaker).values(retry_on=utcnow() - timedelta(seconds=1)))


async def whole(node, name="pacs"):
    return sum(one.whole for one in (await node.stands(name)).values())


async def next_of(node, db, pacs, *, peer=None, **settings):
    """Return what `explain` says happens next to a study that is not here."""
    config = node.config({"pacs": peer or {"port": pacs.port}}, every="10m", **settings)
    stands = await node.stands("pacs")
    uid = next(uid for uid, one in stands.items() if not one.whole)
    explained = await explain(config, db, uid)
    return told(explained.studies[0].next[0], again=True)


async def test_an_unknown_destination_is_one_alarm_and_no_further_move(db, tmp_path):
    async with node_and_pacs(db, tmp_path) as (node, pacs):
        pacs.behave(retrieval=UNKNOWN)
        for _ in range(4):
            await node.move("pacs", pacs.port)
        assert moves(pacs) == 1
        opened = await breaker(db)
        assert (opened.state, opened.cause) == (BreakerState.OPEN, BreakerCause.CONFIGURATION)
        (alarm,) = await alarms(db)
        assert "has to know the AE title NODE" in alarm
        said = await next_of(node, db, pacs)
        assert said.startswith("pacs is not asked again by itself: pacs answered the C-MOVE with")
        assert f"One study is tried at {opened.retry_on:%Y-%m-%d %H:%M:%S} UTC." in said

        await let_time_pass(db)
        await node.move("pacs", pacs.port)
        await node.move("pacs", pacs.port)
        assert moves(pacs) == 2, "one study is tried"
        again = await breaker(db)
        assert (again.state, again.trips, again.opened_on) == (
            BreakerState.OPEN,
            2,
            opened.opened_on,
        )

        await let_time_pass(db)
        pacs.behave()
        await node.move("pacs", pacs.port)
        assert await whole(node) == 3
        assert (await breaker(db)).state is BreakerState.CLOSED
        first, over = await alarms(db)
        assert first == alarm
        assert over.startswith("studies are moved from it again")


@on_sqlite
async def test_a_command_asks_all_the_same_and_closes_it_when_it_works(db, tmp_path):
    async with node_and_pacs(db, tmp_path) as (node, pacs):
        await node.move("pacs", pacs.port, aetitle="ANOTHER")  # by which it is not called
        assert (await breaker(db)).cause is BreakerCause.CONFIGURATION
        assert moves(pacs) == 0
        config = node.config({"pacs": {"port": pacs.port}})
        chosen = await choose(db, ["pacs"], limit=1)
        await move_chosen(config, db, chosen)
        assert moves(pacs) == 1
        assert (await breaker(db)).state is BreakerState.CLOSED
        await node.move("pacs", pacs.port)
        assert await whole(node) == 3


async def test_a_peer_that_is_down_is_left_alone_until_it_is_tried_again(db, tmp_path):
    async with node_and_pacs(db, tmp_path) as (node, pacs):
        down = free_port()
        for number in range(1, OUTAGES + 1):
            assert await alarms(db) == []
            await node.move("pacs", down)
            assert (await breaker(db)).outages == number
        known = await attempts(db)
        await node.move("pacs", down)
        assert await attempts(db) == known
        (alarm,) = await alarms(db)
        assert alarm.startswith(f"it could not be reached {OUTAGES} times in a row")

        await node.move("pacs", pacs.port)
        assert moves(pacs) == 0, "it is not time yet"
        await let_time_pass(db)
        async with claiming(db) as another:
            assert await another.take(name_of("pacs"))
            await node.move("pacs", pacs.port)
            assert moves(pacs) == 0, "another node tries it"
        await node.move("pacs", pacs.port)
        assert await whole(node) == 3
        assert len(await alarms(db)) == 2


@on_sqlite
async def test_a_canary_that_does_not_come_keeps_the_rest_until_one_does(db, tmp_path):
    async with node_and_pacs(db, tmp_path, canary=True, concurrency=2) as (node, pacs):
        pacs.behave(retrieval=NEVER)
        await node.move("pacs", pacs.port)
        await node.move("pacs", pacs.port)
        assert moves(pacs) == 1
        (alarm,) = await alarms(db)
        assert "a study that was moved alone, before the rest, has not come" in alarm
        assert "0xC000" in alarm
        assert "when a study that goes alone has come" in await next_of(node, db, pacs, canary=True)
        pacs.behave()
        await node.move("pacs", pacs.port)
        assert moves(pacs) == 1
        await let_time_pass(db)
        await node.move("pacs", pacs.port)
        assert await whole(node) == 2, "the other two: what has failed waits for its own time"
        assert (await breaker(db)).state is BreakerState.CLOSED
        await node.make_due("pacs")
        await node.move("pacs", pacs.port)
        assert await whole(node) == 3
        async with db.session() as session:
            peers = await session.scalars(
                select(func.count()).select_from(MoveAttempt).group_by(MoveAttempt.cycle_id)
            )
            alone = sorted(peers)
        assert alone == [1, 1, 1, 1], "the first that failed, a canary, the rest, and the last"


async def test_no_more_studies_are_asked_for_than_the_budget_of_the_night_has(db, tmp_path, caplog):
    async with node_and_pacs(db, tmp_path, studies=4, concurrency=3) as (node, pacs):
        own = {"port": pacs.port, "budget": {"studies": 2}}
        with caplog.at_level(logging.INFO):
            await move_cycle(node.config({"pacs": own}), db, node.taking, ["pacs"])
        used_up = [one.levelname for one in caplog.records if "is used up" in one.message]
        assert used_up == ["INFO"], "nothing is wrong"
        assert moves(pacs) == 2
        assert await whole(node) == 2
        (message,) = await messages(db)
        assert "the budget of this day is used up, 2 of 2 studies (peers.pacs.budget)" in message
        await node.move_all({"pacs": own})
        assert await messages(db) == [message], "there is no further move"
        assert message in await next_of(node, db, pacs, peer=own)

        own = {"port": pacs.port}
        await node.move_all({"pacs": own}, budget={"studies": 3, "bytes": "1TB"})
        assert moves(pacs) == 3
        config = node.config({"pacs": own}, budget={"bytes": 1})
        async with db.session() as session:
            (standing,) = await budgets(config, session)
        assert standing.spent.studies == 3
        assert standing.spent.bytes > 1
        assert "1B" in standing.reason or "of 1 " in standing.reason
        await node.move_all({"pacs": own}, budget={"duration": "1h"})
        assert await whole(node) == 4


@on_sqlite
async def test_a_budget_is_used_up_though_each_study_waits_for_its_turn(db, tmp_path):
    async with node_and_pacs(db, tmp_path, studies=3, pause="0.6s") as (node, pacs):
        await node.move_all({"pacs": {"port": pacs.port, "budget": {"studies": 2}}})
        assert moves(pacs) == 2
        assert await whole(node) == 2


@on_sqlite
async def test_a_peer_that_hangs_holds_up_no_other_and_a_stop_ends_all_at_once(db, tmp_path):
    settings = {"timeout": "60s", "total_timeout": "60s"}
    async with node_and_pacs(db, tmp_path, "slow", "quick", **settings) as (node, slow, quick):
        slow.behave(retrieval={"stall": {"images": 0, "at": "message"}})
        peers = {"slow": {"port": slow.port}, "quick": {"port": quick.port}}
        task = asyncio.create_task(node.move_all(peers))

        async def quick_is_done():
            return "done" in await outcomes(db)

        await wait_until_async(quick_is_done)
        await wait_until_async(lambda: moves(slow) == 1)
        assert await whole(node, "quick") == 3
        assert not task.done()
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert sorted(await outcomes(db)) == ["done", "interrupted"]


@on_sqlite
async def test_nothing_is_asked_of_any_peer_while_nothing_can_be_taken(db, tmp_path):
    async with node_and_pacs(db, tmp_path, "one", "two", studies=1) as (node, one, two):
        taking = ScriptedIntake(reason="the disk is full")
        config = node.config({"one": {"port": one.port}, "two": {"port": two.port}})
        task = asyncio.create_task(move_due(config, db, taking))

        async def both_wait():
            return await messages(db) == ["waiting: the disk is full"] * 2

        await wait_until_async(both_wait)
        assert moves(one) == moves(two) == 0
        taking.reason = None
        await task
        assert await messages(db) == [None, None]
        assert moves(one) == moves(two) == 1
