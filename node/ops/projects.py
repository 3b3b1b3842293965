"""Projects by their names: how much of one is here, and which studies it is to have."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from node.errors import UsageError
from schema import AsyncSession
from schema.engine.database import Database
from schema.finding.known import ISSUER, DescribedStudy, patients_of
from schema.project.entries import Entries, add_known_studies, add_to_project
from schema.project.members import Member, get_ambiguous_accessions, get_project_members
from schema.project.reports import ProjectSummary, list_projects
from schema.project.selection import Criteria, select_studies
from schema.tables.projects import Project

_SHOWN = 10


async def project_named(database: Database, name: str) -> Project:
    """Return the project of this name.

    Raises
    ------
    UsageError
        There is none; the message lists those that there are, the most similar ones first.
    """
    async with database.session() as session:
        project = await Project.by_name(session, name.strip())
        if project is not None:
            return project
        known = [summary.name for summary in await list_projects(session)]
    if not known:
        raise UsageError(
            f"no project is named {name!r}: there is none yet; make it with "
            "`dicom-node project create NAME`"
        )
    known.sort(key=lambda other: _likeness(name, other), reverse=True)
    listed = ", ".join(map(repr, known[:_SHOWN]))
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    raise UsageError(f"no project is named {name!r}; known are: {listed}{more}")


async def project_summary(database: Database, project: Project) -> ProjectSummary:
    """Return how much of a project is here."""
    async with database.session() as session:
        (summary,) = await list_projects(session, name=project.name)
    return summary


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDetails:
    """A project, study by study.

    Attributes
    ----------
    ambiguous
        The studies of each accession number that names several.
    patients
        Of these, the patients, where they are several; each with who has given the ID, if it is
        known.
    """

    summary: ProjectSummary
    members: list[Member]
    ambiguous: dict[str, tuple[str, ...]]
    patients: dict[str, tuple[str, ...]]


async def project_details(database: Database, project: Project) -> ProjectDetails:
    """Return what has become of each study of a project."""
    summary = await project_summary(database, project)
    async with database.session() as session:
        members = await get_project_members(session, project.id)
        ambiguous = await get_ambiguous_accessions(session, project.id)
    described = {one.study_uid: list(_described(one)) for one in members}
    patients = {
        number: patients_of(one for uid in uids for one in described.get(uid, ()))
        for number, uids in ambiguous.items()
    }
    return ProjectDetails(
        summary=summary,
        members=members,
        ambiguous=ambiguous,
        patients={
            number: tuple(sorted(f"{id_} ({issuer})" if issuer else id_ for id_, issuer in those))
            for number, those in patients.items()
            if len(those) > 1
        },
    )


def _described(member: Member) -> Iterator[DescribedStudy]:
    """Yield whose a study is: as each PACS says, else as the study itself does."""
    uid = member.study_uid or ""
    for source in member.sources:
        issuer = str((source.keys or {}).get(ISSUER, ""))
        yield DescribedStudy(study_uid=uid, patient_id=source.patient_id or "", issuer=issuer)
    if not member.sources:
        yield DescribedStudy(study_uid=uid, patient_id=member.patient_id or "")


async def add_studies(
    database: Database,
    project: Project,
    *,
    study_uids: Sequence[str],
    accession_numbers: Sequence[str],
    criteria: Criteria | None = None,
) -> Entries:
    """Add studies to a project by their keys, and those known ones that meet the criteria.

    All are added, or none.

    Raises
    ------
    UsageError
        No known study has a patient, a modality or a manufacturer that the criteria name.
    """
    async with database.begin() as session:
        added = await add_to_project(
            session, project.id, study_uids=study_uids, accession_numbers=accession_numbers
        )
        if criteria is None:
            return added
        await _check_named(session, criteria)
        selected = await select_studies(session, criteria)
        more = await add_known_studies(session, project.id, selected)
    return Entries(changed=added.changed + more.changed, unchanged=added.unchanged + more.unchanged)


async def _check_named(session: AsyncSession, criteria: Criteria) -> None:
    """Refuse criteria that name what nobody has: that nothing was added would tell too little."""
    named = (
        *(("Patient ID", one, Criteria(patient_id=one)) for one in _each(criteria.patient_id)),
        *(("modality", one, Criteria(modality=one)) for one in _each(criteria.modality)),
        *(
            ("manufacturer", one, Criteria(manufacturer=one))
            for one in _each(criteria.manufacturer)
        ),
    )
    for what, value, alone in named:
        if not await select_studies(session, alone):
            raise UsageError(f"no known study has the {what} {value!r}")


def _each(values: str | Sequence[str] | None) -> Sequence[str]:
    return [values] if isinstance(values, str) else values or ()


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.casefold(), other.casefold()).ratio()


def check_not_empty(summary: ProjectSummary) -> None:
    """Check that a project has studies.

    Raises
    ------
    UsageError
        It has none; the message says how to add some.
    """
    if not summary.studies:
        name = shlex.quote(summary.name)
        raise UsageError(
            f"the project {summary.name!r} has no studies: `dicom-node project add {name} "
            f"--csv FILE` adds those of a list, `dicom-node find PEER --last 7d --project {name}` "
            "what a peer answers"
        )
