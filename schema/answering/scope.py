"""What a caller may see of the index, as conditions on images: by project, modality, completeness.

A peer of the configuration has one scope; who calls may be several peers, and is shown what any of
them is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select, true

from schema.answering.tables import IMAGES, SERIES, STUDIES
from schema.tables.models import GONE, UNWANTED, StudyFind
from schema.tables.projects import Project
from schema.tables.views import project_members

_NOTHING_TO_COME = (UNWANTED, GONE)
"""States in which no more images of a study will come, though it never was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerScope:
    """What somebody is shown and given.

    Attributes
    ----------
    projects
        Studies of these projects only, by their names; None is all studies.
    modalities
        Images of these modalities (0008,0060) only; None is all of them.
    complete_only
        Whether studies are hidden of which images are still to come: a PACS has them, and they have
        never been complete here. A study that nobody found is not among these.
    """

    projects: tuple[str, ...] | None = None
    modalities: tuple[str, ...] | None = None
    complete_only: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether nothing is hidden."""
        return self.projects is None and self.modalities is None and not self.complete_only


ALL_IMAGES = AnswerScope()
"""Everything that the index has."""


def visible(
    scopes: Sequence[AnswerScope],
    *,
    study_uid: Any = IMAGES.c.study_uid,  # noqa: ANN401 - a column, of a class or of a table
    modality: Any = IMAGES.c.modality,  # noqa: ANN401
) -> list[ColumnElement[bool]]:
    """Return the conditions that an image meets when one of the scopes has it.

    Parameters
    ----------
    scopes
        Without any, nothing is visible.
    study_uid, modality
        The columns of the Study Instance UID and of the modality, where they are not those of
        `Image`. Without a modality (None), that is not asked for.

    Returns
    -------
    list[ColumnElement[bool]]
        All of them are to be met; none when everything is visible.
    """
    if any(scope.is_everything for scope in scopes):
        return []
    return [or_(false(), *(_within(scope, study_uid, modality) for scope in scopes))]


def visible_images(scopes: Sequence[AnswerScope]) -> list[ColumnElement[bool]]:
    """Return the conditions of `visible`, by the image's own header and by what it is filed under.

    An image may say another study or modality than its series has: it is to be visible by both. In
    a query that joins `Image`, `Series` and `Study`.
    """
    own = visible(scopes)
    return [*own, *visible(scopes, study_uid=STUDIES.c.study_uid, modality=SERIES.c.modality)]


def _within(scope: AnswerScope, study_uid: Any, modality: Any) -> ColumnElement[bool]:  # noqa: ANN401
    conditions: list[ColumnElement[bool]] = []
    if scope.projects is not None:
        members = (
            select(project_members.c.study_uid)
            .join(Project, Project.id == project_members.c.project_id)
            .where(Project.name.in_(scope.projects))
        )
        conditions.append(study_uid.in_(members))
    if scope.modalities is not None and modality is not None:
        conditions.append(modality.in_(scope.modalities))
    if scope.complete_only:
        to_come = select(StudyFind.id).where(
            StudyFind.study_uid == study_uid,
            StudyFind.retrieved_on.is_(None),
            StudyFind.state.not_in(_NOTHING_TO_COME),
        )
        # the study may be that of a query two levels up
        to_come = to_come.correlate_except(StudyFind)
        conditions.append(~to_come.exists())
    return and_(true(), *conditions)
