"""A PACS never has more associations of ours than it may, and everybody gets his turn."""

import asyncio
from contextlib import asynccontextmanager
from datetime import date

import pytest
from sqlalchemy import select

from node.config import Config
from node.dicom.query import StudyQuery, Window
from node.errors import NoPlace
from node.net.transport.places import place_at, without_waiting
from node.ops.finding.peers import find_at_peers
from node.ops.guarding.slots import others_wait, slots_here, slots_kept, told_of_waits
from schema import Cycle, Database
from schema.engine.claims import claiming
from tests.moving.node import moving_node
from tests.support.misbehaving import misbehaving_pacs
from tests.support.processes import LOOPBACK
from tests.support.retrieving import FEW
from tests.support.waiting import wait_until_async

BEFORE = StudyQuery(window=Window(start=date(2022, 1, 1), end=date(2022, 1, 5)))
"""Days of which it has no studies."""


def configured(associations=1):
    pacs = {"aetitle": "PACS", "host": LOOPBACK, "port": 104, "associations": associations}
    return Config(peers={"pacs": pacs})


class Visitor:
    """A process of its own, as far as places go."""

    def __init__(self, db, associations=1):
        self.config = configured(associations)
        self.db = db
        self.has = asyncio.Event()
        self.goes = asyncio.Event()
        self.told = []
        self.contended = False

    async def _tell(self, reason):
        self.told.append(reason)

    async def visit(self):
        async with slots_kept(self.config, self.db):
            with told_of_waits("pacs", self._tell):
                async with place_at("pacs"):
                    self.has.set()
                    await self.goes.wait()
                    slots_here()._looked.clear()
                    self.contended = await others_wait("pacs")
        return self


async def test_who_finds_no_place_waits_says_so_and_gets_it(db, monkeypatch):
    monkeypatch.setattr("node.ops.guarding.slots._TO_SAY", 0.1)
    first, second = Visitor(db), Visitor(db)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(first.visit())
        await first.has.wait()
        tasks.create_task(second.visit())
        await wait_until_async(lambda: second.told)
        assert second.told == ["the one association at pacs is in use"]
        assert not second.has.is_set()
        first.goes.set()
        await second.has.wait()
        second.goes.set()
    assert first.contended
    assert not second.contended
    assert second.told[1:] == [None]


async def test_who_does_not_wait_is_told_so_and_other_peers_have_any_number(db):
    first = Visitor(db)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(first.visit())
        await first.has.wait()
        async with slots_kept(first.config, db):
            with without_waiting(), pytest.raises(NoPlace, match="the one association at pacs"):
                async with place_at("pacs"):
                    pass
            async with place_at("another"), place_at("another"):
                assert not await others_wait("another")
        first.goes.set()


async def test_a_cancelled_wait_leaves_the_turn_to_others(db):
    first, second, third = Visitor(db), Visitor(db), Visitor(db)
    async with asyncio.timeout(20):
        one = asyncio.create_task(first.visit())
        await first.has.wait()
        two = asyncio.create_task(second.visit())

        async def second_is_next():
            async with claiming(db) as claims:
                return not await claims.take("the next association at pacs")

        await wait_until_async(second_is_next)
        two.cancel()
        await asyncio.gather(two, return_exceptions=True)
        first.goes.set()
        third.goes.set()
        await asyncio.gather(one, third.visit())
    assert third.has.is_set()


def size_of(study):
    return int(study["NumberOfStudyRelatedInstances"][0])


@asynccontextmanager
async def two_nodes(db, tmp_path):
    quiet = {"settle": "0.3s", "concurrency": 2, "timeout": "20s"}
    async with (
        moving_node(db, tmp_path / "one", {"pacs": ()}, **quiet) as one,
        moving_node(db, tmp_path / "two", {"pacs": ()}, **quiet) as two,
    ):
        yield one, two


@pytest.mark.parametrize("most", [1, 2])
async def test_moves_and_a_find_never_have_more_associations_than_the_peer_may_have(
    db, tmp_path, migrated_url, most
):
    async with (
        asyncio.timeout(60),
        Database(migrated_url) as another,
        two_nodes(db, tmp_path) as (one, two),
        misbehaving_pacs(archive=FEW, destinations={"NODE": (LOOPBACK, one.port)}) as pacs,
    ):
        known = sorted(pacs.truth().items(), key=lambda one: size_of(one[1]))
        few = [uid for uid, _ in known[:5]]
        await one.find("pacs", pacs, few)
        pacs.counters.associations.most_of.clear()
        two.database = another
        peer = {"port": pacs.port, "associations": most}
        config = one.config({"pacs": peer})
        await asyncio.gather(
            one.move_all({"pacs": peer}),
            two.move_all({"pacs": peer}),
            find_at_peers(config, db, ["pacs"], [BEFORE]),
        )
        await one.make_due("pacs")
        await one.move_all({"pacs": peer})  # what one was about to ask for, the other has left out
        stands = await one.stands("pacs")
        assert pacs.counters.associations.most_of["NODE"] <= most
        assert sum(stands[uid].whole for uid in few) == len(few)
        async with db.session() as session:
            kinds = dict((await session.execute(select(Cycle.kind, Cycle.outcome))).all())
    assert kinds["find"] in {"done", "partial"}, "it was asked to the end"
