"""Directories and their entries, made durable in the order that a power loss asks for."""

import errno
import os
import threading
from pathlib import Path

import pytest

from node.storage import durable
from node.storage.durable import Directories, DirectorySync, write_all
from tests.support.waiting import wait_until


@pytest.fixture
def synced(monkeypatch):
    paths = []
    sync = durable.sync_directory

    def noting(path):
        sync(path)
        paths.append(path)

    monkeypatch.setattr(durable, "sync_directory", noting)
    return paths


def test_each_new_directory_is_synced_into_its_parent_before_it_is_used(tmp_path, synced):
    directories = Directories()
    directories.make(tmp_path / "a" / "b")
    assert synced[-2:] == [tmp_path, tmp_path / "a"]
    del synced[:]
    directories.make(tmp_path / "a" / "b")
    assert synced == []
    directories.make(tmp_path / "a" / "c")
    assert synced == [tmp_path / "a"]


def test_a_directory_that_another_process_made_is_not_trusted_to_be_durable(tmp_path, synced):
    (tmp_path / "a" / "b").mkdir(parents=True)
    Directories().make(tmp_path / "a" / "b")
    assert synced[-2:] == [tmp_path, tmp_path / "a"]


def test_a_directory_that_could_not_be_synced_is_made_again(tmp_path, monkeypatch):
    sync = durable.sync_directory

    def failing(path):
        if path == tmp_path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(path)

    directories = Directories()
    directories.make(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_directory", failing)
        with pytest.raises(OSError, match="Input/output"):
            directories.make(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    directories.make(tmp_path / "a")
    assert (tmp_path / "a").is_dir()


def test_a_folder_above_ours_that_may_not_be_read_is_passed(tmp_path, monkeypatch):
    sync = durable.sync_directory

    def failing(path):
        if path == tmp_path.parent:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        sync(path)

    monkeypatch.setattr(durable, "sync_directory", failing)
    Directories().make(tmp_path / "a")
    assert (tmp_path / "a").is_dir()


@pytest.fixture
def directory(tmp_path):
    directory = DirectorySync(tmp_path)
    yield directory
    directory.close()


class Disk:
    """An fsync that waits to be let go, and may fail."""

    def __init__(self, monkeypatch):
        self.calls = 0
        self.go = threading.Semaphore(0)
        self.failing = set()
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, _):
        self.calls += 1
        number = self.calls
        assert self.go.acquire(timeout=20)
        if number in self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def syncing(directory, outcomes):
    def run():
        try:
            directory.sync()
        except OSError as error:
            outcomes.append(error.errno)
        else:
            outcomes.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def waiters(directory):
    return len(directory._change._waiters)


def test_who_comes_during_an_fsync_shares_the_next_one(directory, monkeypatch):
    disk, outcomes = Disk(monkeypatch), []
    threads = [syncing(directory, outcomes)]
    wait_until(lambda: disk.calls == 1, 10)
    threads += [syncing(directory, outcomes) for _ in range(6)]
    wait_until(lambda: waiters(directory) == 6, 10)
    disk.go.release()
    wait_until(lambda: disk.calls == 2, 10)
    assert outcomes == [None]  # the first fsync began before the others came
    disk.go.release()
    for thread in threads:
        thread.join(10)
    assert outcomes == [None] * 7
    assert disk.calls == 2


def test_a_failed_fsync_fails_all_who_wait_and_nobody_later(directory, monkeypatch):
    disk, outcomes = Disk(monkeypatch), []
    disk.failing = {1}
    threads = [syncing(directory, outcomes)]
    wait_until(lambda: disk.calls == 1, 10)
    threads += [syncing(directory, outcomes) for _ in range(3)]
    wait_until(lambda: waiters(directory) == 3, 10)
    disk.go.release()
    for thread in threads:
        thread.join(10)
    assert outcomes == [errno.EIO] * 4
    assert disk.calls == 1
    disk.go.release()
    directory.sync()
    assert disk.calls == 2


def test_short_writes_and_many_pieces_are_written_to_the_end(tmp_path, monkeypatch):
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, parts: writev(fd, [bytes(parts[0])[:7]]))
    parts = [bytes([number % 251]) * (number % 23) for number in range(700)]
    with (tmp_path / "file").open("wb") as file:
        write_all(file.fileno(), parts)
        monkeypatch.undo()
        write_all(file.fileno(), parts)
    assert (tmp_path / "file").read_bytes() == b"".join(parts) * 2


def test_a_full_disk_is_an_error_of_the_write(tmp_path):
    with Path("/dev/full").open("wb", buffering=0) as full:
        with pytest.raises(OSError, match="No space left"):
            write_all(full.fileno(), [b"x" * 100])
