"""The id of a storage directory: made once, durable, and never guessed."""

import errno
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.errors import StorageError
from node.storage import identity
from node.storage.identity import made_storage_id, storage_id


def test_a_directory_gets_one_id_however_many_make_it_at_once(tmp_path):
    directory = tmp_path / "not" / "there yet"
    assert storage_id(directory) is None
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(made_storage_id, [directory] * 16))
    (one,) = made
    assert re.fullmatch("[0-9a-f]{32}", one)
    assert storage_id(directory) == made_storage_id(directory) == one
    assert os.listdir(directory) == [".storage-id"]
    assert made_storage_id(tmp_path / "other") != one


def test_an_id_goes_where_its_directory_goes(tmp_path):
    one = made_storage_id(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert storage_id(tmp_path / "there") == one


@pytest.mark.parametrize("content", [b"", b"4711\n", b"0" * 33, b"\xff" * 32, b"0" * 32 + b"\n\n"])
def test_what_is_no_id_is_an_error_and_stays(tmp_path, content):
    (tmp_path / ".storage-id").write_bytes(content)
    for ask in (storage_id, made_storage_id):
        with pytest.raises(StorageError, match="does not hold the id"):
            ask(tmp_path)
    assert (tmp_path / ".storage-id").read_bytes() == content


def test_an_id_that_cannot_be_read_is_not_one_that_there_is_not(tmp_path):
    (tmp_path / ".storage-id").symlink_to(tmp_path / ".storage-id")
    for ask in (storage_id, made_storage_id):
        with pytest.raises(StorageError, match="cannot read"):
            ask(tmp_path)


@pytest.mark.parametrize("call", ["sync_file", "sync_directory", "write_all"])
def test_an_id_that_is_not_durable_is_not_relied_on(tmp_path, monkeypatch, call):
    def refused(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(identity, call, refused)
        with pytest.raises(StorageError, match="cannot keep the id"):
            made_storage_id(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name != ".storage-id"]
    assert made_storage_id(tmp_path) == storage_id(tmp_path)
