"""The node's own folders in a storage directory, and what can be told from their names alone."""

from pathlib import Path

QUARANTINE = ".quarantine"
SPOOL = ".spool"


def has_spool(directory: Path) -> bool:
    """Tell whether a node has received into a storage directory before."""
    return (directory / SPOOL).is_dir()


def count_spooled(directory: Path) -> int:
    """Return how many acknowledged objects wait in a storage directory for the index."""
    return sum(1 for _ in (directory / SPOOL).glob("*/*.dcm"))
