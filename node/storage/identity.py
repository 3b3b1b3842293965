"""The identity of a storage directory: an id that is made once, and lies in it ever after.

It says which directory holds a file, where paths, host names and AE titles may be the same on two
machines: the rows of images have it, as `storage_id`. It goes where the directory goes, so a
directory that is moved, or mounted elsewhere, stays what it is.

All functions block on the disk: call them in a thread.
"""

import contextlib
import os
import re
import secrets
from pathlib import Path

from node.errors import StorageError
from node.storage.durable import Directories, sync_directory, sync_file, write_all
from node.storage.folders import IDENTITY
from schema.parsing.scan import open_regular, reason_of

_ID = re.compile(rb"[0-9a-f]{32}\n?")
_MOST_BYTES = 64


def storage_id(directory: Path) -> str | None:
    """Return the id of a storage directory; None where it has none yet, or is not there.

    Raises
    ------
    StorageError
        It cannot be read, or is none: nobody may take it for another directory then.
    """
    path = directory / IDENTITY
    try:
        with open_regular(path) as file:
            content = file.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason_of(error)}") from error
    if not _ID.fullmatch(content):
        raise StorageError(
            f"{path} does not hold the id of the storage directory: 32 hexadecimal digits"
        )
    return content.decode().strip()


def made_storage_id(directory: Path) -> str:
    """Return the id of a storage directory, durable; it gets one where it has none.

    Raises
    ------
    StorageError
        The disk does not take it, or has another file in its place.
    """
    try:
        if (found := storage_id(directory)) is None:
            Directories().make(directory)
            _make(directory)
            found = storage_id(directory)
        sync_file(directory / IDENTITY)  # another process may have made it a moment ago
        sync_directory(directory)
    except OSError as error:
        raise StorageError(
            f"cannot keep the id of the storage directory {directory}: {reason_of(error)}"
        ) from error
    if found is None:
        raise StorageError(f"somebody has removed {directory / IDENTITY}")
    return found


def _make(directory: Path) -> None:
    """Write an id beside its place, and link it there: of several processes one is the first."""
    draft = directory / f"{IDENTITY}.{secrets.token_hex(8)}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            write_all(descriptor, [f"{secrets.token_hex(16)}\n".encode()])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, directory / IDENTITY)
    finally:
        draft.unlink(missing_ok=True)
