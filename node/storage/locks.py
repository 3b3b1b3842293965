"""Locks between processes that end with the process, however it ends."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from node.errors import Busy, StorageError

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF})
"""How filesystems say that they have none. Without locks one process would take over what
another one is writing, so there is no going on."""


def lock(descriptor: int, path: Path, *, wait: bool = False) -> None:
    """Hold a lock on an open file or folder for as long as it is open.

    Parameters
    ----------
    path
        What is open, for the error.
    wait
        For as long as another process holds it.

    Raises
    ------
    BlockingIOError
        Another process holds it.
    StorageError
        Its filesystem has no locks.
    OSError
        It cannot be locked for another reason.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise StorageError(
            f"the filesystem of {path} has no locks ({error.strerror}): put the storage directory"
            " on one that has; on NFS let the lock service run (rpc.statd, NFS 4 has its own), or"
            " mount it with local_lock=flock where no other machine uses it"
        ) from error


@contextlib.contextmanager
def exclusive(path: Path, purpose: str) -> Iterator[None]:
    """Hold a lock file for the length of the block.

    Parameters
    ----------
    path
        The lock file; created when missing, and left behind.
    purpose
        What the lock is for, as the subject of the error's sentence.

    Raises
    ------
    Busy
        Another process holds it.
    StorageError
        The file cannot be created, or not be locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StorageError(f"cannot create {path}: {error.strerror}") from error
    try:
        try:
            lock(descriptor, path)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise Busy(f"{purpose} is already running, in process {holder}") from error
        except OSError as error:
            raise StorageError(f"cannot lock {path}: {error.strerror}") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)
