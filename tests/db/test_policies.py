"""Studies under a policy, in the tables: unwanted, complete in part, and judged anew."""

import pytest
from sqlalchemy import select

from schema import Database, StudyFind, add_images, record_found, utcnow
from schema.accounting.sheet import sheet_pages
from schema.accounting.tallies import tally_peers
from schema.choosing.policy import Policy
from schema.deciding.holds import Decided, retry_studies
from schema.deciding.policies import count_judged, mark_unwanted, reopen_judged
from schema.deciding.refused import refused_studies
from schema.explaining.studies import read_story
from schema.hierarchy.gone import mark_gone
from schema.hooking.audience import Audience
from schema.hooking.kinds import EventKind
from schema.moving.attempts import AttemptAnswer, EndedAttempt, begin_attempts
from schema.moving.judging import judge_attempts
from schema.moving.listing import ListedSeries, Listing
from schema.moving.patience import RetryLimits
from schema.moving.ready import next_ready
from schema.moving.senders import Senders
from schema.tables.outbox.events import RecordedEvent
from schema.tables.sources import StudySource
from tests.db.records import finding, record

CT = Policy(modalities=("CT",))
LISTING = Listing(
    series={
        "1.1": ListedSeries(images={"1.1.1": ""}, modality="CT"),
        "1.2": ListedSeries(images={"1.2.1": ""}, modality="SR"),
    },
    vouched=True,
)


async def stands(db, uid):
    async with db.session() as session:
        study = await StudyFind.by_uid(session, uid)
        query = select(StudySource.peer, StudySource.state, StudySource.policy).where(
            StudySource.study_find_id == study.id
        )
        sources = {peer: (state, policy) for peer, state, policy in await session.execute(query)}
        return {"": (study.state, study.policy), **sources}, study


async def judged(db, policy, listing=LISTING):
    """Record the study, with what is wanted of it here, and judge an attempt of it."""
    async with db.begin() as session:
        await record_found(session, [finding("1", 2)], peer="a")
        await add_images(session, [record("1.1.1", "1.1", "1", source="A")])
    keys = await db.run(begin_attempts, ["1"], peer="a", cycle_id=None, node="NODE")
    ended = EndedAttempt(
        attempt_id=keys["1"],
        study_uid="1",
        answered=AttemptAnswer(level="SERIES"),
        listing=listing,
    )
    senders = Senders(peers={"A": frozenset({"a"})})
    results = await db.run(
        judge_attempts, [ended], peer="a", senders=senders, limits=RetryLimits(), policy=policy
    )
    return results["1"]


async def test_a_study_is_complete_under_a_policy_that_its_row_names_until_there_is_another(db):
    assert (await judged(db, CT)).verdict.complete
    said, study = await stands(db, "1")
    assert said == {"": ("retrieved", "modality CT"), "a": ("retrieved", "modality CT")}
    assert (study.expected_images, study.evidence) == (2, "listed"), "the number is the PACS's"
    async with db.begin() as session:
        await record_found(session, [finding("1", 2)], peer="a")
    assert (await stands(db, "1"))[1].retrieved_on is not None, "it has not grown"
    assert await db.run(reopen_judged, peer="a", policy="modality CT") == 0
    assert await db.run(reopen_judged, peer="b", policy=None) == 0
    assert await db.run(reopen_judged, peer="a", policy=None) == 1
    said, study = await stands(db, "1")
    assert said == {"": ("pending", None), "a": ("pending", None)}
    assert study.retrieved_on is None
    assert not (await judged(db, Policy())).verdict.complete
    assert (await stands(db, "1"))[0]["a"] == ("partial", None)


async def test_a_listed_study_of_which_nothing_is_wanted_is_unwanted_and_not_ready(db):
    result = await judged(db, Policy(modalities=("MR",)))
    assert (result.state.value, result.next) == ("unwanted", None)
    said, _ = await stands(db, "1")
    assert said == {"": ("unwanted", None), "a": ("unwanted", "modality MR")}
    async with db.session() as session:
        assert await next_ready(session, peer="a", limit=9) == []
    assert await db.run(reopen_judged, peer="a", policy="modality CT") == 1
    assert (await stands(db, "1"))[0]["a"] == ("pending", None)


async def test_what_is_unwanted_is_judged_again_when_somebody_wants_that(db):
    await judged(db, Policy(modalities=("MR",)))
    assert await db.run(retry_studies, ["1"]) == Decided(changed=1)
    said, _ = await stands(db, "1")
    assert said == {"": ("pending", None), "a": ("pending", None)}
    async with db.session() as session:
        assert [one.study_uid for one in await next_ready(session, peer="a", limit=9)] == ["1"]
    await db.run(mark_unwanted, {"1": "still"}, peer="a", policy="modality MR")
    assert (await stands(db, "1"))[0]["a"] == ("unwanted", "modality MR")


async def test_of_a_study_in_part_what_is_not_wanted_is_not_missing(db):
    ct = ListedSeries(images={"1.1.1": "", "1.1.2": ""}, modality="CT")
    both = Listing(series={**LISTING.series, "1.1": ct}, vouched=True)
    assert (await judged(db, CT, both)).state.value == "partial"

    async def missing(policies):
        async with db.session() as session:
            ((line,),) = [page async for page in sheet_pages(session, policies=policies)]
            story = (await read_story(session, "1", ["a"], policies=policies)).story
        assert line.missing == tuple(sorted(one for part in story.missing for one in part.images))
        return line.missing, line.missing_images

    assert await missing({"a": CT}) == (("1.1.2",), 1)
    assert await missing({}) == (("1.1.2", "1.2.1"), 2)


async def test_what_one_pacs_has_that_is_unwanted_does_not_keep_a_study_open(db):
    await judged(db, CT)
    async with db.begin() as session:
        await record_found(session, [finding("1", 3)], peer="b")  # it may have more
    assert (await stands(db, "1"))[1].retrieved_on is None
    await db.run(mark_unwanted, {"1": "it has too few"}, peer="b", policy="at least 9 images")
    said, study = await stands(db, "1")
    assert (said["b"], study.state) == (("unwanted", "at least 9 images"), "retrieved")
    assert study.retrieved_on is not None
    assert await db.run(retry_studies, ["1"]) == Decided(unchanged={"retrieved": 1})
    async with db.begin() as session:
        await record_found(session, [finding("1", 3)], peer="b")  # and says the same again
    assert (await stands(db, "1"))[1].retrieved_on is not None


@pytest.mark.parametrize("last", ["gone", "unwanted"])
async def test_who_settles_a_study_last_leaves_it_whole_with_what_that_rests_on(migrated_url, last):
    """By a find that misses it at c, or by a policy that wants nothing from b."""
    audience = Audience(hooks={EventKind.STUDY_COMPLETE: ("lab",)})
    async with Database(migrated_url, info=audience.info()) as db:
        await judged(db, CT)
        for peer in "bc":
            async with db.begin() as session:
                await record_found(session, [finding(uid, 3) for uid in "12"], peer=peer)
        for step in ("gone", "unwanted") if last == "unwanted" else ("unwanted", "gone"):
            assert (await stands(db, "1"))[1].retrieved_on is None
            if step == "gone":
                await db.run(mark_gone, peer="c", study_uids=["1", "2"], asked_on=utcnow())
            else:
                await db.run(mark_unwanted, {"1": "few", "2": "few"}, peer="b", policy="many")
        _, study = await stands(db, "1")
        assert (study.state, study.evidence, study.last_error) == ("retrieved", "listed", None)
        assert study.policy == "modality CT"
        assert (await stands(db, "2"))[1].state == "unwanted", "of it nothing is here"
        async with db.session() as session:
            told = (await session.scalars(select(RecordedEvent.data))).all()
        assert [one["evidence"] for one in told] == ["listed"] * 2, "before b and c, and now"


async def test_the_policy_of_now_refuses_what_nobody_has_asked_for(db):
    """As a claim would decide: by what the PACS said of the study, without any list."""
    async with db.begin() as session:
        found = [finding(f"1.{number}", images) for number, images in enumerate((2, 30, None))]
        await record_found(session, found, peer="a")
        await record_found(session, found[:2], peer="b")
    await db.run(mark_unwanted, {"1.1": "no"}, peer="b", policy="at most 9 images")
    few = Policy(most=9)

    async def refused(**policies):
        async with db.session() as session:
            return await refused_studies(session, ["1.0", "1.1", "1.2"], policies)

    assert await refused() == await refused(a=Policy()) == {}
    many = "it has 30 images, and 9 is the most"
    assert await refused(a=few) == {"1.1": {"a": many}}
    assert await refused(a=few, b=few) == {"1.1": {"a": many, "b": "no"}}
    assert await refused(b=Policy(most=99)) == {}, "another policy has judged it"
    async with db.session() as session:
        assert await count_judged(session, peer="b", policy="at most 99 images") == 1
        assert await count_judged(session, peer="b", policy=str(few)) == 0
        (of_b,) = [one for one in await tally_peers(session, ["1.0", "1.1"]) if one.peer == "b"]
    assert (of_b.found, of_b.unwanted, of_b.open) == (2, 1, 1)
