"""How much of each project is here, in numbers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.project.members import matches_nothing
from schema.tables.models import Image, Study, StudyFind
from schema.tables.projects import Project, ProjectStudy
from schema.tables.views import project_members


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSummary:
    """How much of a project is here.

    Attributes
    ----------
    entries
        UIDs and accession numbers that were added.
    studies
        Its members, and one for each accession number that no known study has.
    found
        Those that a PACS has answered.
    received
        Those of which at least one image is here.
    complete
        Those that are verified to be complete here.
    missing
        Those that no PACS has answered, and of which no image is here.
    images
        Images here.
    """

    id: int
    name: str
    description: str | None
    created_on: datetime
    entries: int
    studies: int
    found: int
    received: int
    complete: int
    missing: int
    images: int


@either
async def list_projects(session: AsyncSession, *, name: str | None = None) -> list[ProjectSummary]:
    """Return what each project has come to, by name.

    Parameters
    ----------
    name
        Only the project of this name.
    """
    query = select(Project).order_by(Project.name)
    if name is not None:
        query = query.where(Project.name == name)
    projects = list(await session.scalars(query))
    if not projects:
        return []
    only = projects[0].id if name is not None else None
    entries = dict((await session.execute(_of(ProjectStudy.project_id, only, func.count()))).all())
    members = {row[0]: row[1:] for row in await session.execute(_counted_members(only))}
    images = dict((await session.execute(_counted_images(only))).all())
    unmatched = dict(
        (
            await session.execute(
                _of(ProjectStudy.project_id, only, func.count()).where(*matches_nothing())
            )
        ).all()
    )
    summaries = []
    for project in projects:
        known, found, received, complete, missing = members.get(project.id, (0,) * 5)
        nowhere = unmatched.get(project.id, 0)
        summaries.append(
            ProjectSummary(
                id=project.id,
                name=project.name,
                description=project.description,
                created_on=project.created_on,
                entries=entries.get(project.id, 0),
                studies=known + nowhere,
                found=found,
                received=received,
                complete=complete,
                missing=missing + nowhere,
                images=images.get(project.id, 0),
            )
        )
    return summaries


def _of(column: Any, only: int | None, *counted: Any) -> Any:  # noqa: ANN401 - columns of any table
    query = select(column, *counted).group_by(column)
    return query if only is None else query.where(column == only)


def _counted_members(only: int | None) -> Any:  # noqa: ANN401
    uid = project_members.c.study_uid
    neither = (StudyFind.id.is_(None)) & (Study.id.is_(None))
    query = _of(
        project_members.c.project_id,
        only,
        func.count(),
        func.count(StudyFind.id),
        func.count(Study.id),
        func.count(StudyFind.retrieved_on),
        func.count().filter(neither),
    )
    return (
        query.select_from(project_members)
        .outerjoin(StudyFind, StudyFind.study_uid == uid)
        .outerjoin(Study, Study.study_uid == uid)
    )


def _counted_images(only: int | None) -> Any:  # noqa: ANN401
    query = _of(project_members.c.project_id, only, func.count(Image.id))
    return query.join(Image, Image.study_uid == project_members.c.study_uid)
