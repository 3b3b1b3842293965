"""Where a database is, for synchronous drivers: sqlite3, and psycopg, which is libpq."""

from collections.abc import Container, Mapping
from typing import Any

from sqlalchemy.engine import URL

from schema.errors import DriverMissing

_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}

_ASYNCPG_ONLY = frozenset({"prepared_statement_cache_size"})
"""Options in a URL that are for the asynchronous driver."""


def synchronous_url(
    url: URL, defaults: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None
) -> URL:
    """Return a database's URL for a synchronous engine.

    Parameters
    ----------
    url
        As `schema.engine.source.asynchronous_url` returns it.
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
    url = url.set(drivername=_DRIVERS[backend])
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
