"""What is asked of a peer at once: a move holds to it, and where it stands is kept."""

import asyncio
import itertools
import time
from datetime import timedelta

import pytest

from node.dicom.status import Status
from node.ops.moving.move import move
from node.ops.moving.report import Patience
from node.ops.moving.supply import ListedStudies
from node.ops.politeness.keeping import Pacing
from node.ops.retrieving.c_move import MoveRequests
from node.ops.stalls import TimeLimits
from schema import add_images, get_studies_to_move, record_found, utcnow
from schema.moving.senders import Senders
from schema.politeness.throttles import PeerThrottled, keep_throttle, throttles
from tests.db.records import finding, record
from tests.support.scripted_intake import ScriptedIntake
from tests.support.scripted_pacs import ScriptedPacs
from tests.support.variants import on_sqlite

LIMITS = TimeLimits(quiet=20.0, total=30.0)
SENDERS = Senders(peers={"PACS": frozenset({"pacs"})}, ours=frozenset({"NODE"}))


class Crowd:
    """A PACS that takes its time for each retrieval, and sees how many there are at once."""

    def __init__(self, db, *, seconds=0.1, busy=()):
        self._db, self._seconds, self._busy = db, seconds, busy
        self.now = self.most = 0
        self.times = []

    async def __call__(self, asked):
        self.now += 1
        self.most = max(self.most, self.now)
        began = time.monotonic()
        await asyncio.sleep(self._seconds)
        async with self._db.begin() as session:
            uid = asked.study_uid
            await add_images(session, [record(f"{uid}.1.1", f"{uid}.1", uid, source="PACS")])
        self.now -= 1
        self.times.append((began, time.monotonic()))
        busy = len(self.times) in self._busy
        asked.done(Status.UNABLE_TO_COUNT_MATCHES if busy else Status.SUCCESS)


async def moving(db, script, *, studies=6, lines=1, level=None, age=0.0, **pacing):
    async with db.begin() as session:
        answers = [finding(f"1.{number}", 1) for number in range(1, studies + 1)]
        await record_found(session, answers, peer="pacs")
        if level is not None:
            await keep_throttle(session, kept(level, utcnow() - timedelta(seconds=age)))
    async with ScriptedPacs(script, questions=False) as pacs, asyncio.timeout(30):
        report = await move(
            db,
            pacs.peer(),
            ListedStudies(await db.run(get_studies_to_move)),
            line=lambda answered: MoveRequests(
                pacs.peer(), destination="NODE", limits=LIMITS, answered=answered
            ),
            node="NODE",
            senders=SENDERS,
            patience=Patience(limits=LIMITS, query=LIMITS, settle=0.1),
            intake=ScriptedIntake(),
            lines=lines,
            pacing=Pacing(**pacing),
        )
    assert {result.outcome.value for result in report.results} == {"complete"}
    return await db.run(throttles)


def kept(level, on, *, peer="pacs", node="NODE"):
    return PeerThrottled(
        peer=peer,
        node=node,
        level=level,
        reason="slow\0ly",
        usual=0.02,
        latest=None,
        since=on,
        updated_on=on,
    )


@pytest.mark.parametrize(
    ("throttle", "level", "age", "most"),
    [
        (False, 1.0, 0, 3),  # nobody asks where it stands
        (True, None, 0, 3),
        (True, 2.0, 0, 2),
        (True, 1.0, 600, 1),
        (True, 1.0, 7200, 3),  # that was long ago
        (True, 1.0, -7200, 3),  # nobody knows when: the clock was ahead
    ],
)
async def test_a_move_begins_with_as_many_at_once_as_the_last_one_has_ended_with(
    sqlite, throttle, level, age, most
):
    crowd = Crowd(sqlite)
    await moving(sqlite, crowd, lines=3, level=level, age=age, throttle=throttle)
    assert crowd.most == most


async def test_below_one_there_is_a_pause_as_long_as_the_part_of_the_time_says(sqlite):
    crowd = Crowd(sqlite)
    await moving(sqlite, crowd, studies=3, lines=2, level=0.25, throttle=True)
    for (began, ended), (following, _) in itertools.pairwise(crowd.times):
        assert following - ended >= 2.5 * (ended - began)


async def test_the_pause_between_retrievals_is_kept_on_each_association(sqlite):
    crowd = Crowd(sqlite, seconds=0.01)
    await moving(sqlite, crowd, studies=4, pause=0.2)
    times = sorted(crowd.times)
    assert all(after[0] - before[1] >= 0.2 for before, after in itertools.pairwise(times))


@on_sqlite
async def test_a_peer_that_is_busy_is_asked_for_less_and_that_is_kept(db):
    crowd = Crowd(db, busy=(1, 4))
    (row,) = await moving(db, crowd, studies=10, lines=4, throttle=True)
    assert (row.peer, row.node, row.level) == ("pacs", "NODE", 1.0)
    assert "0xA701" in row.reason
    assert row.usual is None  # it takes no questions
    assert row.since <= row.updated_on <= utcnow()


async def test_where_throttles_stand_is_replaced_by_peer_and_node(db):
    then = utcnow()
    for level in (0.5, 2.0):
        for peer, node in (("pacs", "NODE"), ("pacs", "OTHER"), ("archive", "NODE")):
            await db.run(keep_throttle, kept(level, then, peer=peer, node=node))
    rows = await db.run(throttles)
    assert [(row.peer, row.node, row.level) for row in rows] == [
        ("archive", "NODE", 2.0),
        ("pacs", "NODE", 2.0),
        ("pacs", "OTHER", 2.0),
    ]
    assert rows[0].reason == "slow\ufffdly"
    assert [row.peer for row in await db.run(throttles, peers=["archive"])] == ["archive"]
