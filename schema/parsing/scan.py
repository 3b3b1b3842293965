"""Walking a folder: every file below it, in order, and why something in it is passed over.

Memory stays bounded by the depth of the tree, whatever it holds: a folder is taken in blocks
of names, each sorted. Links to files are followed, as they are found in collections whose
files are kept elsewhere; links to folders are not, so that no loop is possible.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 16
"""Names of one folder that are sorted, and held, at once."""

QUARANTINE = ".quarantine"
SPOOL = ".spool"

OWN_FOLDERS = frozenset((SPOOL, QUARANTINE))
"""In which a node keeps, in its storage directory, what is no image of its tree."""

_KINDS = {
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


class Why(StrEnum):
    """Why a file, or a folder, did not become an image of the index."""

    SKIPPED = "skipped"
    """It is no image, and was not meant to be one."""
    UNREADABLE = "unreadable"
    """The operating system does not let it be read."""
    INVALID = "invalid"
    """It is DICOM, but damaged, or without the UIDs that an image needs."""
    CONFLICT = "conflict"
    """Another object is in the index under its SOP Instance UID."""
    CRASHED = "crashed"
    """Reading it ends the process that reads it."""
    HUNG = "hung"
    """Reading it does not come to an end."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file: its path, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Passed:
    """A file or a folder that is passed over, and the reason in words."""

    path: str
    why: Why
    reason: str

    @property
    def lasting(self) -> bool:
        """Whether it will stay so; otherwise the disk did not give the file this time."""
        return self.why is not Why.UNREADABLE


def walk(source: str) -> Iterator[File | Passed]:
    """Yield every file below a folder, or the one file that `source` is.

    The files of a folder come sorted by name, a folder's own files where its name stands;
    a folder of more than `BLOCK` entries is sorted block by block.

    Parameters
    ----------
    source
        An absolute path; a name that is no UTF-8 is decoded as the operating system does.
    """
    if not os.path.isdir(source):  # noqa: PTH112 - names that are no UTF-8 stay what they are
        yield _file(source)
        return
    open_folders: list[Iterator[File | Passed | str]] = [_entries(source)]
    while open_folders:
        found = next(open_folders[-1], None)
        if found is None:
            open_folders.pop()
        elif isinstance(found, str):
            open_folders.append(_entries(found))
        else:
            yield found


def open_regular(path: str | PathLike[str]) -> BinaryIO:
    """Open a regular file for reading, without a buffer; never wait for a FIFO's writer.

    Raises
    ------
    OSError
        When it cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return open(descriptor, "rb", buffering=0)  # noqa: PTH123
    except OSError:  # the disk fails, and nobody else knows the descriptor
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))


def own_folder(source: str) -> str | None:
    """Return the name of the spool or quarantine that a path is, or lies in; else None."""
    for path in (source, os.path.realpath(source)):
        for part in Path(path).parts:
            if part in OWN_FOLDERS:
                return part
    return None


def reason_of(error: OSError) -> str:
    """Return what the operating system says, without the path."""
    return error.strerror or type(error).__name__


def _entries(folder: str) -> Iterator[File | Passed | str]:
    """Yield what is in a folder; folders in it as their paths."""
    try:
        with os.scandir(folder) as entries:
            while block := deque(sorted(islice(entries, BLOCK), key=lambda entry: entry.name)):
                while block:
                    yield _entry(block.popleft())
    except OSError as error:
        yield Passed(folder, Why.UNREADABLE, reason_of(error))


def _entry(entry: os.DirEntry[str]) -> File | Passed | str:
    try:
        if entry.is_dir(follow_symlinks=False):
            if entry.name in OWN_FOLDERS:
                return Passed(entry.path, Why.SKIPPED, "folder of the node's own")
            return entry.path
        if entry.is_symlink() and entry.is_dir():
            return Passed(entry.path, Why.SKIPPED, "link to a folder")
    except OSError as error:
        return Passed(entry.path, Why.UNREADABLE, reason_of(error))
    return _file(entry.path)


def _file(path: str) -> File | Passed:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        return Passed(path, Why.UNREADABLE, reason_of(error))
    if stat.S_ISREG(status.st_mode):
        return File(path, status.st_size)
    return Passed(path, Why.SKIPPED, _KINDS.get(stat.S_IFMT(status.st_mode), "no file"))
