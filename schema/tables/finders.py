"""Finders: one row by what identifies it, for asynchronous and for synchronous sessions.

image = await Image.by_uid(session, "1.2.840.…")  # session: AsyncSession
image = Image.by_uid(session, "1.2.840.…")  # session: Session, in a notebook
"""

from collections.abc import Awaitable
from typing import Self, TypeVar, overload

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Session

T = TypeVar("T")

AnySession = AsyncSession | Session
"""What a finder accepts; the answer to an `AsyncSession` is awaited."""


def one_or_none(session: AnySession, query: Select[T]) -> "Awaitable[T | None] | T | None":
    """Return the only row of a query; None when there is none.

    Raises
    ------
    sqlalchemy.exc.MultipleResultsFound
        When there are several.
    """
    if isinstance(session, AsyncSession):
        return _one_or_none(session, query)
    return session.scalars(query).one_or_none()


async def _one_or_none(session: AsyncSession, query: Select[T]) -> T | None:
    return (await session.scalars(query)).one_or_none()


class ByUID:
    """A table whose rows have a unique identifier (PS3.5 section 9)."""

    @classmethod
    def _uid(cls) -> InstrumentedAttribute[str]:
        raise NotImplementedError

    @overload
    @classmethod
    def by_uid(cls, session: AsyncSession, uid: str) -> Awaitable[Self | None]: ...
    @overload
    @classmethod
    def by_uid(cls, session: Session, uid: str) -> Self | None: ...
    @classmethod
    def by_uid(cls, session: AnySession, uid: str) -> Awaitable[Self | None] | Self | None:
        """Return the row with this UID; None when there is none."""
        query = select(cls).where(cls._uid() == uid)
        return one_or_none(session, query)
