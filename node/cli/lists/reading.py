"""Where a list comes from: a file, or the standard input."""

import sys
from pathlib import Path

from node.errors import UsageError


def name_of_list(path: Path) -> str:
    """Return what a list is called in messages."""
    return "the standard input" if str(path) == "-" else str(path)


def read_list_file(path: Path) -> bytes:
    """Return what is in the file of a list; `-` is the standard input.

    Raises
    ------
    UsageError
        There is no such file, or it cannot be read.
    """
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
