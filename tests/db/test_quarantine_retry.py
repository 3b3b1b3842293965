"""Reading an object of the quarantine again: what it may become, and why it stays."""

import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from node.config import Config, Layout
from node.dicom.part10 import file_header
from node.ops.checking.quarantine import Outcome, Retried, Retry, objects
from node.storage.archive import Archive
from schema import Database, Image, Quarantined, add_images, read_record
from schema.quarantine import add_quarantined
from tests.support.encoded import element
from tests.support.images import dataset_bytes, generate


def padded(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


@pytest.fixture
async def quarantine(db, tmp_path) -> "AsyncIterator[Quarantine]":
    config = Config.model_validate({"storage": {"directory": str(tmp_path / "dicom")}})
    made = Quarantine(db, config, generate(tmp_path / "made", images=1)[0].path)
    yield made
    await made.again.close()


class Quarantine:
    """A storage directory and an index, with an object to put into quarantine."""

    def __init__(self, db: Database, config: Config, source: Path) -> None:
        self.db = db
        self.directory = config.storage.directory
        self.archive = Archive(self.directory, Layout.STUDY)
        self.again = Retry(config, db)
        self.dataset = dataset_bytes(source)
        self.sha256 = hashlib.sha256(self.dataset).hexdigest()
        self.record = read_record(source, sha256=self.sha256)

    def write(self, path: Path, dataset: bytes | None = None, uid: str | None = None) -> Path:
        """Write a file as the node does."""
        header = file_header(
            sop_class_uid=self.record.sop_class_uid or "",
            sop_instance_uid=uid or self.record.image_uid,
            transfer_syntax_uid=self.record.transfer_syntax_uid or "",
            source_aetitle="SENDER",
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(header + (self.dataset if dataset is None else dataset))
        return path

    async def put(self, path: Path, *, kind: str = "conflict", uid: str | None = None) -> None:
        """Give a file its row of the quarantine."""
        async with self.db.begin() as session:
            await add_quarantined(
                session,
                filepath=path,
                reason="as it was",
                kind=kind,
                sop_instance_uid=uid or self.record.image_uid,
                sha256=self.sha256,
                source="SENDER",
            )

    async def index(self, path: Path, *, sha256: str | None = None) -> None:
        """Put the image into the index, with another file or digest."""
        size = path.stat().st_size if path.exists() else self.record.size
        changes = {"filepath": str(path), "sha256": sha256 or self.sha256, "size": size}
        record = type(self.record)(
            **{name: getattr(self.record, name) for name in self.record.__slots__} | changes
        )
        async with self.db.begin() as session:
            await add_images(session, [record])

    async def retry(self) -> Retried:
        """Read the only object again."""
        (row,) = [row async for row in objects(self.db)]
        return await self.again.retry(row)

    async def rows(self) -> tuple[list[Image], list[Quarantined]]:
        """Return what is indexed, and what is in quarantine."""
        async with self.db.session() as session:
            images = await session.run_sync(lambda sync: list(sync.query(Image)))
            kept = await session.run_sync(lambda sync: list(sync.query(Quarantined)))
        return images, kept

    @property
    def aside(self) -> Path:
        """Where the object is kept."""
        return self.archive.quarantine_path(self.record.image_uid, self.sha256)

    @property
    def place(self) -> Path:
        """Where the image belongs."""
        record = self.record
        return self.directory / record.study_uid / record.series_uid / f"{record.image_uid}.dcm"


async def test_what_can_be_indexed_gets_its_place_and_leaves(quarantine):
    await quarantine.put(quarantine.write(quarantine.aside), kind="stray")
    assert (await quarantine.retry()).outcome is Outcome.INDEXED
    (image,), kept = await quarantine.rows()
    assert (image.filepath, image.source, image.sha256) == (
        str(quarantine.place),
        "SENDER",
        quarantine.sha256,
    )
    assert image.size == quarantine.place.stat().st_size
    assert kept == []
    assert not quarantine.aside.exists()


async def test_what_lies_elsewhere_is_indexed_where_it_is(quarantine):
    path = quarantine.write(quarantine.directory / "found" / "here.dcm")
    await quarantine.put(path)
    assert (await quarantine.retry()).outcome is Outcome.INDEXED
    (image,), kept = await quarantine.rows()
    assert (image.filepath, kept) == (str(path), [])
    assert path.exists()


async def test_the_same_object_that_is_indexed_leaves(quarantine):
    await quarantine.put(quarantine.write(quarantine.aside))
    await quarantine.index(quarantine.write(quarantine.place))
    assert (await quarantine.retry()).outcome is Outcome.KNOWN
    (image,), kept = await quarantine.rows()
    assert (image.filepath, kept) == (str(quarantine.place), [])
    assert quarantine.place.exists()
    assert not quarantine.aside.exists()


async def test_an_image_that_has_lost_its_file_takes_the_same_object(quarantine):
    await quarantine.put(quarantine.write(quarantine.aside))
    await quarantine.index(quarantine.directory / "gone.dcm")
    assert (await quarantine.retry()).outcome is Outcome.KNOWN
    (image,), kept = await quarantine.rows()
    assert (image.filepath, kept) == (str(quarantine.place), [])
    assert dataset_bytes(quarantine.place) == quarantine.dataset
    assert not quarantine.aside.exists()


async def test_an_image_whose_row_spells_its_place_otherwise_gets_the_file(quarantine, tmp_path):
    await quarantine.put(quarantine.write(quarantine.aside))
    (tmp_path / "alias").symlink_to(quarantine.directory)
    await quarantine.index(tmp_path / "alias" / quarantine.place.relative_to(quarantine.directory))
    assert (await quarantine.retry()).outcome is Outcome.KNOWN
    (image,), kept = await quarantine.rows()
    assert kept == []
    assert Path(image.filepath).samefile(quarantine.place)
    assert dataset_bytes(quarantine.place) == quarantine.dataset


@pytest.mark.parametrize("there", [True, False], ids=["its file is there", "its file is gone"])
async def test_another_object_under_its_uid_is_never_replaced(quarantine, there):
    await quarantine.put(quarantine.write(quarantine.aside))
    other = quarantine.dataset[:-2] + b"xx"
    if there:
        quarantine.write(quarantine.place, other)
    await quarantine.index(quarantine.place, sha256=hashlib.sha256(other).hexdigest())
    result = await quarantine.retry()
    assert (result.outcome, result.kind) == (Outcome.STAYS, "conflict")
    assert "another object with this SOP Instance UID is indexed" in result.reason
    (image,), (kept,) = await quarantine.rows()
    assert image.sha256 != quarantine.sha256
    assert kept.reason == result.reason
    assert quarantine.aside.exists()
    files = [path for path in quarantine.directory.rglob("*.dcm") if path != quarantine.aside]
    assert files == ([quarantine.place] if there else [])


async def test_the_good_copy_of_an_image_whose_file_is_damaged_takes_its_place(quarantine):
    damaged = quarantine.dataset[:-1] + b"x"
    await quarantine.put(quarantine.write(quarantine.aside))
    await quarantine.index(quarantine.write(quarantine.place, damaged))
    assert (await quarantine.retry()).outcome is Outcome.KNOWN
    (image,), (kept,) = await quarantine.rows()
    assert (image.filepath, image.source) == (str(quarantine.place), "SENDER")
    assert image.size == quarantine.place.stat().st_size
    assert dataset_bytes(quarantine.place) == quarantine.dataset
    assert not quarantine.aside.exists()
    assert (kept.kind, kept.sha256) == ("damaged", hashlib.sha256(damaged).hexdigest())
    assert dataset_bytes(Path(kept.filepath)) == damaged

    stays = await quarantine.retry()
    assert (stays.outcome, stays.kind) == (Outcome.STAYS, "damaged")
    assert "another object with this SOP Instance UID is indexed" in stays.reason


async def test_the_good_copy_that_lies_elsewhere_is_not_given_away(quarantine):
    await quarantine.put(quarantine.write(quarantine.directory / "found" / "here.dcm"))
    await quarantine.index(quarantine.write(quarantine.place, quarantine.dataset[:-1] + b"x"))
    result = await quarantine.retry()
    assert result.outcome is Outcome.STAYS
    assert "that file has changed" in result.reason
    assert (quarantine.directory / "found" / "here.dcm").exists()


async def test_an_object_whose_image_lies_outside_is_kept_in_the_archive(quarantine, tmp_path):
    await quarantine.put(quarantine.write(quarantine.aside))
    outside = quarantine.write(tmp_path / "share" / "x.dcm")
    await quarantine.index(outside)
    assert (await quarantine.retry()).outcome is Outcome.KNOWN
    (image,), kept = await quarantine.rows()
    assert (image.filepath, image.parsed_from) == (str(quarantine.place), str(outside))
    assert (kept, quarantine.aside.exists(), outside.exists()) == ([], False, True)


async def test_an_object_whose_image_is_itself_in_quarantine_gets_a_place(quarantine):
    await quarantine.put(quarantine.write(quarantine.aside))
    await quarantine.index(quarantine.aside)
    assert (await quarantine.retry()).outcome is Outcome.KNOWN
    (image,), kept = await quarantine.rows()
    assert (image.filepath, kept) == (str(quarantine.place), [])
    assert dataset_bytes(quarantine.place) == quarantine.dataset
    assert not quarantine.aside.exists()


async def test_a_uid_that_is_too_long_for_an_index_is_no_mismatch(quarantine, tmp_path):
    """A row has its UIDs shortened to what an index takes, the quarantine has them as they came."""
    uid = "1.2." + "3" * 400
    dataset = quarantine.dataset.replace(
        element(0x00080018, "UI", padded(quarantine.record.image_uid)),
        element(0x00080018, "UI", padded(uid)),
    )
    quarantine.sha256 = hashlib.sha256(dataset).hexdigest()
    await quarantine.put(quarantine.write(quarantine.aside, dataset, uid=uid), uid=uid)
    assert (await quarantine.retry()).outcome is Outcome.INDEXED


async def test_what_its_store_named_otherwise_stays(quarantine):
    await quarantine.put(quarantine.write(quarantine.aside, uid="1.2.3"), uid="1.2.3")
    result = await quarantine.retry()
    assert (result.outcome, result.kind) == (Outcome.STAYS, "mismatch")
    assert result.reason == "its C-STORE named SOP Instance UID 1.2.3"
    assert (await quarantine.rows())[0] == []


async def test_what_has_changed_in_quarantine_stays(quarantine):
    path = quarantine.write(quarantine.aside, quarantine.dataset[:-1] + b"x")
    await quarantine.put(path)
    result = await quarantine.retry()
    assert (result.outcome, result.reason) == (
        Outcome.STAYS,
        "its file is not the one that was put into quarantine",
    )
    images, (kept,) = await quarantine.rows()
    assert (images, kept.reason) == ([], "as it was")


async def test_what_cannot_be_read_stays_with_the_reason_of_today(quarantine):
    await quarantine.put(quarantine.write(quarantine.aside, quarantine.dataset[:40]))
    result = await quarantine.retry()
    assert (result.outcome, result.kind) == (Outcome.STAYS, "undecodable")
    _, (kept,) = await quarantine.rows()
    assert (kept.kind, kept.reason) == ("undecodable", result.reason)


@pytest.mark.parametrize("how", ["links that lead to each other", "a FIFO"])
async def test_a_file_that_cannot_be_looked_at_is_not_gone(quarantine, how):
    path = quarantine.aside
    path.parent.mkdir(parents=True)
    path.symlink_to(path) if "links" in how else os.mkfifo(path)
    await quarantine.put(path)
    retried = await quarantine.retry()
    assert (retried.outcome, retried.kind) == (Outcome.STAYS, "conflict")
    assert retried.reason.startswith("its file cannot be read: ")
    assert "gone" not in retried.reason


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
@pytest.mark.parametrize("module", ["node.storage.inspect", "schema.parsing.kept"])
async def test_a_file_that_the_disk_refuses_for_a_moment_stays_as_it_is(
    quarantine, monkeypatch, error, module
):
    await quarantine.put(quarantine.write(quarantine.aside))
    await quarantine.index(quarantine.write(quarantine.directory / "other.dcm"))
    before = await quarantine.rows()

    def refused(path):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(f"{module}.dataset_digest", refused)
    retried = await quarantine.retry()
    assert (retried.outcome, retried.kind) == (Outcome.STAYS, "conflict")
    assert os.strerror(error) in retried.reason
    monkeypatch.undo()
    after = await quarantine.rows()
    assert [[str(row) for row in rows] for rows in after] == [
        [str(row) for row in rows] for rows in before
    ]
    assert (await quarantine.retry()).outcome is Outcome.KNOWN


async def test_an_object_that_another_storage_directory_keeps_is_left_alone(quarantine):
    await quarantine.put(quarantine.aside)
    async with quarantine.db.begin() as session:
        await session.execute(text(f"UPDATE quarantine SET storage_id = '{'a' * 32}'"))
    retried = await quarantine.retry()
    assert retried.outcome is Outcome.STAYS
    assert retried.reason == f"another storage directory holds it, {'a' * 32}"
