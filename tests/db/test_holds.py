"""What operators decide of studies: held, released, and asked for again; whatever a find says."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from schema import Database, StudyFind, add_found_study, record_found, utcnow
from schema.choosing.named import studies_named
from schema.choosing.open_studies import get_open_studies
from schema.choosing.order import MoveOrder
from schema.deciding.holds import Decided, hold_studies, release_studies, retry_studies
from schema.finding.standing import doubt
from schema.hierarchy.gone import mark_gone
from schema.moves import get_move_states, update_retrieved_study
from schema.moving.attempts import begin_attempts, interrupt_attempts
from schema.moving.ready import next_ready, without_sources
from schema.tables.sources import StudySource
from tests.db.records import finding

DAY = timedelta(days=1)


async def found(db: Database, *uids: str, peer: str = "a", images: int = 1) -> None:
    async with db.begin() as session:
        await record_found(session, [finding(uid, images) for uid in uids], peer=peer)


async def states(db: Database, uid: str) -> dict[str, str]:
    """Return the state of a study at each of its PACSs, and of the study itself, as `""`."""
    async with db.session() as session:
        study = await StudyFind.by_uid(session, uid)
        query = select(StudySource.peer, StudySource.state).where(
            StudySource.study_find_id == study.id
        )
        return {"": study.state, **dict((await session.execute(query)).all())}


async def ready(db: Database, peer: str = "a") -> list[str]:
    async with db.session() as session:
        there = await next_ready(session, peer=peer, limit=10)
        nowhere = await without_sources(session, peer=peer, now=utcnow())
        return [study.study_uid for study in (*there, *nowhere)]


async def by_command(db: Database, *, held: bool = False) -> list[str]:
    async with db.session() as session:
        chosen = get_open_studies(session, peer="a", held=held)
        return [study.study_uid async for study in chosen]


async def test_what_is_held_is_asked_for_by_nobody_until_it_is_released(db):
    await found(db, "1", "2", "3")
    await found(db, "1", peer="b")
    async with db.begin() as session:
        await add_found_study(session, finding("4", 1))  # no PACS is known to have it
        await update_retrieved_study(session, "3")
    decided = await db.run(hold_studies, ["1", "3", "4", "unknown"], reason="it is migrated")
    assert decided == Decided(changed=2, unchanged={"retrieved": 1})
    assert await states(db, "1") == {"": "held", "a": "held", "b": "held"}
    assert await states(db, "4") == {"": "held"}
    assert (await ready(db), await ready(db, "b")) == (["2"], [])
    assert (await by_command(db), await by_command(db, held=True)) == (["2"], ["1", "2", "4"])
    async with db.session() as session:
        at_a = await get_move_states(session, ["1", "2", "4"], peer="a")
        study = await StudyFind.by_uid(session, "1")
        whys = list(await session.scalars(select(StudySource.held_reason)))
    assert {uid: one.held for uid, one in at_a.items()} == {"1": True, "2": False, "4": True}
    assert study.held_reason == "it is migrated"
    assert [why for why in whys if why] == ["it is migrated"] * 2
    assert (await db.run(release_studies, ["1", "2", "4"])).changed == 2
    assert await states(db, "1") == {"": "pending", "a": "pending", "b": "pending"}
    assert await ready(db) == ["1", "2", "4"]
    async with db.session() as session:
        assert (await StudyFind.by_uid(session, "1")).held_on is None


async def test_a_hold_at_one_peer_is_none_at_another_and_one_at_all_is_for_those_to_come(db):
    await found(db, "1", "2")
    await found(db, "1", peer="b")
    await db.run(hold_studies, ["1"], peer="a")
    assert await states(db, "1") == {"": "held", "a": "held", "b": "pending"}
    await db.run(hold_studies, ["2"], reason="why")
    await found(db, "2", peer="b")  # which has it as well, as a find learns
    assert await states(db, "2") == {"": "held", "a": "held", "b": "held"}
    assert await ready(db, "b") == ["1"]


@pytest.mark.parametrize("event", ["back", "grown", "interrupted", "moving"])
async def test_a_hold_outlives_whatever_else_happens_to_the_study(db, event):
    await found(db, "1")
    if event == "moving":  # what is on its way when it is held, and is let go
        keys = await db.run(begin_attempts, ["1"], peer="a", cycle_id=None, node="NODE")
    await db.run(hold_studies, ["1"])
    if event == "back":
        async with db.begin() as session:
            await mark_gone(
                session, study_uids=["1"], answered=set(), peer="a", asked_on=utcnow() + DAY
            )
        assert await states(db, "1") == {"": "gone", "a": "gone"}
        await found(db, "1")
    elif event == "grown":
        async with db.begin() as session:
            await update_retrieved_study(session, "1")
        assert await states(db, "1") == {"": "retrieved", "a": "retrieved"}
        await found(db, "1", images=2)
    else:
        if event == "interrupted":  # it was moved by its name
            keys = await db.run(begin_attempts, ["1"], peer="a", cycle_id=None, node="NODE")
        await db.run(interrupt_attempts, attempt_ids=list(keys.values()))
    assert await states(db, "1") == {"": "held", "a": "held"}
    assert await ready(db) == []


@pytest.mark.parametrize("event", ["released", "tried again", "back", "grown", "alone"])
async def test_what_is_asked_for_is_never_ready_whatever_happens_meanwhile(db, event):
    if event == "alone":
        async with db.begin() as session:
            await add_found_study(session, finding("1", 1))  # no PACS is known to have it
    else:
        await found(db, "1")
    keys = await db.run(begin_attempts, ["1"], peer="a", cycle_id=None, node="NODE")
    if event in {"released", "alone"}:
        await db.run(hold_studies, ["1"])
        assert (await states(db, "1"))[""] == "held"
        await db.run(release_studies, ["1"])
    elif event == "back":
        async with db.begin() as session:
            await mark_gone(
                session, study_uids=["1"], answered=set(), peer="a", asked_on=utcnow() + DAY
            )
        await found(db, "1")
    else:  # it was named, as such are that are not asked for by themselves
        state = {"tried again": "unwanted", "grown": "retrieved"}[event]
        here = utcnow() if event == "grown" else None
        async with db.begin() as session:
            await session.execute(update(StudySource).values(state=state, verified_on=here))
        if event == "grown":
            await found(db, "1", images=2)
        else:
            assert (await db.run(retry_studies, ["1"])).changed == 1
    assert [*(await states(db, "1")).values()][-1] == "moving"
    assert await ready(db) == ([] if event != "alone" else ["1"])  # who claims it sees the attempt
    await db.run(interrupt_attempts, attempt_ids=list(keys.values()))
    assert set((await states(db, "1")).values()) == {"pending"}


@pytest.mark.parametrize("how", ["it has grown", "a file is lost"])
async def test_what_is_held_is_not_asked_for_where_it_was_complete_and_is_open_again(db, how):
    await found(db, "1")
    await found(db, "1", peer="b")
    async with db.begin() as session:
        await update_retrieved_study(session, "1", peer="a")
    assert (await db.run(hold_studies, ["1"], reason="why")).changed == 1
    assert await states(db, "1") == {"": "held", "a": "retrieved", "b": "held"}
    if how == "it has grown":
        await found(db, "1", images=2)
    else:
        await db.run(doubt, ["1"])
    assert await states(db, "1") == {"": "held", "a": "held", "b": "held"}
    assert await ready(db) == await by_command(db) == []
    again = await db.run(hold_studies, ["1"])
    assert again == Decided(unchanged={"held": 1}), "it is held, and why stays as it was"
    assert (await db.run(hold_studies, ["1"], reason="another")).changed == 1
    async with db.session() as session:
        assert set(await session.scalars(select(StudySource.held_reason))) == {"another"}
    assert (await db.run(release_studies, ["1"])).changed == 1
    assert await ready(db) == ["1"]


async def test_what_was_given_up_is_asked_for_once_it_is_released(db):
    await found(db, "1", "2")
    vain = {"attempts": 9, "vain_attempts": 9, "given_up_on": utcnow()}
    async with db.begin() as session:
        await session.execute(update(StudySource).values(**vain, state="failed"))
        await session.execute(update(StudyFind).values(next_attempt_on=utcnow() + DAY))
    await db.run(hold_studies, ["1", "2"])
    tried = await db.run(retry_studies, ["1"])
    assert tried == Decided(when_released=1)
    assert await states(db, "1") == {"": "held", "a": "held"}
    counts = select(StudySource.attempts, StudySource.vain_attempts, StudySource.given_up_on)
    async with db.session() as session:
        first, second = map(tuple, await session.execute(counts.order_by(StudySource.id)))
    assert (first, second[:2]) == ((0, 0, None), (9, 9))
    assert (await db.run(release_studies, ["1", "2"])).changed == 2
    assert await ready(db) == ["1", "2"]
    async with db.session() as session:
        assert set(map(tuple, await session.execute(counts))) == {(0, 0, None)}
        assert (await StudyFind.by_uid(session, "2")).next_attempt_on is None


async def held_as_a_whole(db: Database, uid: str) -> bool:
    async with db.session() as session:
        return (await StudyFind.by_uid(session, uid)).held_on is not None


async def test_nothing_of_a_hold_is_left_once_no_pacs_is_held_any_more(db):
    await found(db, "1", "2")
    await db.run(hold_studies, ["1", "2"])
    async with db.begin() as session:
        await update_retrieved_study(session, "1")  # it was on its way, and has come
    assert (await db.run(release_studies, ["1"])) == Decided(changed=1)
    assert (await db.run(release_studies, ["1"])) == Decided(unchanged={"retrieved": 1})
    await found(db, "1", peer="b", images=2)
    assert (await states(db, "1"))["b"] == "pending"
    await found(db, "2", peer="b")
    assert (await db.run(release_studies, ["2"], peer="a")).changed == 1
    assert await states(db, "2") == {"": "held", "a": "pending", "b": "held"}
    assert await held_as_a_whole(db, "2"), "those that find it later do not ask for it either"
    assert (await db.run(release_studies, ["2"], peer="b")).changed == 1
    assert not await held_as_a_whole(db, "2")
    await found(db, "2", peer="c")
    assert await states(db, "2") == {"": "pending", "a": "pending", "b": "pending", "c": "pending"}


WAITS, GIVEN_UP, HELD, HERE, MOVING = "12345"


async def test_retry_makes_due_what_waits_or_was_given_up_and_nothing_else(db):
    uids = WAITS, GIVEN_UP, HELD, HERE, MOVING
    await found(db, *uids)
    later = utcnow() + DAY
    async with db.begin() as session:
        keys = {uid: (await StudyFind.by_uid(session, uid)).id for uid in uids}
        for uid, values in {
            WAITS: {"state": "partial", "next_attempt_on": later, "attempts": 3},
            GIVEN_UP: {"state": "failed", "given_up_on": utcnow(), "vain_attempts": 10},
            HELD: {"state": "held", "held_on": utcnow()},
            MOVING: {"state": "moving"},
        }.items():
            await session.execute(
                update(StudySource).where(StudySource.study_find_id == keys[uid]).values(**values)
            )
            await session.execute(
                update(StudyFind)
                .where(StudyFind.study_uid == uid)
                .values(state=values["state"], next_attempt_on=values.get("next_attempt_on"))
            )
        await update_retrieved_study(session, HERE)
    assert await ready(db) == []
    decided = await db.run(retry_studies, uids)
    unchanged = {"retrieved": 1, "moving": 1}
    assert decided == Decided(changed=2, unchanged=unchanged, when_released=1)
    assert sorted(await ready(db)) == [WAITS, GIVEN_UP]
    assert await states(db, WAITS) == {"": "pending", "a": "pending"}
    async with db.session() as session:
        query = select(StudySource.attempts, StudySource.vain_attempts, StudySource.given_up_on)
        counts = (await session.execute(query.where(StudySource.state == "pending"))).all()
        assert set(map(tuple, counts)) == {(0, 0, None)}
        assert (await StudyFind.by_uid(session, WAITS)).next_attempt_on is None
    assert (await db.run(retry_studies, [WAITS], peer="b")).changed == 0


async def test_studies_are_named_by_uid_or_by_what_any_peer_says_is_their_accession_number(db):
    async with db.begin() as session:
        for uid, number in (("1", "A1"), ("2", "A2"), ("3", "A2")):
            answer = finding(uid, 1, AccessionNumber=number)
            await record_found(session, [answer], peer="a")
        await record_found(session, [finding("1", 1, AccessionNumber="B1")], peer="b")
    async with db.session() as session:
        named = await studies_named(
            session, study_uids=["9", "3", "1", "3"], accession_numbers=["A2", "A9", "A1", "B1"]
        )
    assert named.study_uids == ("3", "1", "2")
    assert named.unknown == ("9", "A9")


async def test_open_studies_come_oldest_or_newest_or_as_they_are_listed_first(db):
    async with db.begin() as session:
        answers = [
            finding(uid, 1, StudyDate=f"2024010{day}")
            for uid, day in (("1", 3), ("2", 1), ("3", 4), ("4", 2))
        ]
        await record_found(session, answers, peer="a")
        await session.execute(
            update(StudyFind).where(StudyFind.study_uid == "4").values(priority=1)
        )

    async def order(order: MoveOrder, **options: object) -> str:
        async with db.session() as session:
            chosen = get_open_studies(session, peer="a", order=order, **options)
            return "".join([study.study_uid async for study in chosen])

    assert await order(MoveOrder.OLDEST) == "4213"
    assert await order(MoveOrder.NEWEST) == "4312"
    assert await order(MoveOrder.NEWEST, by_priority=False) == "3142"
    assert await order(MoveOrder.LISTED) == "4123"
    listed = ["3", "4", "1", "unknown"]
    assert await order(MoveOrder.LISTED, study_uids=listed) == "431"
    assert await order(MoveOrder.LISTED, study_uids=listed, by_priority=False, limit=2) == "34"
