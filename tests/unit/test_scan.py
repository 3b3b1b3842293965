"""Walking a folder, and telling what is DICOM from the first bytes."""

import errno
import os
import socket
import struct
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from schema.parsing import scan
from schema.parsing.recognise import DICOMDIR, EMPTY, FOREIGN, why_not_image
from schema.parsing.scan import File, Passed, Why, walk
from tests.support.encoded import BIG_ENDIAN, IMPLICIT, element, file


def shipped(name: str) -> bytes:
    return Path(str(get_testdata_file(name, download=False))).read_bytes()


def reason(data: bytes) -> str | None:
    return why_not_image(data[:1024], len(data))


EXPLICIT_DATASET = element(0x00080005, "CS", b"ISO_IR 100") + element(0x00080016, "UI", b"1.2\0")
IMPLICIT_DATASET = element(0x00080005, "CS", b"ISO_IR 100", syntax=IMPLICIT) + element(
    0x00080016, "UI", b"1.2\0", syntax=IMPLICIT
)
BIG_DATASET = element(0x00080005, "CS", b"ISO_IR 100", syntax=BIG_ENDIAN)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(file(EXPLICIT_DATASET), id="preamble and prefix"),
        pytest.param(file(EXPLICIT_DATASET)[132:], id="file meta without preamble"),
        pytest.param(EXPLICIT_DATASET, id="explicit dataset alone"),
        pytest.param(IMPLICIT_DATASET, id="implicit dataset alone"),
        pytest.param(BIG_DATASET, id="big endian dataset alone"),
        pytest.param(
            element(0x00080000, "UL", struct.pack("<L", 30), syntax=IMPLICIT) + IMPLICIT_DATASET,
            id="implicit dataset with group length",
        ),
        pytest.param(
            element(0x00080005, "CS", b"ISO_IR 100", syntax=IMPLICIT), id="one implicit element"
        ),
        pytest.param(b"\0" * 128 + b"DICM", id="a file that ends behind its prefix"),
        pytest.param(b"DICM" + EXPLICIT_DATASET, id="a prefix without its preamble"),
        pytest.param(shipped("ExplVR_BigEndNoMeta.dcm"), id="shipped, big endian, no meta"),
        pytest.param(shipped("ExplVR_LitEndNoMeta.dcm"), id="shipped, little endian, no meta"),
    ],
)
def test_what_may_be_dicom_is_read(data):
    assert reason(data) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", EMPTY),
        (b"Dear colleague, the images are in the other folder.", FOREIGN),
        (b"\x08\x00", FOREIGN),
        (b"\0" * 4096, FOREIGN),
        (b"\x08\0\x05\0\xff\xff\xff\x7f" + b"\0" * 500, FOREIGN),
        (b"\x08\0\x05\0\x08\0\0\0" + b"x" * 500, FOREIGN),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 500, FOREIGN),
        (b"PK\x03\x04" + b"\0" * 500, FOREIGN),
        (b"SQLite format 3\0" + b"\0" * 500, FOREIGN),
        (shipped("dicomdirtests/DICOMDIR"), DICOMDIR),
        (shipped("dicomdirtests/DICOMDIR")[132:], DICOMDIR),
        (element(0x00041130, "CS", b"SET "), DICOMDIR),
    ],
)
def test_what_is_no_image_is_told_by_its_bytes(data, expected):
    assert reason(data) == expected


def test_a_tree_is_walked_in_order_with_everything_that_is_in_it(tmp_path):
    for name in ("b/2", "b/1", "a", "c/d/e/f", "z"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    found = [entry for entry in walk(str(tmp_path)) if isinstance(entry, File)]
    assert [Path(entry.path).relative_to(tmp_path).as_posix() for entry in found] == [
        "a",
        "b/1",
        "b/2",
        "c/d/e/f",
        "z",
    ]
    assert [entry.size for entry in found] == [1, 3, 3, 7, 1]


def test_a_file_is_a_walk_of_one(tmp_path):
    (tmp_path / "image").write_bytes(b"123")
    assert list(walk(str(tmp_path / "image"))) == [File(str(tmp_path / "image"), 3)]


def test_a_folder_larger_than_a_block_is_walked_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "BLOCK", 7)
    names = [f"{number:03d}" for number in range(40)]
    for name in names:
        (tmp_path / name).touch()
    assert sorted(Path(entry.path).name for entry in walk(str(tmp_path))) == names


def test_links_to_files_are_followed_and_those_to_folders_are_not(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "image").write_bytes(b"1234")
    (tmp_path / "folder" / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "image")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    found = {Path(entry.path).name: entry for entry in walk(str(tmp_path))}
    assert found["link"] == File(str(tmp_path / "link"), 4)
    assert found["loop"].why is Why.SKIPPED
    assert found["loop"].reason == "link to a folder"
    assert found["itself"].why is Why.UNREADABLE
    assert found["nowhere"].reason == "No such file or directory"


def test_what_is_no_regular_file_is_never_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # a socket's path is short
        listener.bind("socket")
        found = {Path(entry.path).name: entry.reason for entry in walk(str(tmp_path))}
    assert found == {"fifo": "FIFO", "socket": "socket"}


def test_a_folder_that_vanishes_is_reported_and_the_others_are_walked(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "image").touch()
    walking = walk(str(tmp_path))
    (tmp_path / "0").touch()
    first = next(walking)
    (tmp_path / "a").rmdir()
    assert isinstance(first, File)
    assert list(walking) == [
        Passed(str(tmp_path / "a"), Why.UNREADABLE, "No such file or directory"),
        File(str(tmp_path / "b" / "image"), 0),
    ]


def test_names_that_are_no_utf8_come_back_as_they_are(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9"
    os.close(os.open(raw, os.O_CREAT))
    (entry,) = walk(str(tmp_path))
    assert os.fsencode(entry.path) == raw


def test_a_deep_tree_is_walked_to_its_bottom(tmp_path):
    folder = tmp_path
    for _ in range(300):
        folder /= "deeper"
    folder.mkdir(parents=True)
    (folder / "image").touch()
    assert [entry.path for entry in walk(str(tmp_path))] == [str(folder / "image")]


def test_the_nodes_own_folders_are_left_alone(tmp_path):
    (tmp_path / ".quarantine").mkdir()
    (tmp_path / ".quarantine" / "image.dcm").touch()
    (entry,) = walk(str(tmp_path))
    assert (entry.why, entry.reason) == (Why.SKIPPED, "folder of the node's own")


def test_a_file_that_the_disk_does_not_give_leaves_no_descriptor_open(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd"))

    def fails(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    refused = 0
    with monkeypatch.context() as patched:
        patched.setattr(scan.os, "fstat", fails)
        for _ in range(3):
            try:
                scan.open_regular(path)
            except OSError:
                refused += 1
    assert refused == 3
    assert len(os.listdir("/proc/self/fd")) == before
