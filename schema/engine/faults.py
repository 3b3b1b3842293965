"""What the drivers' errors mean, decided at the one place where they enter.

The exceptions of SQLAlchemy, sqlite3 and asyncpg that mean "the database is away, locked or
overloaded" become `DatabaseUnavailable`, those about the values of a row `ValuesRefused`. Mistakes
in a statement (a syntax error, a column that does not exist) stay what they are: waiting does not
help them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from schema.errors import (
    DatabaseReadOnly,
    DatabaseUnavailable,
    InvalidDate,
    ReadOnlySession,
    SchemaError,
    SchemaMissing,
    ValuesRefused,
)

CONFLICT_STATES = frozenset({"40001", "40P01"})
"""SQLSTATE of a serialization failure and of a deadlock: run the transaction again."""

_FOREIGN_KEY = "23503"  # foreign_key_violation

_NO_DATABASE = "3D000"  # invalid_catalog_name

_AWAY_CLASSES = frozenset({"08", "28", "53", "55", "57", "58", "XX"})
"""SQLSTATE classes: connection, authorization, resources, object in use (locks), operator
intervention (shutdown, cancelled by a timeout), system error, internal error."""

_READ_ONLY = "25006"  # read_only_sql_transaction: ours, or any on a standby server
SQLITE_READ_ONLY = "readonly database"
"""What SQLite says where it may not write."""

_NO_RIGHT = "42501"  # insufficient_privilege

_VALUE_CLASSES = frozenset({"22", "54"})
"""SQLSTATE classes: data exception, program limit exceeded."""

NO_DATABASE = "not a database"
"""What SQLite says of a file that is something else."""

_SQLITE_AWAY = (
    "locked",
    "busy",
    "unable to open",
    "disk i/o error",
    "is full",
    NO_DATABASE,
    "malformed",
    "out of memory",
    "no active connection",
)


def sqlstate_of(error: BaseException | None) -> str | None:
    """Return the SQLSTATE that PostgreSQL gave with `error` or with what caused it, if any."""
    while error is not None:
        state = getattr(error, "sqlstate", None)
        if isinstance(state, str):
            return state
        error = error.orig if isinstance(error, exc.DBAPIError) else error.__cause__
    return None


def _refuses_values(error: BaseException) -> bool:
    """Tell whether `error` of a driver is about the values themselves: no time will mend them.

    An index entry or a row that is too large, a number out of range, a text that the database
    cannot hold. A constraint, a trigger or a missing table is somebody's to mend.
    """
    if (state := sqlstate_of(error)) is not None:
        return state[:2] in _VALUE_CLASSES
    if isinstance(error, exc.DBAPIError):
        return isinstance(error, exc.DataError)
    # what a column's type does not take; a parameter that is missing is a mistake
    return isinstance(error, exc.StatementError) and isinstance(
        error.orig, (OverflowError, TypeError, ValueError)
    )


def _refused(error: BaseException) -> ValuesRefused:
    """Return what to raise: the words of the driver may quote the row, patient included."""
    if isinstance(getattr(error, "orig", None), InvalidDate):
        return InvalidDate("the database refuses it: a value is no date, or no time of day")
    return ValuesRefused(f"the database refuses it: {type(error).__name__}")


def unavailable(error: BaseException) -> SchemaError | None:
    """Return what `error` of a driver means to the caller; None when it is no availability.

    Parameters
    ----------
    error
        An exception of SQLAlchemy, asyncpg, sqlite3 or of the operating system's sockets.
    """
    reason = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    if isinstance(error, exc.TimeoutError):
        return DatabaseUnavailable("no connection to the database became free in time")
    if (state := sqlstate_of(error)) is not None:
        return _of_postgresql(state, reason)
    if isinstance(error, exc.DBAPIError):
        return _of_driver(error, reason)
    if isinstance(error, TimeoutError):
        return DatabaseUnavailable("the database cannot be reached: it does not answer")
    if isinstance(error, OSError):
        return DatabaseUnavailable(f"the database cannot be reached: {reason}")
    return None


def _of_postgresql(state: str, reason: str) -> SchemaError | None:
    if state == _NO_DATABASE:
        return SchemaMissing(f"{reason}; run `dicom-node db init`")
    if state in CONFLICT_STATES:
        return DatabaseUnavailable(f"the transaction lost a conflict: {reason}", conflict=True)
    if state == _READ_ONLY:
        return DatabaseReadOnly(f"the database may only be read here: {reason}")
    if state == _NO_RIGHT:
        return DatabaseReadOnly(f"the database is unavailable: {reason}")
    if state[:2] in _AWAY_CLASSES:
        return DatabaseUnavailable(f"the database is unavailable: {reason}")
    return None


def _of_driver(error: exc.DBAPIError, reason: str) -> SchemaError | None:
    if error.connection_invalidated or isinstance(error, exc.InterfaceError):
        return DatabaseUnavailable(f"the connection to the database was lost: {reason}")
    text = reason.lower()
    if SQLITE_READ_ONLY in text:
        return DatabaseReadOnly(f"the database may only be read here: {reason}")
    if any(phrase in text for phrase in _SQLITE_AWAY):
        lost = "locked" in text or "busy" in text
        return DatabaseUnavailable(f"the database is unavailable: {reason}", conflict=lost)
    return None


def _wrote(error: BaseException) -> bool:
    """Tell whether `error` of a driver is about a change in a transaction that only reads."""
    if (state := sqlstate_of(error)) is not None:
        return state == _READ_ONLY
    return isinstance(error, exc.DBAPIError) and SQLITE_READ_ONLY in str(error.orig)


@contextmanager
def parents_may_go() -> Iterator[None]:
    """Take a parent that is gone for a lost conflict: who looked it up has to look again.

    For what only ever writes children of rows that it has just seen, or made itself.

    Raises
    ------
    DatabaseUnavailable
        As a conflict, when another transaction deleted a parent meanwhile.
    """
    try:
        yield
    except exc.IntegrityError as error:
        if sqlstate_of(error) != _FOREIGN_KEY:
            raise
        raise DatabaseUnavailable(
            "the transaction lost a conflict: a row was deleted under which others were to be",
            conflict=True,
        ) from error


@contextmanager
def translated(*, reading: bool = False) -> Iterator[None]:
    """Turn SQLAlchemy's errors of availability and of values into ours; let all others pass.

    Parameters
    ----------
    reading
        Whether the transactions are such that only read.
    """
    try:
        yield
    except exc.SQLAlchemyError as error:
        if reading and _wrote(error):
            raise ReadOnlySession(
                "this session reads, and what was asked of it changes the database: write in"
                " begin(), one transaction, or in session(write=True)"
            ) from error
        meaning = unavailable(error)
        if meaning is None and _refuses_values(error):
            meaning = _refused(error)
        if meaning is None:
            raise
        raise meaning from error
