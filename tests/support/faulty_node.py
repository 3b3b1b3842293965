"""`dicom-node`, with names on its threads, and without one of the things that keep its promises.

    python -m tests.support.faulty_node SWITCH,… run --config FILE

`-` is no switch at all. The threads have their Python names in `/proc`, so that another process
can tell them apart.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import node.cli.app
import node.ops.receiving.gate
import schema.engine.connections


def name_threads() -> None:
    """Let the system know each thread's name (15 characters of it)."""
    begin = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

    def named(self: threading.Thread) -> None:
        comm = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
        comm.write_text(self.name[:15])
        begin(self)

    threading.Thread._bootstrap_inner = named  # type: ignore[attr-defined]


def leave_out_fsync(kind: Callable[[int], bool]) -> None:
    """Make `os.fsync` do nothing for files of a kind."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if not kind(os.fstat(descriptor).st_mode):
            real(descriptor)

    os.fsync = fsync  # type: ignore[assignment]


class _CarelessCursor(sqlite3.Cursor):
    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous=FULL", "synchronous=OFF"), *args)


class _CarelessConnection(sqlite3.Connection):
    def cursor(self, factory: Any = _CarelessCursor) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous=FULL", "synchronous=OFF"), *args)


def leave_out_sqlite_syncs() -> None:
    """Open every SQLite database with `synchronous=OFF`."""
    real = sqlite3.connect

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        return real(*args, factory=_CarelessConnection, **kwargs)

    sqlite3.connect = connect  # type: ignore[assignment]


def set_floor(size: int) -> None:
    """Take objects while so many bytes are free, instead of 256 MB."""
    node.ops.receiving.gate.FLOOR_BYTES = size


def set_wal_pages(count: int) -> None:
    """Move SQLite's log into the database after so many pages, instead of 16,000."""
    schema.engine.connections._WAL_PAGES = count


SWITCHES: dict[str, Callable[[], None]] = {
    "-": lambda: None,
    "no-file-fsync": lambda: leave_out_fsync(stat.S_ISREG),
    "no-directory-fsync": lambda: leave_out_fsync(stat.S_ISDIR),
    "no-sqlite-sync": leave_out_sqlite_syncs,
    "no-floor": lambda: set_floor(0),
    "full": lambda: set_floor(1 << 60),
    "wal=1": lambda: set_wal_pages(1),
    "wal=20": lambda: set_wal_pages(20),
}


def main() -> None:
    """Be the node that the arguments describe."""
    for switch in sys.argv.pop(1).split(","):
        SWITCHES[switch]()
    name_threads()
    sys.argv[0] = "dicom-node"
    node.cli.app.main()


if __name__ == "__main__":
    main()
