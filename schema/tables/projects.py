"""Projects: named cohorts of studies.

A project is a list of studies, each named by its Study Instance UID or by its accession
number, whether a PACS has been asked for it yet or not. Which studies that are is a view,
`project_members`: a study that is found or received later belongs to it from then on.
"""

from collections.abc import Awaitable
from datetime import datetime
from typing import Self, overload

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    Mapped,
    Session,
    Synonym,
    foreign,
    mapped_column,
    relationship,
    synonym,
)

from schema.tables.columns import Base, IndexedText, utcnow
from schema.tables.finders import AnySession, one_or_none
from schema.tables.models import Patient, Study, StudyFind
from schema.tables.statements import table_of
from schema.tables.views import project_members

_patients_of_projects = (
    select(project_members.c.project_id, table_of(Study).c.patient_id)
    .join(Study, Study.study_uid == project_members.c.study_uid)
    .distinct()
    .subquery()
)
"""One row for each patient of a project, however many of its studies are theirs."""


class Project(Base):
    """A named cohort.

    Attributes
    ----------
    entries
        The studies as they were named when they were added.
    found_studies
        Those of its studies that a PACS has answered.
    studies, patients
        Those of its studies of which images are here, and their patients.
    """

    __tablename__ = "projects"
    _shown = ("id", "name")

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(IndexedText, unique=True, index=True)
    description: Mapped[str | None] = mapped_column(Text)
    created_on: Mapped[datetime] = mapped_column(default=utcnow)

    entries: Mapped[list["ProjectStudy"]] = relationship(
        back_populates="project", order_by="ProjectStudy.id"
    )
    found_studies: Mapped[list[StudyFind]] = relationship(
        secondary=project_members,
        primaryjoin=lambda: Project.id == foreign(project_members.c.project_id),
        secondaryjoin=lambda: StudyFind.study_uid == foreign(project_members.c.study_uid),
        order_by=StudyFind.id,
        viewonly=True,
    )
    studies: Mapped[list[Study]] = relationship(
        secondary=project_members,
        primaryjoin=lambda: Project.id == foreign(project_members.c.project_id),
        secondaryjoin=lambda: Study.study_uid == foreign(project_members.c.study_uid),
        order_by=Study.id,
        viewonly=True,
    )
    patients: Mapped[list[Patient]] = relationship(
        secondary=_patients_of_projects,
        primaryjoin=lambda: Project.id == foreign(_patients_of_projects.c.project_id),
        secondaryjoin=lambda: Patient.id == foreign(_patients_of_projects.c.patient_id),
        order_by=Patient.id,
        viewonly=True,
    )

    Patients: Synonym[list[Patient]] = synonym("patients")

    @overload
    @classmethod
    def by_name(cls, session: AsyncSession, name: str) -> Awaitable[Self | None]: ...
    @overload
    @classmethod
    def by_name(cls, session: Session, name: str) -> Self | None: ...
    @classmethod
    def by_name(cls, session: AnySession, name: str) -> Awaitable[Self | None] | Self | None:
        """Return the project with this name; None when there is none."""
        return one_or_none(session, select(cls).where(cls.name == name))


class ProjectStudy(Base):
    """One entry of a project: a study by its UID, or the studies with an accession number."""

    __tablename__ = "project_studies"
    __table_args__ = (
        CheckConstraint("(study_uid IS NULL) <> (accession_number IS NULL)", name="one_key"),
        Index("ix_project_studies_project_id_study_uid", "project_id", "study_uid", unique=True),
        Index(
            "ix_project_studies_project_id_accession_number",
            "project_id",
            "accession_number",
            unique=True,
        ),
    )
    _shown = ("id", "project_id", "study_uid", "accession_number")

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    study_uid: Mapped[str | None] = mapped_column(IndexedText, index=True)
    accession_number: Mapped[str | None] = mapped_column(IndexedText, index=True)
    added_on: Mapped[datetime] = mapped_column(default=utcnow)

    project: Mapped[Project] = relationship(back_populates="entries")
