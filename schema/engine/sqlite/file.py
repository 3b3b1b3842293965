"""The file of a SQLite database, and how it is opened where nobody may write.

In WAL mode also who only reads needs two files beside the database. While somebody has it open
they are there, and whoever may read them reads. When nobody has, they are gone, and who may not
make files in that folder could read nothing. Then the file is opened as one that nobody changes
(`immutable`), which is so as long as it is the same: all that was committed is in it, and a writer
begins with a file beside it. Whether it stayed the same is looked at after each use.

The file itself is never opened here: to close it again would take the locks of this process away.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from schema.errors import DatabaseUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenFile:
    """A database that nobody has open, and beside which this user cannot make files.

    Attributes
    ----------
    stamp
        What changes when somebody writes into it.
    """

    path: Path
    stamp: tuple[int, int, int, int]

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Return what is at a path; None where it is to be opened as usual."""
        if not path.exists() or _may_write(path.parent) or Path(f"{path}-wal").exists():
            return None
        return cls(path=path, stamp=_stamp(path))

    @property
    def uri(self) -> str:
        """By which it is opened."""
        return f"file:{quote(str(self.path.absolute()))}?mode=ro&immutable=1"

    def verify(self) -> None:
        """Make sure that what was read of it was true.

        Raises
        ------
        DatabaseUnavailable
            Somebody has changed it meanwhile.
        """
        if not self.path.exists() or self.stamp != _stamp(self.path):
            raise DatabaseUnavailable(
                f"{self.path} was changed while it was read; run the same once more"
            )


def check_file(path: Path) -> None:
    """Make sure that a database can be at a path, and be read there.

    Raises
    ------
    DatabaseUnavailable
        It cannot, in words that say why.
    """
    if path.is_dir():
        raise DatabaseUnavailable(
            f"{path} is a folder, and no database: name a file, such as {path / 'node.db'}"
        )
    if path.exists() and not os.access(path, os.R_OK):
        raise DatabaseUnavailable(f"{path} may not be read by this user")
    if not path.exists() and not _may_write(path.parent):
        what = "cannot be written to" if path.parent.is_dir() else "is no folder"
        raise DatabaseUnavailable(f"{path} cannot be created: {path.parent} {what}")


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _stamp(path: Path) -> tuple[int, int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
