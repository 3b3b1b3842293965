"""Names in a file system, told apart whatever way they are spelled.

All functions block on the disk: call them in a thread.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from schema.parsing.scan import open_regular

_PIECE = 1 << 20
_MOST_NAMES = 100
"""That an object's file may try; each one that is taken has other bytes in it."""


def same_entry(path: str | Path, other: str | Path) -> bool:
    """Tell whether two paths are one name of one file, though they may be spelled differently.

    Two names (hard links) of one file are not: removing one leaves the other. A symbolic link
    is the name that it leads to, for removing that takes the file from it as well. There need be
    no file.

    Raises
    ------
    OSError
        When a folder cannot be looked at: then nobody knows.
    """
    one, two = (os.path.realpath(each) for each in (path, other))
    if one == two:
        return True
    if os.path.basename(one).casefold() != os.path.basename(two).casefold():  # noqa: PTH119
        return False
    try:
        # one folder may be there twice, where it is mounted twice
        return os.path.samefile(os.path.dirname(one), os.path.dirname(two))  # noqa: PTH120, PTH121
    except (FileNotFoundError, NotADirectoryError):
        return False


def same_file(path: Path, other: Path) -> bool:
    """Tell whether two names are of one file (hard links); where a link leads does not count."""
    return os.path.samestat(path.lstat(), other.lstat())


def numbered(path: Path, stem: str) -> list[Path]:
    """Return names beside a path: damaged files may have taken the first ones."""
    numbers = ("", *(f"-{number}" for number in range(2, _MOST_NAMES)))
    return [path.with_name(f"{stem}{number}.dcm") for number in numbers]


def own_names(names: Sequence[Path], file: Path) -> tuple[Path, ...]:
    """Return those of the names, up to the first that is not taken, that are a file's own."""
    own = []
    for name in names:
        try:
            if same_file(name, file):
                own.append(name)
        except FileNotFoundError:
            break
    return tuple(own)


def same_bytes(path: Path, other: Path) -> bool:
    """Tell whether a regular file has the bytes of another one.

    Raises
    ------
    OSError
        One of them cannot be read.
    """
    status = path.lstat()  # a link may lead to a file that is not ours
    if not stat.S_ISREG(status.st_mode) or status.st_size != other.stat().st_size:
        return False
    with open_regular(path) as one, open_regular(other) as two:
        while piece := one.read(_PIECE):
            if piece != two.read(len(piece)):
                return False
    return True
