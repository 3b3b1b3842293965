import hashlib
import os
import resource
import subprocess
import sys

import pytest
from pydicom import dcmread

from node.config import Layout
from node.errors import Busy, StorageError
from node.storage.archive import Archive
from node.storage.files import dataset_digest, dataset_offset
from node.storage.locks import exclusive

UIDS = {"study_uid": "1.2", "series_uid": "1.2.3", "sop_instance_uid": "1.2.3.4", "patient_id": "P"}


def stage(archive, dataset=b"\x10\x00\x20\x00LO\x02\x00AB"):
    return archive.stage(
        dataset,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        source_aetitle="SENDER",
    )


@pytest.fixture
def archive(tmp_path):
    with Archive(tmp_path / "dicom", Layout.STUDY) as archive:
        yield archive


def files(archive):
    return sorted(path for path in archive.directory.rglob("*") if path.is_file())


def test_a_placed_object_is_its_dataset_behind_a_header(archive):
    dataset = b"\x10\x00\x20\x00LO\x02\x00AB"
    staged = stage(archive, dataset)
    placed = archive.place(staged, **UIDS)
    assert placed.created
    assert placed.path == archive.directory / "1.2/1.2.3/1.2.3.4.dcm"
    assert placed.path.read_bytes()[dataset_offset(placed.path) :] == dataset
    assert dataset_digest(placed.path) == staged.sha256 == hashlib.sha256(dataset).hexdigest()
    assert staged.size == placed.path.stat().st_size
    assert dcmread(placed.path).PatientID == "AB"
    assert files(archive) == [placed.path]


def test_the_same_object_again_makes_no_second_file(archive):
    first = archive.place(stage(archive), **UIDS)
    again = archive.place(stage(archive), **UIDS)
    assert again.path == first.path
    assert not again.created
    assert files(archive) == [first.path]


def test_another_object_under_a_taken_name_is_put_beside_it(archive):
    first = archive.place(stage(archive), **UIDS)
    before = first.path.read_bytes()
    other = archive.place(stage(archive, b"\x10\x00\x20\x00LO\x02\x00XY"), **UIDS)
    assert other.created
    assert other.path != first.path
    assert first.path.read_bytes() == before
    assert dcmread(other.path).PatientID == "XY"


def test_an_object_set_aside_is_kept_in_quarantine(archive):
    staged = stage(archive, b"rubbish")
    kept = archive.set_aside(staged.path, sop_instance_uid="../x", sha256=staged.sha256)
    assert kept.parent == archive.directory / ".quarantine"
    assert kept.read_bytes().endswith(b"rubbish")
    assert files(archive) == [kept]


def test_a_folder_that_was_removed_from_under_us_is_made_again(archive):
    placed = archive.place(stage(archive), **UIDS)
    placed.path.unlink()
    placed.path.parent.rmdir()
    placed.path.parent.parent.rmdir()
    assert archive.place(stage(archive), **UIDS).path == placed.path
    assert placed.path.exists()


def test_a_write_that_fails_leaves_nothing(archive):
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
            stage(archive)
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert files(archive) == []
    assert stage(archive).path.exists()


def test_a_full_disk_leaves_no_partial_file(archive):
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from node.storage.durable import write_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_file(Path(sys.argv[1]), (b'x' * 800, b'y' * 800))\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    path = archive.directory / "big"
    result = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "File too large"
    assert not path.exists()


def test_what_a_dead_process_had_staged_is_removed_and_what_a_living_one_has_is_not(tmp_path):
    directory = tmp_path / "dicom"
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from node.config import Layout\n"
        "from node.storage.archive import Archive\n"
        "archive = Archive(Path(sys.argv[1]), Layout.STUDY)\n"
        "archive.open()\n"
        "archive.stage(b'x', sop_class_uid='1', sop_instance_uid='1', transfer_syntax_uid='1',"
        " source_aetitle='')\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(directory)], check=False)
    assert len(list(directory.rglob("*.part"))) == 1
    with Archive(directory, Layout.STUDY) as living:
        assert list(directory.rglob("*.part")) == []
        staged = stage(living)
        with Archive(directory, Layout.STUDY):
            assert staged.path.exists()
    assert list(directory.rglob("*")) == [directory / ".incoming"]


def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/dicom"):
        Archive(tmp_path / "file" / "dicom", Layout.STUDY).open()


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
