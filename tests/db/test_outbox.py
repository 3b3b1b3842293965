"""The outbox: events are recorded with what has happened, and each is one's to tell at a time."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from schema import Database, add_images, record_found, update_retrieved_study, utcnow
from schema.cycles import finish_cycle, interrupt_cycles, start_cycle
from schema.hierarchy.gone import mark_gone
from schema.hooking.audience import Audience
from schema.hooking.claiming import (
    Teller,
    claim_deliveries,
    due_hooks,
    expire_deliveries,
    give_back,
    release_deliveries,
    settle_delivery,
)
from schema.hooking.kinds import EventKind
from schema.hooking.listing import get_deliveries, recent_deliveries, tell_again
from schema.hooking.patience import DeliveryLimits, next_delivery
from schema.hooking.patients import patient_of
from schema.hooking.recording import record_alarm, record_events
from schema.moving.attempts import AttemptAnswer, EndedAttempt, begin_attempts
from schema.moving.judging import judge_attempts
from schema.moving.patience import FailureKind, RetryLimits
from schema.moving.senders import Senders
from schema.tables.outbox.deliveries import EventDelivery
from schema.tables.outbox.events import RecordedEvent
from tests.db.records import finding, record

ALL = Audience(hooks=dict.fromkeys(EventKind, ("lab",)))
SENDERS = Senders(peers={"A": frozenset({"a"})}, ours=frozenset({"NODE"}))
FIRST = Teller(node="ONE", pid=1, process="x")
SECOND = Teller(node="TWO", pid=2, process="y")


@pytest.fixture
async def told(migrated_url):
    """Return a database of which one hook wants to be told everything."""
    async with Database(migrated_url, info=ALL.info()) as database:
        yield database


async def events(db: Database, *kinds: EventKind) -> list[tuple[str, dict]]:
    async with db.session() as session:
        query = select(RecordedEvent.kind, RecordedEvent.data).order_by(RecordedEvent.id)
        if kinds:
            query = query.where(RecordedEvent.kind.in_(kinds))
        return [(kind, data) for kind, data in await session.execute(query)]


async def attempted(
    db: Database,
    *,
    kind: FailureKind = FailureKind.NONE,
    message: str = "",
    before: int = 0,
    status: int | None = None,
) -> None:
    """Judge an attempt to move study 1, of which nobody can have more attempts than this."""
    begun = await db.run(begin_attempts, ["1"], peer="a", cycle_id=None, node="NODE")
    ended = EndedAttempt(
        attempt_id=begun["1"],
        study_uid="1",
        answered=AttemptAnswer(status=status),
        kind=kind,
        message=f"{message}: DOE^JOHN",
        impersonal=message,
        before=before,
    )
    limits = RetryLimits(attempts=1)
    await db.run(judge_attempts, [ended], peer="a", senders=SENDERS, limits=limits)


async def found(db: Database, uid: str = "1", peer: str = "a", images: int = 2) -> None:
    async with db.begin() as session:
        await record_found(session, [finding(uid, images)], peer=peer)


async def arrived(db: Database, *numbers: int, uid: str = "1") -> None:
    async with db.begin() as session:
        await add_images(
            session,
            [record(f"{uid}.1.{one}", f"{uid}.1", uid, source="A") for one in numbers],
        )


async def test_a_study_is_told_when_it_becomes_complete_and_each_time_that_it_does(told):
    await found(told)
    await arrived(told, 1, 2)
    await attempted(told)
    complete = {
        "study_uid": "1",
        "images": 2,
        "evidence": "counted",
        "peer": "a",
        "peers": ["a"],
    }
    assert await events(told) == [("study_complete", complete)]
    await attempted(told)  # it was complete before
    assert len(await events(told)) == 1
    await found(told, images=3)  # it has grown
    await arrived(told, 3)
    await attempted(told)
    assert await events(told) == [
        ("study_complete", complete),
        ("study_complete", complete | {"images": 3}),
    ]


async def test_a_study_is_complete_also_when_nobody_is_left_who_has_more_of_it(told):
    for uid in ("1", "2"):
        await found(told, uid, "a", 1)
        await found(told, uid, "b", 1)
        await arrived(told, 1, uid=uid)
        async with told.begin() as session:
            await update_retrieved_study(session, uid, peer="a")
    assert await events(told) == []
    async with told.begin() as session:
        await update_retrieved_study(session, "1", peer="b")
        await mark_gone(session, peer="b", study_uids=["2"], asked_on=utcnow())
    async with told.begin() as session:
        await update_retrieved_study(session, "1")
    data = [data for _, data in await events(told, EventKind.STUDY_COMPLETE)]
    assert [(one["study_uid"], one["peer"]) for one in data] == [
        ("1", "b"),
        ("2", None),
    ]


async def test_a_study_that_is_given_up_is_told_with_why(told):
    await found(told)
    await arrived(told, 1)
    await attempted(told, status=0xA700, kind=FailureKind.BUSY, message="busy")
    assert await events(told) == []  # it is asked again
    await attempted(told, status=0xC001, kind=FailureKind.REFUSED, message="no", before=1)
    ((kind, data), *more) = await events(told)
    assert (kind, more) == ("study_failed", [])
    assert data == {
        "study_uid": "1",
        "peer": "a",
        "state": "partial",
        "images": 1,
        "expected": 2,
        "status": 0xC001,
        "message": "1 of 2 images are missing; no",
    }


async def test_what_a_peer_refuses_is_an_alarm_once_a_day(told):
    await found(told)
    for message in ("unknown destination", "unknown destination", "not you"):
        await attempted(told, kind=FailureKind.CONFIGURATION, message=message)
    expected = [
        ("alarm", {"peer": "a", "message": "unknown destination"}),
        ("alarm", {"peer": "a", "message": "not you"}),
    ]
    assert await events(told) == expected
    async with told.begin() as session:
        yesterday = utcnow() - timedelta(days=1, minutes=1)
        await session.execute(update(RecordedEvent).values(created_on=yesterday))
        assert await record_alarm(session, "not you", peer="a")
        assert not await record_alarm(session, "not you", peer="a")
        assert await record_alarm(session, "not you", peer="b")


async def test_the_end_of_a_cycle_is_told_once_however_it_ends(told):
    async with told.begin() as session:
        done = await start_cycle(session, "find", "a", "NODE", 1)
        await finish_cycle(session, done, "partial", {"new": 3}, "1 window failed")
        await finish_cycle(session, done, "partial", {"new": 3}, "1 window failed")
        dead = await start_cycle(session, "move", "a", "NODE", 1)
    async with told.begin() as session:
        assert await interrupt_cycles(session, "NODE") == 1
    (kind, first), (_, second) = await events(told)
    assert kind == "cycle_end"
    moments = {name: first.pop(name) for name in ("started_on", "finished_on")}
    assert all(moment.endswith("Z") for moment in moments.values())
    assert first == {
        "cycle": done,
        "kind": "find",
        "peer": "a",
        "node": "NODE",
        "outcome": "partial",
        "counts": {"new": 3},
        "message": "1 window failed",
    }
    assert (second["cycle"], second["outcome"]) == (dead, "interrupted")


async def test_only_what_somebody_wants_is_written_and_undone_with_what_it_is_of(migrated_url):
    some = Audience(hooks={EventKind.CYCLE_END: ("lab", "chat")})
    async with Database(migrated_url, info=some.info()) as db:
        await found(db)
        await arrived(db, 1, 2)
        await attempted(db)
        with pytest.raises(ZeroDivisionError):
            async with db.begin() as session:
                await finish_cycle(session, await start_cycle(session, "find"), "done")
                raise ZeroDivisionError
        assert await events(db) == []
        async with db.begin() as session:
            await finish_cycle(session, await start_cycle(session, "find"), "done")
        assert [kind for kind, _ in await events(db)] == ["cycle_end"]
        async with db.session() as session:
            assert {one.hook for one in await recent_deliveries(session)} == {"lab", "chat"}
    async with Database(migrated_url) as silent:
        async with silent.begin() as session:
            await finish_cycle(session, await start_cycle(session, "find"), "done")
        assert len(await events(silent)) == 1


async def three(db: Database) -> None:
    await db.run(record_events, EventKind.ALARM, [{"number": one} for one in range(3)])


async def claim(db: Database, worker: Teller = FIRST, *, most: int = 9, lease: float = 60):
    return await db.run(claim_deliveries, "lab", most=most, worker=worker, lease=lease)


async def test_nobody_tells_what_another_is_at_until_that_one_is_gone(told):
    await three(told)
    async with told.session() as session:
        assert await due_hooks(session, ["lab", "other"]) == {"lab": 3}
    async with Database(told.url) as other, AsyncExitStack() as stack:  # another node
        session = await stack.enter_async_context(told.begin())
        first = await claim_deliveries(session, "lab", most=1, worker=FIRST, lease=60)
        if told.dialect == "sqlite":  # where writers take turns; on PostgreSQL nobody waits
            await stack.aclose()
        async with asyncio.timeout(20):
            both = first, await claim(other, SECOND, most=1)
    numbers = [one.data["number"] for taken in both for one in taken]
    assert sorted(set(numbers)) == sorted(numbers)
    rest = await claim(told, lease=0)
    assert (len(numbers), len(rest)) == (2, 1)
    again = await claim(told, SECOND)  # the time of whoever had it is over
    assert [(one.id, one.uuid) for one in again] == [(one.id, one.uuid) for one in rest]
    assert {one.attempts for one in again} == {2}
    late = await told.run(settle_delivery, rest[0], worker=FIRST, again_in=None)
    mine = await told.run(settle_delivery, again[0], worker=SECOND, again_in=None, output="ok\0")
    assert (late, mine) == (False, True)
    async with told.session() as session:
        (kept,) = await get_deliveries(session, [again[0].id])
    assert (kept.state, kept.node, kept.output) == ("done", "TWO", "ok\N{REPLACEMENT CHARACTER}")
    assert await claim(told) == []


async def test_what_is_not_taken_waits_and_what_is_given_up_is_told_again_when_wanted(told):
    await three(told)
    first, second, third = await claim(told)
    await told.run(settle_delivery, first, worker=FIRST, again_in=60, reason="busy", code=503)
    await told.run(settle_delivery, second, worker=FIRST, again_in=None, reason="gone", code=410)
    assert await claim(told) == []
    async with told.session() as session:
        listed = await recent_deliveries(session)
        assert [one.state for one in listed] == ["running", "failed", "waiting"]
        failed = await recent_deliveries(session, hook="lab", state="failed")
        assert [(one.id, one.reason, one.code) for one in failed] == [(second.id, "gone", 410)]
    assert await told.run(tell_again) == [second.id]
    assert await told.run(tell_again, [first.id, third.id, 99]) == [first.id]
    assert [one.id for one in await claim(told)] == [first.id, second.id]


async def test_what_a_dead_process_had_is_told_at_once_and_what_may_run_is_left(told):
    await three(told)
    await claim(told, most=1)
    await claim(told, SECOND, most=1)
    (third,) = await claim(told)
    for alive, count in ((None, 0), (True, 0), (False, 2)):
        released = await told.run(release_deliveries, "ONE", alive=lambda *_: alive)  # noqa: B023
        assert released == count
    assert len(await claim(told)) == 2
    await told.run(give_back, [third.id])
    assert [one.id for one in await claim(told)] == [third.id]


async def test_what_was_told_is_deleted_when_it_was_kept_for_long_enough(told):
    audience = Audience(hooks={EventKind.ALARM: ("lab", "lost")})
    async with Database(told.url, info=audience.info()) as db:
        await three(db)
    taken = await claim(told)
    for one in taken[:2]:
        await told.run(settle_delivery, one, worker=FIRST, again_in=None)
    async with told.begin() as session:
        await session.execute(
            update(EventDelivery)
            .where(EventDelivery.id == taken[0].id)
            .values(done_on=utcnow() - timedelta(seconds=61))
        )
    assert await told.run(expire_deliveries, {"lab": 60.0, "lost": 60.0}) == 1
    assert len(await events(told)) == 3  # the other hook waits for it
    async with told.begin() as session:
        long_ago = utcnow() - timedelta(days=31)
        await session.execute(update(RecordedEvent).values(created_on=long_ago))
    assert await told.run(expire_deliveries, {"lab": 60.0}) == 3  # nobody knows of the other hook
    assert await told.run(expire_deliveries, {"lab": 60.0}) == 0
    async with told.session() as session:
        assert await session.scalar(select(func.count(RecordedEvent.id))) == 2
        assert len(await recent_deliveries(session)) == 2


async def test_a_patient_is_read_where_he_is_kept(told):
    await found(told)
    async with told.session() as session:
        patient = await patient_of(session, "1")
        assert await patient_of(session, "2") == {}
    assert patient.keys() == {
        "patient_id",
        "patient_name",
        "patient_birth_date",
        "accession_number",
    }
    assert patient["patient_id"] == "P1"


@pytest.mark.parametrize(
    ("again", "attempts", "age", "seconds"),
    [
        (True, 1, 0, 5),
        (True, 3, 0, 20),
        (True, 9, 100, 60),
        (True, 10, 0, None),
        (True, 1, 996, None),
        (False, 1, 0, None),
    ],
)
def test_an_event_is_told_again_later_and_later_and_not_for_ever(again, attempts, age, seconds):
    limits = DeliveryLimits(retry=5, retry_limit=60, attempts=10, give_up=1000)
    assert next_delivery(limits, again=again, attempts=attempts, age=age) == seconds
