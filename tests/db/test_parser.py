"""Indexing a folder, on both databases: what is counted, what is known, what is never lost."""

import asyncio
import hashlib
import json
import os
import shutil
from datetime import date
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.data.data_manager import DATA_ROOT
from sqlalchemy import func, select

from schema import Database, DatabaseUnavailable, Image, Patient, SchemaMissing, add_images
from schema.errors import WorkerUnavailable
from schema.parser import IndexSink, TextSink, Verdict, Why, parse, parse_dir2sql
from schema.parsing import pool, run
from schema.parsing.text import COLUMNS
from tests.db.records import record
from tests.support.encoded import element
from tests.support.images import dataset_bytes, generate
from tests.support.waiting import wait_until_async


@pytest.fixture
def images(tmp_path):
    return generate(tmp_path / "images", studies=2, series=2, images=5)


@pytest.fixture
def folder(tmp_path, images):
    return tmp_path / "images"


async def paths_in(db):
    async with db.session() as session:
        rows = await session.execute(select(Image.image_uid, Image.filepath))
        return dict(rows.all())


async def images_of(db):
    async with db.session() as session:
        return list(await session.scalars(select(Image).order_by(Image.filepath)))


def into(db, folder, **options):
    return parse(folder, IndexSink(db), **{"institution": "Here"} | options)


async def test_a_folder_becomes_rows_with_their_files_and_digests(db, folder, images):
    report = await into(db, folder, workers=2)
    assert (report.files, report.indexed, report.failed, report.skipped) == (20, 20, {}, {})
    assert report.files_per_second > 0
    rows = await images_of(db)
    assert [row.filepath for row in rows] == sorted(str(image.path) for image in images)
    for row in rows:
        encoded = dataset_bytes(Path(row.filepath))
        assert row.sha256 == hashlib.sha256(encoded).hexdigest()
        assert row.size == Path(row.filepath).stat().st_size
        assert row.institution == "Here"
        assert row.dataset().SOPInstanceUID == row.image_uid


async def test_the_function_of_the_guide_creates_tables_and_names_an_institution(
    database_url, folder
):
    with pytest.raises(SchemaMissing):
        await parse_dir2sql(folder, database_url)
    report = await parse_dir2sql(str(folder), database_url, create_tables=True)
    assert report.indexed == 20
    assert report.institution == f"unknown_{date.today():%Y%m%d}"  # noqa: DTZ011
    async with Database(database_url) as db, db.session() as session:
        institutions = set(await session.scalars(select(Patient.institution)))
        assert institutions == {report.institution}
    again = await parse_dir2sql(folder, {"storage": {"resources": database_url}}, nb_threads=2)
    assert (again.indexed, again.known) == (0, 20)


async def test_a_folder_that_is_not_there_is_an_error_before_anything_is_made(tmp_path):
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(FileNotFoundError):
        await parse_dir2sql(tmp_path / "nowhere", url, create_tables=True)
    assert not (tmp_path / "new.db").exists()


async def test_a_second_run_knows_every_file_without_reading_it(db, folder, monkeypatch):
    await into(db, folder)
    monkeypatch.setattr(pool, "PROGRAM", "raise SystemExit(9)")
    report = await into(db, folder)
    assert (report.known, report.indexed, report.failed) == (20, 0, {})


async def test_a_run_takes_up_what_came_since_the_last_one(db, tmp_path, folder):
    await into(db, folder)
    generate(folder / "more", images=3, seed=7)
    report = await into(db, folder)
    assert (report.known, report.indexed) == (20, 3)


async def test_copies_are_known_under_their_first_path(db, tmp_path, folder):
    shutil.copytree(folder, tmp_path / "second")
    both = await into(db, tmp_path)
    assert (both.indexed, both.known, both.failed) == (20, 20, {})
    paths = (await paths_in(db)).values()
    assert all(path.startswith(str(folder)) for path in paths)


async def test_images_in_a_folder_that_was_moved_get_their_new_paths(db, tmp_path, folder):
    await into(db, folder)
    folder.rename(tmp_path / "moved")
    report = await into(db, tmp_path / "moved")
    assert (report.relocated, report.indexed, report.failed) == (20, 0, {})
    paths = list((await paths_in(db)).values())
    assert len(paths) == 20
    assert all(Path(path).is_relative_to(tmp_path / "moved") for path in paths)
    assert (await into(db, tmp_path / "moved")).known == 20


async def test_another_object_under_a_known_uid_is_a_conflict_and_changes_nothing(
    db, tmp_path, images
):
    first = images[0].path
    other = tmp_path / "other.dcm"
    data = bytearray(first.read_bytes())
    data[-1] ^= 0xFF
    other.write_bytes(data)
    await into(db, first)
    listed = []
    report = await into(db, other, failed=listed.append)
    assert report.failed == {"conflict": 1}
    assert [(one.path, one.why) for one in listed] == [(str(other), Why.CONFLICT)]
    assert str(first) in listed[0].reason
    assert list((await paths_in(db)).values()) == [str(first)]


async def test_a_file_that_was_changed_since_is_a_conflict(db, images):
    path = images[0].path
    await into(db, path)
    path.write_bytes(path.read_bytes() + b"\0\0")
    report = await into(db, path)
    assert report.failed == {"conflict": 1}
    assert "changed since" in report.failures[0].reason


async def test_a_row_without_digest_is_compared_with_its_file(db, tmp_path, images):
    first = images[0]
    copy, other = tmp_path / "copy", tmp_path / "other"
    copy.write_bytes(first.path.read_bytes())
    data = bytearray(first.path.read_bytes())
    data[-1] ^= 0xFF
    other.write_bytes(data)
    row = record(
        first.sop_instance_uid, first.series_uid, first.study_uid, filepath=str(first.path)
    )
    async with db.begin() as session:
        await add_images(session, [row])
    assert (await into(db, copy)).known == 1
    assert (await into(db, other)).failed == {"conflict": 1}
    first.path.unlink()
    # nothing is known of the header of this row, so nothing is left to compare
    assert (await into(db, other)).failed == {"conflict": 1}
    assert await paths_in(db) == {first.sop_instance_uid: str(first.path)}


@pytest.mark.parametrize("digests", [True, False], ids=["with digests", "without"])
async def test_a_row_without_digest_whose_file_is_gone_takes_only_a_file_with_its_header(
    db, tmp_path, images, digests
):
    here, moved, other = images[0].path, tmp_path / "moved", tmp_path / "other"
    await into(db, here, digests=False)
    dataset = pydicom.dcmread(here)
    dataset.PatientName = "Another^One"
    dataset.save_as(other)
    here.rename(moved)
    before = await images_of(db)
    report = await into(db, other, digests=digests)
    assert report.failed == {"conflict": 1}
    assert "another header" in report.failures[0].reason
    (after,) = await images_of(db)
    assert (after.filepath, after.sha256, after.meta) == (str(here), None, before[0].meta)
    assert (await into(db, moved, digests=digests)).relocated == 1
    assert list((await paths_in(db)).values()) == [str(moved)]


async def test_without_digests_the_size_decides(db, tmp_path, images):
    path = images[0].path
    assert (await into(db, path, digests=False)).indexed == 1
    assert [row.sha256 for row in await images_of(db)] == [None]
    copy, longer = tmp_path / "copy", tmp_path / "longer"
    copy.write_bytes(path.read_bytes())
    longer.write_bytes(path.read_bytes() + b"\0\0")
    assert (await into(db, copy, digests=False)).known == 1
    assert (await into(db, longer, digests=False)).failed == {"conflict": 1}


async def test_names_that_are_no_utf8_are_indexed_and_known_again(db, tmp_path, images):
    folder = tmp_path / "names"
    folder.mkdir()
    raw = os.fsencode(folder)
    for image, name in zip(images, (b"caf\xe9", b"caf\xe8"), strict=False):
        shutil.copyfile(image.path, raw + b"/" + name)
    shutil.copyfile(images[2].path, folder / "line\nbreak \U0001f9b4.dcm")
    first, again = await into(db, folder), await into(db, folder)
    assert (first.indexed, first.failed) == (3, {})
    assert (again.known, again.indexed, again.failed) == (3, 0, {})
    assert {Path(path).name for path in (await paths_in(db)).values()} == {
        "caf\ufffd",
        "line\nbreak \U0001f9b4.dcm",
    }


async def test_every_file_that_pydicom_ships_is_accounted_for(db):
    total = sum(1 for path in Path(DATA_ROOT).rglob("*") if path.is_file())
    listed = []
    report = await into(db, DATA_ROOT, workers=2, failed=listed.append)
    assert report.files == total
    assert report.indexed == len(await paths_in(db)) > 100
    assert report.skipped["DICOMDIR"] == 8
    assert set(report.failed) <= {"invalid", "conflict"}
    assert len(listed) == sum(report.failed.values())
    truncated = {Path(one.path).name for one in listed if "bytes expected" in one.reason}
    assert {"MR_truncated.dcm", "rtplan_truncated.dcm"} <= truncated


async def test_a_large_file_is_read_in_pieces_and_has_the_same_digest(tmp_path, images):
    """A file of more than a megabyte: the pixel data is not read at once."""
    head = dataset_bytes(images[0].path)
    start = head.rindex(b"\xe0\x7f\x10\x00")
    pixels = element(0x7FE00010, "OW", os.urandom(3 << 20))
    meta = images[0].path.read_bytes()[: -len(head)]
    path = tmp_path / "large.dcm"
    path.write_bytes(meta + head[:start] + pixels)
    stream = BytesIO()
    assert (await parse(path, TextSink(stream, "json"))).indexed == 1
    (row,) = json.loads(stream.getvalue())
    assert row["sha256"] == hashlib.sha256(head[:start] + pixels).hexdigest()
    path.write_bytes(meta + head[:start] + pixels[:-100])
    other = tmp_path / "truncated.dcm"
    path.rename(other)
    assert (await parse(other, TextSink(BytesIO(), "json"))).failed == {"invalid": 1}


KILLER = """
import os, signal
from schema.parsing import worker
extract = worker.extract
def deadly(path, reading, alive):
    if "killer" in path:
        os.kill(os.getpid(), signal.SIGKILL)
    return extract(path, reading, alive)
worker.extract = deadly
worker.main()
"""


async def test_the_file_that_kills_the_process_that_reads_it_is_listed_alone(
    sqlite_url, folder, images, monkeypatch
):
    monkeypatch.setattr(pool, "PROGRAM", KILLER)
    shutil.copyfile(images[0].path, images[0].path.with_name("002-killer.dcm"))
    report = await parse_dir2sql(folder, sqlite_url, nb_threads=2, create_tables=True)
    assert (report.indexed, report.failed) == (20, {"crashed": 1})
    (failure,) = report.failures
    assert failure.path.endswith("002-killer.dcm")
    assert "SIGKILL" in failure.reason


async def test_processes_that_cannot_start_are_one_error(sqlite_url, folder, monkeypatch):
    monkeypatch.setattr(pool, "PROGRAM", "raise SystemExit(9)")
    with pytest.raises(WorkerUnavailable, match="status 9"):
        await parse_dir2sql(folder, sqlite_url, nb_threads=2, create_tables=True)


async def test_fewer_than_one_process_is_refused(sqlite_url, folder):
    with pytest.raises(ValueError, match="at least 1"):
        await parse_dir2sql(folder, sqlite_url, nb_threads=0, create_tables=True)


class SlowSink:
    """Keeps nothing, and does not go on before the walk has gone as far ahead as it can."""

    def __init__(self, bound):
        self.bound = bound
        self.seen = self.kept = self.furthest = 0

    async def known(self, files):
        self.seen += len(files)
        self.furthest = max(self.furthest, self.seen - self.kept)
        return set()

    async def add(self, records):
        if not self.kept:
            await wait_until_async(lambda: self.seen == self.bound)
        self.kept += len(records)
        return [Verdict.INDEXED] * len(records)

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, traceback):
        pass


async def test_the_walk_never_runs_further_ahead_than_the_queues_allow(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PORTION", 10)
    monkeypatch.setattr(run, "BATCH_IMAGES", 10)
    generate(tmp_path / "many", images=600)
    # what is being kept, four portions in the queue of one worker, one that waits to enter it
    sink = SlowSink(bound=60)
    report = await parse(tmp_path / "many", sink, institution="x")
    assert report.indexed == 600
    assert sink.furthest <= 70


async def test_stopping_keeps_what_was_read_and_the_next_run_does_the_rest(db, folder, monkeypatch):
    monkeypatch.setattr(run, "PORTION", 2)
    monkeypatch.setattr(run, "BATCH_IMAGES", 2)
    stop = asyncio.Event()
    part = await into(db, folder, stop=stop, watch=lambda report: report.indexed and stop.set())
    assert part.interrupted
    assert 0 < part.indexed < 20
    assert len(await paths_in(db)) == part.indexed
    rest = await into(db, folder)
    assert (rest.known, rest.indexed) == (part.indexed, 20 - part.indexed)
    assert not rest.interrupted


async def test_json_is_what_the_database_holds(db, folder):
    stream = BytesIO()
    report = await parse(folder, TextSink(stream, "json"), institution="Here")
    await into(db, folder)
    written = json.loads(stream.getvalue())
    rows = await images_of(db)
    assert report.indexed == len(written) == len(rows)
    for document, row in zip(written, rows, strict=True):
        assert list(document) == list(COLUMNS)
        for name, value in document.items():
            kept = getattr(row, name)
            kept = kept.date() if name == "study_date" else kept
            assert value == (kept.isoformat() if hasattr(kept, "isoformat") else kept)


async def test_text_says_each_image_once_and_another_object_is_a_conflict(tmp_path, images):
    path = images[0].path
    shutil.copyfile(path, tmp_path / "images" / "z-copy.dcm")
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    (tmp_path / "images" / "z-other.dcm").write_bytes(data)
    stream = BytesIO()
    report = await parse(tmp_path / "images", TextSink(stream, "json"), workers=2)
    assert (report.indexed, report.known, report.failed) == (20, 1, {"conflict": 1})
    assert len({one["image_uid"] for one in json.loads(stream.getvalue())}) == 20


async def test_an_empty_folder_is_an_empty_array(tmp_path):
    stream = BytesIO()
    (tmp_path / "empty").mkdir()
    report = await parse(tmp_path / "empty", TextSink(stream, "json"))
    assert (report.files, json.loads(stream.getvalue())) == (0, [])


async def test_a_database_that_goes_away_is_an_error_and_what_was_committed_stays(
    db, folder, monkeypatch
):
    monkeypatch.setattr(run, "PORTION", 2)
    monkeypatch.setattr(run, "BATCH_IMAGES", 2)
    sink = IndexSink(db)
    add, batches = sink.add, []

    async def away(records):
        batches.append(len(records))
        if len(batches) == 3:
            raise DatabaseUnavailable("the database is unavailable")
        return await add(records)

    monkeypatch.setattr(sink, "add", away)
    with pytest.raises(DatabaseUnavailable):
        await parse(folder, sink)
    async with db.session() as session:
        assert await session.scalar(select(func.count()).select_from(Image)) == sum(batches[:2])
