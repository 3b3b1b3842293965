"""The node's own folders in a storage directory, and what can be told from their names alone."""

import os
from pathlib import Path

from node.errors import StorageError

QUARANTINE = ".quarantine"
SPOOL = ".spool"


def has_spool(directory: Path) -> bool:
    """Tell whether a node has received into a storage directory before."""
    return (directory / SPOOL).is_dir()


def spooled(directory: Path) -> frozenset[Path]:
    """Return the acknowledged objects that wait in a storage directory for the index."""
    return frozenset((directory / SPOOL).glob("*/*.dcm"))


def count_spooled(directory: Path) -> int:
    """Return how many there are."""
    return len(spooled(directory))


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
