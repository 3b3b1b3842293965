"""Relative paths in a configuration file: they start from the folder of that file.

So a configuration names the same database wherever a command is typed. What stands on a command
line or in the environment starts from the current folder.
"""

import re
from pathlib import Path

from schema.errors import InvalidDatabaseSource

_SQLITE = re.compile(r"(sqlite(?:\+\w+)?)://(?:/(.*))?", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r"(?:[^:/]*(?::[^@]*)?@)?(?:\[[^/?]+\]|[^/:?]+)?(?::([^/?]*))?")
"""What follows `postgresql://`, up to the name of the database."""
_FILE_URI = "file:"

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
"""The databases that there are, by what a URL calls them, with their asynchronous drivers."""


def check_database(url: str) -> str:
    """Return a database's URL: of one of those that there are, with a port, or a path, that may be.

    Raises
    ------
    InvalidDatabaseSource
        It does not.
    """
    name, _, rest = url.strip().partition("://")
    if name not in DRIVERS and name not in DRIVERS.values():
        raise InvalidDatabaseSource(f"{name!r} is not supported: use sqlite:///… or postgresql://…")
    if name.startswith("sqlite") and _SQLITE.fullmatch(url.strip()) is None:
        raise InvalidDatabaseSource(f"the path of a file follows a third slash: {name}:///{rest}")
    found = None if name.startswith("sqlite") else _PORT.match(rest)
    port = found and found[1]
    if port and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise InvalidDatabaseSource("the port of a database is a number from 1 to 65535")
    return url


def folder_of(file: Path) -> Path:
    """Return the folder that relative paths in a file start from; empty for the current one.

    So paths stay as they were written where that is what they mean anyway. Links to folders
    are followed, and `..` is none of its parts: a path is the same from wherever it was named.
    Where the file itself is a link, it is the folder of the link.
    """
    folder = file.expanduser().parent.resolve()
    return Path() if folder == Path.cwd() else folder


def from_folder(url: str, folder: Path) -> str:
    """Return a database's URL as it is meant in a file of a folder; only SQLite has paths.

    Raises
    ------
    InvalidDatabaseSource
        The folder has a name that a URL cannot have.
    """
    path = _path_of(url)
    if not path or folder == Path():
        return url
    uri = path.startswith(_FILE_URI)
    name = path.removeprefix(_FILE_URI)
    if name.startswith(("/", "~")) or in_memory(url):
        return url
    if "?" in str(folder):
        raise InvalidDatabaseSource(
            f"a database's URL cannot have the question mark of the folder {folder}; move the file"
        )
    scheme = url.partition("://")[0]
    return f"{scheme}:///{_FILE_URI if uri else ''}{folder}/{name}"


def in_memory(url: str) -> bool:
    """Whether a URL names a database of SQLite that is gone when its process ends."""
    path = _path_of(url)
    if path is None:
        return False
    name, _, options = path.partition("?")
    return name.removeprefix(_FILE_URI) in ("", ":memory:") or "mode=memory" in options.split("&")


def file_of(url: str) -> Path | None:
    """Return the file of a database of SQLite; None where it has none, as another database."""
    path = _path_of(url)
    if path is None or in_memory(url):
        return None
    return Path(path.partition("?")[0].removeprefix(_FILE_URI)).expanduser()


def _path_of(url: str) -> str | None:
    """Return what names the file, with its options; None when it is not SQLite's."""
    match = _SQLITE.fullmatch(url.strip())
    return None if match is None else match[2] or ""
