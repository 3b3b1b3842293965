"""Nothing is asked for that may not be any more, however long it was waited after it was decided.

The hours close, a time has come, or a budget is used up meanwhile: the last look is at that.
"""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from node.daemon import supervisor
from node.daemon.cycles import move_cycle
from node.net.transport.places import place_at
from node.ops.guarding.slots import slots_kept
from node.ops.guarding.under_way import UnderWay
from node.ops.moving.choice import choose
from node.ops.moving.peers import move_chosen
from node.ops.receiving.intake import IntakeHere
from schema import Cycle, StudyFind
from schema.tables.columns import present
from schema.tables.ledger import MoveAttempt
from schema.tables.sources import StudySource
from tests.moving.node import MovingNode, moving_node
from tests.support.misbehaving import misbehaving_pacs
from tests.support.processes import LOOPBACK, free_port
from tests.support.retrieving import FEW
from tests.support.variants import on_sqlite
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.virtual_time

A_MINUTE_MORE = "05:00-06:01 UTC"
"""The time begins at six."""

SLOWLY = {"slow": {"image": 40}}
"""Seconds: the first image comes before, and the second one after it."""

PATIENT = {"timeout": "3h", "total_timeout": "3h", "settle": "0.1s", "throttle": False}


@asynccontextmanager
async def pacs_of(node, name, seed=1, studies=4, **retrieval):
    destinations = {"NODE": (LOOPBACK, node.port)}
    async with misbehaving_pacs(archive=FEW | {"seed": seed}, destinations=destinations) as pacs:
        by_size = {
            int(one["NumberOfStudyRelatedInstances"][0]): uid for uid, one in pacs.truth().items()
        }
        await node.find(name, pacs, [uid for _, uid in sorted(by_size.items())][:studies])
        pacs.behave(retrieval=retrieval)
        yield pacs


def moves(*pacs):
    return sum(one.counters.retrieval.moves for one in pacs)


async def rows(db, *columns, **values):
    async with db.session() as session:
        return (await session.execute(select(*columns).filter_by(**values))).all()


async def nothing_is_held(db):
    """Tell whether no study is at anybody, and none that was not asked for counts as tried."""
    states = {state for (state,) in await rows(db, StudySource.state)}
    tried = await rows(db, MoveAttempt.outcome, started_on=None)
    counted = await rows(db, StudyFind.attempts, retrieved_on=None)
    return (
        states <= {"pending", "retrieved"}
        and {outcome for (outcome,) in tried} <= {"interrupted"}
        and not any(attempts for (attempts,) in counted)
        and await rows(db, MoveAttempt.id, ended_on=None) == []
    )


async def test_when_hours_close_nothing_is_asked_for_that_waits_for_room_in_the_budget(
    db, tmp_path
):
    settings = PATIENT | {"concurrency": 3, "hours": A_MINUTE_MORE, "budget": {"studies": 2}}
    async with (
        moving_node(db, tmp_path, {"pacs": ()}, **settings) as node,
        pacs_of(node, "pacs", **SLOWLY) as pacs,
    ):
        config = node.config({"pacs": {"port": pacs.port}})
        taking = IntakeHere(node._receiver)

        async def rest_is_let_go():
            return len(await rows(db, MoveAttempt.id, ended_on=None)) == 2

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(move_cycle(config, db, taking, ["pacs"]))
            await wait_until_async(lambda: moves(pacs) == 2, 50, interval=0.5)
            await wait_until_async(rest_is_let_go, interval=0.5)
            assert not task.done()
        assert moves(pacs) == 2
        assert await nothing_is_held(db)
        ((message,),) = await rows(db, Cycle.message)
        assert message is None, "it was the hours"


@on_sqlite
async def test_when_hours_close_others_get_at_once_what_is_not_asked_for(db, tmp_path):
    settings = PATIENT | {"concurrency": 2, "hours": A_MINUTE_MORE}
    async with (
        moving_node(db, tmp_path, {"pacs": ()}, **settings) as node,
        pacs_of(node, "pacs", **SLOWLY) as pacs,
    ):
        config = node.config({"pacs": {"port": pacs.port}})
        taking = IntakeHere(node._receiver)

        async def only_one_is_claimed():
            return len(await rows(db, MoveAttempt.id, ended_on=None)) == 1

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(move_cycle(config, db, taking, ["pacs"]))
            await wait_until_async(lambda: moves(pacs) == 2, 50, interval=0.5)
            await wait_until_async(only_one_is_claimed, 500, interval=2)
            assert not task.done()
        assert moves(pacs) == 2
        assert await nothing_is_held(db)


async def test_a_budget_for_all_peers_counts_what_is_under_way_from_each(db, tmp_path):
    settings = PATIENT | {"concurrency": 3, "budget": {"studies": 3}}
    async with (
        moving_node(db, tmp_path, {"one": (), "two": ()}, **settings) as node,
        pacs_of(node, "one", **SLOWLY) as one,
        pacs_of(node, "two", seed=2, **SLOWLY) as two,
    ):
        config = node.config({"one": {"port": one.port}, "two": {"port": two.port}})
        taking, under_way = IntakeHere(node._receiver), UnderWay()

        async def cycles():
            await asyncio.gather(
                *(
                    move_cycle(config, db, taking, [name], under_way=under_way)
                    for name in ("one", "two")
                )
            )

        await cycles()
        assert moves(one, two) == 3
        used_up = [message for (message,) in await rows(db, Cycle.message)]
        assert len(used_up) == 2
        assert all("3 of 3 studies (move.budget)" in message for message in used_up)
        assert await nothing_is_held(db)
        await cycles()
        assert len(await rows(db, Cycle.id)) == 2, "there is nothing left of it"


@on_sqlite
async def test_all_moves_of_the_daemon_count_what_is_under_way_together(db, tmp_path, monkeypatch):
    begun = []

    async def run(_name, _schedule, cycle):
        begun.append(cycle.keywords["under_way"])

    class Ready:
        async def ready(self):
            pass

    monkeypatch.setattr(supervisor, "run_on_schedule", run)
    receiver = SimpleNamespace(acceptor=SimpleNamespace(port=free_port()))
    node = MovingNode(db, receiver, tmp_path, {"one": (), "two": ()}, {"every": "1h"})
    config = node.config({"one": {}, "two": {}})
    find = config.find.model_copy(update={"every": None})
    config = config.model_copy(update={"find": find})
    await asyncio.gather(*supervisor._cycles(config, db, Ready(), receiver))
    assert len(begun) == 2
    assert begun[0] is begun[1]


@on_sqlite
async def test_who_waits_for_an_association_leaves_the_rest_when_the_time_has_come(db, tmp_path):
    has, goes = asyncio.Event(), asyncio.Event()

    async def hold(config):
        async with slots_kept(config, db), place_at("pacs"):
            has.set()
            await goes.wait()

    async with (
        asyncio.timeout(120),
        moving_node(db, tmp_path, {"pacs": ()}, **PATIENT) as node,
        pacs_of(node, "pacs") as pacs,
    ):
        config = node.config({"pacs": {"port": pacs.port, "associations": 1}})
        chosen = await choose(db, ["pacs"])
        another = asyncio.create_task(hold(config))
        await has.wait()
        until = present() + timedelta(seconds=10)
        tour = await move_chosen(config, db, chosen, proceed=lambda: present() < until)
        assert present() < until + timedelta(seconds=5)
        assert not another.done()
        assert [(one.results, one.left) for one in tour.reports] == [((), 4)]
        assert moves(pacs) == 0
        assert await nothing_is_held(db)
        goes.set()
        await another
        tour = await move_chosen(config, db, chosen)
        assert [one.left for one in tour.reports] == [0]
        assert moves(pacs) == 4
