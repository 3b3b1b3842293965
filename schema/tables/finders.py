"""Finders: one row by what identifies it, for asynchronous and for synchronous sessions.

image = await Image.by_uid(session, "1.2.840.…")  # session: AsyncSession
image = Image.by_uid(session, "1.2.840.…")  # session: Session, in a notebook
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self, TypeVar, overload

from sqlalchemy import ColumnElement, ScalarResult, Select, select
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Session

from schema.errors import SchemaError

T = TypeVar("T")

AnySession = AsyncSession | Session
"""What a finder accepts; the answer to an `AsyncSession` is awaited."""


class AmbiguousPatient(SchemaError, MultipleResultsFound):  # noqa: N818 - reads as a sentence
    """Several institutions have a patient with one identifier."""


def one_or_none(
    session: AnySession,
    query: Select[T],
    *,
    several: Callable[[Sequence[T]], Exception] | None = None,
) -> "Awaitable[T | None] | T | None":
    """Return the only row of a query; None when there is none.

    Parameters
    ----------
    several
        Returns what is raised when there are several rows.

    Raises
    ------
    sqlalchemy.exc.MultipleResultsFound
        When there are several, and nothing was said about that.
    """
    if isinstance(session, AsyncSession):
        return _one_or_none(session, query, several)
    return _only(session.scalars(query), several)


async def _one_or_none(
    session: AsyncSession, query: Select[T], several: Callable[[Sequence[T]], Exception] | None
) -> T | None:
    return _only(await session.scalars(query), several)


def _only(found: ScalarResult[T], several: Callable[[Sequence[T]], Exception] | None) -> T | None:
    if several is None:
        return found.one_or_none()
    rows = found.all()
    if len(rows) > 1:
        raise several(rows)
    return rows[0] if rows else None


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


class ByIdentifier:
    """A table of patients, each known to an institution by a Patient ID (0010,0020)."""

    patient_id: Any
    institution: Any

    @classmethod
    def _in_project(cls, project_id: int) -> ColumnElement[bool]:
        raise NotImplementedError

    @overload
    @classmethod
    def by_identifier(
        cls, session: AsyncSession, project_id: int, identifier: str, /
    ) -> Awaitable[Self | None]: ...
    @overload
    @classmethod
    def by_identifier(
        cls, session: Session, project_id: int, identifier: str, /
    ) -> Self | None: ...
    @overload
    @classmethod
    def by_identifier(
        cls,
        session: AsyncSession,
        patient_id: str,
        institution: str | None = None,
        *,
        project_id: int | None = None,
    ) -> Awaitable[Self | None]: ...
    @overload
    @classmethod
    def by_identifier(
        cls,
        session: Session,
        patient_id: str,
        institution: str | None = None,
        *,
        project_id: int | None = None,
    ) -> Self | None: ...
    @classmethod
    def by_identifier(
        cls,
        session: AnySession,
        patient_id: str | int,
        institution: str | None = None,
        *,
        project_id: int | None = None,
    ) -> Awaitable[Self | None] | Self | None:
        """Return the patient with this Patient ID; None when there is none.

        Both `by_identifier(session, patient_id, institution)` and, with a number first,
        `by_identifier(session, project_id, patient_id)`.

        Parameters
        ----------
        patient_id
            The identifier as the institution gives it.
        institution
            Needed where two institutions use the same identifier; None means any.
        project_id
            Only a patient of whom this project has a study that is here.

        Raises
        ------
        AmbiguousPatient
            When several institutions have a patient with this identifier, and none was named; a
            `sqlalchemy.exc.MultipleResultsFound` as well.
        TypeError
            When the identifier is no text.
        """
        if isinstance(patient_id, int):
            if institution is None or project_id is not None:
                raise TypeError(
                    "a Patient ID is text: write by_identifier(session, '123'), or, for a patient"
                    " of a project, by_identifier(session, project_id, '123')"
                )
            project_id, patient_id, institution = patient_id, institution, None
        query = select(cls).where(cls.patient_id == patient_id).order_by(cls.institution)
        if institution is not None:
            query = query.where(cls.institution == institution)
        if project_id is not None:
            query = query.where(cls._in_project(project_id))
        return one_or_none(session, query, several=_ambiguous)


def _ambiguous(patients: Sequence[ByIdentifier]) -> AmbiguousPatient:
    institutions = ", ".join(repr(one.institution) for one in patients)
    return AmbiguousPatient(
        f"{len(patients)} institutions have a patient with this identifier, {institutions}: name"
        " one, by_identifier(session, patient_id, institution), or take all of them,"
        " select(Patient).where(Patient.patient_id == patient_id)"
    )
