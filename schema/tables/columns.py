"""What the tables' columns have in common: their types, their clock and their names.

Text is unbounded, but for that which a B-tree index holds (`IndexedText`). Times are naive
UTC. Constraints get their names from one convention, so that a migration can refer to them on
every database.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, ClassVar, Self, TypeVar, overload

import orjson
from sqlalchemy import JSON, Double, MetaData, Text, inspect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, Synonym, mapped_column, synonym
from sqlalchemy.types import TypeDecorator, TypeEngine

from schema.header.values import key_of
from schema.tables.dates import Day, DicomDate, DicomTime, Instant

T = TypeVar("T")

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""How constraints and indexes are called."""


CLOCKS_DIFFER = timedelta(minutes=5)
"""By so much at most, clocks that are right differ."""


clock: Callable[[], datetime] = partial(datetime.now, UTC)
"""Returns the time now, aware, in UTC: the machine's. Tests set another one."""


def present() -> datetime:
    """Return the time now, aware, in UTC."""
    return clock()


def utcnow() -> datetime:
    """Return the time now in UTC, without a time zone, as the columns keep it."""
    return clock().replace(tzinfo=None)


def latest() -> datetime:
    """Return the latest moment, as naive UTC, that something can have been written at by now.

    Clocks of several machines differ a little. What is later, one has written that was wrong: it
    says nothing of when that was.
    """
    return utcnow() + CLOCKS_DIFFER


def day_of(moment: datetime) -> date:
    """Return the day of a moment (naive UTC) where this machine is: study dates are local ones."""
    return moment.replace(tzinfo=UTC).astimezone().date()


def encode_json(value: Any) -> str:  # noqa: ANN401 - anything that JSON has
    """Write a value as JSON; bytes are taken as JSON already."""
    return bytes(value).decode() if isinstance(value, bytes) else orjson.dumps(value).decode()


def decode_json(text: str | bytes) -> Any:  # noqa: ANN401
    """Read JSON."""
    return orjson.loads(text)


class EncodedJSON(TypeDecorator[Any]):
    """A JSON document: JSONB on PostgreSQL, JSON text on SQLite.

    Bytes and text are bound as they are, because they hold JSON already: a header that was
    encoded once is not decoded and encoded again on its way into the table. None is NULL.
    """

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose JSONB where there is one."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(JSON(none_as_null=True))

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:  # noqa: ANN401
        """Let `column["key"]` compare as JSON itself does."""
        return self.impl_instance.coerce_compared_value(op, value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Bind encoded JSON as it is, everything else by the dialect's own way."""
        encode = super().bind_processor(dialect)

        def process(value: Any) -> Any:  # noqa: ANN401
            if isinstance(value, bytes):
                return value.decode()
            if isinstance(value, str):
                return value
            return encode(value) if encode is not None else value

        return process


class IndexedText(TypeDecorator[str]):
    """Text of a column that a B-tree index or a unique constraint holds.

    An entry of such an index ends at 2,704 bytes on PostgreSQL. What is too long is cut and told
    apart by its digest wherever it is bound, in a comparison as in an INSERT: so it is unique,
    and is found by the whole of it. The whole is kept where there is something to keep it in.

    Parameters
    ----------
    fold
        Makes the text fit; what fits already stays as it is.
    """

    impl = Text
    cache_ok = True

    def __init__(self, fold: Callable[[str], str] = key_of) -> None:
        super().__init__()
        self.fold = fold

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return what is stored, or compared."""
        return None if value is None else self.fold(value)


_TYPES: dict[type, type[TypeEngine[Any]]] = {
    str: Text,
    float: Double,
    datetime: DicomDate,
    time: DicomTime,
}


def keyword_column(name: str, kind: type[T]) -> tuple[Mapped[T | None], Synonym[T | None]]:
    """Return a column for an attribute of the header, and its synonym under the DICOM keyword.

        kvp, KVP = keyword_column("kvp", float)

    Parameters
    ----------
    name
        The column's.
    kind
        Of its values; NULL when the header has none that is one.
    """
    return mapped_column(_TYPES[kind], nullable=True), synonym(name)


class Base(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: Instant, date: Day, time: DicomTime}

    _shown: ClassVar[tuple[str, ...]] = ("id",)
    """The columns that identify a row in messages: none says who the patient is."""

    def __repr__(self) -> str:
        state = inspect(self)
        known = {name: state.dict[name] for name in self._shown if name in state.dict}
        values = ", ".join(f"{name}={value!r}" for name, value in known.items())
        return f"{type(self).__name__}({values})"

    @overload
    @classmethod
    def by_id(cls, session: AsyncSession, id: int) -> Awaitable[Self | None]: ...
    @overload
    @classmethod
    def by_id(cls, session: Session, id: int) -> Self | None: ...
    @classmethod
    def by_id(
        cls,
        session: AsyncSession | Session,
        id: int,  # noqa: A002
    ) -> Awaitable[Self | None] | Self | None:
        """Return the row with this key; None when there is none."""
        return session.get(cls, id)
