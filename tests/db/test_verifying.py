"""What makes a study verified, and what makes a verification out of date."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, update

from schema import Image, add_images, utcnow
from schema.images import replace_file, replace_image, still_names
from schema.inventory import Selection, claim_files, held_by_uid, lose_files
from schema.quarantine import forget_file, name_file_again
from schema.tables.accounting.verifications import StudyVerification
from schema.verifying.files import (
    FilesRead,
    IndexRows,
    files_of,
    held_by_study,
    holder_of,
    keep_readings,
    note_unsound,
)
from tests.db.records import record


def image(number: int, study: str = "1.1", **values: object):
    defaults = {"filepath": f"/dicom/{study}/{number}", "size": 10, "sha256": f"{number:064x}"}
    defaults |= {"storage_id": "home", "received_on": utcnow()}
    return record(f"{study}.1.{number}", f"{study}.1", study, **defaults | values)


async def read(db, study: str = "1.1", *, unsound: int = 0, later: int = 0, **changes: object):
    """Read all files of a study, of which so many are not sound, so many seconds from now."""
    async with db.session() as session:
        images = await held_by_study(session, selection=Selection(study_uids=[study]))
    rows: dict[str, IndexRows] = {}
    for holder in {holder_of(held) for held in images}:
        ours = [held for held in images if holder_of(held) == holder]
        rows[holder] = IndexRows(
            images=len(ours),
            id_sum=sum(held.id for held in ours),
            revision_sum=sum(held.revision for held in ours),
            newest_on=max((one.received_on for one in ours if one.received_on), default=None),
        )
    return [
        FilesRead(
            **{
                "study_uid": study,
                "holder": holder,
                "read_on": utcnow() + timedelta(seconds=later),
                "rows": of,
                "all": True,
                "sound": of.images - unsound,
                "unsound": unsound,
            }
            | changes
        )
        for holder, of in rows.items()
    ]


async def stands(db, study: str = "1.1"):
    async with db.session() as session:
        return (await files_of(session, [study]))[study]


@pytest.fixture
async def verified(db):
    """Return a database with two studies of four images that are verified."""
    for study in ("1.1", "2.2"):
        await db.run(add_images, [image(number, study) for number in range(4)])
        await db.run(keep_readings, await read(db, study))
    return db


async def comes(session, held):
    await add_images(session, [image(9)])


async def is_removed(session, held):
    await session.execute(delete(Image).where(Image.id == held.id))


async def is_accepted(session, held):
    assert await replace_image(session, held, image(3, sha256="f" * 64))


async def is_healed(session, held):
    """Name the same file again, as a node does that has written it anew."""
    values = {"filepath": held.filepath, "sha256": held.sha256, "size": held.size}
    assert await replace_file(session, held.id, transfer_syntax_uid=None, **values)


async def has_come_to_its_place_again(session, held):
    assert await still_names(session, held.id, held.filepath, renewed=True)


async def is_set_aside_and_comes_again(session, held):
    assert await forget_file(session, held, size=10)
    await name_file_again(session, held)


async def is_lost_and_comes_again(session, held):
    async def gone(images):
        return images

    assert len((await lose_files(session, [held], gone=gone))[1]) == 1
    values = {"filepath": held.filepath, "sha256": held.sha256, "size": held.size}
    values |= {"storage_id": held.storage_id, "transfer_syntax_uid": None}
    assert await replace_file(session, held.id, **values)


async def changes_hands(session, held):
    assert await claim_files(session, [held], "another") == 1


async def is_known_to_be_damaged(session, held):
    await note_unsound(session, [held])


async def is_taken_for_another_study_s(session, held):
    await session.execute(update(Image).where(Image.id == held.id).values(study_uid="2.2"))


@pytest.mark.parametrize(
    "event",
    [
        comes,
        is_removed,
        is_accepted,
        is_healed,
        has_come_to_its_place_again,
        is_set_aside_and_comes_again,
        is_lost_and_comes_again,
        changes_hands,
        is_known_to_be_damaged,
        is_taken_for_another_study_s,
    ],
)
async def test_a_study_is_verified_until_an_image_of_it(verified, event):
    before = await stands(verified)
    assert before.verified_on is not None
    assert (before.here, before.verification.sound, before.unsound) == (4, 4, 0)
    async with verified.begin() as session:
        newest = (await held_by_uid(session, ["1.1.1.3"]))["1.1.1.3"]
        started = await read(verified) if event is not is_known_to_be_damaged else []
        await event(session, newest)
    assert (await stands(verified)).verified_on is None
    await verified.run(keep_readings, started)  # by who had looked the rows up before
    assert (await stands(verified)).verified_on is None
    other = await stands(verified, "2.2")
    assert (other.verified_on is None) == (event is is_taken_for_another_study_s)
    await verified.run(keep_readings, await read(verified, later=1))
    assert (await stands(verified)).verified_on is not None


async def test_that_nothing_has_changed_is_no_news(verified):
    async with verified.begin() as session:
        held = (await held_by_uid(session, ["1.1.1.3"]))["1.1.1.3"]
        assert await still_names(session, held.id, held.filepath)
        await add_images(session, [image(3)])
    assert (await stands(verified)).verified_on is not None


async def test_what_was_found_of_a_part_is_kept_where_it_is_not_sound(verified):
    part = {"rows": IndexRows(images=1), "all": False, "sound": 1}
    assert await verified.run(keep_readings, await read(verified, **part)) == []
    assert (await stands(verified)).verified_on is not None
    (kept,) = await verified.run(keep_readings, await read(verified, **part | {"unsound": 1}))
    assert not kept.is_sound
    found = await stands(verified)
    assert (found.verified_on, found.unsound) == (None, 1)
    assert await verified.run(keep_readings, await read(verified, **part)) == []
    assert (await stands(verified)).unsound == 1
    (kept,) = await verified.run(keep_readings, await read(verified, all=False))
    assert kept.is_sound  # nobody knew that these were all
    assert (await stands(verified)).verified_on is not None


async def test_an_older_reading_does_not_take_the_place_of_a_newer_one(verified):
    older = await read(verified)
    await verified.run(keep_readings, await read(verified, unsound=2, later=1))
    await verified.run(keep_readings, older)
    found = await stands(verified)
    assert (found.verified_on, found.unsound, found.verification.holds) == (None, 2, True)
    async with verified.session() as session:
        rows = await session.scalar(select(func.count()).select_from(StudyVerification))
    assert rows == 2


async def test_a_study_in_two_places_is_verified_when_both_are(verified):
    await verified.run(add_images, [image(9, storage_id=None, node="OTHER")])
    here, there = sorted(await read(verified), key=lambda one: one.holder, reverse=True)
    assert (here.holder, there.holder) == ("home", "OTHER")
    await verified.run(keep_readings, [here])
    assert (await stands(verified)).verified_on is None
    await verified.run(keep_readings, [there])
    assert (await stands(verified)).verified_on == min(here.read_on, there.read_on)


async def test_what_never_had_a_file_and_what_nobody_has_read_is_not_verified(verified):
    assert await stands(verified, "3.3") == (await stands(verified, "4.4"))
    await verified.run(add_images, [image(1, "3.3", filepath=None, size=None)])
    found = await stands(verified, "3.3")
    assert (found.here, found.verification, found.verified_on) == (1, None, None)
    await verified.run(keep_readings, await read(verified, "3.3", sound=0))
    found = await stands(verified, "3.3")
    assert (found.verified_on, found.unsound, found.verification.holds) == (None, 0, True)


@pytest.mark.parametrize("page", [1, 3, 100])
async def test_images_are_listed_study_by_study(verified, page):
    async with verified.begin() as session:
        await add_images(session, [image(8), image(8, "2.2")])
        await session.execute(
            update(Image).where(Image.image_uid == "2.2.1.0").values(study_uid=None)
        )
    found = []
    async with verified.session() as session:
        after = None
        while rows := await held_by_study(session, after=after, limit=page):
            found += rows
            after = rows[-1]
    assert [one.image_uid for one in found] == [
        *(f"1.1.1.{n}" for n in (0, 1, 2, 3, 8)),
        *(f"2.2.1.{n}" for n in (1, 2, 3, 8)),
        "2.2.1.0",
    ]
