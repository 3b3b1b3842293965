"""Dates and times as columns: what they may be compared with, on both databases alike.

    select(Study).where(Study.StudyDate >= "2024-01-01")
    select(Image).where(Image.AcquisitionTime < time(12))

SQLite keeps such a column as text and compares letters, PostgreSQL's driver takes nothing but the
column's own type. So what a query names is made a value of that type here, before a database sees
it: a `date` is its midnight, as in SQL; text is ISO 8601, or as DICOM writes it (PS3.5 section
6.2: ``20240101``, ``101530.5``). What is none of these is refused, where the query is written.
"""

import re
from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Date, DateTime, Time
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator, TypeEngine

from schema.errors import InvalidDate
from schema.header.values import parse_datetime, parse_time

T = TypeVar("T")

_AS_DICOM = re.compile(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}")
"""How a DICOM date begins that has year, month and day; with less than those it names no day."""

_AS_ISO = re.compile("[0-9]{4}(-?)[0-9]{2}\\1[0-9]{2}(?:[T ].+)?")
"""How ISO 8601 writes a day, or a moment. Python reads more, a range of two days among it."""

_AMONG = frozenset({operators.in_op, operators.not_in_op})


@lru_cache(maxsize=4096)
def _as_text(moment: datetime) -> str:
    """Write a moment as SQLite's columns have it: of thousands of studies many are of one day."""
    return moment.isoformat(" ", "microseconds")


class _Read(TypeDecorator[T]):
    """A column whose values are read from whatever says one."""

    cache_ok = True

    @abstractmethod
    def read(self, value: Any) -> T:  # noqa: ANN401 - whatever a query names
        """Return what a value says; raises InvalidDate when it says none."""

    def process_bind_param(self, value: Any, dialect: Dialect) -> T | None:  # noqa: ANN401, ARG002
        """Bind what a value says."""
        return None if value is None else self.read(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Write a naive moment for SQLite at once: a found study has nine of them.

        The text is the one that SQLAlchemy's own way leads to, several times as fast.
        """
        bind = super().bind_processor(dialect)
        if dialect.name != "sqlite" or not isinstance(self.impl_instance, DateTime):
            return bind

        def process(value: Any) -> Any:  # noqa: ANN401
            if type(value) is datetime and value.tzinfo is None:
                return _as_text(value)
            return bind(value) if bind is not None else value

        return process

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:  # noqa: ANN401
        """Compare as what this column holds; a duration stays one."""
        if isinstance(value, timedelta):
            return self.impl_instance.coerce_compared_value(op, value)
        if isinstance(value, str | date | time | int | float):
            self.read(value)  # a mistake is told where it is written, not where it is run
        return self


class Instant(_Read[datetime]):
    """A moment, kept as naive UTC: one with another offset is converted."""

    impl = DateTime
    cache_ok = True

    def read(self, value: Any) -> datetime:  # noqa: ANN401
        """Return the moment in UTC; a date is its midnight."""
        moment = _moment(value)
        if moment.tzinfo is None:
            return moment
        try:
            return moment.astimezone(UTC).replace(tzinfo=None)
        except OverflowError as error:
            raise InvalidDate(f"{value!r} is no moment that UTC has") from error


class DicomDate(_Read[datetime]):
    """A date of a header (DA), kept at its midnight: the calendar as it hung at the scanner.

    An offset from UTC therefore changes nothing: the clock counts as it stands.
    """

    impl = DateTime
    cache_ok = True

    def read(self, value: Any) -> datetime:  # noqa: ANN401
        """Return the date at midnight; a time that comes with it is kept."""
        return _moment(value).replace(tzinfo=None)


class Day(_Read[date]):
    """A day without a time of day."""

    impl = Date
    cache_ok = True

    def read(self, value: Any) -> date:  # noqa: ANN401
        """Return the day; a time that comes with it has to be midnight."""
        moment = _moment(value)
        if moment.time() != time():
            raise InvalidDate(f"{value!r} is no day: it has a time of day")
        return moment.date()

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:  # noqa: ANN401
        """Compare a day with a moment as its midnight."""
        if isinstance(value, str | date) and op not in _AMONG and _moment(value).time() != time():
            return DicomDate()  # on SQLite, too: "2024-01-01" is before "2024-01-01 10:00"
        return super().coerce_compared_value(op, value)


class DicomTime(_Read[time]):
    """A time of day of a header (TM): the clock as it stood at the scanner."""

    impl = Time
    cache_ok = True

    def read(self, value: Any) -> time:  # noqa: ANN401
        """Return the time of day."""
        if isinstance(value, time):
            return value.replace(tzinfo=None)
        if isinstance(value, str):
            found = parse_time(value) or _or_none(time.fromisoformat, value)
            if found is not None:
                return found.replace(tzinfo=None)
        raise InvalidDate(f"{value!r} is no time of day: write '10:15:30', or a datetime.time")


def _moment(value: Any) -> datetime:  # noqa: ANN401
    """Return the point in time that a value says, with its offset from UTC if it has one."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - as the calendar says
    if isinstance(value, str):
        text = value.strip()
        found = parse_datetime(text, aware=True) if _AS_DICOM.match(text) else None
        if found is None and _AS_ISO.fullmatch(text):
            found = _or_none(datetime.fromisoformat, text)
        if found is not None:
            return found
    raise InvalidDate(f"{value!r} is no date: write '2024-01-31', or a datetime.date")


def _or_none(read: Callable[[str], T], text: str) -> T | None:
    try:
        return read(text.strip())
    except ValueError:
        return None
