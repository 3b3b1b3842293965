"""Writing so that it survives a power loss: file, then name, each made stable before use.

Data is durable when the file was fsynced *and* the directory that holds its name was. A
failed fsync is final: the kernel may have dropped the pages, so the file is removed and
never synced again.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from node.storage.failpoints import reach

_MOST_PIECES = 512
"""Pieces in one call; the system's own limit (IOV_MAX) is 1,024."""


_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EINVAL)
"""Errors of folders above ours, which were there before, and may be passed but not synced."""


def sync_directory(path: Path) -> None:
    """Make a directory's entries durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the data of a file durable that another process has written."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # it may be a FIFO
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, parts: Sequence[bytes]) -> None:
    """Write several pieces, with as few calls as the system allows."""
    left = [part for part in parts if part]
    while left:
        written = os.writev(descriptor, left[:_MOST_PIECES])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


class _Round:
    """One fsync, and who waits for it."""

    def __init__(self) -> None:
        self.over = False
        self.failure: OSError | None = None

    def end(self, failure: OSError | None) -> None:
        self.over = True
        self.failure = failure


class DirectorySync:
    """Makes the entries of one directory durable, for many threads with few fsyncs.

    Who comes while an fsync runs waits for the next one, which then serves all who wait: an
    fsync covers every name that was there before it began. When one fails, all who wait have
    failed: the next one may say nothing of what was lost.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._change = threading.Condition()
        self._running = False
        self._next = _Round()

    def sync(self) -> None:
        """Return when every name that is there now is durable.

        Raises
        ------
        OSError
            When the fsync failed that was to cover them.
        """
        with self._change:
            mine = self._next
            while self._running and not mine.over:
                self._change.wait()
            leads = not mine.over
            if leads:
                self._running = True
                self._next = _Round()
        if leads:
            self._lead(mine)
        if mine.failure is not None:
            raise OSError(mine.failure.errno, mine.failure.strerror)

    def close(self) -> None:
        """Close the directory; nobody may be waiting for it any more."""
        os.close(self._descriptor)

    def _lead(self, mine: _Round) -> None:
        failure: OSError | None = None
        try:
            reach("spool.sync")
            os.fsync(self._descriptor)
        except OSError as error:
            failure = error
        with self._change:
            mine.end(failure)
            if failure is not None:
                self._next.end(failure)
                self._next = _Round()
            self._running = False
            self._change.notify_all()


class Directories:
    """Creates directories so that each entry is durable, and remembers which ones are.

    That a directory exists does not mean that its entry is on the disk: another thread may
    have made it a moment ago. So each is synced once by this process before it is trusted.
    """

    _MOST_REMEMBERED = 100_000

    def __init__(self) -> None:
        self._durable: set[Path] = set()

    def make(self, path: Path) -> None:
        """Create a directory and its missing parents; on return their entries are durable."""
        if path in self._durable or path.parent == path:
            return
        self.make(path.parent)
        made = not path.is_dir()
        if made:
            try:
                path.mkdir(exist_ok=True)
            except FileExistsError as error:  # "File exists" would not say what is wrong
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        try:
            sync_directory(path.parent)
        except OSError as error:
            if made:  # what could not be synced is made again, never only synced again
                with contextlib.suppress(OSError):
                    path.rmdir()
            if made or error.errno not in _NOT_OURS:
                raise
        if len(self._durable) >= self._MOST_REMEMBERED:
            self._durable.clear()
        self._durable.add(path)

    def forget(self) -> None:
        """Trust nothing any more: somebody removed a directory from under us."""
        self._durable.clear()
