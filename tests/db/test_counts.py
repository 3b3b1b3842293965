"""Images that were counted at series and image level: kept with their age, and drawn from."""

from datetime import timedelta

import pytest

from schema import (
    Database,
    StudyFind,
    add_images,
    get_studies_to_move,
    record_found,
    update_retrieved_study,
    utcnow,
)
from schema.finding.counting import CountedBy, StudyCount
from schema.hierarchy.counted import get_counts, get_uncounted, record_counts
from schema.hierarchy.sources import get_sources
from tests.db.records import finding, record

DAY = timedelta(days=1)


@pytest.fixture
async def db(migrated_url):
    async with Database(migrated_url) as database:
        yield database


async def say(db, peer, *identifiers):
    async with db.begin() as session:
        await record_found(session, identifiers, peer=peer)


async def counted(db, images, *, peer="pacs", series=1, short="", on=None):
    count = StudyCount(images=images, series=series, by=CountedBy.SERIES, short=short)
    async with db.begin() as session:
        return await record_counts(session, {"1": count}, peer=peer, on=on or utcnow())


async def uncounted(db, *, peer="pacs", since=None):
    async with db.session() as session:
        found = await get_uncounted(session, peer=peer, since=since or utcnow() - DAY, limit=10)
    return [uid for _, uid in found]


async def expected(db):
    async with db.session() as session:
        return (await StudyFind.by_uid(session, "1")).expected_images


async def test_a_count_is_kept_at_its_source_with_its_level_and_age(db):
    await say(db, "pacs", finding("1"), finding("2", 5))
    assert await uncounted(db) == ["1"]
    moment = utcnow()
    assert await counted(db, 7, on=moment) == set()
    async with db.session() as session:
        (source,) = (await get_sources(session, ["1"]))["1"]
        kept = (await get_counts(session, ["1"], peer="pacs"))["1"]
    assert (source.expected_images, source.images, source.counted_on) == (None, 7, moment)
    assert (source.counted_by, source.counted_series) == ("series", 1)
    assert kept.is_fresh(moment)
    assert not kept.is_fresh(moment + DAY)
    assert await expected(db) == 7
    assert await uncounted(db) == []
    assert await uncounted(db, since=moment + DAY) == ["1"]


async def test_a_study_that_is_said_to_be_otherwise_is_counted_again(db):
    await say(db, "pacs", finding("1", NumberOfStudyRelatedSeries=1))
    await counted(db, 7)
    await say(db, "pacs", finding("1", NumberOfStudyRelatedSeries=1))
    assert await uncounted(db) == []
    assert await expected(db) == 7
    await say(db, "pacs", finding("1", NumberOfStudyRelatedSeries=2))
    assert await uncounted(db) == ["1"]


async def test_what_falls_short_is_kept_with_its_reason_and_is_no_expectation(db):
    await say(db, "pacs", finding("1", NumberOfStudyRelatedSeries=3))
    await counted(db, 7, series=2, short="names 2 of the study's 3 series")
    assert await expected(db) is None
    assert await uncounted(db) == [], "the PACS has said nothing else since"
    async with db.session() as session:
        (source,) = (await get_sources(session, ["1"]))["1"]
    assert (source.counted_images, source.images) == (7, None)
    assert source.counted_short == "names 2 of the study's 3 series"


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
async def test_there_are_never_fewer_images_than_any_source_was_counted_to_have(db, order):
    for peer in order:
        await say(db, peer, finding("1", 5 if peer == "old" else None))
    await counted(db, 9, peer="new")
    assert await expected(db) == 9
    for peer in order:
        await say(db, peer, finding("1", 5 if peer == "old" else None))
        assert await expected(db) == 9


async def test_a_retrieved_study_that_was_counted_to_have_grown_is_moved_again(db):
    await say(db, "pacs", finding("1"))
    async with db.begin() as session:
        await add_images(session, [record(f"1.1.{number}", "1.1", "1") for number in range(3)])
        await update_retrieved_study(session, "1", peer="pacs")
    assert await counted(db, 3) == set()
    async with db.session() as session:
        assert await get_studies_to_move(session) == []
    assert await counted(db, 4) == {"1"}
    async with db.session() as session:
        (study,) = await get_studies_to_move(session, peer="pacs")
    assert (study.state, study.expected_images) == ("pending", 4)


async def to_move(db):
    async with db.session() as session:
        return sorted(study.study_uid for study in await get_studies_to_move(session))
