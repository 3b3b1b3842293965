"""A C-STORE's way from its sink to its row, and what is left when a step of it fails."""

import asyncio
import errno
import hashlib
import os
import random
import signal
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DataError

from node.config import Layout
from node.dicom.status import Status
from node.errors import StorageError
from node.net.messages import Caller, StoreRequest
from node.ops.indexing import backlog as waiting
from node.ops.indexing.indexer import Indexer
from node.ops.receiving import gate as gates
from node.ops.receiving.gate import Gate
from node.ops.receiving.spooling import Spooler
from node.storage import archive as archives
from node.storage import durable
from node.storage.archive import Archive
from node.storage.inspect import Fault, inspect
from node.storage.spool import Spool
from node.storage.writing import Writing
from schema import Database, DatabaseUnavailable, Quarantined, add_images
from schema.engine.backoff import Backoff
from schema.inventory import held_by_uid, held_page, lose_files
from schema.parsing import kept as kept_files
from schema.parsing.headers import HeaderReader
from schema.parsing.pool import Worker
from schema.parsing.reader import ReadingDeadlines
from tests.support.encoded import EXPLICIT, element
from tests.support.images import dataset_bytes
from tests.support.received import flip_byte
from tests.support.variants import on_sqlite, variants
from tests.support.waiting import wait_until, wait_until_async

MR = "1.2.840.10008.5.1.4.1.1.4"
UID = "1.2.3.41"


def ui(tag, value):
    return element(tag, "UI", value.encode() + b"\0" * (len(value) % 2))


def dataset(comment="ab", uid=UID, series="1.2.3.4", more=b""):
    return b"".join(
        (
            ui(0x00080016, MR),
            ui(0x00080018, uid),
            ui(0x0020000D, "1.2.3"),
            ui(0x0020000E, series),
            element(0x00204000, "LT", comment.encode()),
            more,
        )
    )


def request(uid=UID):
    return StoreRequest(
        caller=Caller(aetitle="SENDER", address="127.0.0.1", port=104),
        sop_class_uid=MR,
        sop_instance_uid=uid,
        transfer_syntax_uid=EXPLICIT,
    )


class Receiving:
    """Spool, indexer and archive as the node has them, without a network."""

    def __init__(self, directory, database, headers=None):
        self.directory = directory
        self.database = database
        self.archive = Archive(directory, Layout.STUDY)
        self.spool = Spool(directory)
        self.headers = headers or HeaderReader(institution="", processes=1)
        self.indexer = Indexer(database, self.archive, self.spool, self.headers, aetitle="NODE")
        self.gate = Gate(self.spool, self.indexer)
        self.spooler = Spooler(self.spool, accepted=self.indexer.put, refusal=self.gate.refusal)
        self.task = None

    async def start(self):
        for path in await asyncio.to_thread(self.spool.open):
            self.indexer.put(path)
        self.task = asyncio.create_task(self.indexer.run())

    async def stop(self):
        self.gate.close()
        assert await self.spooler.close()
        if self.task is not None:
            self.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await self.task
        self.spool.close()

    def sink(self, uid=UID):
        return self.spooler.open(request(uid))

    async def store(self, data, uid=UID):
        sink = self.sink(uid)
        sink.write(data)
        return await sink.finish()

    async def indexed(self):
        async with asyncio.timeout(20):
            await self.indexer.wait_idle()

    async def stored(self, data, uid=UID):
        """Store, and wait until it is indexed."""
        assert await self.store(data, uid) == Status.SUCCESS
        await self.indexed()

    async def rows(self, sql):
        async with self.database.session() as session:
            return [tuple(row) for row in await session.execute(text(sql))]

    async def count(self, table="images"):
        ((count,),) = await self.rows(f"SELECT count(*) FROM {table}")
        return count

    def files(self):
        paths = (path for path in self.directory.rglob("*") if path.name != ".storage-id")
        return sorted(path for path in paths if path.is_file())

    def spooled(self):
        return [path for path in self.files() if ".spool" in path.parts]


@asynccontextmanager
async def running(directory, database, **options):
    receiving = Receiving(directory, database, **options)
    await receiving.start()
    try:
        yield receiving
    finally:
        await receiving.stop()


@pytest.fixture
async def database(migrated_url):
    async with Database(migrated_url) as database:
        yield database


@pytest.fixture
async def receiving(tmp_path, database):
    async with running(tmp_path / "dicom", database) as receiving:
        yield receiving


@pytest.fixture
async def spooling(tmp_path, migrated_sqlite_url):
    """The same where the database does not matter."""
    async with Database(migrated_sqlite_url) as database:
        async with running(tmp_path / "dicom", database) as receiving:
            yield receiving


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Put off for a moment only."""
    quick = Backoff(first=0.05, longest=30.0)
    monkeypatch.setattr(waiting, "BACKOFF", quick)
    monkeypatch.setattr("node.ops.indexing.outages.BACKOFF", quick)
    monkeypatch.setattr("node.ops.indexing.settling._PATIENCE", 0.5)


@pytest.fixture
def break_sync(monkeypatch):
    """Let the fsync of the directory of that name fail, once."""

    def apply(name):
        sync = durable.sync_directory
        seen = []

        def failing(path):
            if path.name == name and not seen:
                seen.append(path)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(path)

        monkeypatch.setattr(durable, "sync_directory", failing)
        return seen

    return apply


def fail_fsync(monkeypatch, number):
    """Let an fsync fail: the first one is a file's, the second one the spool's."""
    fsync, calls = os.fsync, []

    def failing(descriptor):
        calls.append(descriptor)
        if len(calls) == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    return calls


# 1. Into the spool


async def test_hundreds_of_objects_together_hold_little_memory_while_the_disk_stalls(
    spooling, monkeypatch
):
    monkeypatch.setattr("node.ops.receiving.spooling._TOGETHER", 1 << 20)
    goes_on, append = threading.Event(), Writing.append

    def stalled(writing, parts):
        assert goes_on.wait(20)
        append(writing, parts)

    monkeypatch.setattr(Writing, "append", stalled)
    sinks = [spooling.sink(f"1.2.3.{number}") for number in range(100)]
    part = bytes(1 << 16)
    for sink in sinks:
        while not sink.full:
            sink.write(part)
    held = spooling.spooler._memory.held
    assert held < (1 << 20) + len(sinks) * 5 * len(part)
    goes_on.set()
    async with asyncio.timeout(20):
        await asyncio.gather(*(sink.drained() for sink in sinks))
    for sink in sinks:
        sink.discard()
    assert await spooling.store(dataset()) == Status.SUCCESS
    # what was being written when its sender went is written to its end
    await wait_until_async(lambda: spooling.spooler._memory.held == 0)


@pytest.mark.parametrize("number", [1, 2], ids=["file", "directory"])
async def test_what_cannot_be_synced_is_not_acknowledged(spooling, monkeypatch, number):
    calls = fail_fsync(monkeypatch, number)
    assert await spooling.store(dataset()) == Status.OUT_OF_RESOURCES
    assert len(calls) == number  # never synced again
    assert spooling.files() == []
    assert spooling.indexer.backlog == 0
    await spooling.stored(dataset())
    assert await spooling.count() == 1
    assert len(spooling.files()) == 1


async def test_one_failed_sync_of_the_spool_fails_all_who_wait_for_it(spooling, monkeypatch):
    fsync, directory = os.fsync, spooling.spool._sync._descriptor
    failures = []

    def failing(descriptor):
        if descriptor == directory and not failures:
            # others come to wait for the next one meanwhile
            wait_until(lambda: len(list(spooling.directory.rglob("*.dcm"))) == 5, 10)
            failures.append(1)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    uids = [f"1.2.3.{number}" for number in range(5)]
    stores = [spooling.store(dataset(uid=uid), uid) for uid in uids]
    statuses = await asyncio.gather(*stores)
    await spooling.indexed()
    # One may have been renamed without waiting yet: it is synced by a later fsync then.
    acknowledged = {
        uid for uid, status in zip(uids, statuses, strict=True) if status == Status.SUCCESS
    }
    assert statuses.count(Status.OUT_OF_RESOURCES) >= 1
    assert {uid for (uid,) in await spooling.rows("SELECT image_uid FROM images")} == acknowledged
    assert len(spooling.files()) == len(acknowledged)


async def test_a_failed_fragment_never_becomes_a_shorter_object(spooling, monkeypatch):
    """The bytes that come after a failed write are no object of their own."""
    sink = spooling.sink()
    writev = os.writev

    def failing(descriptor, parts):
        monkeypatch.setattr(os, "writev", writev)
        raise MemoryError

    monkeypatch.setattr(os, "writev", failing)
    for _ in range(9):  # far more than may wait: it must not be waited for, either
        sink.write(bytes(1 << 20))
    while sink.full:
        async with asyncio.timeout(10):
            await sink.drained()
    sink.write(dataset())
    assert await sink.finish() == Status.OUT_OF_RESOURCES
    assert spooling.files() == []
    await spooling.stored(dataset())


async def test_memory_is_bounded_whatever_the_size_of_the_object(spooling):
    sink = spooling.sink()
    sink.write(dataset())
    most = 0
    for _ in range(48):
        sink.write(bytes(1 << 20))
        most = max(most, sink._gathered)
        if sink.full:
            await sink.drained()
    assert most <= 5 << 20
    sink.discard()
    assert sink._parts == []


async def test_fragments_of_a_byte_count_for_what_they_cost(spooling):
    sink = spooling.sink()
    fragments = 0
    while not sink.full:
        sink.write(b"x")
        fragments += 1
    assert fragments < 100_000
    sink.discard()


async def test_an_object_whose_sender_goes_leaves_nothing(spooling):
    sink = spooling.sink()
    for _ in range(3):
        sink.write(bytes(1 << 20))
    sink.discard()
    sink.write(b"more")
    assert await spooling.spooler.close()
    assert spooling.files() == []


async def test_a_whole_object_is_indexed_though_nobody_waits_for_the_answer(spooling):
    sink = spooling.sink()
    sink.write(dataset())
    answer = asyncio.create_task(sink.finish())
    await asyncio.sleep(0)
    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert await spooling.spooler.close()
    await spooling.indexed()
    assert await spooling.count() == 1
    assert spooling.spooled() == []


async def test_a_dataset_that_the_command_does_not_name_is_kept_durably_and_told(spooling):
    other = dataset(uid="1.2.3.99")
    assert await spooling.store(other) == Status.KEPT_APART == 0xB007
    await spooling.indexed()
    ((kind, kept),) = await spooling.rows("SELECT kind, filepath FROM quarantine")
    assert kind == "mismatch"
    assert dataset_bytes(Path(kept)) == other
    assert spooling.files() == [Path(kept)]
    assert await spooling.count() == 0


async def test_a_dataset_that_the_command_does_not_name_is_refused_where_the_disk_takes_none(
    spooling, monkeypatch
):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert await spooling.store(dataset(uid="1.2.3.99")) == Status.OUT_OF_RESOURCES
    monkeypatch.undo()
    assert spooling.files() == []
    assert spooling.indexer.backlog == 0


# 2. The gate


async def test_nothing_is_taken_while_the_disk_is_nearly_full(spooling, monkeypatch):
    free = [gates.FLOOR_BYTES - 1]
    monkeypatch.setattr(spooling.spool, "free_bytes", lambda: free[0])
    await spooling.gate.look()
    assert await spooling.store(dataset()) == Status.OUT_OF_RESOURCES
    free[0] = gates.FLOOR_BYTES + 1  # not enough yet to begin again
    await spooling.gate.look()
    assert await spooling.store(dataset()) == Status.OUT_OF_RESOURCES
    free[0] = 2 * gates.FLOOR_BYTES
    await spooling.gate.look()
    await spooling.stored(dataset())


async def test_the_disk_is_looked_at_again_while_objects_come(spooling, monkeypatch):
    monkeypatch.setattr(gates, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(spooling.spool, "free_bytes", lambda: 0)
    async with asyncio.timeout(10):
        while spooling.gate.refusal() is None:
            await asyncio.sleep(0.01)
    monkeypatch.undo()  # now by itself
    async with asyncio.timeout(10):
        while spooling.gate._disk is not None:
            await asyncio.sleep(0.01)
    await spooling.stored(dataset())


async def test_a_disk_that_hangs_holds_up_nobody_and_takes_nothing(spooling, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(gates, "_LOOK_EVERY", 0.0)
    monkeypatch.setattr(gates, "_TO_LOOK", 0.05)
    monkeypatch.setattr(spooling.spool, "free_bytes", lambda: go_on.wait(20) and 1 << 40)
    assert spooling.gate.refusal() is None  # begins to look
    async with asyncio.timeout(10):
        while (reason := spooling.gate.refusal()) is None:
            await asyncio.sleep(0.01)
    assert reason == "the filesystem of the storage directory does not answer"
    assert await spooling.store(dataset()) == Status.OUT_OF_RESOURCES
    go_on.set()
    await spooling.gate.look()
    await spooling.stored(dataset())


async def test_a_disk_that_does_not_say_how_full_it_is_is_not_trusted(spooling, monkeypatch):
    statvfs = os.statvfs

    def failing(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "statvfs", failing)
    await spooling.gate.look()
    assert await spooling.store(dataset()) == Status.OUT_OF_RESOURCES
    assert "Input/output error" in spooling.gate.refusal()
    monkeypatch.setattr(os, "statvfs", statvfs)
    await spooling.gate.look()
    await spooling.stored(dataset())


async def test_nothing_is_taken_while_too_much_waits_for_the_index(spooling, monkeypatch):
    monkeypatch.setattr(gates, "MOST_BACKLOG", 4)
    begin = Database.begin
    monkeypatch.setattr(Database, "begin", away)
    uids = [f"1.2.3.{number}" for number in range(8)]
    statuses = [await spooling.store(dataset(uid=uid), uid) for uid in uids]
    assert statuses == [Status.SUCCESS] * 5 + [Status.OUT_OF_RESOURCES] * 3
    wait = asyncio.timeout(10)
    async with wait:
        while spooling.indexer.trouble is None:
            await asyncio.sleep(0.01)
    assert spooling.gate.refusal() == "5 objects wait to be indexed: away"
    monkeypatch.setattr(Database, "begin", begin)
    await spooling.indexed()
    assert spooling.gate.refusal() is None
    assert await spooling.count() == 5


async def test_who_asks_for_studies_sees_the_disk_as_it_is_now_and_the_log_is_not_told(
    spooling, monkeypatch, caplog
):
    free = [1 << 40]
    monkeypatch.setattr(gates, "_LOOK_EVERY", 0.0)
    monkeypatch.setattr(spooling.spool, "free_bytes", lambda: free[0])
    assert await spooling.gate.closed() is None
    free[0] = 0
    assert await spooling.gate.closed() is not None
    free[0] = 1 << 40
    assert await spooling.gate.closed() is None
    assert caplog.records == []


async def test_who_asks_for_studies_does_not_wait_for_a_disk_that_hangs(spooling, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(gates, "_LOOK_EVERY", 0.0)
    monkeypatch.setattr(gates, "_TO_LOOK", 0.1)
    monkeypatch.setattr(spooling.spool, "free_bytes", lambda: go_on.wait(20) and 1 << 40)
    async with asyncio.timeout(10):
        reason = await spooling.gate.closed()
    assert reason == "the filesystem of the storage directory does not answer"
    go_on.set()


# 3. From the spool to the index


async def test_who_listens_is_told_which_studies_are_in_the_index(receiving):
    told = []

    def listen(studies):
        told.extend(studies)

    with receiving.indexer.telling(listen):
        await receiving.stored(dataset())
        await receiving.stored(dataset(uid="1.2.3.42"), uid="1.2.3.42")
    await receiving.stored(dataset(uid="1.2.3.43"), uid="1.2.3.43")
    assert told == ["1.2.3", "1.2.3"]


@asynccontextmanager
async def away(_):
    raise DatabaseUnavailable("away")
    yield


async def test_an_image_is_indexed_at_once(receiving):
    await receiving.stored(dataset())  # which has started the process that reads headers
    loop = asyncio.get_running_loop()
    before = loop.time()
    await receiving.stored(dataset(uid="1.2.3.42"), "1.2.3.42")
    assert loop.time() - before < 1.0
    (path, sha256), *_ = await receiving.rows(
        "SELECT filepath, sha256 FROM images WHERE image_uid = '1.2.3.42'"
    )
    assert dataset_bytes(Path(path)) == dataset(uid="1.2.3.42")
    assert len(sha256) == 64
    assert receiving.spooled() == []


@variants("directory", "1.2.3", "1.2.3.4")
async def test_a_name_that_cannot_be_synced_is_made_again(receiving, break_sync, directory):
    failed = break_sync(directory)
    await receiving.stored(dataset())
    assert failed
    assert await receiving.count() == 1
    assert len(receiving.files()) == 1
    assert receiving.indexer.trouble is None


@on_sqlite
async def test_what_is_put_off_holds_up_nothing_else_and_is_in_the_spool(receiving):
    obstacle = receiving.directory / "1.2.3" / "1.2.3.4"
    obstacle.parent.mkdir()
    obstacle.write_text("in the way")
    assert await receiving.store(dataset()) == Status.SUCCESS
    other = dataset(uid="1.2.3.5.1", series="1.2.3.5")
    assert await receiving.store(other, "1.2.3.5.1") == Status.SUCCESS
    async with asyncio.timeout(20):
        while receiving.indexer.backlog > 1 or receiving.indexer.trouble is None:
            await asyncio.sleep(0.01)
    assert await receiving.count() == 1
    assert len(receiving.spooled()) == 1
    assert "1.2.3.41.dcm" in receiving.indexer.trouble
    obstacle.unlink()
    await receiving.indexed()
    assert await receiving.count() == 2
    assert receiving.spooled() == []


@on_sqlite
async def test_a_quarantine_that_cannot_be_synced_is_made_again(receiving, break_sync):
    failed = break_sync(".quarantine")
    await receiving.stored(b"no dataset")
    assert failed
    assert await receiving.count("quarantine") == 1
    assert len(receiving.files()) == 1


async def test_a_database_that_is_away_gets_every_image_once_when_it_is_back(
    receiving, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(Database, "begin", away)
        for data in (b"no dataset", dataset(), dataset(), dataset("cd")):
            assert await receiving.store(data) == Status.SUCCESS
        assert len(receiving.spooled()) == 4
    await receiving.indexed()
    assert await receiving.count() == 1
    assert await receiving.count("quarantine") == 2
    assert len(receiving.files()) == 3


async def test_a_commit_whose_outcome_is_unknown_doubles_nothing(receiving, monkeypatch):
    begin = Database.begin
    lost = []

    @asynccontextmanager
    async def losing(database):
        async with begin(database) as session:
            yield session
        if len(lost) < 2:
            lost.append(1)
            raise DatabaseUnavailable("the connection was lost")

    monkeypatch.setattr(Database, "begin", losing)
    await receiving.stored(dataset())
    assert len(lost) == 2
    assert await receiving.count() == 1
    (path,) = receiving.files()
    assert path.read_bytes().endswith(dataset())
    await receiving.stored(dataset())
    assert receiving.files() == [path]


@on_sqlite
async def test_an_error_that_nobody_foresaw_puts_off_and_stops_nothing(receiving, monkeypatch):
    place, failures = receiving.archive.place, []

    def failing(spooled, **names):
        if names["sop_instance_uid"] == "1.2.3.1" and len(failures) < 3:
            failures.append(1)
            raise ZeroDivisionError
        return place(spooled, **names)

    monkeypatch.setattr(receiving.archive, "place", failing)
    uids = [f"1.2.3.{number}" for number in range(6)]
    statuses = [await receiving.store(dataset(uid=uid), uid) for uid in uids]
    assert statuses == [Status.SUCCESS] * 6
    await receiving.indexed()
    assert len(failures) == 3
    assert await receiving.count() == 6
    assert receiving.spooled() == []


@on_sqlite
async def test_an_entry_that_somebody_removed_stops_nothing(receiving, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr(Database, "begin", away)
        assert await receiving.store(dataset(uid="1.2.3.1"), "1.2.3.1") == Status.SUCCESS
        async with asyncio.timeout(10):
            while receiving.indexer.trouble is None:
                await asyncio.sleep(0.01)
        assert await receiving.store(dataset(), UID) == Status.SUCCESS
        (gone,) = [path for path in receiving.spooled() if path.read_bytes().endswith(dataset())]
        gone.unlink()
    await receiving.indexed()
    assert await receiving.count() == 1
    assert f"Somebody has removed {gone.name}" in caplog.text


# 4. The same object, and others under its name


async def test_the_same_and_another_object_at_once_are_one_image_and_one_in_quarantine(
    receiving, caplog
):
    stores = [receiving.store(dataset("ab" if n % 2 else "cd")) for n in range(12)]
    assert set(await asyncio.gather(*stores)) == {Status.SUCCESS}
    await receiving.indexed()
    assert await receiving.count() == 1
    assert await receiving.rows("SELECT kind FROM quarantine") == [("conflict",)]
    assert len(receiving.files()) == 2
    assert {path.read_bytes()[-2:] for path in receiving.files()} == {b"ab", b"cd"}
    assert "under a known SOP Instance UID from SENDER: in quarantine" in caplog.text


@on_sqlite
async def test_an_image_that_lost_its_file_gets_it_back(receiving):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    path.unlink()
    await receiving.stored(dataset())
    assert receiving.files() == [path]
    assert path.read_bytes().endswith(dataset())


@variants("filepath", "NULL", "'/gone/1.dcm'")
async def test_a_row_without_its_file_takes_the_one_that_comes(receiving, filepath):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    path.unlink()
    async with receiving.database.begin() as session:
        await session.execute(text(f"UPDATE images SET filepath = {filepath}"))
    await receiving.stored(dataset())
    assert receiving.files() == [path]
    ((found, sha256),) = await receiving.rows("SELECT filepath, sha256 FROM images")
    assert found == str(path)
    assert sha256 is not None


@variants(
    "spelling, forget",
    *product(["link", "file link", "dots"], ["", ", sha256 = NULL", ", node = NULL"]),
)
async def test_a_row_that_spells_the_place_otherwise_gives_no_file_away(
    receiving, tmp_path, spelling, forget
):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    inner = path.relative_to(receiving.directory)
    if spelling == "link":
        (tmp_path / "alias").symlink_to(receiving.directory)
        other = tmp_path / "alias" / inner
    elif spelling == "file link":
        other = tmp_path / "alias.dcm"
        other.symlink_to(path)
    else:
        (tmp_path / "a").mkdir()
        other = tmp_path / "a" / ".." / receiving.directory.name / inner
    async with receiving.database.begin() as session:
        await session.execute(text(f"UPDATE images SET filepath = '{other}'{forget}"))
    for gone in (True, True, False):
        if gone:
            path.unlink()
        await receiving.stored(dataset())
        assert path.read_bytes().endswith(dataset())
        ((named,),) = await receiving.rows("SELECT filepath FROM images")
        assert Path(named).samefile(path)
        assert receiving.files() == [path]


@on_sqlite
async def test_a_copy_is_given_up_only_while_the_other_one_is_there(receiving, monkeypatch):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    other = path.rename(path.with_name("other.dcm"))
    async with receiving.database.begin() as session:
        await session.execute(text(f"UPDATE images SET filepath = '{other}'"))
    discard = receiving.archive.discard

    def discarding(at):
        monkeypatch.undo()
        discard(at)
        other.unlink()

    monkeypatch.setattr(receiving.archive, "discard", discarding)
    await receiving.stored(dataset())
    (kept,) = receiving.files()
    assert kept.read_bytes().endswith(dataset())
    assert await receiving.rows("SELECT filepath FROM images") == [(str(kept),)]


@on_sqlite
async def test_other_bytes_never_take_the_place_of_a_file_that_is_gone(receiving):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    path.unlink()
    await receiving.stored(dataset("xy"))
    assert await receiving.count("quarantine") == 1
    (kept,) = receiving.files()
    assert kept.parent.name == ".quarantine"
    assert kept.read_bytes().endswith(dataset("xy"))


@variants(
    "damage, node",
    *product(["bare", "syntax"], ["'NODE'", "NULL"]),
    ids=["bare-received", "bare-parsed", "syntax-received", "syntax-parsed"],
)
async def test_a_header_is_looked_at_also_where_the_row_has_no_digest(receiving, damage, node):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    whole = path.read_bytes()
    other = b"1.2.840.10008.1.2".ljust(len(EXPLICIT), b"\0")
    path.write_bytes(dataset() if damage == "bare" else whole.replace(EXPLICIT.encode(), other))
    broken = path.read_bytes()
    async with receiving.database.begin() as session:
        await session.execute(text(f"UPDATE images SET sha256 = NULL, node = {node}"))
    await receiving.stored(dataset())
    ((kind, aside),) = await receiving.rows("SELECT kind, filepath FROM quarantine")
    assert kind == "conflict"
    assert Path(aside).read_bytes() == whole
    assert path.read_bytes() == broken


@on_sqlite
async def test_a_header_that_has_lost_its_transfer_syntax_is_repaired(receiving):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(EXPLICIT.encode(), bytes(len(EXPLICIT))))
    assert await faults(receiving) == [Fault.CHANGED]
    await receiving.stored(dataset())
    assert path.read_bytes() == whole
    assert await receiving.rows("SELECT kind FROM quarantine") == [("damaged",)]


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def dangling(path):
    path.unlink()
    path.symlink_to("/nowhere/x")


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


@variants("spoil", fifo, dangling, loop)
async def test_what_is_no_file_where_the_image_was_is_left_alone(receiving, spoil):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    spoil(path)
    await receiving.stored(dataset())
    ((named,),) = await receiving.rows("SELECT filepath FROM images")
    assert named != str(path)
    assert Path(named).read_bytes().endswith(dataset())
    assert not path.is_file()
    assert await receiving.count("quarantine") == 0
    await receiving.stored(dataset())
    assert await receiving.rows("SELECT filepath FROM images") == [(named,)]
    assert [one for one in receiving.files() if one.is_file()] == [Path(named)]


@variants("spoil", fifo, dangling, loop)
async def test_what_is_no_file_in_quarantine_stops_nothing(receiving, spoil):
    await receiving.stored(dataset())
    await receiving.stored(dataset("xy"))
    ((aside,),) = await receiving.rows("SELECT filepath FROM quarantine")
    spoil(Path(aside))
    await receiving.stored(dataset("xy"))
    await receiving.stored(dataset(uid="1.2.3.42"), "1.2.3.42")
    assert await receiving.count() == 2
    rows = await receiving.rows("SELECT filepath FROM quarantine ORDER BY id")
    assert [path == aside for (path,) in rows] == [True, False]
    assert Path(rows[1][0]).read_bytes().endswith(dataset("xy"))


@pytest.mark.parametrize("header", ["other", "same", "none"])
async def test_a_row_without_file_and_digest_takes_only_its_own_header(receiving, header):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    path.unlink()
    forget = ", meta = NULL" if header == "none" else ""
    async with receiving.database.begin() as session:
        await session.execute(text(f"UPDATE images SET sha256 = NULL, filepath = '/gone'{forget}"))
    await receiving.stored(dataset("xy" if header == "other" else "ab"))
    (kept,) = receiving.files()
    if header == "same":
        assert kept == path
        assert await receiving.rows("SELECT filepath FROM images") == [(str(path),)]
        return
    assert await receiving.rows("SELECT filepath FROM images") == [("/gone",)]
    assert await receiving.rows("SELECT kind, filepath FROM quarantine") == [
        ("conflict", str(kept))
    ]


async def damaged(receiving, position=-1):
    """Change a byte of the only file, without a trace in its size or times; return both."""
    (path,) = receiving.files()
    whole, status = path.read_bytes(), path.stat()
    flip_byte(path, position % len(whole))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return path, path.read_bytes()


async def faults(receiving):
    """Return what `verify` says of all images."""
    async with receiving.database.session() as session:
        held = await held_page(session)
    return [inspect(one).fault for one in held]


@variants("position", -1, 200, 20, ids=["dataset", "header", "preamble"])
async def test_what_is_sent_again_takes_the_place_of_a_damaged_file(receiving, position):
    await receiving.stored(dataset())
    path, broken = await damaged(receiving, position)
    assert await faults(receiving) == [Fault.CHANGED]
    await receiving.stored(dataset())
    assert path.read_bytes().endswith(dataset())
    assert await faults(receiving) == [None]
    ((kind, kept, uid),) = await receiving.rows(
        "SELECT kind, filepath, sop_instance_uid FROM quarantine"
    )
    assert (kind, uid) == ("damaged", UID)
    assert Path(kept).read_bytes() == broken
    assert receiving.files() == sorted([path, Path(kept)])
    await receiving.stored(dataset())
    assert await receiving.count("quarantine") == 1
    assert receiving.files() == sorted([path, Path(kept)])


async def test_a_file_that_is_damaged_twice_is_repaired_twice(receiving):
    await receiving.stored(dataset())
    for number in (1, 2):
        (path,) = [path for path in receiving.files() if ".quarantine" not in path.parts]
        path.write_bytes(b"x" * number)
        await receiving.stored(dataset())
        assert await faults(receiving) == [None]
        assert await receiving.count("quarantine") == number


async def test_what_is_sent_again_by_another_peer_repairs_size_and_source_as_well(receiving):
    await receiving.stored(dataset())
    await damaged(receiving)
    sink = receiving.spooler.open(
        replace(request(), caller=Caller(aetitle="ANOTHER ONE", address="127.0.0.1", port=104))
    )
    sink.write(dataset())
    assert await sink.finish() == Status.SUCCESS
    await receiving.indexed()
    assert await faults(receiving) == [None]
    assert await receiving.rows("SELECT source FROM images") == [("ANOTHER ONE",)]


@variants("step, where", *product(["set_aside", "replace", "discard"], ["renamed", "canonical"]))
async def test_a_repair_that_fails_at_a_step_is_done_again(receiving, monkeypatch, step, where):
    await receiving.stored(dataset())
    path, broken = await damaged(receiving)
    if where == "renamed":
        path = path.rename(path.with_name("renamed.dcm"))
        async with receiving.database.begin() as session:
            await session.execute(text(f"UPDATE images SET filepath = '{path}'"))
    works, failures = getattr(receiving.archive, step), []

    def failing(*args, **names):
        if len(failures) < 2:
            failures.append(works(*args, **names) if len(failures) else None)
            raise StorageError("no")
        return works(*args, **names)

    monkeypatch.setattr(receiving.archive, step, failing)
    await receiving.stored(dataset())
    assert await faults(receiving) == [None]
    ((kind, kept),) = await receiving.rows("SELECT kind, filepath FROM quarantine")
    assert (kind, Path(kept).read_bytes()) == ("damaged", broken)
    assert receiving.files() == sorted([path, Path(kept)])


async def outside(receiving, folder, content, *, sha256):
    """Move the only file out of the storage directory, and let its row say so."""
    (path,) = receiving.files()
    path.unlink()
    folder.mkdir()
    moved = folder / "x.dcm"
    moved.write_bytes(content)
    digest = f"'{sha256}'" if sha256 else "NULL"
    async with receiving.database.begin() as session:
        await session.execute(
            text(
                "UPDATE images SET node = NULL, storage_id = NULL,"
                f" filepath = '{moved}', sha256 = {digest}"
            )
        )
    return path, moved


@variants("whose", "node = 'OTHER'", "storage_id = 'theirs'")
async def test_what_another_node_has_received_was_not_parsed(receiving, tmp_path, whose):
    await receiving.stored(dataset())
    sha256 = hashlib.sha256(dataset()).hexdigest()
    (whole,) = [path.read_bytes() for path in receiving.files()]
    path, _ = await outside(receiving, tmp_path / "theirs", whole, sha256=sha256)
    async with receiving.database.begin() as session:
        await session.execute(text(f"UPDATE images SET {whose}"))
    await receiving.stored(dataset())
    rows = await receiving.rows("SELECT filepath, parsed_from, node FROM images")
    assert rows == [(str(path), None, "NODE")]


@variants(
    "there, digest",
    *product(["sound", "damaged"], [True, False]),
    ids=["sound-digest", "sound-no digest", "damaged-digest", "damaged-no digest"],
)
async def test_what_lies_outside_gets_a_file_in_the_archive(receiving, tmp_path, digest, there):
    await receiving.stored(dataset())
    (whole,) = [path.read_bytes() for path in receiving.files()]
    content = whole if there == "sound" else whole[:-1] + b"x"
    sha256 = hashlib.sha256(dataset()).hexdigest() if digest else None
    path, moved = await outside(receiving, tmp_path / "share", content, sha256=sha256)
    await receiving.stored(dataset())
    rows = await receiving.rows("SELECT filepath, parsed_from, node FROM images")
    if there == "damaged" and not digest:  # what is there is what is indexed
        assert rows == [(str(moved), None, None)]
        assert await receiving.rows("SELECT kind FROM quarantine") == [("conflict",)]
    else:
        assert rows == [(str(path), str(moved), "NODE")]
        assert await faults(receiving) == [None]
        assert receiving.files() == [path]
    assert moved.read_bytes() == content
    await receiving.stored(dataset())
    assert len(receiving.files()) == 1


@on_sqlite
async def test_a_link_in_the_archive_to_a_file_outside_is_outside(receiving, tmp_path):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    target = tmp_path / "target.dcm"
    path.rename(target)
    path.symlink_to(target)
    await receiving.stored(dataset())
    ((filepath,),) = await receiving.rows("SELECT filepath FROM images")
    assert not Path(filepath).is_symlink()
    assert Path(filepath).read_bytes().endswith(dataset())


@variants("folder, digest", *product([".spool/1-a", ".quarantine"], ["sha256", "NULL"]))
async def test_what_lies_in_a_folder_of_the_nodes_own_gets_a_file_in_the_archive(
    receiving, folder, digest
):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    aside = receiving.directory / folder / "x.dcm"
    aside.parent.mkdir(parents=True, exist_ok=True)
    path.rename(aside)
    async with receiving.database.begin() as session:
        await session.execute(text(f"UPDATE images SET filepath = '{aside}', sha256 = {digest}"))
    await receiving.stored(dataset())
    assert await receiving.rows("SELECT filepath FROM images") == [(str(path),)]
    assert path.read_bytes().endswith(dataset())


@variants("content", b"no DICOM file, whatever it may be", b"", None)
async def test_what_cannot_be_compared_is_not_the_same(receiving, tmp_path, content):
    await receiving.stored(dataset())
    bare = dataset("xy") if content is None else content
    _, moved = await outside(receiving, tmp_path / "share", bare, sha256=None)
    await receiving.stored(dataset())
    ((kind, kept),) = await receiving.rows("SELECT kind, filepath FROM quarantine")
    assert kind == "conflict"
    assert Path(kept).read_bytes().endswith(dataset())
    assert await receiving.rows("SELECT filepath FROM images") == [(str(moved),)]
    assert moved.read_bytes() == bare


@variants("error", errno.EIO, errno.EACCES)
async def test_what_cannot_be_read_is_not_the_same(receiving, tmp_path, monkeypatch, error):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    async with receiving.database.begin() as session:
        await session.execute(text("UPDATE images SET sha256 = NULL"))
    read, asked = kept_files.dataset_digest, []

    def unreadable(name):
        if name != str(path):
            return read(name)
        asked.append(name)
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(kept_files, "dataset_digest", unreadable)
    await receiving.stored(dataset("xy"))
    assert len(asked) > 1
    ((kind, reason, aside),) = await receiving.rows("SELECT kind, reason, filepath FROM quarantine")
    assert kind == "conflict"
    assert os.strerror(error) in reason
    assert receiving.files() == sorted([path, Path(aside)])


@variants("times", 100, 2, ids=["for good", "for a moment"])
async def test_a_file_is_damaged_only_when_it_stays_unreadable(receiving, monkeypatch, times):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    read, asked = kept_files.dataset_digest, []

    def unreadable(name):
        asked.append(name)
        if len(asked) <= times:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(name)

    monkeypatch.setattr(kept_files, "dataset_digest", unreadable)
    monkeypatch.setattr("node.storage.archive._is_identical", lambda *_: False)
    await receiving.stored(dataset())
    assert await receiving.count("quarantine") == (times == 100)
    assert path.read_bytes().endswith(dataset())
    assert await faults(receiving) == [None]


@on_sqlite
async def test_a_file_that_cannot_be_read_is_given_time_however_often_it_is_tried(
    receiving, monkeypatch
):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    read, asked = kept_files.dataset_digest, []

    def unreadable(name):
        asked.append(time.monotonic())
        if asked[-1] - asked[0] < 1.0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(name)

    monkeypatch.setattr("node.ops.indexing.settling._PATIENCE", 60.0)
    monkeypatch.setattr(waiting, "BACKOFF", Backoff(first=0.05, longest=0.05))
    monkeypatch.setattr(kept_files, "dataset_digest", unreadable)
    monkeypatch.setattr("node.storage.archive._is_identical", lambda *_: False)
    await receiving.stored(dataset())
    assert len(asked) > 5
    assert await receiving.count("quarantine") == 0
    assert receiving.files() == [path]


async def test_an_object_that_comes_while_its_file_is_missed_keeps_its_path(receiving):
    """Who misses files has looked a moment before; the object has its name before it is judged."""
    await receiving.stored(dataset())
    (path,) = receiving.files()
    path.unlink()
    async with receiving.database.session() as session:
        seen = list((await held_by_uid(session, [UID])).values())

    async def gone(images):
        assert await receiving.store(dataset()) == Status.SUCCESS
        async with asyncio.timeout(20):
            while not path.exists():
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # on PostgreSQL the indexer reads the row meanwhile
        return images

    async with receiving.database.begin() as session:
        await lose_files(session, seen, gone=gone)
    await receiving.indexed()
    assert await receiving.rows("SELECT filepath FROM images") == [(str(path),)]
    assert receiving.files() == [path]
    assert await receiving.count("quarantine") == 0


@on_sqlite
async def test_a_name_that_an_attempt_before_has_made_does_not_stay(receiving, monkeypatch):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    read, compare, failed = kept_files.dataset_digest, archives._is_identical, []

    def unreadable(name, *others):
        failed.append(name)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def once(broken, sound, wanted):
        return lambda *args: broken(*args) if len(failed) < wanted else sound(*args)

    # neither comparing nor looking is possible at first: the object gets a name beside the place
    monkeypatch.setattr(archives, "_is_identical", lambda *args: bool(failed) and compare(*args))
    monkeypatch.setattr(kept_files, "dataset_digest", once(unreadable, read, 1))
    await receiving.stored(dataset())
    assert failed == [str(path)]
    assert receiving.files() == [path]
    assert await receiving.count("quarantine") == 0


async def test_a_damaged_file_in_quarantine_is_not_relied_on(receiving):
    await receiving.stored(dataset())
    await receiving.stored(dataset("xy"))
    ((aside,),) = await receiving.rows("SELECT filepath FROM quarantine")
    flip_byte(Path(aside), Path(aside).stat().st_size - 1)
    await receiving.stored(dataset("xy"))
    assert await receiving.count("quarantine") == 2
    assert sum(path.read_bytes().endswith(dataset("xy")) for path in receiving.files()) == 1


@on_sqlite
async def test_a_damaged_header_in_quarantine_is_not_relied_on(receiving):
    await receiving.stored(dataset())
    await receiving.stored(dataset("xy"))
    ((aside,),) = await receiving.rows("SELECT filepath FROM quarantine")
    whole = Path(aside).read_bytes()
    Path(aside).write_bytes(whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"))
    for _ in range(2):
        await receiving.stored(dataset("xy"))
        assert await receiving.count("quarantine") == 2
    assert sum(path.read_bytes() == whole for path in receiving.files()) == 1


async def test_a_conflict_with_the_bytes_of_a_damaged_file_has_its_own_row(receiving):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    flip_byte(path, path.stat().st_size - 1)
    other = path.read_bytes()[-len(dataset()) :]
    await receiving.stored(dataset())
    await receiving.stored(other)
    rows = await receiving.rows("SELECT kind, filepath FROM quarantine ORDER BY id")
    assert [kind for kind, _ in rows] == ["damaged", "conflict"]
    assert all(Path(kept).read_bytes().endswith(other) for _, kept in rows)


@on_sqlite
async def test_what_lies_under_another_name_in_the_archive_is_synced_before_it_is_relied_on(
    receiving, monkeypatch
):
    await receiving.stored(dataset())
    (path,) = receiving.files()
    restored = path.with_name("restored.dcm")
    restored.write_bytes(path.read_bytes())
    path.unlink()
    async with receiving.database.begin() as session:
        await session.execute(text(f"UPDATE images SET filepath = '{restored}'"))
    synced = []
    sync_file, sync_directory = durable.sync_file, durable.sync_directory
    monkeypatch.setattr(durable, "sync_file", lambda at: (synced.append(at), sync_file(at)))
    monkeypatch.setattr(
        durable, "sync_directory", lambda at: (synced.append(at), sync_directory(at))
    )
    await receiving.stored(dataset())
    assert restored in synced
    assert restored.parent in synced[synced.index(restored) :]
    assert receiving.files() == [restored]


async def test_uids_that_only_the_whole_header_shows_to_be_others_are_a_mismatch(receiving):
    """They stand behind others, out of order, where a look at the head does not find them."""
    data = ui(0x0020000D, "1.2.3") + ui(0x0020000E, "1.2.3.4") + ui(0x00080016, MR)
    data += ui(0x00080018, "1.2.3.99")
    await receiving.stored(data)
    ((kind, reason),) = await receiving.rows("SELECT kind, reason FROM quarantine")
    assert kind == "mismatch"
    assert UID in reason
    assert await receiving.count() == 0


# 5. Processes that read headers


@variants("endless", [1, 2, 5, 7], [5], ids=["several", "one"])
async def test_a_header_that_never_ends_is_found_and_kept(tmp_path, database, monkeypatch, endless):
    extract = Worker.extract

    async def slow(self, paths):
        """Say nothing when the file is among those that are asked for, as a busy process does."""
        if any(b"never" in Path(path).read_bytes() for path in paths):
            await asyncio.sleep(3600)
        async for answers in extract(self, paths):
            yield answers

    monkeypatch.setattr(Worker, "extract", slow)
    headers = HeaderReader(
        institution="",
        processes=1,
        deadlines=ReadingDeadlines(together=0.3, alone=0.6, after_one=0.5),
    )
    receiving = Receiving(tmp_path / "dicom", database, headers=headers)
    await asyncio.to_thread(receiving.spool.open)
    uids = [f"1.2.3.{number}" for number in range(8)]
    for number, uid in enumerate(uids):
        comment = "never!" if number in endless else "ab"
        assert await receiving.store(dataset(comment, uid=uid), uid) == Status.SUCCESS
    receiving.task = asyncio.create_task(receiving.indexer.run())  # all of them are one batch
    try:
        await receiving.indexed()
        rows = await receiving.rows("SELECT kind, reason, sop_instance_uid FROM quarantine")
        assert [(row[0], row[2]) for row in rows] == [("undecodable", uids[n]) for n in endless]
        # it is long until the first one is condemned, and not so long until the others are
        seconds = ["0.6", *["0.5"] * (len(endless) - 1)]
        assert [row[1] for row in rows] == [
            f"its header was not read within {s} s" for s in seconds
        ]
        assert await receiving.count() == 8 - len(endless)
    finally:
        await receiving.stop()


@pytest.mark.parametrize("how", ["a disk that stands still", "a machine that swaps"])
async def test_while_no_header_is_read_in_time_everything_waits(
    tmp_path, migrated_sqlite_url, monkeypatch, how
):
    flag = tmp_path / "stalled"
    halt = "time.sleep(0.05)" if "disk" in how else "os.kill(os.getpid(), signal.SIGSTOP)"
    monkeypatch.setattr(
        "schema.parsing.pool.PROGRAM",
        "import os, signal, time\n"
        "from schema.parsing import worker\n"
        "extract = worker.extract\n"
        "def slow(path, reading, alive):\n"
        f"    while os.path.exists({str(flag)!r}):\n"
        f"        {halt}\n"
        "    return extract(path, reading, alive)\n"
        "worker.extract = slow\n"
        "worker.main()\n",
    )
    flag.touch()
    deadlines = ReadingDeadlines(together=0.3, alone=0.3, after_one=0.3)
    headers = HeaderReader(institution="", processes=2, deadlines=deadlines)
    uids = [f"1.2.3.{number}" for number in range(9)]
    async with Database(migrated_sqlite_url) as database:
        async with running(tmp_path / "dicom", database, headers=headers) as receiving:
            for uid in uids:
                assert await receiving.store(dataset(uid=uid), uid) == Status.SUCCESS
            async with asyncio.timeout(30):
                while receiving.indexer.trouble is None:
                    await asyncio.sleep(0.01)
            assert "not read" in receiving.indexer.trouble
            flag.unlink()
            await receiving.indexed()
            assert await receiving.count() == len(uids)
            assert await receiving.count("quarantine") == 0
            assert receiving.spooled() == []


@on_sqlite
async def test_a_process_that_is_killed_costs_no_image(receiving):
    await receiving.stored(dataset())
    worker = receiving.headers._readers[0]._worker
    worker.kill()
    await receiving.stored(dataset(uid="1.2.3.42"), "1.2.3.42")
    assert await receiving.count() == 2
    assert await receiving.count("quarantine") == 0


@on_sqlite
async def test_a_process_that_stands_still_is_replaced(tmp_path, database):
    headers = HeaderReader(
        institution="", processes=1, deadlines=ReadingDeadlines(together=0.5, alone=5.0)
    )
    async with running(tmp_path / "dicom", database, headers=headers) as receiving:
        await receiving.stored(dataset())
        (worker,) = headers._readers
        stopped = worker.pid
        os.kill(stopped, signal.SIGSTOP)
        await receiving.stored(dataset(uid="1.2.3.42"), "1.2.3.42")
        assert worker.pid not in (None, stopped)
        assert await receiving.count() == 2
        assert await receiving.count("quarantine") == 0


@on_sqlite
async def test_while_no_process_can_be_started_everything_waits(tmp_path, database, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/nonexistent")
        async with running(tmp_path / "dicom", database) as receiving:
            assert await receiving.store(dataset()) == Status.SUCCESS
            async with asyncio.timeout(10):
                while receiving.indexer.trouble is None:
                    await asyncio.sleep(0.01)
            assert "no process can be started" in receiving.indexer.trouble
            patch.undo()
            await receiving.indexed()
            assert await receiving.count() == 1


async def test_what_the_database_cannot_hold_is_kept_in_quarantine(receiving, monkeypatch):
    """No value is known that it cannot hold: one of them is made up."""

    async def refusing(session, records):
        if any(record.image_uid == "1.2.3.2" for record in records):
            raise DataError("INSERT", {}, Exception("out of range"))
        return await add_images(session, records)

    monkeypatch.setattr("node.ops.indexing.records.add_images", refusing)
    uids = [f"1.2.3.{number}" for number in range(5)]
    for uid in uids:
        assert await receiving.store(dataset(uid=uid), uid) == Status.SUCCESS
    await receiving.indexed()
    assert await receiving.count() == 4
    ((kind, reason, kept),) = await receiving.rows("SELECT kind, reason, filepath FROM quarantine")
    assert (kind, reason) == ("unindexable", "the database refuses it: DataError")
    assert dataset_bytes(Path(kept)) == dataset(uid="1.2.3.2")
    assert len(receiving.files()) == 5


# 6. The next start


async def test_no_object_waits_for_an_index_that_its_uid_never_fits_into(receiving):
    digits = random.Random(36)
    uid = "1.2." + "".join(digits.choices("0123456789", k=6000))
    whole = dataset(uid=uid)
    without_study = ui(0x00080016, MR) + ui(0x00080018, uid)
    for encoded in (without_study, whole, dataset("another", uid=uid)):
        assert await receiving.store(encoded, uid) == Status.SUCCESS
        await receiving.indexed()
    assert receiving.spooled() == []
    assert await receiving.count("images") == 1
    assert await receiving.rows("SELECT kind FROM quarantine ORDER BY kind") == [
        ("conflict",),
        ("undecodable",),
    ]
    async with receiving.database.session() as session:
        query = select(Quarantined.id).where(Quarantined.sop_instance_uid == uid)
        assert len((await session.scalars(query)).all()) == 2


async def test_the_next_start_goes_on_with_what_was_left(tmp_path, database):
    directory = tmp_path / "dicom"
    dead = Receiving(directory, database)
    dead.spool.open()
    other = dataset(uid="1.2.3.42")
    assert await dead.store(dataset()) == Status.SUCCESS
    assert await dead.store(other, "1.2.3.42") == Status.SUCCESS
    assert await dead.store(b"no dataset", "1.2.3.43") == Status.SUCCESS
    damaged = dead.spooled()
    assert await dead.store(dataset(uid="1.2.3.44"), "1.2.3.44") == Status.SUCCESS
    (damaged,) = set(dead.spooled()) - set(damaged)
    damaged.write_bytes(b"what the disk made of it")
    before = dead.spooled()
    assert await dead.store(dataset(uid="1.2.3.45"), "1.2.3.45") == Status.SUCCESS
    (torn,) = set(dead.spooled()) - set(before)
    torn.write_bytes(torn.read_bytes()[:-8])  # its header is whole, and it could be indexed
    unfinished = dead.sink()
    for _ in range(2):
        unfinished.write(bytes(1 << 20))
    assert await dead.spooler.close()
    dead.spool.close()  # it has only let go: what is not indexed stays
    assert len(dead.spooled()) == 5
    async with running(directory, database) as receiving:
        await receiving.indexed()
        rows = await receiving.rows("SELECT image_uid, source FROM images ORDER BY image_uid")
        assert rows == [(UID, "SENDER"), ("1.2.3.42", "SENDER")]
        kept = await receiving.rows(
            "SELECT sop_instance_uid, reason LIKE '%not what was received%' FROM quarantine"
            " WHERE kind = 'undecodable'"
        )
        assert sorted(kept) == [("", True), ("1.2.3.43", False), ("1.2.3.45", True)]
        assert len(receiving.files()) == 5
        assert receiving.spooled() == []


async def test_what_was_committed_before_a_crash_is_the_same_image_after_it(
    tmp_path, database, monkeypatch
):
    directory = tmp_path / "dicom"
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "remove", lambda self, entries: None)
        async with running(directory, database) as crashed:
            for data in (dataset(), dataset("cd"), b"no dataset"):
                await crashed.stored(data)
        assert len(crashed.spooled()) == 3
    before = await crashed.rows("SELECT image_uid, filepath, received_on FROM images")
    async with running(directory, database) as receiving:
        await receiving.indexed()
        after = await receiving.rows("SELECT image_uid, filepath, received_on FROM images")
        assert after == before
        assert await receiving.count("quarantine") == 2
        assert len(receiving.files()) == 3
