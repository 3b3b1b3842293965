import os
import subprocess
import sys
from dataclasses import replace

import pytest
from pydicom import dcmread

from node.config import Layout
from node.errors import Busy, StorageError
from node.storage import archive as archives
from node.storage.archive import Archive
from node.storage.locks import exclusive
from node.storage.spool import Spool
from node.storage.writing import Sender
from schema.parsing.extract import dataset_digest
from tests.support.images import dataset_bytes

UIDS = {"study_uid": "1.2", "series_uid": "1.2.3", "sop_instance_uid": "1.2.3.4", "patient_id": "P"}
DATASET = b"\x10\x00\x20\x00LO\x02\x00AB"
OTHER = b"\x10\x00\x20\x00LO\x02\x00XY"


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "dicom")
    spool.open()
    yield spool
    spool.close()


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "dicom", Layout.STUDY)


def spooled(spool, dataset=DATASET):
    writing = spool.begin(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sender=Sender(aetitle="SENDER"),
    )
    return writing.commit([dataset])


def place(archive, entry):
    return archive.place(entry.path, sha256=entry.sha256, **UIDS)


def files(archive):
    """Return what is there beside the spool."""
    found = (path for path in archive.directory.rglob("*") if path.is_file())
    return sorted(path for path in found if ".spool" not in path.parts)


def test_a_placed_object_is_its_dataset_behind_a_header(archive, spool):
    entry = spooled(spool)
    placed = place(archive, entry)
    assert placed.created
    assert placed.fresh
    assert archive.sync([placed]) == [None]
    assert placed.path == archive.directory / "1.2/1.2.3/1.2.3.4.dcm"
    assert dataset_bytes(placed.path) == DATASET
    assert dataset_digest(placed.path) == entry.sha256
    assert entry.size == placed.path.stat().st_size
    assert dcmread(placed.path).PatientID == "AB"
    assert files(archive) == [placed.path]


def test_a_file_that_was_placed_before_a_crash_has_its_place(archive, spool):
    entry = spooled(spool)
    first = place(archive, entry)
    again = place(archive, entry)
    assert again == replace(first, fresh=False)


def test_a_name_from_before_a_crash_is_known_when_the_first_one_has_become_free(archive, spool):
    other = place(archive, spooled(spool, OTHER)).path
    entry = spooled(spool)
    before = place(archive, entry)
    other.unlink()
    after = place(archive, entry)
    assert (after.path, after.fresh, after.others) == (other, True, (before.path,))


def test_the_same_object_again_makes_no_second_file(archive, spool):
    first = place(archive, spooled(spool))
    again = place(archive, spooled(spool))
    assert again.path == first.path
    assert not again.created
    assert files(archive) == [first.path]


def test_an_equal_file_that_somebody_else_wrote_is_synced_before_it_is_relied_on(
    archive, spool, monkeypatch
):
    """A backup may have been restored a moment ago, and the power may go in the next one."""
    first = place(archive, spooled(spool))
    bytes_of_it = first.path.read_bytes()
    first.path.unlink()
    first.path.write_bytes(bytes_of_it)
    synced = []
    monkeypatch.setattr(archives.durable, "sync_file", synced.append)
    monkeypatch.setattr(archives.durable, "sync_directory", synced.append)
    again = place(archive, spooled(spool))
    assert (again.path, again.created) == (first.path, False)
    assert archive.sync([again]) == [None]
    assert synced.index(first.path) < synced.index(first.path.parent)


def test_an_equal_file_that_cannot_be_synced_is_not_relied_on(archive, spool, monkeypatch):
    def failing(path):
        raise OSError(5, os.strerror(5))

    first = place(archive, spooled(spool))
    monkeypatch.setattr(archives.durable, "sync_file", failing)
    with pytest.raises(StorageError, match="cannot place"):
        place(archive, spooled(spool))
    with pytest.raises(StorageError, match="cannot sync"):
        archive.rely_on(first.path)


def test_damaged_files_that_have_taken_the_names_are_passed_over(archive, spool):
    entry = spooled(spool, OTHER)
    place(archive, spooled(spool))
    first = place(archive, entry)
    first.path.unlink()
    first.path.write_bytes(b"damaged")
    second = place(archive, entry)
    assert second.created
    assert second.path.name == f"1.2.3.4~{entry.sha256[:16]}-2.dcm"
    assert first.path.read_bytes() == b"damaged"


@pytest.mark.parametrize("created", [True, False])
def test_a_good_file_takes_the_name_of_a_damaged_one(archive, spool, created):
    entry = spooled(spool)
    damaged = place(archive, spooled(spool, OTHER)).path
    placed = place(archive, entry) if created else archives.Placed(path=damaged, created=False)
    good = entry.path.read_bytes()
    for _ in range(2):  # again after a crash
        archive.replace(damaged, entry.path, placed=placed, sha256=entry.sha256)
        assert damaged.read_bytes() == good
        assert files(archive) == [damaged]
        placed = archives.Placed(path=damaged, created=False)


def test_another_object_under_a_taken_name_is_put_beside_it(archive, spool):
    first = place(archive, spooled(spool))
    before = first.path.read_bytes()
    entry = spooled(spool, OTHER)
    other = place(archive, entry)
    assert other.created
    assert other.path != first.path
    assert first.path.read_bytes() == before
    assert dcmread(other.path).PatientID == "XY"
    assert place(archive, entry) == replace(other, fresh=False)


def test_a_name_that_is_not_durable_is_taken_back(archive, spool, monkeypatch):
    def failing(path):
        raise OSError(5, os.strerror(5))

    old = place(archive, spooled(spool))
    new = archive.place(spooled(spool).path, sha256="0", **UIDS | {"sop_instance_uid": "1.2.3.5"})
    monkeypatch.setattr(archives.durable, "sync_directory", failing)
    failures = archive.sync([replace(old, fresh=False), new])
    assert [type(failure) for failure in failures] == [StorageError] * 2
    assert files(archive) == [old.path]


def test_an_object_set_aside_is_kept_in_quarantine(archive, spool):
    entry = spooled(spool, b"rubbish")
    kept = archive.set_aside(entry.path, sop_instance_uid="../x", sha256=entry.sha256)
    assert kept.parent == archive.directory / ".quarantine"
    assert kept.read_bytes().endswith(b"rubbish")
    assert files(archive) == [kept]
    again = archive.set_aside(entry.path, sop_instance_uid="../x", sha256=entry.sha256)
    assert again == kept


def test_a_folder_that_was_removed_from_under_us_is_made_again(archive, spool):
    placed = place(archive, spooled(spool))
    placed.path.unlink()
    placed.path.parent.rmdir()
    placed.path.parent.parent.rmdir()
    assert place(archive, spooled(spool)).path == placed.path
    assert placed.path.exists()


def test_a_place_that_cannot_be_had_does_not_name_the_patient(tmp_path, spool):
    archive = Archive(tmp_path / "dicom", Layout.PATIENT)
    (archive.directory / "SECRET").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot place 1\.2\.3\.4\.dcm below") as raised:
        archive.place(spooled(spool).path, sha256="0", **UIDS | {"patient_id": "SECRET"})
    assert "SECRET" not in str(raised.value)


def test_only_one_process_holds_a_lock(tmp_path):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from node.storage.locks import exclusive\n"
        "with exclusive(Path(sys.argv[1]), 'a move'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        held = pytest.raises(Busy, match=f"a move is already running, in process {other.pid}")
        with held, exclusive(lock, "a move"):
            raise AssertionError("the lock was given twice")
        other.kill()
        other.wait()
        with exclusive(lock, "a move"):
            assert lock.read_text() == f"{os.getpid()}\n"


def test_a_name_that_an_attempt_before_has_left_beside_the_place_is_told(archive, spool):
    first = place(archive, spooled(spool)).path
    whole = first.read_bytes()
    first.write_bytes(whole[:-1] + b"?")
    entry = spooled(spool)
    beside = place(archive, entry)
    assert beside.created
    assert beside.path != first
    first.write_bytes(whole)  # a backup, while nobody was there
    again = place(archive, entry)
    assert (again.path, again.created, again.others) == (first, False, (beside.path,))
    assert place(archive, spooled(spool)).others == ()
