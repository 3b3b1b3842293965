"""The spool: an entry is there as a whole, or not at all, and belongs to one process."""

import errno
import hashlib
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.errors import StorageError
from node.storage.spool import Spool
from node.storage.writing import Sender
from tests.support.images import dataset_bytes

DATASET = b"\x10\x00\x20\x00LO\x02\x00AB"
NAMES = {
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
    "sop_instance_uid": "1.2.3.4",
    "transfer_syntax_uid": "1.2.840.10008.1.2.1",
    "sender": Sender(aetitle="SENDER", address="10.1.2.3", originator="NODE"),
}


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "dicom")
    spool.open()
    yield spool
    spool.close()


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def another_process(directory, *lines, stdin=None):
    script = (
        "import os, sys",
        "from pathlib import Path",
        "from node.storage.spool import Spool",
        "from node.storage.writing import Sender",
        f"NAMES = {NAMES!r}",
        "spool = Spool(Path(sys.argv[1]))",
        "spool.open()",
        *lines,
    )
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(script), str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_an_entry_is_the_dataset_behind_a_header(spool):
    writing = spool.begin(**NAMES)
    writing.append([DATASET[:3], b"", DATASET[3:5]])
    entry = writing.commit([DATASET[5:]])
    assert dataset_bytes(entry.path) == DATASET
    assert entry.size == entry.path.stat().st_size
    assert entry.sha256 == hashlib.sha256(DATASET).hexdigest()
    writing.abandon()  # which comes too late to do anything
    assert entry.path.exists()
    spool.remove([entry, entry])
    assert not entry.path.exists()


def test_what_the_disk_does_not_remove_is_removed_with_the_next_ones(spool):
    first, second = (spool.begin(**NAMES).commit([DATASET]) for _ in range(2))
    kept = first.path.rename(first.path.with_suffix(".kept"))
    first.path.mkdir()  # which cannot be removed as a file
    spool.remove([first])
    first.path.rmdir()
    kept.rename(first.path)
    spool.remove([second])
    assert files(first.path.parent) == []


def test_an_entry_of_nothing_is_an_entry(spool):
    entry = spool.begin(**NAMES).commit([])
    assert entry.sha256 == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("name", list(NAMES))
def test_a_recovered_entry_says_what_the_command_said(spool, name):
    written = spool.begin(**NAMES).commit([DATASET])
    recovered = spool.recover(written.path)
    assert getattr(recovered, name) == NAMES[name]
    assert (recovered.sha256, recovered.size) == (written.sha256, written.size)
    assert abs((recovered.received_on - written.received_on).total_seconds()) < 5


def test_a_damaged_entry_is_recovered_without_its_names(spool):
    written = spool.begin(**NAMES).commit([DATASET])
    written.path.write_bytes(written.path.read_bytes()[:150])
    recovered = spool.recover(written.path)
    assert recovered.sop_instance_uid == recovered.sender.aetitle == ""
    assert recovered.sha256 == hashlib.sha256(written.path.read_bytes()).hexdigest()
    written.path.unlink()
    assert spool.recover(written.path) is None


def truncated(content):
    return content[:-1]


def overwritten(content):
    return content[:-4] + bytes(4)


@pytest.mark.parametrize("damage", [truncated, overwritten, lambda content: content + b"\0"])
def test_an_entry_that_is_not_what_its_name_says_is_damaged(spool, damage):
    entry = spool.begin(**NAMES).commit([DATASET])
    assert not entry.damaged
    assert not spool.recover(entry.path).damaged
    entry.path.write_bytes(damage(entry.path.read_bytes()))
    assert spool.recover(entry.path).damaged


def test_an_entry_whose_name_says_nothing_is_taken_as_it_is(spool):
    """Somebody has put it there by hand."""
    entry = spool.begin(**NAMES).commit([DATASET])
    other = entry.path.with_name("by-hand.dcm")
    entry.path.rename(other)
    assert not spool.recover(other).damaged


def test_an_entry_of_which_not_a_byte_was_durable_is_nothing(tmp_path):
    directory = tmp_path / "dicom"
    spool = Spool(directory)
    spool.open()
    entry = spool.begin(**NAMES).commit([DATASET])
    entry.path.write_bytes(b"")
    spool.close()
    heir = Spool(directory)
    assert heir.open() == []
    heir.close()
    assert files(directory) == []


def test_what_is_recovered_is_durable_whatever_its_process_had_come_to(spool, monkeypatch):
    entry = spool.begin(**NAMES).commit([DATASET])
    synced = []
    real = os.fsync

    def fsync(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    spool.recover(entry.path)
    assert synced == [entry.path.stat().st_ino]


@pytest.mark.parametrize("call", ["open", "writev", "fsync", "rename"])
def test_whatever_fails_leaves_nothing(spool, tmp_path, monkeypatch, call):
    def failing(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writing = spool.begin(**NAMES)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(StorageError, match="No space left on device"):
            writing.commit([DATASET])
    assert files(tmp_path) == []
    with pytest.raises(StorageError, match="has been given up"):
        writing.commit([DATASET])
    assert files(tmp_path) == []
    spool.begin(**NAMES).commit([DATASET])


def test_a_directory_that_cannot_be_synced_leaves_nothing(spool, tmp_path, monkeypatch):
    fsync, calls = os.fsync, []

    def failing(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageError, match="Input/output error"):
        spool.begin(**NAMES).commit([DATASET])
    assert files(tmp_path) == []


def test_too_many_open_files_leave_nothing(spool, tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, limit[1]))
        while len(opened) < 100:
            try:
                opened.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        with pytest.raises(StorageError, match="Too many open files"):
            spool.begin(**NAMES).commit([DATASET])
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert files(tmp_path) == []
    assert spool.begin(**NAMES).commit([DATASET]).path.exists()


def test_giving_up_while_a_thread_writes_never_writes_elsewhere(spool, tmp_path):
    """A descriptor that is closed under a write may be another file's by then."""
    for _ in range(20):
        writing = spool.begin(**NAMES)

        def write(writing=writing):
            try:
                for _ in range(50):
                    writing.append([b"x" * 10_000])
            except StorageError:
                return True
            return False

        with ThreadPoolExecutor(2) as threads:
            outcome = threads.submit(write)
            threads.submit(writing.abandon)
            assert outcome.result() in (True, False)
        writing.abandon()
    assert files(tmp_path) == []


def test_what_a_dead_process_left_is_taken_over_and_what_a_living_one_has_is_not(tmp_path):
    directory = tmp_path / "dicom"
    lines = (
        "spool.begin(**NAMES).append([b'unfinished'])",
        "spool.begin(**NAMES).commit([b'whole'])",
        "print('ready', flush=True)",
        "sys.stdin.read()",
        "os._exit(9)",
    )
    with another_process(directory, *lines) as other:
        assert other.stdout.readline() == "ready\n"
        living = Spool(directory)
        assert living.open() == []
        living.close()
        assert len(files(directory)) == 2
        other.kill()
    heir = Spool(directory)
    (left,) = heir.open()
    assert heir.recover(left).sha256 == hashlib.sha256(b"whole").hexdigest()
    assert files(directory) == [left]
    third = Spool(directory)
    assert third.open() == []  # it is the heir's now
    third.close()
    heir.close()
    fourth = Spool(directory)
    (again,) = fourth.open()  # which the heir has not indexed
    assert again.name == left.name
    again.unlink()
    fourth.close()
    assert list((directory / ".spool").iterdir()) == []


def test_what_was_taken_over_only_halfway_is_one_entry(tmp_path):
    """A process died between the link into its own folder and the end of the old name."""
    directory = tmp_path / "dicom"
    first, second = Spool(directory), Spool(directory)
    first.open()
    second.open()
    entry = first.begin(**NAMES).commit([DATASET])
    os.link(entry.path, second._own / entry.path.name)
    first.close()
    second.close()
    heir = Spool(directory)
    (left,) = heir.open()
    assert files(directory) == [left]
    left.unlink()
    heir.close()
    assert list((directory / ".spool").iterdir()) == []


def test_folders_of_the_dead_do_not_pile_up(tmp_path):
    directory = tmp_path / "dicom"
    for number in range(30):
        (directory / ".spool" / f"{number}-dead").mkdir(parents=True)
    spool = Spool(directory)
    assert spool.open() == []
    assert list((directory / ".spool").iterdir()) == [spool._own]
    spool.close()


def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/dicom: Not a directory"):
        Spool(tmp_path / "file" / "dicom").open()


def test_a_filesystem_without_hard_links_is_refused_at_the_start(tmp_path, monkeypatch):
    def failing(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", failing)
    with pytest.raises(StorageError, match="has no hard links .Operation not permitted.: put it"):
        Spool(tmp_path / "dicom").open()
    assert list((tmp_path / "dicom" / ".spool").iterdir()) == []
