"""An attempt is held against what is so when it is recorded, and leaves a row that says all."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from schema import (
    Cycle,
    Database,
    StudyFind,
    add_images,
    get_studies_to_move,
    record_found,
    utcnow,
)
from schema.cycles import interrupt_cycles, start_cycle
from schema.finding.standing import doubt
from schema.inventory import held_by_uid, lose_files
from schema.moves import get_move_states
from schema.moving.arrivals import attributed, note_repeated
from schema.moving.attempts import (
    AttemptAnswer,
    EndedAttempt,
    begin_attempts,
    interrupt_attempts,
    note_answers,
)
from schema.moving.judging import Judged, judge_attempts
from schema.moving.listing import ListedSeries, listing_of
from schema.moving.listings import get_listings, keep_listings
from schema.moving.patience import FailureKind, RetryLimits
from schema.moving.senders import Senders
from schema.parsing.index import IndexSink
from schema.tables.ledger import MoveAttempt
from schema.tables.models import Image
from schema.tables.sources import StudySource
from tests.db.records import finding, on_both, record

SENDERS = Senders(
    peers={
        "A": frozenset({"a"}),
        "B": frozenset({"b"}),
        "GW": frozenset({"a"}),
        "TWO": frozenset({"a", "b"}),
    },
    ours=frozenset({"NODE"}),
)
LIMITS = RetryLimits(retry=300, retry_limit=3600, attempts=3)


async def say(db: Database, peer: str, images: int | None, uid: str = "1", **more: object) -> None:
    async with db.begin() as session:
        await record_found(session, [finding(uid, images, **more)], peer=peer)


async def arrive(
    db: Database,
    images: Collection[str],
    *,
    source: str = "A",
    originator: str = "",
    received_on: datetime | None = None,
) -> None:
    """Index images of study 1, as the indexer does."""

    async def index(session):
        came = [
            (
                record(
                    f"1.{one}",
                    "1.1",
                    "1",
                    filepath=f"/1.{one}",
                    size=100,
                    source=source,
                    received_on=received_on or utcnow(),
                ),
                originator,
            )
            for one in images
        ]
        records = await attributed(session, came, SENDERS)
        added = await add_images(session, records)
        again = [
            (image.id, known.attempt_id)
            for image, known in zip(added, records, strict=True)
            if not image.inserted and known.attempt_id is not None
        ]
        await note_repeated(session, again)

    await db.run(index)


async def list_as(
    db: Database, images: Collection[str], *, peer: str = "a", told: int | None = None
) -> None:
    uids = {f"1.{one}": "" for one in images}
    listing = listing_of(
        {"1.1": ListedSeries(images=uids, count=len(images))}, told_images=told, told_series=1
    )
    await db.run(keep_listings, {"1": (listing, utcnow())}, peer=peer)


async def begin(db: Database, *, peer: str = "a", cycle: int | None = None) -> int:
    begun = await db.run(begin_attempts, ["1"], peer=peer, cycle_id=cycle, node="NODE")
    return begun["1"]


async def judged(
    db: Database,
    attempt: int,
    *,
    peer: str = "a",
    before: int = 0,
    kind: FailureKind = FailureKind.NONE,
    message: str = "",
    now: datetime | None = None,
    **answer: object,
) -> Judged:
    ended = EndedAttempt(
        attempt_id=attempt,
        study_uid="1",
        answered=AttemptAnswer(**answer),  # type: ignore[arg-type]
        kind=kind,
        message=message,
        before=before,
    )
    results = await db.run(
        judge_attempts, [ended], peer=peer, senders=SENDERS, limits=LIMITS, now=now
    )
    return results["1"]


async def study(db: Database) -> StudyFind:
    async with db.session() as session:
        found = await StudyFind.by_uid(session, "1")
    assert found is not None
    return found


async def source(db: Database, peer: str = "a") -> StudySource:
    async with db.session() as session:
        query = select(StudySource).where(StudySource.peer == peer)
        return (await session.scalars(query)).one()


async def attempts(db: Database) -> Sequence[MoveAttempt]:
    async with db.session() as session:
        return (await session.scalars(select(MoveAttempt).order_by(MoveAttempt.id))).all()


async def test_an_attempt_is_a_row_from_when_its_study_is_claimed_to_its_verdict(db):
    await say(db, "a", 3)
    attempt = await begin(db)
    assert ((await study(db)).state, (await source(db)).state) == ("moving", "moving")
    since = utcnow()
    await db.run(note_answers, {attempt: since})
    assert (await source(db)).state == "settling"
    await arrive(db, "123")
    await list_as(db, "123", told=3)
    result = await judged(
        db,
        attempt,
        started_on=since,
        level="STUDY",
        requests=1,
        status=0,
        completed=3,
        failed=0,
        warning=0,
        refused=("JPEG 2000",),
    )
    assert (result.state, result.images, result.arrived) == ("retrieved", 3, 3)
    (row,) = await attempts(db)
    assert (row.peer, row.node, row.method, row.level) == ("a", "NODE", "C-MOVE", "STUDY")
    assert (row.outcome, row.failure, row.evidence) == ("retrieved", "none", "listed")
    assert (row.status, row.completed, row.failed, row.refused) == (0, 3, 0, ["JPEG 2000"])
    assert (row.images, row.expected, row.missing, row.message) == (3, 3, None, None)
    assert (row.arrived, row.arrived_bytes) == (3, 300)
    assert row.claimed_on <= row.started_on <= row.ended_on
    there, here = await source(db), await study(db)
    assert (there.state, there.evidence, there.evidence_images) == ("retrieved", "listed", 3)
    assert (here.state, here.evidence, here.attempts) == ("retrieved", "listed", 1)
    assert here.retrieved_on is not None
    async with db.session() as session:
        assert set(await session.scalars(select(Image.attempt_id))) == {attempt}


@on_both("lists", True, False, both=[True])
async def test_what_others_have_sent_stands_in_for_nothing_that_is_missing(db, lists):
    """Seven of its ten images, and three from elsewhere."""
    await say(db, "a", 10)
    attempt = await begin(db)
    if lists:
        await list_as(db, "0123456789", told=10)
    await arrive(db, "0123456")
    await arrive(db, "xyz", source="MODALITY")  # at the same time, and nobody had asked it
    result = await judged(db, attempt)
    assert (result.state, result.images) == ("partial", 10)
    here = await study(db)
    assert (here.retrieved_on, here.state) == (None, "partial")
    assert here.last_error.startswith("3 of 10 images are missing")
    (row,) = await attempts(db)
    assert row.missing == (["1.7", "1.8", "1.9"] if lists else None)
    async with db.session() as session:
        query = select(Image.attempt_id).where(Image.source == "MODALITY")
        assert set(await session.scalars(query)) == {None}


@pytest.mark.parametrize(
    ("arrival", "counts"),
    [
        ({"source": "A"}, True),
        ({"source": "GW"}, True),  # it stores under another title, which it may
        ({"source": "STRANGE", "originator": "NODE"}, True),  # and says that we have asked
        ({"source": "STRANGE", "originator": "OTHER"}, False),
        ({"source": "STRANGE"}, False),
        ({"source": "B"}, False),
    ],
)
async def test_who_has_sent_an_image_says_whose_it_is(sqlite, arrival, counts):
    await say(sqlite, "a", 1)
    attempt = await begin(sqlite)
    await arrive(sqlite, "1", **arrival)
    result = await judged(sqlite, attempt)
    assert result.verdict.complete is counts
    assert (result.verdict.basis == "counted") is counts


async def test_what_one_of_two_under_a_title_has_sent_unasked_counts_for_neither(db):
    await say(db, "a", 3)
    await arrive(db, "123", source="TWO")  # of its own accord
    result = await judged(db, await begin(db))
    assert (result.state, result.images) == ("partial", 3)
    assert (await study(db)).retrieved_on is None
    attempt = await begin(db)
    await arrive(db, "123", source="TWO")  # which it was asked for
    result = await judged(db, attempt)
    assert (result.state, result.verdict.basis) == ("retrieved", "counted")


@pytest.mark.parametrize(("minutes", "counts"), [(1, True), (60, False)])
async def test_the_clock_of_who_receives_may_be_behind_that_of_who_asks(sqlite, minutes, counts):
    await say(sqlite, "a", 1)
    attempt = await begin(sqlite)
    await arrive(sqlite, "1", received_on=utcnow() - timedelta(minutes=minutes))
    async with sqlite.session() as session:
        (named,) = await session.scalars(select(Image.attempt_id))
    assert (named == attempt) is counts


async def test_what_was_here_before_and_is_sent_again_is_from_it_as_well(db):
    await say(db, "a", 3)
    await arrive(db, "12", source="MODALITY")
    attempt = await begin(db)
    await arrive(db, "123")
    result = await judged(db, attempt, before=2)
    assert (result.state, result.arrived, result.again) == ("retrieved", 1, True)
    assert (await study(db)).evidence == "counted"


async def test_images_that_come_late_are_the_last_attempts_and_complete_the_study(db):
    await say(db, "a", 3)
    first = await begin(db)
    failed = await judged(db, first, kind=FailureKind.BUSY, message="it fell silent", status=None)
    assert (failed.state, (await study(db)).last_error) == (
        "failed",
        "3 of 3 images are missing; it fell silent",
    )
    await arrive(db, "123")
    async with db.session() as session:
        assert set(await session.scalars(select(Image.attempt_id))) == {first}
    second = await begin(db)
    assert (await judged(db, second, before=3)).state == "retrieved"


@on_both("by_now, state", (3, "retrieved"), (5, "partial"), (2, "retrieved"), both=[(5, "partial")])
async def test_an_attempt_that_began_before_the_newest_answer_does_not_overrule_it(
    db, by_now, state
):
    await say(db, "a", 3)
    attempt = await begin(db)
    await arrive(db, "123")
    await say(db, "a", by_now)
    assert (await judged(db, attempt)).state == state
    after = await study(db)
    assert (after.state, after.retrieved_on is None) == (state, state == "partial")
    assert (await source(db)).expected_images == by_now


async def test_a_list_that_is_cut_off_lowers_nothing(db):
    await say(db, "a", 120)
    whole = [f"{number}" for number in range(120)]
    await list_as(db, whole, told=120)
    await list_as(db, whole[:100], told=120)
    attempt = await begin(db)
    await arrive(db, whole[:100])
    result = await judged(db, attempt)
    assert (result.state, len(result.verdict.missing)) == ("partial", 20)
    async with db.session() as session:
        kept = (await get_listings(session, ["1"], peer="a"))["1"]
    assert len(kept.images) == 120


async def test_a_list_that_is_older_than_a_number_which_says_more_is_not_all(db):
    await say(db, "a", 3)
    attempt = await begin(db)
    await list_as(db, "123", told=3)
    await arrive(db, "123")
    await say(db, "a", 5)  # by a find, before the verdict
    result = await judged(db, attempt, level="STUDY", completed=3, failed=0)
    assert result.verdict.reason.startswith("2 of 5 images are missing")
    assert ((await study(db)).state, (await study(db)).expected_images) == ("partial", 5)


@on_both("lists", True, False, both=[True])
async def test_what_a_peer_names_as_not_sent_is_missing_until_the_whole_is_sent(db, lists):
    await say(db, "a", 3)
    if lists:
        await list_as(db, "123", told=3)
    await arrive(db, "123")
    lost = {"failed": 1, "failed_uids": ("1.4",)}
    result = await judged(db, await begin(db), level="STUDY", completed=3, **lost)
    assert result.verdict.missing == {"1.4"}
    assert result.verdict.reason == (
        "1 of 4 images are missing; a could not send 1 image that it does not list"
    )
    result = await judged(db, await begin(db), level="IMAGE", completed=1, failed=0)
    assert result.state == "partial", "it was not asked for that one again"
    assert (await db.run(get_move_states, ["1"], peer="a"))["1"].unsent == {"1.4"}
    result = await judged(db, await begin(db), level="STUDY", completed=3, failed=0)
    assert result.state == "retrieved"


async def test_a_study_that_loses_a_file_before_it_is_recorded_is_not_complete(db):
    await say(db, "a", 3)
    attempt = await begin(db)
    await arrive(db, "123")
    await list_as(db, "123", told=3)
    await lose(db, "1.1")
    result = await judged(db, attempt)
    assert (result.images, result.verdict.missing) == (2, {"1.1"})
    assert (await study(db)).state == "partial"


async def test_a_file_that_goes_while_its_study_is_recorded_as_complete_opens_it_again(db):
    await say(db, "a", 3)
    attempt = await begin(db)
    await arrive(db, "123")
    ended = EndedAttempt(attempt_id=attempt, study_uid="1")
    async with db.begin() as session:
        results = await judge_attempts(session, [ended], peer="a", senders=SENDERS, limits=LIMITS)
        assert results["1"].state == "retrieved"
        losing = asyncio.create_task(lose(db, "1.1"))
        await asyncio.wait({losing}, timeout=0.3)
    await losing
    after, there = await study(db), await source(db)
    assert (after.state, after.retrieved_on, there.verified_on) == ("partial", None, None)
    assert (there.state, there.evidence, there.attempts) == ("partial", None, 0)


async def lose(db: Database, image: str) -> None:
    async def gone(images):
        return images

    async with db.session() as session:
        held = await held_by_uid(session, [image])
    await db.run(lose_files, list(held.values()), gone=gone)


async def test_a_study_of_two_peers_is_complete_when_each_is_and_says_the_weakest_evidence(db):
    await say(db, "a", 2)
    await say(db, "b", 2)
    attempt = await begin(db, peer="a")
    await list_as(db, "12", peer="a", told=2)
    await arrive(db, "12")
    assert (await judged(db, attempt)).state == "retrieved"
    half = await study(db)
    assert (half.state, half.retrieved_on, half.last_error) == ("partial", None, None)
    async with db.session() as session:
        assert await get_studies_to_move(session, peer="a") == []
        assert len(await get_studies_to_move(session, peer="b")) == 1
    second = await begin(db, peer="b")
    result = await judged(db, second, peer="b", before=2)
    assert not result.verdict.complete, "as many are here, but not from b, and it lists nothing"
    third = await begin(db, peer="b")
    await arrive(db, "23", source="B")
    assert (await judged(db, third, peer="b", before=2)).state == "retrieved"
    whole = await study(db)
    assert (whole.state, whole.evidence, whole.expected_images) == ("retrieved", "counted", 3)


async def test_the_list_of_a_peer_is_met_by_whoever_has_sent_the_images(db):
    await say(db, "a", 2)
    await say(db, "b", 2)
    await list_as(db, "12", peer="a", told=2)
    attempt = await begin(db, peer="b")
    await list_as(db, "12", peer="b", told=2)
    await arrive(db, "12", source="B")
    assert (await judged(db, attempt, peer="b")).state == "retrieved"
    second = await begin(db, peer="a")  # which needs nothing of it
    assert (await judged(db, second, peer="a", before=2)).state == "retrieved"
    assert ((await study(db)).state, (await study(db)).evidence) == ("retrieved", "listed")


async def test_images_of_others_do_not_stand_in_for_what_was_not_sent(db):
    await say(db, "a", 2)
    await list_as(db, "12", told=2)
    await arrive(db, "12")
    await arrive(db, "5", source="ELSEWHERE")
    lost = {"failed": 1, "failed_uids": ("1.4",)}
    result = await judged(db, await begin(db), level="STUDY", completed=2, **lost)
    assert result.verdict.missing == {"1.4"}


async def test_three_alike_are_not_enough_where_more_was_sent_than_is_here(db):
    await say(db, "a", None)
    await arrive(db, "123")
    for _ in range(4):
        result = await judged(db, await begin(db), before=3, level="STUDY", completed=5, failed=0)
    assert result.verdict.reason == (
        "a does not say how many images the study has; "
        "it says that it has sent 5, and 3 images are here"
    )


async def test_where_nobody_says_how_many_there_are_three_alike_are_enough(db):
    await say(db, "a", None)
    for number in range(3):
        attempt = await begin(db)
        await arrive(db, "123")
        result = await judged(db, attempt, before=3 if number else 0, status=0, level="STUDY")
        assert result.verdict.complete == (number == 2), number
        assert number == 2 or "does not say how many" in (await study(db)).last_error
    assert ((await study(db)).evidence, (await source(db)).evidence_images) == ("stable", 3)


@on_both("counts", {"completed": 0, "failed": 0}, {}, both=[{}])
async def test_no_answer_makes_a_study_stable_again_of_which_a_file_is_gone(db, counts):
    await say(db, "a", None)
    await arrive(db, "123")
    for _ in range(3):
        result = await judged(db, await begin(db), before=3, level="STUDY", completed=3)
    assert (result.verdict.basis, result.images) == ("stable", 3)
    await lose(db, "1.3")
    for _ in range(4):
        result = await judged(db, await begin(db), before=2, level="STUDY", **counts)
    assert (result.state, result.verdict.missing, result.verdict.lacking) == ("partial", {"1.3"}, 1)
    assert result.verdict.reason == (
        "a does not say how many images the study has; 1 image is missing that had a file before"
    )
    async with db.begin() as session:  # it has come again
        await session.execute(update(Image).values(filepath="/1.3").where(Image.filepath.is_(None)))
    for told in (counts, counts, {"completed": 2, "warning": 1}):
        result = await judged(db, await begin(db), before=3, level="STUDY", **told)
        assert result.images == 3
    assert result.verdict.complete == (not counts), "what sends none has not sent all of it again"


async def test_what_was_answered_before_a_study_has_grown_does_not_make_it_stable_again(db):
    async def again(times: int) -> list[bool]:
        """Sent alike, and without a count, so often; whether it is complete then."""
        said = []
        for _ in range(times):
            before = 3 if await attempts(db) else 0
            attempt = await begin(db)
            await arrive(db, "123")
            result = await judged(db, attempt, before=before, level="STUDY", status=0)
            said.append(result.verdict.complete)
        return said

    grows = {"NumberOfStudyRelatedSeries": 1}
    await say(db, "a", None, **grows)
    assert await again(1) == [False]
    for series in (2, 3):
        await say(db, "a", None, **(grows | {"NumberOfStudyRelatedSeries": series}))
        assert (await source(db)).attempts == 0
        assert await again(3) == [False, False, True], series
    async with db.begin() as session:  # a file is gone for a while
        await session.execute(update(Image).values(filepath=None).where(Image.image_uid == "1.1"))
        await doubt(session, ["1"])
        await session.execute(update(Image).values(filepath="/1.1").where(Image.filepath.is_(None)))
    assert await again(3) == [False, False, True]


@pytest.mark.parametrize("breaks", ["more", "failure", "a part", "not asked", "fewer"])
async def test_what_grows_or_fails_or_is_not_asked_in_between_is_not_stable(sqlite, breaks):
    await say(sqlite, "a", None)
    seen = 0
    for number in range(4):
        attempt = await begin(sqlite)
        more = breaks == "more" and number == 2
        await arrive(sqlite, "1234" if more else "123")
        failed = 1 if breaks == "failure" and number == 2 else 0
        asked = {"a part": "IMAGE", "not asked": None}.get(breaks, "STUDY")
        level = asked if number == 2 else "STUDY"
        told = {"failed": failed, "completed": 2 if breaks == "fewer" and number == 2 else 3}
        told = {**told, "completed": 4} if more else told
        result = await judged(sqlite, attempt, before=seen, status=0, level=level, **told)
        assert not result.verdict.complete
        seen = result.images


async def test_what_has_come_lets_the_waits_and_the_attempts_begin_anew(db):
    await say(db, "a", 3)
    now, busy = utcnow(), FailureKind.BUSY

    async def wait() -> float:
        await judged(db, await begin(db), kind=busy, before=images, status=0xA701, now=now)
        there = await source(db)
        assert there.given_up_on is None
        return (there.next_attempt_on - now).total_seconds()

    images = 0
    waits = [await wait() for _ in range(8)]
    assert waits[-1] >= 2880
    attempt = await begin(db)
    await arrive(db, ["1"])
    await judged(db, attempt, kind=busy, before=0, status=0xA701, now=now)
    images = 1
    waits = [await wait() for _ in range(8)]
    assert 240 <= waits[0] <= 360


async def test_attempts_in_vain_wait_ever_longer_and_end(db):
    await say(db, "a", 3)
    now = utcnow()
    waits = []
    for number in range(3):
        attempt = await begin(db)
        await judged(db, attempt, status=0, completed=0, now=now)
        there = await source(db)
        assert (there.state, there.attempts, there.vain_attempts) == (
            "empty",
            number + 1,
            number + 1,
        )
        waits.append(there.next_attempt_on and (there.next_attempt_on - now).total_seconds())
    assert 240 <= waits[0] <= 360
    assert 480 <= waits[1] <= 720
    assert waits[2] is None
    assert there.given_up_on == now
    async with db.session() as session:
        late = now + timedelta(days=365)
        assert await get_studies_to_move(session, peer="a", due_at=late) == []
        assert len(await get_studies_to_move(session, peer="a")) == 1, "by command, all the same"
    await say(db, "a", 5)  # there is news of it
    there = await source(db)
    assert (there.state, there.attempts, there.given_up_on) == ("pending", 0, None)
    async with db.session() as session:
        assert len(await get_studies_to_move(session, peer="a", due_at=late)) == 1


@on_both(
    "images, sender, news",
    ("3", "A", True),  # late
    ("3", "MODALITY", True),  # and nobody had asked it
    ("3", "B", True),
    ("3", None, True),  # a file that was parsed
    ("2", "A", True),  # it was here, but not from a
    ("2", "MODALITY", False),
    ("1", "A", False),  # once more
    both=[("3", None, True), ("2", "A", True), ("1", "A", False)],
)
async def test_a_study_that_was_given_up_is_asked_for_again_when_images_of_it_come(
    db, images, sender, news
):
    await say(db, "a", 3)
    await arrive(db, "2", source="MODALITY")
    attempt = await begin(db)
    await arrive(db, "1")
    await judged(db, attempt, before=1)
    while (await source(db)).given_up_on is None:
        await judged(db, await begin(db), before=2)
    if sender is None:
        await IndexSink(db).add([record(f"1.{images}", "1.1", "1", filepath="/3", size=100)])
    else:
        await arrive(db, images, source=sender)
    there = await source(db)
    assert (there.given_up_on is None) == news
    assert (there.next_attempt_on, there.vain_attempts == 0, there.attempts == 0) == (
        None,
        news,
        news,
    )
    async with db.session() as session:
        assert len(await get_studies_to_move(session, peer="a", due_at=utcnow())) == news


async def test_a_study_that_waits_is_due_soon_when_images_of_it_come_late(db):
    await say(db, "a", 3)
    now = utcnow()
    for _ in range(5):
        await judged(db, await begin(db), kind=FailureKind.BUSY, status=0xA701, now=now)
    waits = (await source(db)).next_attempt_on
    assert waits > now + timedelta(minutes=30)
    await arrive(db, "1", source="MODALITY")
    assert (await source(db)).next_attempt_on == waits
    await arrive(db, "2")
    there, here = await source(db), await study(db)
    assert now < there.next_attempt_on <= utcnow() + timedelta(minutes=5)
    assert (there.attempts, here.next_attempt_on) == (0, there.next_attempt_on)
    await arrive(db, "3")
    assert (await source(db)).next_attempt_on == there.next_attempt_on, "no later for each of them"


@on_both("all_of_it", True, False, both=[True])
async def test_who_waits_is_asked_at_once_when_all_that_another_has_has_come(db, all_of_it):
    await say(db, "a", 3)
    await say(db, "b", 2)
    await judged(db, await begin(db), kind=FailureKind.BUSY, status=0xA701)
    attempt = await begin(db, peer="b")
    await arrive(db, "12" if all_of_it else "1", source="B")
    assert (await judged(db, attempt, peer="b")).verdict.complete == all_of_it
    there, here = await source(db), await study(db)
    assert (there.next_attempt_on is None, there.attempts == 0) == (all_of_it, all_of_it)
    assert here.next_attempt_on is None, "b is due in any case, or a is"


@on_both("kind", FailureKind.CONFIGURATION, FailureKind.OUTAGE, both=[FailureKind.OUTAGE])
async def test_a_peer_that_cannot_be_asked_costs_its_studies_nothing(db, kind):
    await say(db, "a", 3)
    for _ in range(5):
        attempt = await begin(db)
        await judged(db, attempt, kind=kind, message="it is down")
    there, here = await source(db), await study(db)
    assert (there.state, there.attempts, there.next_attempt_on) == ("pending", 0, None)
    assert (here.state, here.attempts) == ("pending", 0)
    assert here.last_error == "3 of 3 images are missing; it is down"
    assert [one.failure for one in await attempts(db)] == [kind] * 5


async def test_the_attempts_of_a_dead_process_end_with_its_cycle(db):
    await say(db, "a", 3)
    async with db.begin() as session:
        cycle = await start_cycle(session, "move", peer="a", node="NODE", pid=1)
    attempt = await begin(db, cycle=cycle)
    await arrive(db, "1")
    async with db.begin() as session:
        assert await interrupt_cycles(session, "NODE") == 1
        assert await session.scalar(select(Cycle.outcome)) == "interrupted"
    (row,) = await attempts(db)
    assert (row.id, row.outcome) == (attempt, "interrupted")
    assert row.ended_on is not None
    assert ((await study(db)).state, (await source(db)).state) == ("pending", "pending")
    # who was taken for dead and was not records nothing any more
    result = await judged(db, attempt)
    assert result.overtaken
    assert ((await study(db)).state, (await attempts(db))[0].outcome) == ("pending", "interrupted")


async def test_what_is_let_go_is_partial_where_another_peer_was_done(db):
    await say(db, "a", 1)
    await say(db, "b", 1)
    first = await begin(db, peer="a")
    await arrive(db, "1")
    assert (await judged(db, first)).state == "retrieved"
    second = await begin(db, peer="b")
    assert (await study(db)).state == "moving"
    await db.run(interrupt_attempts, attempt_ids=[second])
    assert ((await study(db)).state, (await source(db, "b")).state) == ("partial", "pending")


async def test_who_was_overtaken_does_not_undo_the_verdict_of_another(db):
    await say(db, "a", 3)
    slow = await begin(db)
    await db.run(interrupt_attempts, attempt_ids=[slow])
    quick = await begin(db)
    await arrive(db, "123")
    assert (await judged(db, quick)).state == "retrieved"
    assert (await judged(db, slow, kind=FailureKind.REFUSED, message="no")).overtaken
    after = await study(db)
    assert (after.state, after.last_error, after.attempts) == ("retrieved", None, 1)


async def test_a_study_that_is_held_is_not_asked_for_and_stays_held(db):
    await say(db, "a", 3)
    attempt = await begin(db)
    async with db.begin() as session:
        await session.execute(update(StudySource).values(state="held"))
    await arrive(db, "1")
    assert (await judged(db, attempt)).state == "held"
    assert (await study(db)).state == "held"
    async with db.session() as session:
        assert await get_studies_to_move(session, peer="a") == []


async def test_a_repair_in_vain_is_remembered(db):
    await say(db, "a", 3)
    for level, arrives, in_vain in (
        ("STUDY", "1", False),
        ("IMAGE", "2", False),
        ("IMAGE", "", True),
        ("STUDY", "", False),
    ):
        async with db.session() as session:
            before = (await get_move_states(session, ["1"], peer="a"))["1"].images
        attempt = await begin(db)
        await arrive(db, arrives)
        await judged(db, attempt, before=before, level=level)
        async with db.session() as session:
            state = (await get_move_states(session, ["1"], peer="a"))["1"]
        assert (state.in_vain, state.told) == (in_vain, 3)


async def test_a_study_of_which_no_peer_is_known_is_judged_by_its_own_number(db):
    async with db.begin() as session:
        await record_found(session, [finding("1", 2)], peer="a")
        for row in await session.scalars(select(StudySource)):
            await session.delete(row)
        await session.execute(update(StudyFind).values(peer=None))
    attempt = await begin(db)
    await arrive(db, "12")
    assert (await judged(db, attempt)).state == "retrieved"
    assert ((await study(db)).state, (await study(db)).evidence) == ("retrieved", "counted")
