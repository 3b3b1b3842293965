"""Requests for storage commitment in the database: who is at one, and what is known of it."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from schema.committing.asking import (
    ReportedOutcomes,
    asked,
    begin_asking,
    keep_report,
    was_refused,
)
from schema.committing.claiming import (
    Committer,
    claim_commitments,
    expire_commitments,
    is_done,
    is_verified,
    keep_claims,
    let_go,
    release_commitments,
    was_not_taken,
)
from schema.committing.listing import open_commitments
from schema.committing.outcomes import CONTRADICTED, OF_ANOTHER_CLASS, items_after, keep_outcomes
from schema.committing.patience import next_report
from schema.committing.taking import TakenRequest, digest_of, take_request
from schema.tables.columns import utcnow
from schema.tables.committing.commitments import CommitmentItem, StorageCommitment

HERE = Committer(node="HERE", pid=1, process="boot 1")
THERE = Committer(node="THERE", pid=2, process="boot 2")
CT = "1.2.840.10008.5.1.4.1.1.2"


def objects(count):
    return [(CT, f"1.2.3.{number}") for number in range(count)]


async def take(db, *, uid="1.2.3", count=3, node="HERE", aetitle="MODALITY"):
    wanted = objects(count)
    return await db.run(
        take_request,
        aetitle=aetitle,
        peer="modality",
        node=node,
        transaction_uid=uid,
        references=wanted,
        digest=digest_of(wanted),
    )


async def claim(db, worker=HERE, most=10, lease=60.0):
    return await db.run(claim_commitments, most=most, worker=worker, lease=lease)


async def change(db, **values):
    async with db.begin() as session:
        await session.execute(update(StorageCommitment).values(**values))


async def one_row(db):
    async with db.session() as session:
        return (await session.scalars(select(StorageCommitment))).one()


async def settle(db, outcome=0):
    async with db.begin() as session:
        await session.execute(update(CommitmentItem).values(outcome=outcome))


async def known(db):
    async with db.session() as session:
        return set(await session.scalars(select(CommitmentItem.outcome)))


async def test_a_request_is_written_down_once_and_known_again(db):
    first, new = await take(db)
    assert (await take(db)) == (first, TakenRequest.AGAIN)
    assert (await take(db, count=4)) == (first, TakenRequest.OTHER)
    other, elsewhere = await take(db, aetitle="ANOTHER", count=4)
    assert (new, elsewhere) == (TakenRequest.NEW, TakenRequest.NEW)
    assert other != first
    async with db.session() as session:
        open_ = await open_commitments(session)
        assert [(one.state, one.count, one.next_on) for one in open_] == [
            ("verifying", 1, None)
        ] * 2
        assert "ANOTHER" in {one.aetitle for one in open_}
        assert [one.sop_instance_uid for one in await items_after(session, first, 0)] == [
            "1.2.3.1",
            "1.2.3.2",
        ]


async def test_no_two_nodes_are_at_one_request(db):
    for number in range(12):
        await take(db, uid=f"1.2.{number}")
    await settle(db)
    await change(db, state="reporting")
    claimed = await asyncio.gather(*(claim(db, worker, most=5) for worker in (HERE, THERE) * 3))
    ids = [one.id for some in claimed for one in some]
    assert len(ids) == len(set(ids)) == 12


async def test_who_dies_at_it_is_followed_by_another_after_its_lease(db):
    await take(db)
    [one] = await claim(db)
    assert await claim(db) == []
    await change(db, next_on=utcnow() - timedelta(seconds=1))
    assert await claim(db, THERE) == []  # it is to be verified where its files are
    [again] = await claim(db)
    assert again.claimed_on > one.claimed_on
    assert await db.run(keep_claims, [one], worker=HERE, lease=60.0) == set()
    assert not await db.run(is_verified, one, worker=HERE)
    assert await db.run(keep_claims, [again], worker=HERE, lease=60.0) == {again.id}
    await change(db, next_on=utcnow() - timedelta(hours=2))
    assert [there.id for there in await claim(db, THERE)] == [one.id]


@pytest.mark.parametrize("alive", [True, None])
async def test_what_a_process_had_that_has_died_is_free_at_the_next_start(db, alive):
    await take(db)
    [one] = await claim(db)
    assert await db.run(release_commitments, "HERE", alive=lambda *_: alive) == 0
    assert await claim(db) == []
    assert await db.run(release_commitments, "THERE", alive=lambda *_: False) == 0
    assert await db.run(release_commitments, "HERE", alive=lambda *_: False) == 1
    assert [again.id for again in await claim(db)] == [one.id]


async def test_a_request_goes_from_verifying_to_its_end(db):
    key, _ = await take(db)
    [one] = await claim(db)
    async with db.session() as session:
        items = await items_after(session, key, -1, unsettled=True)
    await db.run(keep_outcomes, {items[0].id: 0, items[1].id: 0x0112, items[2].id: 0})
    await db.run(keep_outcomes, {items[0].id: 0x0110})  # what is known stays
    assert await db.run(is_verified, one, worker=HERE)
    row = await one_row(db)
    assert (row.state, row.committed, row.failed) == ("reporting", 2, 1)
    assert await db.run(was_not_taken, one, worker=HERE, reason="it is away\0", again_in=60.0)
    assert not await db.run(is_done, one, worker=HERE)  # it is nobody's now
    assert await claim(db) == []
    await change(db, next_on=utcnow())
    [again] = await claim(db, THERE)
    assert again.attempts == 1
    await db.run(let_go, [again], worker=THERE)
    [again] = await claim(db, THERE)
    assert await db.run(is_done, again, worker=THERE)
    row = await one_row(db)
    assert (row.state, row.attempts, row.reason, row.pid) == ("done", 2, None, None)
    assert (await take(db))[1] is TakenRequest.AGAIN
    [found_out_again] = await claim(db)
    assert (found_out_again.state, found_out_again.attempts) == ("verifying", 0)
    assert await known(db) == {None}
    row = await one_row(db)
    assert (row.committed, row.failed, row.settled_on) == (None, None, None)


async def test_what_is_asked_for_again_before_its_report_is_taken_is_found_out_again(db):
    await take(db)
    [one] = await claim(db)
    await settle(db)
    assert await db.run(is_verified, one, worker=HERE)
    assert await db.run(was_not_taken, one, worker=HERE, reason="away", again_in=60.0)
    await take(db)
    [again] = await claim(db)
    assert (again.state, again.attempts, await known(db)) == ("verifying", 0, {None})


async def test_what_is_asked_for_again_while_it_is_found_out_goes_on(db):
    await take(db)
    [one] = await claim(db)
    await settle(db)
    assert (await take(db))[1] is TakenRequest.AGAIN
    assert await known(db) == {0}
    assert await db.run(is_verified, one, worker=HERE)
    assert await db.run(is_done, one, worker=HERE)
    assert (await one_row(db)).state == "done"


@pytest.mark.parametrize("end", ["taken", "not taken", "given up", "broken off"])
async def test_what_is_asked_for_again_while_it_is_reported_is_found_out_again(db, end):
    await take(db)
    [one] = await claim(db)
    await settle(db)
    assert await db.run(is_verified, one, worker=HERE)
    assert (await take(db))[1] is TakenRequest.AGAIN
    assert await known(db) == {0}, "the report that is on its way is whole"
    if end == "taken":
        assert await db.run(is_done, one, worker=HERE)
    elif end == "broken off":
        assert await db.run(release_commitments, "HERE", alive=lambda *_: False) == 1
    else:
        pause = None if end == "given up" else 60.0
        assert await db.run(was_not_taken, one, worker=HERE, reason="no", again_in=pause)
    [again] = await claim(db)
    assert (again.state, again.attempts, await known(db)) == ("verifying", 0, {None})
    await settle(db)
    assert await db.run(is_verified, again, worker=HERE)
    assert await db.run(is_done, again, worker=HERE)
    assert (await one_row(db)).state == "done"


async def test_who_asks_again_at_the_moment_of_its_end_is_not_forgotten(db):
    await take(db)
    for _ in range(5):
        [one] = await claim(db)
        await settle(db)
        assert await db.run(is_verified, one, worker=HERE)
        _, taken = await asyncio.gather(db.run(is_done, one, worker=HERE), take(db))
        assert taken[1] is TakenRequest.AGAIN
    [again] = await claim(db)
    assert (again.state, await known(db)) == ("verifying", {None})


async def test_a_report_that_is_given_up_is_at_its_end(db):
    await take(db)
    [one] = await claim(db)
    assert await db.run(was_not_taken, one, worker=HERE, reason="no", again_in=None)
    row = await one_row(db)
    assert (row.state, row.done_on is not None) == ("given_up", True)
    assert await claim(db) == []


async def test_what_came_to_its_end_long_ago_is_deleted_with_its_objects(db):
    await take(db)
    await take(db, uid="1.2.4")
    assert await db.run(expire_commitments) == 0
    await change(db, done_on=utcnow() - timedelta(days=31))
    assert await db.run(expire_commitments) == 2
    async with db.session() as session:
        assert await session.scalar(select(func.count()).select_from(CommitmentItem)) == 0


async def ask(db):
    return await db.run(
        begin_asking,
        aetitle="PACS",
        peer="pacs",
        node="HERE",
        transaction_uid="2.25.7",
        references=objects(3),
    )


async def report(db, *, uid="2.25.7", peers=("pacs",), outcomes=None):
    outcomes = {"1.2.3.0": 0, "1.2.3.1": 0x0112, "9.9": 0} if outcomes is None else outcomes
    said = ReportedOutcomes(
        committed={one: {objects(1)[0][0]} for one, outcome in outcomes.items() if not outcome},
        failed={one: outcome for one, outcome in outcomes.items() if outcome},
    )
    return await db.run(keep_report, transaction_uid=uid, peers=peers, said=said)


async def test_a_report_on_what_we_have_asked_is_kept_once(db):
    key = await ask(db)
    assert not await report(db, uid="2.25.8")
    assert not await report(db, peers=["another"])
    assert not await report(db, peers=[])
    async with db.session() as session:
        assert (await asked(session, key)).state == "asked"
    assert await report(db)
    assert await report(db, outcomes={"1.2.3.1": 0})  # again: it changes nothing
    async with db.session() as session:
        said = await asked(session, key)
    assert (said.state, said.outcomes) == (
        "done",
        {"1.2.3.0": 0, "1.2.3.1": 0x0112, "1.2.3.2": None},
    )
    row = await one_row(db)
    assert (row.committed, row.failed) == (1, 1)
    assert await claim(db) == []


@pytest.mark.parametrize(("contradictory", "outcome"), [(False, 0), (True, CONTRADICTED)])
async def test_what_a_report_says_otherwise_than_it_was_asked_is_not_committed(
    db, contradictory, outcome
):
    key = await ask(db)
    said = ReportedOutcomes(
        committed={"1.2.3.0": {CT}, "1.2.3.1": {"1.2.840.10008.5.1.4.1.1.4"}, "1.2.3.2": {CT, "1"}},
        failed={"1.2.3.2": 0x0110},
        contradictory=contradictory,
    )
    assert await db.run(keep_report, transaction_uid="2.25.7", peers=["pacs"], said=said)
    async with db.session() as session:
        found = (await asked(session, key)).outcomes
    assert found == {"1.2.3.0": outcome, "1.2.3.1": OF_ANOTHER_CLASS, "1.2.3.2": 0x0110}
    row = await one_row(db)
    assert (row.committed, row.failed) == ((0, 3) if contradictory else (1, 2))


async def test_a_request_that_was_refused_has_no_report(db):
    key = await ask(db)
    await db.run(was_refused, key, "it does not want it")
    assert not await report(db)
    async with db.session() as session:
        assert (await asked(session, key)).state == "refused"


def test_a_report_is_tried_again_ever_more_seldom_until_its_time_is_over():
    pauses = [next_report(attempts=n, age=0, give_up=1e6) for n in (1, 2, 3, 20)]
    assert all(pause is not None for pause in pauses)
    assert pauses[0] < 11
    assert 400 < pauses[-1] <= 1400
    assert next_report(attempts=1, age=100.0, give_up=100.0) is None
