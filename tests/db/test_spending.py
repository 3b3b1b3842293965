"""What was moved since a moment, and breakers as rows that nodes share."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, text

from schema import Database, StudyFind, add_images, record_found, utcnow
from schema.accounting.rates import rates
from schema.guarding.breakers import breaker_of, breakers, note_tried, note_try
from schema.guarding.breaking import Breaker, BreakerEvent, BreakerState, Tried
from schema.guarding.spending import Spent, has_come_since, spent_since
from schema.moving.attempts import begin_attempts, count_late, interrupt_attempts
from schema.moving.patience import RetryLimits
from schema.tables.guarding.breakers import PeerBreaker
from schema.tables.ledger import MoveAttempt
from schema.tables.statements import table_of
from tests.db.records import finding, record

NOW = utcnow()
HOUR = timedelta(hours=1)
LIMITS = RetryLimits(retry=60, retry_limit=3600)


@pytest.fixture
async def studies(db):
    """Return the keys of three studies."""
    async with db.begin() as session:
        await record_found(session, [finding(f"1.{number}", 1) for number in range(3)], peer="a")
    async with db.session() as session:
        return list(await session.scalars(select(StudyFind.id).order_by(StudyFind.id)))


async def attempted(db: Database, study: int, *, peer: str = "a", ago: timedelta = HOUR, **values):
    row = {
        "study_find_id": study,
        "peer": peer,
        "method": "C-MOVE",
        "claimed_on": NOW - ago,
        "started_on": NOW - ago,
        "ended_on": NOW - ago + timedelta(seconds=90),
        "outcome": "partial",
        "failure": "none",
        "arrived": 1,
        "arrived_bytes": 1000,
    }
    async with db.begin() as session:
        await session.execute(insert(table_of(MoveAttempt)).values(row | values))


async def test_what_was_moved_is_added_up_of_attempts_that_have_ended_since(db, studies):
    one, two, three = studies
    await attempted(db, one)
    await attempted(db, one, arrived_bytes=2**40)
    await attempted(db, two, outcome="empty", arrived=0, arrived_bytes=None)
    await attempted(db, two, ended_on=None)  # it goes on
    await attempted(db, three, started_on=None)  # it was not asked for
    await attempted(db, three, ago=3 * HOUR)
    await attempted(db, three, ago=-HOUR)  # by a clock that was ahead
    await attempted(db, three, peer="b", arrived_bytes=5)
    async with db.session() as session:
        spent = await spent_since(session, ["a"], NOW - 2 * HOUR)
        assert spent == Spent(studies=2, bytes=2**40 + 1000, seconds=pytest.approx(270, abs=0.01))
        assert (await spent_since(session, ["a", "b"], NOW - 2 * HOUR)).studies == 3
        assert await spent_since(session, ["a"], NOW) == Spent()
        statements = "EXPLAIN " if db.dialect == "postgresql" else "EXPLAIN QUERY PLAN "
        if db.dialect == "postgresql":
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await session.execute(
            text(
                f"{statements} SELECT count(DISTINCT study_find_id), sum(arrived_bytes)"
                " FROM move_attempts WHERE peer IN ('a') AND started_on >= '2024-01-01'"
                " AND ended_on IS NOT NULL"
            )
        )
        assert "ix_move_attempts_peer_started_on" in str(plan.all())


async def test_what_came_for_an_attempt_without_a_verdict_is_moved_all_the_same(db, studies):
    """A node was killed, or an operator ended it: its images are here, and are in every count."""
    since = NOW - HOUR
    uids = ["1.0", "1.1"]
    keys = await db.run(begin_attempts, uids, peer="a", cycle_id=None, node="NODE")
    came = [
        record(f"1.0.{number}", "1.0.9", "1.0", filepath="/file", size=1000, received_on=NOW)
        for number in range(3)
    ]
    came = [replace(one, attempt_id=keys["1.0"]) for one in came]
    async with db.begin() as session:
        await add_images(session, came[:2])
        await count_late(session, came[:2])
    async with db.session() as session:
        assert await spent_since(session, ["a"], since) == Spent(), (
            "it goes on, and is counted then"
        )
    await db.run(interrupt_attempts, attempt_ids=list(keys.values()))
    async with db.session() as session:
        two = await spent_since(session, ["a"], since)
    assert (two.studies, two.bytes) == (1, 2000)
    async with db.begin() as session:
        await add_images(session, came)  # one lay in the spool when the node was killed
        await count_late(session, came[2:])
    async with db.session() as session:
        spent = await spent_since(session, ["a"], since)
        rate = (await rates(session, ["a"], since=since, until=utcnow()))["a"]
        asked = dict((await session.execute(select(MoveAttempt.id, MoveAttempt.started_on))).all())
    assert (spent.studies, spent.bytes) == (1, 3000)
    assert (rate.images, rate.bytes, rate.studies) == (3, 3000, 0)
    assert asked[keys["1.0"]] == NOW
    assert asked[keys["1.1"]] is None, "nothing says that it was asked for"


@pytest.mark.parametrize(
    ("values", "came"),
    [
        ({}, True),
        ({"arrived": 0, "outcome": "retrieved"}, True),
        ({"arrived": 0, "outcome": "failed", "failure": "refused"}, False),
        ({"arrived": 3, "failure": "busy"}, True),
        ({"failure": "outage"}, False),
        ({"ended_on": None}, False),
        ({"ago": 3 * HOUR}, False),
        ({"ago": -HOUR}, False),
        ({"ago": -timedelta(minutes=1)}, True),
    ],
)
async def test_something_has_come_when_images_did_and_the_pacs_was_not_away(
    db, studies, values, came
):
    await attempted(db, studies[0], **values)
    async with db.session() as session:
        assert await has_come_since(session, "a", NOW - 2 * HOUR) is came
        assert not await has_come_since(session, "b", NOW - 2 * HOUR)
        assert not await has_come_since(session, "a", NOW - 2 * HOUR, last=NOW + HOUR)


async def test_two_nodes_that_notice_it_together_open_one_breaker(db, migrated_url):
    what = Tried(event=BreakerEvent.MISCONFIGURED, on=NOW, message="\0no")
    async with Database(migrated_url) as another:
        turned = await asyncio.gather(
            *(one.run(note_tried, what, peer="a", limits=LIMITS, now=NOW) for one in (db, another))
        )
    assert [one.opened for one in turned].count(True) == 1
    async with db.session() as session:
        known = await breakers(session)
        assert known == {"a": await breaker_of(session, "a")}
        assert await breaker_of(session, "b") == Breaker()
    assert (known["a"].trips, known["a"].message) == (1, "\N{REPLACEMENT CHARACTER}no")
    await db.run(note_try, "a")
    await db.run(note_try, "b")
    async with db.session() as session:
        assert (await breaker_of(session, "a")).state is BreakerState.HALF_OPEN
        assert await session.scalar(select(PeerBreaker.id).where(PeerBreaker.peer == "b")) is None
    taken = Tried(event=BreakerEvent.ANSWERED, on=NOW + HOUR)
    assert (await db.run(note_tried, taken, peer="a", limits=LIMITS)).closed
    assert (await db.run(note_tried, taken, peer="b", limits=LIMITS)).after == Breaker()
