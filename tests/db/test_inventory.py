"""What the index says about files: pages, selections, digests, files that are gone."""

import pytest

from node.ops.manifest import create
from node.ops.manifest.create import pages_in_order
from schema import (
    Image,
    Project,
    ProjectStudy,
    Quarantined,
    StudyFind,
    add_found_study,
    add_images,
    count_images,
    update_retrieved_study,
    utcnow,
)
from schema.images import replace_file
from schema.inventory import (
    Selection,
    claim_files,
    count_held,
    fill_digests,
    held_at,
    held_by_uid,
    held_page,
    lose_files,
    storage_ids,
)
from schema.parsing.kept import known_of
from schema.project import listing
from schema.quarantine import (
    add_quarantined,
    quarantine_page,
    quarantined_at,
    remove_quarantined,
    requarantine,
)
from tests.db.records import finding, record


def image(number: int, study: str = "1.1", **values: object):
    defaults = {"filepath": f"/dicom/{number}.dcm", "size": 10, "sha256": f"{number:064x}"}
    return record(f"{study}.1.{number}", f"{study}.1", study, **defaults | values)


@pytest.fixture
async def filled(db):
    """Index seven images of two studies, one of them found and retrieved."""
    async with db.begin() as session:
        await add_found_study(session, finding("1.1", images=5))
        await add_images(session, [image(number) for number in range(5)])
        await add_images(session, [image(number, "2.2", sha256=None) for number in range(5, 7)])
        await update_retrieved_study(session, "1.1")
    return db


@pytest.mark.parametrize("page", [1, 3, 100])
async def test_images_are_listed_in_one_order_whatever_the_database_sorts_by(
    filled, monkeypatch, page
):
    """`1.10` comes before `1.2`, and both before `1.2.1`: by their characters."""
    for module in (listing, create):
        monkeypatch.setattr(module, "PAGE", page)
    more = [("1.2.1", "1.9"), ("1.10", "1.2"), ("1.2", "1.1"), ("1.2", "1.10")]
    async with filled.begin() as session:
        await add_images(
            session,
            [record(f"9.{n}", series, study) for n, (study, series) in enumerate(more)],
        )
        session.add(Image(image_uid="5.5", filepath="/dicom/5.5.dcm"))
    pages = [images async for images in pages_in_order(filled, Selection())]
    assert max(map(len, pages)) <= page
    listed = [one for images in pages for one in images]
    keys = [tuple(one.key) for one in listed]
    assert keys == sorted(keys)
    assert keys[0] == ("", "", "5.5")
    assert [key[0] for key in keys[6:10]] == ["1.10", "1.2", "1.2", "1.2.1"]
    assert len(keys) == 12
    assert [one.held.image_uid for one in listed] == [key[2] for key in keys]
    only = Selection(study_uids=("2.2", "1.10"))
    some = [one async for images in pages_in_order(filled, only) for one in images]
    assert [one.key.study_uid for one in some] == ["1.10", "2.2", "2.2"]


async def test_paths_that_rows_of_images_name_are_told(filled):
    async with filled.session() as session:
        assert await held_at(session, ["/dicom/1.dcm", "/dicom/none.dcm"]) == {"/dicom/1.dcm"}
        assert await held_at(session, []) == set()


async def test_pages_follow_each_other_and_end(filled):
    seen, after = [], 0
    async with filled.session() as session:
        while page := await held_page(session, after=after, limit=3):
            seen.append(page)
            after = page[-1].id
    assert [len(page) for page in seen] == [3, 3, 1]
    paths = sorted(held.filepath for page in seen for held in page)
    assert paths == [f"/dicom/{number}.dcm" for number in range(7)]


async def test_a_selection_is_by_study_project_and_time(filled):
    async with filled.begin() as session:
        project = Project(name="trial")
        session.add(project)
        await session.flush()
        session.add(ProjectStudy(project_id=project.id, study_uid="2.2"))
        await session.flush()
        key = project.id
        await add_images(session, [image(9, "3.3", received_on=utcnow())])
        day = utcnow().replace(hour=0, minute=0, second=0, microsecond=0)

        async def count(**criteria: object) -> int:
            selection = Selection(**criteria)
            held = await held_page(session, selection=selection)
            assert await count_held(session, selection) == len(held)
            return len(held)

        assert await count() == 8
        assert await count(study_uids=("1.1", "3.3")) == 6
        assert await count(project_id=key) == 2
        assert await count(project_id=key, study_uids=("1.1",)) == 0
        assert await count(since=day) == 1


async def test_a_digest_is_filled_where_there_is_none_and_never_replaced(filled):
    async with filled.begin() as session:
        held = await held_by_uid(session, ["1.1.1.0", "2.2.1.5", "9.9"])
        assert held.keys() == {"1.1.1.0", "2.2.1.5"}
        await fill_digests(session, [(one.id, one.filepath, "f" * 64, 11) for one in held.values()])
        await fill_digests(session, [])
        after = await held_by_uid(session, held)
    assert (after["2.2.1.5"].sha256, after["2.2.1.5"].size) == ("f" * 64, 11)
    assert after["1.1.1.0"] == held["1.1.1.0"]


async def all_of(images):
    """Look again, and find none of the files."""
    return images


async def test_an_image_whose_file_is_gone_keeps_its_row_and_opens_its_study(filled):
    async with filled.begin() as session:
        held = await held_by_uid(session, ["1.1.1.0", "1.1.1.1", "2.2.1.5"])
        assert (await lose_files(session, list(held.values()), gone=all_of))[0] == ["1.1"]
        # found and here again meanwhile: a row that names another file is left alone
        row = await session.get_one(Image, held["1.1.1.0"].id)
        assert (row.filepath, row.size, row.sha256) == (None, 10, f"{0:064x}")
        assert await count_images(session, ["1.1", "2.2"]) == {"1.1": 3, "2.2": 1}
        assert await lose_files(session, list(held.values()), gone=all_of) == ([], ())
        lost = (await held_by_uid(session, ["1.1.1.0"]))["1.1.1.0"]
        assert lost.lost
    async with filled.session() as session:
        found = await StudyFind.by_uid(session, "1.1")
        assert (found.retrieved_on, found.state, found.attempts) == (None, "partial", 0)
        assert found.last_error == "files of it are gone from the storage directory"


async def test_an_image_of_unknown_size_whose_file_is_gone_counts_no_more(filled):
    async with filled.begin() as session:
        await add_images(session, [image(8, "2.2", sha256=None, size=None)])
        held = await held_by_uid(session, ["2.2.1.8"])
        await lose_files(session, list(held.values()), gone=all_of)
        assert await count_images(session, ["2.2"]) == {"2.2": 2}
        assert (await held_by_uid(session, ["2.2.1.8"]))["2.2.1.8"].lost


async def test_a_row_that_names_another_file_by_now_does_not_lose_it(filled):
    async with filled.begin() as session:
        (held,) = (await held_by_uid(session, ["1.1.1.0"])).values()
        (await session.get_one(Image, held.id)).filepath = "/dicom/came again.dcm"
        await session.flush()
        await lose_files(session, [held], gone=all_of)
        (now,) = (await held_by_uid(session, ["1.1.1.0"])).values()
    assert now.filepath == "/dicom/came again.dcm"


async def test_a_file_that_has_come_when_its_row_is_looked_at_again_is_not_lost(filled):
    async def first(images):
        assert [one.image_uid for one in images] == ["1.1.1.0", "1.1.1.1"]
        return images[:1]

    async with filled.begin() as session:
        seen = await held_by_uid(session, ["1.1.1.0", "1.1.1.1", "1.1.1.2"])
        await fill_size(session, seen["1.1.1.2"])  # received again under the same name
        reopened, lost = await lose_files(session, list(seen.values()), gone=first)
        assert (reopened, [one.image_uid for one in lost]) == (["1.1"], ["1.1.1.0"])
        now = await held_by_uid(session, seen)
    assert [now[uid].filepath is None for uid in sorted(seen)] == [True, False, False]


async def fill_size(session, held):
    (await session.get_one(Image, held.id)).size = 4711
    await session.flush()


async def test_rows_are_claimed_only_as_they_were_seen(filled):
    async with filled.begin() as session:
        seen = await held_by_uid(session, ["1.1.1.0", "1.1.1.1", "1.1.1.2"])
        row = await session.get_one(Image, seen["1.1.1.1"].id)
        row.filepath = "/dicom/came again.dcm"
        row = await session.get_one(Image, seen["1.1.1.2"].id)
        row.storage_id = "b" * 32
        await session.flush()
        assert await claim_files(session, list(seen.values()), "a" * 32) == 1
        now = await held_by_uid(session, seen)
        assert [now[uid].storage_id for uid in sorted(seen)] == ["a" * 32, None, "b" * 32]
        assert await storage_ids(session) == {"a" * 32, "b" * 32}


async def test_a_row_names_another_file_only_as_it_was_seen(filled):
    async with filled.begin() as session:
        (held,) = (await held_by_uid(session, ["1.1.1.0"])).values()
        values = {"sha256": "c" * 64, "size": 12, "transfer_syntax_uid": None}
        seen = known_of(held, None)
        for path, replaced in (("/dicom/first.dcm", True), ("/dicom/second.dcm", False)):
            done = await replace_file(session, held.id, filepath=path, seen=seen, **values)
            assert done is replaced
        (now,) = (await held_by_uid(session, ["1.1.1.0"])).values()
    assert now.filepath == "/dicom/first.dcm"


async def test_an_image_that_never_had_a_file_is_counted(db):
    async with db.begin() as session:
        await add_images(session, [record("1.1.1.1")])
        assert await count_images(session, ["1.1"]) == {"1.1": 1}
        (held,) = await held_page(session)
    assert not held.lost


async def test_the_quarantine_is_paged_changed_and_left(db):
    async with db.begin() as session:
        keys = [
            await add_quarantined(session, filepath=f"/q/{number}", reason="why", kind=kind)
            for number, kind in enumerate(["conflict", "undecodable", "conflict"])
        ]
        assert await quarantined_at(session, ["/q/1", "/q/9"]) == {"/q/1"}
        await requarantine(session, keys[1], kind="mismatch", reason="NUL \0 in it")
        await remove_quarantined(session, keys[0])

        async def ids(**criteria: object) -> list[int]:
            return [row.id for row in await quarantine_page(session, **criteria)]

        assert await ids() == keys[1:]
        assert await ids(limit=1) == keys[1:2]
        assert await ids(after=keys[1]) == keys[2:]
        assert await ids(ids=[keys[2], 99]) == keys[2:]
        assert await ids(kinds=["mismatch"]) == [keys[1]]
        row = await session.get_one(Quarantined, keys[1], populate_existing=True)
        assert (row.kind, row.reason) == ("mismatch", "NUL \ufffd in it")
