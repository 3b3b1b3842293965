"""The power fails: nothing is left but what was fsynced, and the name only where its folder was.

The calls that the store makes are watched, and the disk is followed as the worst one would be:
what was not synced is not there, and what was removed is gone. At each call every acknowledged
object must be on that disk, whole. The same watch must find a store that leaves out an fsync.
"""

import asyncio
import hashlib
import os
import threading
from pathlib import Path

import pytest

from node.dicom.status import Status
from node.storage.archive import Archive
from schema import Database
from tests.net.test_store import away, dataset, running
from tests.support.images import dataset_bytes
from tests.support.worst_disk import Disk, File, Folder


class WatchedDisk(Disk):
    """Follows the calls below a folder; `check` is called after each of them."""

    ignored = None
    """The kind of thing of which an fsync does nothing."""

    def __init__(self, root, monkeypatch, check):
        super().__init__(root)
        self.opened = {}
        self.lock = threading.RLock()
        self.check = check
        self.calls = 0
        for name in ("open", "close", "writev", "rename", "link", "unlink", "mkdir", "rmdir"):
            follow = getattr(self, f"follow_{name}")
            monkeypatch.setattr(os, name, self._watched(getattr(os, name), follow))
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def _watched(self, real, follow):
        def call(*args, **kwargs):
            with self.lock:  # a call and what follows from it are one
                result = real(*args, **kwargs)
                if follow(result, *args):
                    self.calls += 1
                    self.check()
                return result

        return call

    def fsync(self, descriptor):
        with self.lock:
            node = self.opened.get(descriptor)
            seen = node and node.seen()
        self._fsync(descriptor)  # what comes meanwhile is not covered
        with self.lock:
            if node is not None and not (self.ignored and isinstance(node, self.ignored)):
                node.synced(seen)
                self.calls += 1
                self.check()

    def follow_open(self, result, path, flags, *_):
        if not isinstance(path, str | Path):
            return False
        if flags & os.O_CREAT:
            self.create(Path(path))
        self.opened[result] = self.find(Path(path))
        return self.opened[result] is not None

    def follow_close(self, _, descriptor):
        self.opened.pop(descriptor, None)
        return False

    def follow_writev(self, result, descriptor, parts):
        node = self.opened.get(descriptor)
        if node is None:
            return False
        node.append(b"".join(parts)[:result])
        return True

    def follow_rename(self, _, old, new):
        return self.rename(Path(old), Path(new))

    def follow_link(self, _, old, new):
        return self.link(Path(old), Path(new))

    def follow_unlink(self, _, path, *__):
        return self.remove(Path(path))

    follow_rmdir = follow_unlink

    def follow_mkdir(self, _, path, *__):
        return self.mkdir(Path(path))

    def contents(self):
        """Return what is there when the power has failed: path and content."""
        return {path: file.durable for path, file in self.survivors().items()}

    def torn(self, folder=None):
        """Return the names in the archive of objects whose bytes are not durable."""
        found = []
        for name, node in (folder or self.tree).entries.items():
            if name == ".spool":  # whose names say what must be there
                continue
            if isinstance(node, Folder):
                found += self.torn(node)
            elif name.endswith(".dcm") and node.content != node.durable:
                found.append(name)
        return found


def digest_of(content):
    """Return the digest of the dataset behind our header, of 144 bytes and the rest of group 2."""
    return hashlib.sha256(content[144 + int.from_bytes(content[140:144], "little") :]).digest()


class Watch:
    """A store whose disk is watched from its first call."""

    def __init__(self, directory, monkeypatch):
        self.acknowledged = {}
        self.failures = []
        self.disks = []
        directory.mkdir()
        self.disk = WatchedDisk(directory, monkeypatch, self.look)

    def look(self):
        there = set(map(digest_of, self.disk.contents().values()))
        if lost := self.acknowledged.keys() - there:
            self.failures.append(f"call {self.disk.calls}: {len(lost)} acknowledged are lost")
        if torn := self.disk.torn():
            self.failures.append(f"call {self.disk.calls}: {torn} are not durable")

    async def store(self, receiving, number):
        uid = f"1.2.3.{number}"
        data = dataset("x" * number, uid=uid, series=f"1.2.3.4.{number % 3}")
        sink = receiving.sink(uid)
        for start in range(0, len(data), 50):
            sink.write(data[start : start + 50])
            if number % 2 and sink._under_way is None:
                sink._write_out()  # as a large one does
        assert await sink.finish() == Status.SUCCESS
        with self.disk.lock:
            self.acknowledged[hashlib.sha256(data).digest()] = uid
            self.look()
            self.disks.append((dict(self.acknowledged), self.disk.contents()))


@pytest.fixture
async def database(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database:
        yield database


async def fill(directory, database, monkeypatch, *, index=True):
    with monkeypatch.context() as patch:
        watch = Watch(directory, patch)
        async with running(directory, database) as receiving:
            for some in range(3):  # several at once, and then some more
                await asyncio.gather(*(watch.store(receiving, 8 * some + n) for n in range(8)))
            if index:
                await receiving.indexed()
                assert await receiving.count() == 24
    assert watch.disk.calls > 100
    return watch


async def test_every_acknowledged_object_is_on_the_worst_disk_at_every_call(
    tmp_path, database, monkeypatch
):
    watch = await fill(tmp_path / "dicom", database, monkeypatch)
    assert watch.failures == []
    assert len(watch.acknowledged) == 24


async def test_a_node_that_starts_after_the_power_loss_indexes_what_was_acknowledged(
    tmp_path, database, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(Database, "begin", away)  # so that everything is still in the spool
        watch = await fill(tmp_path / "dicom", database, patch, index=False)
    assert watch.failures == []
    for acknowledged, survivors in watch.disks[::8]:
        folder = tmp_path / f"after-{len(acknowledged)}"
        for path, content in survivors.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        url = f"sqlite:///{folder}.db"
        async with Database(url) as fresh:
            await fresh.initialize()
            async with running(folder, fresh) as receiving:
                await receiving.indexed()
                rows = await receiving.rows("SELECT image_uid, filepath FROM images")
                assert set(acknowledged.values()) <= {uid for uid, _ in rows}
                digests = {hashlib.sha256(dataset_bytes(Path(path))).digest() for _, path in rows}
                assert acknowledged.keys() <= digests
                assert await receiving.count("quarantine") == 0


@pytest.mark.parametrize("kind", [File, Folder], ids=["files", "directories"])
async def test_the_watch_finds_a_store_that_leaves_out_an_fsync(
    tmp_path, database, monkeypatch, kind
):
    monkeypatch.setattr(WatchedDisk, "ignored", kind)
    watch = await fill(tmp_path / "dicom", database, monkeypatch)
    assert any("lost" in failure for failure in watch.failures)


async def test_the_watch_finds_an_archive_that_does_not_sync_its_folders(
    tmp_path, database, monkeypatch
):
    monkeypatch.setattr(Archive, "sync", lambda self, placed: [None] * len(placed))
    watch = await fill(tmp_path / "dicom", database, monkeypatch)
    assert any("lost" in failure for failure in watch.failures)
