"""What a verdict rested on is compared with what is here; what does not hold is opened again."""

from collections.abc import Collection

import pytest
from sqlalchemy import delete, select, update

from schema import Database, StudyFind, add_images, record_found, utcnow
from schema.choosing.policy import ALL, Policy
from schema.moving.arrivals import note_repeated
from schema.moving.attempts import AttemptAnswer, EndedAttempt, begin_attempts
from schema.moving.judging import judge_attempts
from schema.moving.listing import ListedSeries, listing_of
from schema.moving.listings import keep_listings
from schema.moving.patience import FailureKind, RetryLimits
from schema.moving.senders import Senders
from schema.tables.models import Image
from schema.tables.sources import StudySource
from schema.verdicts.broken import BrokenVerdict, broken_verdicts, retrieved_page
from schema.verdicts.reopening import reopen_broken
from tests.db.records import finding, record

SENDERS = Senders(
    peers={"PACS": frozenset({"pacs"}), "OTHER": frozenset({"other"})}, ours=frozenset({"NODE"})
)
LIMITS = RetryLimits(retry=300, retry_limit=3600, attempts=3)
MR = Policy(modalities=("MR",))


async def come(db: Database, uid: str, images: Collection[str], **values: object) -> None:
    known = {"filepath": "/file", "size": 100, "source": "PACS", **values}
    added = await db.run(add_images, [record(one, f"{uid}.9", uid, **known) for one in images])
    if attempt := values.get("attempt_id"):
        await db.run(note_repeated, [(one.id, attempt) for one in added if not one.inserted])


async def complete(
    db: Database,
    uid: str,
    *,
    peer: str = "pacs",
    lists: bool = True,
    policy: Policy = ALL,
    report: int = 0,
    series: int = 1,
) -> None:
    """Move a study of four images, MR, and of so many reports, which the policy leaves out."""
    modalities = {f"{uid}.{series}": "MR", f"{uid}.2": "SR"}
    images = {key: [f"{key}.{one}" for one in range(4)] for key in modalities}
    images[f"{uid}.2"] = images[f"{uid}.2"][:report]
    listed = {
        key: ListedSeries(images=dict.fromkeys(several, ""), modality=modalities[key])
        for key, several in images.items()
        if several
    }
    await db.run(record_found, [finding(uid, 4 + report)], peer=peer)
    attempt = (await db.run(begin_attempts, [uid], peer=peer, cycle_id=None, node="NODE"))[uid]
    wanted = images[f"{uid}.{series}"] + ([] if policy else images[f"{uid}.2"])
    await come(db, uid, wanted, attempt_id=attempt)
    if lists:
        listing = listing_of(listed, told_images=4 + report, told_series=len(listed))
        await db.run(keep_listings, {uid: (listing, utcnow())}, peer=peer)
    ended = EndedAttempt(
        attempt_id=attempt,
        study_uid=uid,
        answered=AttemptAnswer(started_on=utcnow(), level="STUDY", status=0),
        kind=FailureKind.NONE,
    )
    judged = await db.run(
        judge_attempts, [ended], peer=peer, senders=SENDERS, limits=LIMITS, policy=policy
    )
    assert judged[uid].verdict.complete


async def remove(db: Database, *images: str) -> None:
    async with db.begin() as session:
        await session.execute(delete(Image).where(Image.image_uid.in_(images)))


async def broken(db: Database, **policies: Policy) -> dict[str, BrokenVerdict]:
    async with db.session() as session:
        keys = await retrieved_page(session)
        found = await broken_verdicts(session, keys, policies=policies)
    return {one.study_uid: one for one in found.values()}


async def standing(db: Database, uid: str) -> StudyFind:
    async with db.session() as session:
        found = await StudyFind.by_uid(session, uid)
    assert found is not None
    return found


async def test_images_that_are_gone_with_their_rows_break_the_verdict_and_open_the_study(db):
    for uid in ("1.1", "1.2", "1.3", "1.4"):
        await complete(db, uid, lists=uid != "1.4")
    assert await broken(db) == {}
    await remove(db, "1.2.1.0", "1.4.1.1", *(f"1.3.1.{one}" for one in range(4)))
    await come(db, "1.2", ["1.2.8"])  # by number, it would stand in for what is missing
    found = await broken(db)
    assert {uid: (one.lacking, one.rested_on) for uid, one in found.items()} == {
        "1.2": (1, 4),
        "1.3": (4, 4),
        "1.4": (1, 4),
    }
    assert found["1.2"].missing == ("1.2.1.0",)
    assert found["1.4"].missing == ()
    assert str(found["1.3"]).endswith(" UTC; 4 of 4 images are not here any more")

    async with db.begin() as session:
        held = {"held_on": utcnow(), "held_reason": "no"}
        await session.execute(update(StudyFind).where(StudyFind.study_uid == "1.4").values(**held))
        of_it = select(StudyFind.id).where(StudyFind.study_uid == "1.4").scalar_subquery()
        sources = update(StudySource).values(attempts=2)
        await session.execute(sources)
        await session.execute(sources.where(StudySource.study_find_id == of_it).values(**held))
    opened = await db.run(reopen_broken, ["1.1", "1.2", "1.3", "1.4"])
    assert opened == ["1.2", "1.3", "1.4"]
    rows = [await standing(db, uid) for uid in ("1.1", "1.2", "1.3", "1.4")]
    assert [row.state for row in rows] == ["retrieved", "partial", "pending", "held"]
    assert [row.retrieved_on is None for row in rows] == [False, True, True, True]
    assert rows[2].evidence is None
    assert "4 of 4 images are not here any more" in str(rows[2].last_error)
    async with db.session() as session:
        query = select(StudySource.attempts, StudySource.verified_on, StudySource.evidence_images)
        sources = (await session.execute(query.order_by(StudySource.id))).all()
    assert sources[1:] == [(0, None, None)] * 3
    assert sources[0].evidence_images == 4
    assert await broken(db) == {}
    assert await db.run(reopen_broken, ["1.2"]) == []


async def test_of_a_part_only_what_was_wanted_counts(db):
    await complete(db, "1.1", policy=MR, report=2)
    await complete(db, "1.2", policy=MR, report=2)
    await come(db, "1.1", ["1.1.2.0", "1.1.2.1"])  # from elsewhere: nobody wants them here
    await come(db, "1.2", ["1.2.2.0"])
    assert await broken(db, pacs=MR) == await broken(db) == {}
    await remove(db, "1.1.1.3", "1.2.2.0")
    found = await broken(db, pacs=MR)
    assert {uid: one.missing for uid, one in found.items()} == {"1.1": ("1.1.1.3",)}
    # what another policy wanted is known by its number alone
    assert await broken(db) == {}
    await remove(db, "1.1.2.0", "1.1.2.1", "1.1.1.2")
    assert (await broken(db))["1.1"].lacking == 2


async def test_what_nothing_is_known_of_and_what_lies_elsewhere_is_left_alone(db):
    for uid in ("1.1", "1.2", "1.3"):
        await complete(db, uid)
    async with db.begin() as session:
        # retrieved before evidence was kept
        old = select(StudyFind.id).where(StudyFind.study_uid == "1.1").scalar_subquery()
        await session.execute(
            update(StudySource)
            .where(StudySource.study_find_id == old)
            .values(evidence=None, evidence_images=None)
        )
        values = {"node": "ANOTHER", "storage_id": "another"}
        await session.execute(update(Image).where(Image.study_uid == "1.2").values(**values))
    await remove(db, "1.1.1.0")
    assert await broken(db) == {}
    async with db.begin() as session:  # its row names no file any more: it is in quarantine
        await session.execute(
            update(Image).where(Image.image_uid == "1.3.1.0").values(filepath=None)
        )
    assert (await broken(db))["1.3"].missing == ("1.3.1.0",)


@pytest.mark.parametrize("gone", [True, False])
async def test_a_study_of_several_pacss_is_judged_by_all_that_it_rested_on(db, gone):
    await complete(db, "1.1")
    await complete(db, "1.1", peer="other")
    if gone:
        async with db.begin() as session:
            of_it = update(StudySource).where(StudySource.peer == "pacs")
            await session.execute(of_it.values(gone_on=utcnow()))
    await remove(db, "1.1.1.0")
    assert (await broken(db))["1.1"].missing == ("1.1.1.0",)
    assert await db.run(reopen_broken, ["1.1"]) == ["1.1"]
    async with db.session() as session:
        query = select(StudySource.state).order_by(StudySource.peer)
        assert list(await session.scalars(query)) == ["partial", "gone" if gone else "partial"]
    assert (await standing(db, "1.1")).state == "partial"


async def test_by_number_each_pacs_is_held_to_what_came_from_it(db):
    """What others have sent, before or at the same time, stands in for nothing that is gone."""
    for uid in ("1.1", "1.2", "1.3", "1.4"):
        if uid != "1.1":
            await come(db, uid, [f"{uid}.7.0", f"{uid}.7.1"], source="CT1")
        await complete(db, uid, lists=False)
    await complete(db, "1.1", lists=False, peer="other", series=3)
    assert await broken(db) == {}
    await remove(db, *(f"1.1.3.{one}" for one in range(4)))
    await remove(db, "1.2.1.0", "1.2.1.1", "1.3.7.0", "1.3.7.1")
    await come(db, "1.4", ["1.4.8.0"], source="CT1")
    await remove(db, "1.4.1.0")
    found = await broken(db)
    assert {uid: (one.lacking, one.rested_on) for uid, one in found.items()} == {
        "1.1": (4, 8),
        "1.2": (2, 4),
    }, "that of 1.3 was not the PACS's, and in 1.4 another came later"
    assert str(found["1.1"]).endswith(" UTC; 4 of 8 images are not here any more")


async def test_what_was_here_before_and_came_again_is_the_pacss(db):
    await complete(db, "1.1", lists=False)
    await complete(db, "1.1", lists=False, peer="other")  # brings the same once more
    assert await broken(db) == {}
    await remove(db, "1.1.1.2")
    assert (await broken(db))["1.1"].lacking == 1
