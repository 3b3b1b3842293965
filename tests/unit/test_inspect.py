"""Comparing a file with its row: every byte counts, of the header that we write as well."""

import errno
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.dicom.part10 import file_header
from node.errors import StorageError
from node.storage import inspect as inspecting
from node.storage.folders import count_spooled, has_spool
from node.storage.inspect import (
    Fault,
    Spooled,
    digest_of,
    glance,
    inspect,
    is_own,
    kept_of,
    written_header_of,
)
from schema.inventory import Held
from schema.judgement import Lies
from schema.parsing import extract
from schema.parsing import kept as looking

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.4"
SYNTAX = "1.2.840.10008.1.2.1"
DATASET = b"\x08\x00\x18\x00UI\x06\x001.2.3\0" + b"\x10\x00\x20\x00LO\x02\x00P1"


@pytest.fixture
def received(tmp_path) -> Path:
    """Write a file as the node writes what it receives."""
    path = tmp_path / "1.2.3.dcm"
    path.write_bytes(header() + DATASET)
    return path


def header(source: str = "SENDER") -> bytes:
    return file_header(
        sop_class_uid=SOP_CLASS,
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=SYNTAX,
        source_aetitle=source,
    )


def row(path: Path, **changes: object) -> Held:
    values: dict[str, object] = {
        "id": 1,
        "image_uid": "1.2.3",
        "study_uid": "1.2",
        "filepath": str(path),
        "sha256": hashlib.sha256(DATASET).hexdigest(),
        "size": len(header()) + len(DATASET),
        "sop_class_uid": SOP_CLASS,
        "transfer_syntax_uid": SYNTAX,
        "source": "SENDER",
        "node": "NODE",
    }
    return Held(**values | changes)  # type: ignore[arg-type]


def test_a_file_that_is_what_its_row_says_is_correct(received):
    result = inspect(row(received))
    assert (result.fault, result.reason) == (None, "")
    assert result.size == received.stat().st_size


def test_a_flipped_byte_is_found_wherever_it_is(received):
    whole = received.read_bytes()
    unnoticed = []
    for position in range(len(whole)):
        received.write_bytes(
            whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :]
        )
        if inspect(row(received)).fault is not Fault.CHANGED:
            unnoticed.append(position)
    assert unnoticed == []


def test_the_header_of_a_file_that_another_program_wrote_is_not_judged(received):
    foreign = bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00\x1e\x00\x00\x00"
    foreign += b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99"
    received.write_bytes(foreign + DATASET)
    size = received.stat().st_size
    syntax = "1.2.840.10008.1.2.1.99"
    assert inspect(row(received, size=size, transfer_syntax_uid=syntax)).fault is None
    received.write_bytes(header("ELSEWHERE") + DATASET)
    size = received.stat().st_size
    assert inspect(row(received, size=size, node=None, source=None)).fault is None


@pytest.mark.parametrize("text", [SYNTAX, SOP_CLASS])
def test_a_header_that_has_lost_a_whole_value_is_damaged(received, text):
    value = text.encode()
    received.write_bytes(header().replace(value, bytes(len(value))) + DATASET)
    assert inspect(row(received)).fault is Fault.CHANGED


@pytest.mark.parametrize(
    ("spoil", "fault", "reason"),
    [
        (Path.unlink, Fault.MISSING, "there is no such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), Fault.CHANGED, "bytes, "),
        (lambda path: (path.unlink(), path.mkdir()), Fault.UNREADABLE, "no regular file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), Fault.UNREADABLE, "no regular file"),
    ],
    ids=["missing", "truncated", "folder", "fifo"],
)
def test_what_is_wrong_is_said(received, spoil, fault, reason):
    spoil(received)
    result = inspect(row(received))
    assert result.fault is fault
    assert reason in result.reason


def test_a_row_without_a_digest_gets_to_know_it(received):
    result = inspect(row(received, sha256=None))
    assert result.fault is None
    assert result.sha256 == hashlib.sha256(DATASET).hexdigest()


def test_a_row_that_has_lost_its_file_is_missing_it(received):
    held = row(received, filepath=None)
    assert held.lost
    assert inspect(held).fault is Fault.MISSING
    assert not row(received, filepath=None, size=None).lost


def test_the_origin_is_read_back_from_our_own_header_alone(received):
    os.utime(received, (1_700_000_000, 1_700_000_000))
    reception = written_header_of(str(received))
    assert reception is not None
    assert (reception.sop_instance_uid, reception.source) == ("1.2.3", "SENDER")
    assert reception.received_on == datetime.fromtimestamp(1_700_000_000, UTC).replace(tzinfo=None)
    received.write_bytes(header().replace(b"DICOM_NODE", b"OTHER_NODE") + DATASET)
    assert written_header_of(str(received)) is None


@pytest.mark.parametrize("time", [1, 2])
def test_a_file_that_cannot_be_read_for_a_moment_is_not_damaged(received, monkeypatch, time):
    open_file, opened = inspecting.open_regular, 0

    def refused_once(path):
        nonlocal opened
        opened += 1
        if opened == time:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_file(path)

    for module in (inspecting, extract):
        monkeypatch.setattr(module, "open_regular", refused_once)
    assert kept_of(row(received), received.parent).lies is Lies.UNREADABLE
    assert kept_of(row(received), received.parent).lies is Lies.DATASET


def test_a_file_with_a_very_long_header_is_sound(tmp_path):
    private = b"\x02\x00\x02\x01OB\0\0" + (100_000).to_bytes(4, "little") + bytes(100_000)
    path = tmp_path / "long.dcm"
    path.write_bytes(header() + private + DATASET)
    held = row(path, size=path.stat().st_size, node=None, source=None)
    assert kept_of(held, tmp_path).lies is Lies.DATASET
    assert inspect(held).fault is None


def test_a_file_of_ours_is_ours_where_nobody_lets_us_look_at_it(received, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(looking.os, "stat", refuse)
    kept = kept_of(row(received), received.parent)
    assert (kept.lies, kept.archived) == (Lies.UNREADABLE, True)
    assert not kept_of(row(received), received.parent / "other").archived
    assert not kept_of(row(received), received.parent.parent / "other").archived


def test_a_header_that_cannot_be_read_is_not_another_header(received):
    with pytest.raises(OSError, match="No such file"):
        written_header_of(str(received.parent / "nothing"))


def test_what_is_in_the_spool_as_well_is_recognised(tmp_path, received):
    folder = tmp_path / ".spool" / "1-a"
    folder.mkdir(parents=True)
    spooled = folder / "entry.dcm"
    os.link(received, spooled)
    other = tmp_path / "other.dcm"
    other.write_bytes(DATASET)
    os.link(other, tmp_path / "second name.dcm")
    paths = [str(received), str(other), str(tmp_path / "nothing")]
    assert Spooled(tmp_path).among(paths) == {str(received)}
    spooled.unlink()
    assert Spooled(tmp_path).among(paths) == set()


def test_a_spool_that_cannot_be_looked_at_is_not_an_empty_one(received, tmp_path):
    os.link(received, tmp_path / "second name.dcm")
    (tmp_path / ".spool").symlink_to(tmp_path / ".spool")
    with pytest.raises(StorageError, match="the spool of .* cannot be looked at"):
        Spooled(tmp_path).among([str(received)])


def test_the_nodes_own_folders_are_told_from_others(tmp_path):
    assert is_own(str(tmp_path / ".spool" / "1-a" / "x.dcm"), tmp_path)
    assert is_own(str(tmp_path / ".quarantine" / "x.dcm"), tmp_path)
    assert not is_own(str(tmp_path / "1.2" / ".spool" / "x.dcm"), tmp_path)
    assert not is_own("/elsewhere/.spool/x.dcm", tmp_path)


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.ENOENT, Fault.MISSING),
        (errno.ENOTDIR, Fault.MISSING),
        (errno.ENAMETOOLONG, Fault.MISSING),
        (errno.EACCES, Fault.UNREADABLE),
        (errno.EIO, Fault.UNREADABLE),
        (errno.ELOOP, Fault.UNREADABLE),
        (errno.ESTALE, Fault.UNREADABLE),
    ],
    ids=errno.errorcode.get,
)
def test_only_what_is_not_there_is_missing(received, monkeypatch, number, fault):
    def refused(path: str, **_: object) -> os.stat_result:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "stat", refused)
    results = glance(str(received)), inspect(row(received))
    monkeypatch.undo()
    assert {result.fault for result in results} == {fault}
    if fault is Fault.UNREADABLE:
        assert {result.reason for result in results} == {os.strerror(number)}


def test_what_is_no_regular_file_and_what_has_no_possible_name_are_unreadable(tmp_path):
    for path in (str(tmp_path), "/a\0b"):
        assert glance(path).fault is Fault.UNREADABLE


def test_a_glance_sees_another_size_and_nothing_else(received):
    size = received.stat().st_size
    assert glance(str(received), size).fault is None
    assert glance(str(received)).fault is None
    found = glance(str(received), size + 1)
    assert (found.fault, found.reason) == (Fault.CHANGED, f"{size} bytes, {size + 1} expected")


@pytest.mark.parametrize("content", [b"", b"hello" * 50])
def test_what_is_no_dicom_is_no_file_of_a_row_without_size_and_digest(received, content):
    received.write_bytes(content)
    found = inspect(row(received, size=None, sha256=None, node=None))
    assert (found.fault, found.sha256) == (Fault.CHANGED, None)


def test_nobody_counts_what_waits_in_a_spool_that_cannot_be_looked_at(tmp_path):
    assert (has_spool(tmp_path), count_spooled(tmp_path)) == (False, 0)
    spool = tmp_path / ".spool"
    (spool / "1-a").mkdir(parents=True)
    (spool / "1-a" / "entry.dcm").touch()
    (spool / "1-a" / "entry.part").touch()
    assert (has_spool(tmp_path), count_spooled(tmp_path)) == (True, 1)
    spool.rename(tmp_path / "away")
    spool.symlink_to(spool)
    for ask in (has_spool, count_spooled):
        with pytest.raises(StorageError, match="cannot be looked at: Too many levels"):
            ask(tmp_path)


def test_a_digest_that_cannot_be_had_now_is_not_one_that_there_is_not(received, monkeypatch):
    def refused(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert digest_of(str(received)) == hashlib.sha256(DATASET).hexdigest()
    monkeypatch.setattr("node.storage.inspect.dataset_digest", refused)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        digest_of(str(received))
