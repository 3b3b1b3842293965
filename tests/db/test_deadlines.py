"""A file that hangs its reader is a failure that is reported, and stops nothing."""

import asyncio
import os
import shutil
import signal
from io import BytesIO
from pathlib import Path

import pytest

from node.config import Config
from node.ops.checking.quarantine import Outcome, Retry, objects
from node.ops.checking.reconcile import Reconciliation
from node.ops.checking.report import Kind
from schema import ImageRecord, count_images
from schema.errors import WorkerUnavailable
from schema.parser import IndexSink, TextSink, Why, parse
from schema.parsing import headers, pool, run
from schema.parsing.extract import Reading
from schema.parsing.reader import FileReader, ReadingDeadlines
from schema.parsing.scan import Passed
from schema.quarantine import add_quarantined
from tests.support.images import generate

IMPATIENT = ReadingDeadlines(together=1.0, alone=1.0, after_one=0.75)
CALM = ReadingDeadlines(together=2.5, alone=2.5, after_one=2.0)
"""For the test that runs beside the long ones: three sound files that are late on a busy machine
leave nothing that shows who is to blame."""

SLOW = """
import os, signal, time
from schema.parsing import worker
extract = worker.extract
def slow(path, reading, alive):
    if path.endswith("endless.dcm"):
        time.sleep(3600)
    while os.path.exists({stalled!r}):  # as on a disk that does not answer
        time.sleep(0.05)
    if os.path.exists({frozen!r}):  # as on a machine that swaps
        os.kill(os.getpid(), signal.SIGSTOP)
    if path.endswith("large.dcm"):  # as a digest that is computed of many gigabytes
        for _ in range(25):
            time.sleep(0.1)
            alive()
    return extract(path, reading, alive)
worker.extract = slow
worker.main()
"""


@pytest.fixture(autouse=True)
def slow(monkeypatch, tmp_path):
    """Let files hang by their names, or all of them; and nobody wait for them for long."""
    program = SLOW.replace("{stalled!r}", repr(str(tmp_path / "stalled")))
    program = program.replace("{frozen!r}", repr(str(tmp_path / "frozen")))
    monkeypatch.setattr(pool, "PROGRAM", program)
    monkeypatch.setattr(run, "DEADLINES", IMPATIENT)


@pytest.fixture
def images(tmp_path):
    return [image.path for image in generate(tmp_path / "images", images=6)]


def copied(path: Path, name: str) -> Path:
    """Copy a file beside itself, so that it is read in the midst of the others."""
    return Path(shutil.copyfile(path, path.with_name(f"{path.stem}-{name}.dcm")))


async def read(reader: FileReader, paths: list[Path]) -> list[object]:
    return [one async for some in reader.extract(list(map(str, paths))) for one in some]


@pytest.mark.long
@pytest.mark.waits
async def test_a_file_that_hangs_its_reader_is_a_failure_and_the_run_goes_on(
    db, images, monkeypatch
):
    monkeypatch.setattr(run, "DEADLINES", CALM)
    endless = [copied(path, "endless") for path in (images[0], images[3], images[5])]
    listed = []
    async with asyncio.timeout(60):
        report = await parse(images[0].parents[1], IndexSink(db), failed=listed.append)
    assert (report.indexed, report.failed, report.interrupted) == (6, {"hung": 3}, False)
    assert [(one.path, one.why) for one in listed] == [(str(path), Why.HUNG) for path in endless]
    assert [one.reason for one in listed] == [
        f"its header was not read within {seconds} s" for seconds in ("2.5", "2", "2")
    ]


async def test_a_large_file_may_take_its_time_as_long_as_it_is_being_read(images):
    images[2].rename(images[2].with_name("large.dcm"))
    async with asyncio.timeout(60):
        report = await parse(images[0].parents[1], TextSink(BytesIO(), "json"))
    assert (report.indexed, report.failed) == (6, {})


async def test_a_run_that_is_stopped_does_not_wait_for_a_file_that_hangs(images, monkeypatch):
    monkeypatch.setattr(run, "DEADLINES", ReadingDeadlines(together=600.0))
    monkeypatch.setattr(run, "PORTION", 2)
    copied(images[3], "endless")
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(1.0, stop.set)
    async with asyncio.timeout(60):
        report = await parse(images[0].parents[1], TextSink(BytesIO(), "csv"), stop=stop)
    assert report.interrupted
    assert report.failed == {}


async def test_a_process_that_stands_still_is_replaced_and_no_file_is_to_blame(images):
    reader = FileReader(Reading(institution=""), IMPATIENT)
    try:
        await reader.start()
        stopped = reader.pid
        os.kill(stopped, signal.SIGSTOP)
        async with asyncio.timeout(60):
            records = await read(reader, images)
        assert [type(one) for one in records] == [ImageRecord] * 6
        assert reader.pid not in (None, stopped)
    finally:
        await reader.close()


@pytest.mark.long
@pytest.mark.waits
@pytest.mark.parametrize("how", ["stalled", "frozen"])
async def test_files_of_which_none_is_read_in_time_are_late_and_not_to_blame(images, tmp_path, how):
    (tmp_path / how).touch()
    reader = FileReader(Reading(institution=""), IMPATIENT)
    try:
        async with asyncio.timeout(60):
            answers = await read(reader, images)
        assert {(type(one), one.why, one.lasting) for one in answers} == {
            (Passed, Why.UNREADABLE, False)
        }
        assert [one.path for one in answers] == list(map(str, images))
        (tmp_path / how).unlink()
        async with asyncio.timeout(60):
            assert [type(one) for one in await read(reader, images)] == [ImageRecord] * 6
    finally:
        await reader.close()


async def test_a_file_that_was_late_once_and_is_read_the_second_time_is_an_image(images, tmp_path):
    (tmp_path / "stalled").touch()
    reader = FileReader(Reading(institution=""), ReadingDeadlines(together=0.5, alone=0.5))
    asyncio.get_running_loop().call_later(1.5, (tmp_path / "stalled").unlink)
    try:
        async with asyncio.timeout(60):
            answers = await read(reader, images)
        assert [type(one) for one in answers] == [ImageRecord] * 6
    finally:
        await reader.close()


@pytest.mark.parametrize("beside", [True, False], ids=["beside another", "by itself"])
async def test_a_file_is_to_blame_only_where_another_one_is_read(images, beside):
    endless = copied(images[3], "endless")
    reader = FileReader(Reading(institution=""), IMPATIENT)
    others = [str(images[0])] if beside else []
    try:
        async with asyncio.timeout(60):
            coming = reader.extract([str(endless)], beside=others)
            (answer,) = [one async for some in coming for one in some]
        assert (answer.why, answer.lasting) == (
            (Why.HUNG, True) if beside else (Why.UNREADABLE, False)
        )
        assert answer.reason == "its header was not read within 1 s"
    finally:
        await reader.close()


@pytest.mark.long
@pytest.mark.waits
async def test_while_the_disk_stands_still_parse_blames_no_file(db, images, tmp_path):
    (tmp_path / "stalled").touch()
    listed = []
    async with asyncio.timeout(60):
        report = await parse(images[0].parents[1], IndexSink(db), failed=listed.append)
    assert (report.indexed, report.failed) == (0, {"unreadable": 6})
    (tmp_path / "stalled").unlink()
    async with asyncio.timeout(60):
        report = await parse(images[0].parents[1], IndexSink(db))
    assert (report.indexed, report.failed) == (6, {})


@pytest.mark.long
@pytest.mark.waits
async def test_while_the_disk_stands_still_reconcile_puts_nothing_into_quarantine(
    db, images, tmp_path
):
    (tmp_path / "stalled").touch()
    config = Config.model_validate({"storage": {"directory": str(images[0].parents[1])}})
    async with asyncio.timeout(60):
        report = await Reconciliation(config, db, fix=True).run()
    assert dict(report.found) == {"unreadable": 6}
    assert [row async for row in objects(db)] == []


async def test_a_process_that_does_not_get_ready_is_an_error(images, monkeypatch):
    monkeypatch.setattr(pool, "PROGRAM", "import time; time.sleep(3600)")
    monkeypatch.setattr(pool, "_TO_START", 0.2)
    reader = FileReader(Reading(institution=""), IMPATIENT)
    with pytest.raises(WorkerUnavailable, match="not ready within 0.2 s"):
        await read(reader, images)
    await reader.close()


@pytest.mark.long
@pytest.mark.waits
async def test_reconciling_goes_on_behind_a_file_that_hangs_its_reader(db, images, tmp_path):
    directory = images[0].parents[1]
    endless = copied(images[3], "endless")
    config = Config.model_validate({"storage": {"directory": str(directory)}})
    found = []
    async with asyncio.timeout(60):
        await Reconciliation(config, db, fix=True, found=found.append).run()
    kinds = {one.path: one.why for one in found}
    assert kinds.pop(str(endless)) is Kind.UNDECODABLE
    assert kinds == dict.fromkeys(map(str, images), Kind.UNINDEXED)
    (row,) = [row async for row in objects(db)]
    assert (row.filepath, row.reason) == (str(endless), "its header was not read within 1 s")


async def test_reading_a_file_of_the_quarantine_again_does_not_hang(
    db, images, tmp_path, monkeypatch
):
    monkeypatch.setattr(headers, "ReadingDeadlines", lambda: IMPATIENT)
    endless = copied(images[3], "endless")
    async with db.begin() as session:
        await add_quarantined(session, filepath=endless, reason="as it was", kind="conflict")
    (row,) = [row async for row in objects(db)]
    config = Config.model_validate({"storage": {"directory": str(tmp_path / "dicom")}})
    retry = Retry(config, db)
    try:
        async with asyncio.timeout(60):
            retried = await retry.retry(row)
    finally:
        await retry.close()
    assert retried.outcome is Outcome.STAYS
    assert retried.reason == "its header was not read within 1 s"
    async with db.session() as session:
        assert sum((await count_images(session, ["1"])).values()) == 0
