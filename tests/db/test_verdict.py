"""What a move has read at its beginning is held against what is so when it is recorded."""

import asyncio

import pytest

from schema import Database, StudyFind, add_images, get_studies_to_move, record_found, utcnow
from schema.finding.verdict import Lack, MoveAttempt, MoveState
from schema.hierarchy.sources import get_sources
from schema.inventory import held_by_uid, lose_files
from schema.moves import get_move_states, record_move_attempts
from tests.db.records import finding, record


async def say(db: Database, peer: str, images: int | None, uid: str = "1") -> None:
    async with db.begin() as session:
        await record_found(session, [finding(uid, images)], peer=peer)


async def here(db: Database, *images: str, uid: str = "1") -> None:
    async with db.begin() as session:
        await add_images(
            session,
            [record(f"{uid}.{one}", f"{uid}.1", uid, filepath=f"/{uid}.{one}") for one in images],
        )


async def lose(db: Database, image: str) -> None:
    async def gone(images):
        return images

    async with db.session() as session:
        held = await held_by_uid(session, [image])
    await db.run(lose_files, list(held.values()), gone=gone)


async def seen(db: Database, peer: str = "a") -> MoveState:
    async with db.session() as session:
        return (await get_move_states(session, ["1"], peer=peer))["1"]


async def moved(
    db: Database, state: MoveState, expected: int | None, *, peer: str = "a", came_to="retrieved"
) -> Lack | None:
    attempt = MoveAttempt(
        study_uid="1",
        state=came_to,
        expected_images=expected,
        seen=state,
        next_attempt_on=None if came_to == "retrieved" else utcnow(),
    )
    return (await db.run(record_move_attempts, [attempt], peer=peer)).get("1")


async def row(db: Database) -> StudyFind:
    async with db.session() as session:
        found = await StudyFind.by_uid(session, "1")
    assert found is not None
    return found


async def test_where_a_study_stands_has_what_it_should_have_by_now(db):
    await say(db, "a", 3)
    assert (await seen(db)).expected == 3
    await say(db, "a", 5)
    assert (await seen(db)).expected == 5
    async with db.session() as session:
        unknown = (await get_move_states(session, ["9"], peer="a"))["9"]
    assert unknown.expected is None


@pytest.mark.parametrize(
    ("learnt", "by_now", "becomes", "lacks"),
    [
        (3, 3, 3, None),  # nothing has changed
        (3, 5, 5, "2 of 5 images are missing"),  # it has grown
        (2, 5, 5, "2 of 5 images are missing"),  # and what was listed may be what was before
        (2, 3, 2, None),  # the list of the images is a better word than a count
        (3, 2, 2, None),  # it has shrunk
    ],
)
async def test_an_attempt_that_began_before_the_newest_answer_does_not_overrule_it(
    db, learnt, by_now, becomes, lacks
):
    await say(db, "a", 3)
    state = await seen(db)
    await here(db, *"123")
    if by_now != 3:
        await say(db, "a", by_now)
    lack = await moved(db, state, learnt)
    assert (lack and lack.reason) == lacks
    after = await row(db)
    assert (after.expected_images, after.attempts) == (becomes, 1)
    assert after.state == ("partial" if lacks else "retrieved")
    assert (after.retrieved_on is None) == bool(lacks)
    assert (after.last_error, after.next_attempt_on) == (lacks, None)
    async with db.session() as session:
        due = await get_studies_to_move(session, peer="a", due_at=utcnow())
        (source,) = (await get_sources(session, ["1"]))["1"]
    assert bool(due) == bool(lacks)
    assert (source.verified_on is None) == bool(lacks)


async def test_an_incomplete_attempt_does_not_make_a_study_smaller_that_has_grown(db):
    await say(db, "a", 3)
    state = await seen(db)
    await here(db, "1")
    await say(db, "a", 5)
    assert await moved(db, state, 3, came_to="partial") is None
    after = await row(db)
    assert (after.state, after.expected_images) == ("partial", 5)
    assert after.next_attempt_on is not None


async def test_an_attempt_that_another_node_has_overtaken_does_not_undo_its_verdict(db):
    await say(db, "a", 3)
    state = await seen(db)
    await here(db, *"123")
    assert await moved(db, await seen(db), 3) is None  # by another node, meanwhile
    assert await moved(db, state, 3, came_to="partial") is None
    after = await row(db)
    assert (after.state, after.last_error, after.next_attempt_on) == ("retrieved", None, None)
    assert after.retrieved_on is not None
    assert after.attempts == 1
    async with db.session() as session:
        (source,) = (await get_sources(session, ["1"]))["1"]
    assert source.verified_on is not None


async def test_a_study_that_loses_a_file_before_it_is_recorded_is_not_complete(db):
    await say(db, "a", 3)
    await here(db, *"123")
    state = await seen(db)
    await lose(db, "1.1")
    lack = await moved(db, state, 3)
    assert lack == Lack(images=2, expected=3, reason="1 of 3 images are missing")
    assert (await row(db)).state == "partial"


async def test_a_file_that_goes_while_its_study_is_recorded_as_complete_opens_it_again(db):
    await say(db, "a", 3)
    await here(db, *"123")
    attempt = MoveAttempt(study_uid="1", state="retrieved", expected_images=3, seen=await seen(db))
    async with db.begin() as session:
        assert await record_move_attempts(session, [attempt], peer="a") == {}
        losing = asyncio.create_task(lose(db, "1.1"))
        await asyncio.wait({losing}, timeout=0.3)
    await losing
    after = await row(db)
    assert (after.state, after.retrieved_on) == ("partial", None)


async def test_a_file_that_goes_opens_its_study_at_the_peers_that_were_done(db):
    await say(db, "a", 2)
    await say(db, "b", 1)
    await here(db, "1", "2")
    assert await moved(db, await seen(db, "a"), 2, peer="a") is None
    await lose(db, "1.1")
    assert await moved(db, await seen(db, "b"), 1, peer="b") is None
    assert (await row(db)).retrieved_on is None
    async with db.session() as session:
        assert len(await get_studies_to_move(session, peer="a")) == 1


async def test_a_study_of_two_peers_of_which_one_counts_more_than_it_lists_can_be_complete(db):
    await say(db, "a", 9)
    await say(db, "b", 2)
    await here(db, "1", "2")
    assert await moved(db, await seen(db, "a"), 2, peer="a") is None
    assert (await row(db)).retrieved_on is None, "b is open"
    await here(db, "3")
    assert await moved(db, await seen(db, "b"), 3, peer="b") is None
    assert (await row(db)).state == "retrieved"


async def test_what_is_here_of_one_peer_is_not_held_against_what_another_one_has(db):
    await say(db, "a", 2)
    await say(db, "b", 9)
    await here(db, "1", "2")
    assert await moved(db, await seen(db, "a"), 2, peer="a") is None
    async with db.session() as session:
        assert await get_studies_to_move(session, peer="a") == []
        assert len(await get_studies_to_move(session, peer="b")) == 1
    assert ((await row(db)).expected_images, (await row(db)).retrieved_on) == (9, None)


@pytest.mark.parametrize(
    ("peer", "images", "reason"),
    [
        ("a", 7, "1 of 7 images are missing"),
        ("a", 4, "a has said since that it has 4 images of it"),  # six are here, but whose?
        ("b", 7, None),
    ],
)
async def test_a_peer_of_several_that_grows_while_it_is_asked_is_asked_again(
    db, peer, images, reason
):
    await say(db, "a", 3)
    await say(db, "b", 3)
    await here(db, *"123456")
    state = await seen(db, "a")
    await say(db, peer, images)
    lack = await moved(db, state, 6, peer="a")
    assert (lack and lack.reason) == reason
    async with db.session() as session:
        assert bool(await get_studies_to_move(session, peer="a", due_at=utcnow())) == bool(reason)
        assert len(await get_studies_to_move(session, peer="b")) == 1


async def test_a_study_that_is_found_at_another_peer_meanwhile_is_not_judged_by_a_count(db):
    await say(db, "a", 2)
    state = await seen(db, "a")
    await say(db, "b", 2)
    await here(db, "1", "2")  # b's
    lack = await moved(db, state, 2)
    assert lack is not None
    assert lack.reason == "another PACS has it as well since a was asked"
    async with db.session() as session:
        assert len(await get_studies_to_move(session, peer="a", due_at=utcnow())) == 1
