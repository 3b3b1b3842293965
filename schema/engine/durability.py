"""Whether a database keeps what it has committed, as far as it can be asked or seen to."""

import errno
import os
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from schema.engine.faults import translated

_NEEDED = {
    "fsync": "the whole database may be lost with the machine's power",
    "full_page_writes": "pages may be torn when the machine's power goes",
    "synchronous_commit": "the last commits may be lost with the machine's power",
}
"""Settings of PostgreSQL that must not be off, and what happens when they are."""

_NOT_SYNCED = (errno.EACCES, errno.EPERM, errno.EINVAL)
"""Errors of folders that may be used, but not synced: not ours, or on such a filesystem."""


async def weaknesses(engine: AsyncEngine) -> list[str]:
    """Return what keeps a commit from being durable, a sentence each; none for SQLite.

    SQLite's settings are made by each connection of ours, so there is nothing to ask.

    Raises
    ------
    DatabaseUnavailable
        When the database cannot be reached.
    """
    if engine.url.get_backend_name() != "postgresql":
        return []
    found = []
    with translated():
        async with engine.connect() as connection:
            for name, consequence in _NEEDED.items():
                value = await connection.scalar(
                    text("SELECT current_setting(:name)"), {"name": name}
                )
                if value == "off":
                    found.append(f"PostgreSQL runs with {name} = off: {consequence}")
    return found


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, and make their names durable.

    SQLite does that for its files; but what is in a folder is lost with the folder's name.

    Raises
    ------
    OSError
        When that is not possible.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, where that is possible.

    Raises
    ------
    OSError
        When that fails.
    """
    try:
        sync(path)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise


def sync(path: Path) -> None:
    """Make a file's data, or a folder's names, durable.

    Raises
    ------
    OSError
        When that fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
