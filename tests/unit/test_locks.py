"""Locks between processes, also where the filesystem has none."""

import errno
import fcntl
import os

import pytest

from node.errors import Busy, StorageError
from node.storage.locks import exclusive
from node.storage.spool import Spool


@pytest.fixture
def flock_fails(monkeypatch):
    def let(number):
        def fail(_descriptor, _operation):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", fail)

    return let


def test_a_second_one_is_told_who_holds_it(tmp_path):
    with exclusive(tmp_path / "lock", "a move"):
        with pytest.raises(Busy, match=f"a move is already running, in process {os.getpid()}"):
            with exclusive(tmp_path / "lock", "a move"):
                pytest.fail("two hold one lock")
    with exclusive(tmp_path / "lock", "a move"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_filesystem_without_locks_is_an_error_that_names_the_remedy(
    tmp_path, flock_fails, number
):
    flock_fails(number)
    told = f"has no locks \\({os.strerror(number)}\\): .*local_lock=flock"
    with pytest.raises(StorageError, match=told):
        Spool(tmp_path / "dicom").open()
    with pytest.raises(StorageError, match=told), exclusive(tmp_path / "lock", "a move"):
        pytest.fail("it is not locked")


def test_a_lock_that_the_disk_does_not_give_is_an_error_of_the_storage(tmp_path, flock_fails):
    flock_fails(errno.EIO)
    with pytest.raises(StorageError, match="Input/output error"):
        Spool(tmp_path / "dicom").open()
    with pytest.raises(StorageError, match="cannot lock .*Input/output error"):
        with exclusive(tmp_path / "lock", "a move"):
            pytest.fail("it is not locked")
