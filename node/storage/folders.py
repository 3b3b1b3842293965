"""What the node keeps for itself in a storage directory, and what the names alone tell of it."""

import os
import re
from pathlib import Path

from node.errors import StorageError
from schema.parsing.scan import OWN_FOLDERS, SPOOL, reason_of

IDENTITY = ".storage-id"
"""The file that holds the id of the storage directory; see `node.storage.identity`."""

_OWN_FILES = re.compile(rf"{re.escape(IDENTITY)}(\.[0-9a-f]+)?|\.move-.*\.lock")


def is_own_name(*parts: str) -> bool:
    """Tell whether a path in a storage directory is the node's own: spool, quarantine, lock, id.

    Parameters
    ----------
    parts
        Of the path, relative to the storage directory.
    """
    if len(parts) == 1 and _OWN_FILES.fullmatch(parts[0]):
        return True
    return bool(parts) and parts[0] in OWN_FOLDERS


def has_spool(directory: Path) -> bool:
    """Tell whether a node has received into a storage directory before.

    Raises
    ------
    StorageError
        Nobody can tell: it cannot be looked at.
    """
    try:
        with os.scandir(directory / SPOOL):
            return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _not_looked_at(directory, error) from error


def spooled(directory: Path) -> frozenset[Path]:
    """Return the acknowledged objects that wait in a storage directory for the index."""
    return frozenset((directory / SPOOL).glob("*/*.dcm"))


def count_spooled(directory: Path) -> int:
    """Return how many acknowledged objects wait in a storage directory for the index.

    Raises
    ------
    StorageError
        Nobody can tell: the spool cannot be looked at.
    """
    try:
        with os.scandir(directory / SPOOL) as folders:
            own = [entry.path for entry in folders if entry.is_dir(follow_symlinks=False)]
        return sum(map(_count, own))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise _not_looked_at(directory, error) from error


def _count(folder: str) -> int:
    try:
        return sum(name.endswith(".dcm") for name in os.listdir(folder))
    except FileNotFoundError:  # its process has ended
        return 0


def _not_looked_at(directory: Path, error: OSError) -> StorageError:
    return StorageError(f"the spool of {directory} cannot be looked at: {reason_of(error)}")


def free_bytes(directory: Path) -> int:
    """Return how many bytes the filesystem of a storage directory has left for us.

    Raises
    ------
    StorageError
        When it does not say.
    """
    try:
        found = os.statvfs(directory / SPOOL)
    except OSError as error:
        raise StorageError(
            f"cannot look at the storage directory {directory}: {error.strerror}"
        ) from error
    return found.f_bavail * found.f_frsize
