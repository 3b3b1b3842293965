"""Where the database is: from a URL, a configuration file, a mapping or the environment.

The answer is always a SQLAlchemy URL that names an asynchronous driver. `sqlite:///x.db` and
`postgresql://…` are accepted as people write them.
"""

import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from schema.engine.located import DRIVERS, check_database, folder_of, from_folder
from schema.errors import DriverMissing, InvalidDatabaseSource


class Configured(Protocol):
    """A configuration as an object: it has `storage.resources`."""

    @property
    def storage(self) -> Any:  # noqa: ANN401
        """What has `resources`."""


Source = str | Path | Mapping[str, Any] | Configured | URL | None
"""What `Database` accepts."""

RESOURCES_VARIABLE = "DICOM_NODE__STORAGE__RESOURCES"
CONFIG_VARIABLE = "DICOM_NODE_CONFIG"
CONFIG_FILES = (Path("dicom-node.yaml"), Path("~/.config/dicom-node/config.yaml"))

_SYNCHRONOUS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}

_ASYNCPG_ONLY = frozenset({"prepared_statement_cache_size"})
"""Options in a URL that are for the asynchronous driver."""


_SQLITE_FILE = b"SQLite format 3\0"


def asynchronous_url(source: Source = None) -> URL:
    """Return the URL of the database that `source` names, with its asynchronous driver.

    Parameters
    ----------
    source
        A database URL, the path of a YAML configuration file, a mapping or an object with
        ``storage.resources``, or None for the environment: first the variable
        ``DICOM_NODE__STORAGE__RESOURCES``, then the configuration file that
        ``DICOM_NODE_CONFIG`` names, ``./dicom-node.yaml`` or
        ``~/.config/dicom-node/config.yaml``. The path of an SQLite file in a configuration file
        starts from the folder of that file, any other from the current one.

    Raises
    ------
    InvalidDatabaseSource
        When it names none, or a database that is neither SQLite nor PostgreSQL.
    """
    if source is None:
        source = _from_environment()
    if isinstance(source, URL):
        return _with_driver(source)
    if isinstance(source, Mapping):
        return _from_mapping(source, "the configuration")
    if isinstance(source, str) and "://" in source:
        return _parse(source)
    if isinstance(source, str | os.PathLike):
        return _from_file(Path(source))
    storage = getattr(source, "storage", None)
    return _from_resources(getattr(storage, "resources", None), "the configuration")


def _from_environment() -> str | Path:
    """Return the URL or the configuration file that the environment names."""
    if resources := os.environ.get(RESOURCES_VARIABLE):
        return resources
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    for candidate in CONFIG_FILES:
        if (path := candidate.expanduser()).is_file():
            return path
    raise InvalidDatabaseSource(
        f"no database named: set {RESOURCES_VARIABLE}, or name a configuration file"
        f" with {CONFIG_VARIABLE}, or write ./dicom-node.yaml"
    )


def _from_file(path: Path) -> URL:
    """Return the URL in a configuration file; the environment's variable has precedence."""
    try:
        content = path.expanduser().read_bytes()
        if content.startswith(_SQLITE_FILE):
            raise InvalidDatabaseSource(f"{path} is a database; write sqlite:///{path}")
        content = yaml.safe_load(content.decode())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidDatabaseSource(f"{path} cannot be read as a configuration: {error}") from error
    if resources := os.environ.get(RESOURCES_VARIABLE):
        return _parse(resources)
    if not isinstance(content, Mapping):
        raise InvalidDatabaseSource(f"{path} has no storage.resources")
    return _from_mapping(content, str(path), folder_of(path))


def _from_mapping(mapping: Mapping[str, Any], where: str, folder: Path = Path()) -> URL:
    """Return the URL under ``storage.resources``; a relative path starts from a folder."""
    storage = mapping.get("storage")
    resources = storage.get("resources") if isinstance(storage, Mapping) else None
    return _from_resources(resources, where, folder)


def _from_resources(resources: object, where: str, folder: Path = Path()) -> URL:
    if not isinstance(resources, str) or not resources:
        raise InvalidDatabaseSource(
            f"{where} has no storage.resources; write for example sqlite:///var/node.db there"
        )
    return _parse(from_folder(resources, folder))


def shown(url: URL) -> str:
    """Return a URL as people write it: without the driver, and with stars for the password."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _parse(text: str) -> URL:
    """Parse a database URL."""
    try:
        return _with_driver(make_url(check_database(text)))
    except (ArgumentError, ValueError) as error:
        if isinstance(error, InvalidDatabaseSource):
            raise
        # The text is not repeated: it may hold a password.
        raise InvalidDatabaseSource(
            "the database's URL cannot be understood; write sqlite:///path.db or"
            " postgresql://user:password@host:5432/name"
        ) from error


def _with_driver(url: URL) -> URL:
    """Name the asynchronous driver, and make the path of a SQLite file usable."""
    check_database(f"{url.drivername}://")
    driver = DRIVERS.get(url.drivername, url.drivername)
    if driver.startswith("sqlite") and url.database and url.database.startswith("~"):
        url = url.set(database=str(Path(url.database).expanduser()))
    return url.set(drivername=driver)


def synchronous_url(
    url: URL, defaults: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None
) -> URL:
    """Return a database's URL for a synchronous engine.

    Parameters
    ----------
    url
        As `asynchronous_url` returns it.
    defaults
        PostgreSQL: options of the connection, where the URL does not have them.
    settings
        PostgreSQL: settings of the server.

    Raises
    ------
    DriverMissing
        On PostgreSQL, when psycopg is not installed.
    """
    backend = url.get_backend_name()
    url = url.set(drivername=_SYNCHRONOUS[backend])
    if backend == "sqlite":
        return url
    return url.set(query={**(defaults or {}), **_query(url, _known_options(), settings or {})})


def _known_options() -> Container[str]:
    try:
        from psycopg.pq import Conninfo  # noqa: PLC0415 - installed only on request

        return {option.keyword.decode() for option in Conninfo.get_defaults()}
    except ImportError as error:
        raise DriverMissing(
            "synchronous sessions on PostgreSQL need psycopg: pip install 'dicom-node[notebook]'"
        ) from error


def _query(url: URL, known: Container[str], settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the URL's options as libpq takes them, with our settings.

    asyncpg takes settings of the server among them (`work_mem`); libpq wants those in `options`.
    """
    query: dict[str, Any] = {}
    options = [_setting(name, value) for name, value in settings.items()]
    for name, value in url.query.items():
        if name == "ssl":  # asyncpg's name for it
            query["sslmode"] = value
        elif name == "options":
            options.append(str(value))
        elif name in known:
            query[name] = value
        elif name not in _ASYNCPG_ONLY:
            options.append(_setting(name, str(value)))
    return query | ({"options": " ".join(options)} if options else {})


def _setting(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
    return f"-c {name}={escaped}"
