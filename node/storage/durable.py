"""Writing so that it survives a power loss: file, then name, each made stable before use.

Data is durable when the file was fsynced *and* the directory that holds its name was. A
failed fsync is final: the kernel may have dropped the pages, so the file is removed and
never synced again.
"""

import os
from collections.abc import Iterable
from pathlib import Path


def write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a new file and fsync it; on any failure nothing is left of it.

    The directory entry is not yet durable: see `sync_directory`.

    Raises
    ------
    OSError
        As the system gave it; FileExistsError when the path is taken.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            for chunk in chunks:
                _write_all(descriptor, chunk)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make a directory's entries durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
        if not path.is_dir():
            self.make(path.parent)
            path.mkdir(exist_ok=True)
        sync_directory(path.parent)
        if len(self._durable) >= self._MOST_REMEMBERED:
            self._durable.clear()
        self._durable.add(path)

    def forget(self) -> None:
        """Trust nothing any more: somebody removed a directory from under us."""
        self._durable.clear()
