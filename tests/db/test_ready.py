"""What a PACS may be asked for now: in order, and as fast among a million studies."""

import asyncio
import time
from datetime import timedelta

import pytest
from sqlalchemy import event, select, text, update

from schema import (
    AsyncSession,
    Cycle,
    Database,
    StudyFind,
    add_found_study,
    record_found,
    utcnow,
)
from schema.choosing.order import MoveOrder
from schema.cycles import LEASE, interrupt_silent, start_cycle
from schema.moves import set_priority
from schema.moving.attempts import begin_attempts, interrupt_attempts
from schema.moving.leases import claims_on
from schema.moving.ready import count_ready, next_ready, ready_query, wake, without_sources
from schema.tables.ledger import MoveAttempt
from schema.tables.sources import StudySource
from schema.tables.statements import shared_now
from tests.db.records import finding
from tests.support.many_studies import fill

DAY = timedelta(days=1)
ORDER = (StudySource.rank, StudySource.study_date, StudySource.id)


async def ready(db: Database, *, peer: str = "a", limit: int = 100, without=()) -> list[str]:
    async with db.session() as session:
        studies = await next_ready(session, peer=peer, limit=limit, without=without)
        return [study.study_uid for study in studies]


async def change(db: Database, uid: str, **values: object) -> None:
    """Change the source of a study."""
    async with db.begin() as session:
        study = await StudyFind.by_uid(session, uid)
        await session.execute(
            update(StudySource).where(StudySource.study_find_id == study.id).values(**values)
        )


async def test_the_highest_priority_comes_first_then_the_oldest(db):
    async with db.begin() as session:
        answers = [
            finding(str(number), 1, StudyDate=f"2024010{number}") for number in (3, 1, 4, 2, 5)
        ]
        await record_found(session, answers, peer="a")
        await record_found(session, [finding("9", 7)], peer="b")
    async with db.begin() as session:
        assert await set_priority(session, ["4"], 5) == 1
        assert await set_priority(session, ["2"], -1) == 1
        await record_found(session, [finding("4", 1)], peer="b")  # it has its priority there too
    assert await ready(db) == ["4", "1", "3", "5", "2"]
    assert await ready(db, limit=2) == ["4", "1"]
    assert await ready(db, without=["4", "3"]) == ["1", "5", "2"]
    assert await ready(db, peer="b") == ["4", "9"]
    async with db.session() as session:
        assert await count_ready(session, peer="a") == (5, 5)
        assert await count_ready(session, peer="b") == (2, 8)
        assert await count_ready(session, peer="c") == (0, 0)


@pytest.mark.parametrize(
    "values",
    [
        {"state": "moving"},
        {"state": "settling"},
        {"state": "held"},
        {"state": "retrieved", "verified_on": utcnow()},
        {"state": "gone", "gone_on": utcnow()},
        {"state": "failed", "given_up_on": utcnow()},
        {"state": "partial", "next_attempt_on": utcnow() - DAY},  # until it is woken
    ],
)
async def test_what_is_not_to_be_asked_for_is_not_ready(db, values):
    async with db.begin() as session:
        await record_found(session, [finding("1", 1), finding("2", 1)], peer="a")
    await change(db, "1", **values)
    assert await ready(db) == ["2"]


async def test_what_waits_is_woken_when_its_time_has_come_or_a_clock_was_ahead(db):
    now = utcnow()
    async with db.begin() as session:
        await record_found(session, [finding(uid, 1) for uid in "123"], peer="a")
        await record_found(session, [finding("4", 1)], peer="b")
    for uid, due in (("1", now - DAY), ("2", now + DAY), ("3", now + 99 * DAY), ("4", now - DAY)):
        await change(db, uid, state="partial", next_attempt_on=due)
    assert await ready(db) == []
    assert await db.run(wake, peer="a", now=now, longest=2 * DAY) == 2
    assert await ready(db) == ["1", "3"]
    assert await ready(db, peer="b") == []


async def test_studies_of_which_no_peer_is_known_can_be_asked_for_anywhere(db):
    async with db.begin() as session:
        await record_found(session, [finding("1", 1)], peer="a")
        await add_found_study(session, finding("2", 1))
        session.add(StudyFind(study_uid="3", peer="b"))
        later, ahead = utcnow() + DAY, utcnow() + 365 * DAY
        session.add(StudyFind(study_uid="4", peer="b", next_attempt_on=later))
        waits = {"next_attempt_on": ahead, "updated_on": ahead}  # by a clock that was ahead
        session.add(StudyFind(study_uid="5", peer="b", **waits))
    async with db.session() as session:
        for peer, known in (("a", ["2"]), ("b", ["2", "3", "5"])):
            studies = await without_sources(session, peer=peer, now=utcnow())
            assert sorted(study.study_uid for study in studies) == known


@pytest.fixture(scope="module")
def many_url(shared_url):
    """Return the URL of a database with 5,000 studies, which are only read."""

    async def make() -> None:
        async with Database(shared_url) as db:
            await fill(db, 5_000, peer="a")

    asyncio.run(make())
    return shared_url


@pytest.fixture
async def many(many_url):
    async with Database(many_url) as db:
        yield db


async def test_the_next_page_is_read_from_the_index_whatever_there_is(many):
    """The plan: no sort, no scan. 5,000 studies; tests/bench/bench_claims.py has a million."""
    db = many
    async with db.session() as session:
        explain = "EXPLAIN QUERY PLAN " if db.dialect == "sqlite" else "EXPLAIN "
        page = ready_query("a").order_by(*ORDER).limit(8)
        statement = page.compile(db.engine.sync_engine, compile_kwargs={"literal_binds": True})
        literal = str(statement).replace(":", "\\:")
        plan = "\n".join(str(row) for row in await session.execute(text(explain + literal)))
    assert "ix_study_sources_ready" in plan, plan
    assert "TEMP B-TREE" not in plan, plan
    assert "Sort" not in plan, plan
    took = []
    for _ in range(5):
        began = time.perf_counter()
        assert len(await ready(db, limit=8)) == 8
        took.append(time.perf_counter() - began)
    assert min(took) < 0.05


async def claim(db: Database, cycle: int, most: int = 8) -> list[str]:
    """Claim what is next, as a cycle does."""

    async def claiming(session: AsyncSession) -> list[str]:
        studies = await next_ready(session, peer="a", limit=most, to_claim=True)
        uids = [study.study_uid for study in studies]
        assert not await claims_on(session, uids, cycle_id=cycle)
        await begin_attempts(session, uids, peer="a", cycle_id=cycle, node="NODE")
        return uids

    return await db.run(claiming)


async def test_who_claims_at_the_same_time_has_different_studies_and_all_of_them(db, migrated_url):
    await fill(db, 480, peer="a")  # of which a tenth is ready
    async with Database(migrated_url) as other:
        cycles = [await db.run(start_cycle, "move", peer="a", node=name) for name in ("ONE", "TWO")]
        ours: list[list[str]] = []
        while (uids := await ready(db)) and len(ours) < 40:
            ours += await asyncio.gather(claim(db, cycles[0]), claim(other, cycles[1]))
        assert not uids
    claimed = [uid for page in ours for uid in page]
    assert len(claimed) == len(set(claimed)) == 48
    assert {len(page) for page in ours} == {8}


async def test_what_a_dead_process_had_claimed_can_be_claimed_again(db):
    await fill(db, 80, peer="a")  # of which a tenth is ready
    first, second = [
        await db.run(start_cycle, "move", peer="a", node=name) for name in ("ONE", "TWO")
    ]
    claimed = await claim(db, first)
    assert len(claimed) == 8
    assert await claim(db, second) == []
    assert await db.run(interrupt_silent, later=timedelta(seconds=60)) == 0
    async with db.begin() as session:  # the second one is heard of, and the first is not
        await session.execute(
            update(Cycle)
            .where(Cycle.id == second)
            .values(heard_on=await shared_now(session) + 2 * LEASE)
        )
    assert await db.run(interrupt_silent, later=2 * LEASE) == 1
    assert await claim(db, second) == claimed
    async with db.session() as session:
        rows = await session.execute(select(MoveAttempt.cycle_id, MoveAttempt.outcome))
    assert sorted(rows.all()) == [(first, "interrupted")] * 8 + [(second, None)] * 8


async def test_a_study_that_another_pacs_is_asked_for_is_not_ready_until_that_has_ended(db):
    async with db.begin() as session:
        for peer in ("a", "b"):
            await record_found(session, [finding("1", 1), finding("2", 1)], peer=peer)
    cycle = await db.run(start_cycle, "move", peer="b", node="ONE")
    begun = await db.run(begin_attempts, ["1"], peer="b", cycle_id=cycle, node="ONE")
    assert await ready(db) == ["2"]
    async with db.begin() as session:
        assert await claims_on(session, ["1", "2"], cycle_id=cycle + 1) == {"1": True}
        ours = await claims_on(session, ["1", "2"], cycle_id=cycle)
        assert ours == {"1": False}, "nor does the same cycle ask twice for it"
    await db.run(interrupt_attempts, attempt_ids=list(begun.values()))
    assert sorted(await ready(db)) == ["1", "2"]


async def test_the_newest_or_what_was_found_first_may_come_first_within_a_priority(db):
    async with db.begin() as session:
        for number in (3, 4, 1, 5, 2):
            answer = finding(str(number), 1, StudyDate=f"2024010{number}")
            await record_found(session, [answer], peer="a")
        await set_priority(session, ["1", "4"], 5)
        await set_priority(session, ["2"], -1)

    async def order(order: MoveOrder, **options: object) -> str:
        async with db.session() as session:
            page = await next_ready(session, peer="a", order=order, **{"limit": 9, **options})
            return "".join(study.study_uid for study in page)

    assert await order(MoveOrder.NEWEST) == "41532"
    assert await order(MoveOrder.NEWEST, limit=3, without=["4"]) == "153"
    assert await order(MoveOrder.LISTED) == "41352"
    assert await order(MoveOrder.OLDEST) == "14352"


@pytest.mark.parametrize("order", [MoveOrder.NEWEST, MoveOrder.LISTED])
async def test_each_order_is_read_from_an_index(many, order):
    db = many
    asked = []
    async with db.session() as session:
        connection = await session.connection()

        def keep(connection, clause, multiparams, params, options):
            asked.append(clause)

        event.listen(connection.sync_connection, "before_execute", keep)
        page = await next_ready(session, peer="a", limit=8, order=order)
        event.remove(connection.sync_connection, "before_execute", keep)
        plans = []
        explain = "EXPLAIN QUERY PLAN " if db.dialect == "sqlite" else "EXPLAIN "
        for clause in asked:
            options = {"literal_binds": True}
            sql = clause.compile(connection.sync_connection, compile_kwargs=options)
            rows = await session.execute(text(f"{explain}{sql}"))
            plans.append("\n".join(map(str, rows)))
    assert len(page) == 8
    assert len(plans) == (1 if order is MoveOrder.LISTED else 2)
    name = "ix_study_sources_ready"
    for plan in plans:
        assert name in plan, plan
        assert "TEMP B-TREE" not in plan, plan
        assert "Sort" not in plan, plan
