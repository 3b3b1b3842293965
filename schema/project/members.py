"""The studies of a project one by one, and why those that are not here are not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import ColumnElement, func, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from schema.choosing.unwanted import unwanted_at
from schema.engine.either import either
from schema.finding.drawing import SourceAnswer, SourceChange
from schema.hierarchy.sources import get_source_changes, get_sources
from schema.inventory import count_images
from schema.moving.interrupted import interrupted_at
from schema.project.entries import is_study_uid
from schema.project.inquiries import ACCESSION_NUMBER, STUDY_UID, Asked, Key, last_asked
from schema.tables.models import RETRIEVED, Patient, Study, StudyFind
from schema.tables.projects import ProjectStudy
from schema.tables.sources import StudySource
from schema.tables.views import project_members

NOT_FOUND = "not found"
"""The state of a study that no PACS has answered, and of which no image is here."""

RECEIVED = "received"
"""The state of a study of which images are here, though no PACS has answered it."""

_FROM_PACS = (
    "modalities",
    "peer",
    "state",
    "expected_images",
    "attempts",
    "next_attempt_on",
    "retrieved_on",
    "last_error",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One study of a project.

    Attributes
    ----------
    study_uid
        None for an accession number that no known study has.
    accession_number
        As it was added, or as the PACS or the images say.
    state
        As in `studies_find`; `not found` and `received` for a study that no PACS has answered.
    expected_images
        None when nobody has said.
    asked
        Of a study that is not found: the last time that a PACS was asked for it by its key;
        None when nobody was.
    sources
        The PACSs that have it, or had it, by name.
    unwanted_at
        Those of them that nothing of it is wanted from.
    interrupted_at
        Those of them whose last attempt was asked and interrupted.
    changes
        What they said of it before, the oldest first.
    inquiries
        The last question by its key to each other PACS, and to those of the sources that have not
        answered it then; the PACS that was asked last comes first.
    """

    study_uid: str | None
    accession_number: str | None
    patient_id: str | None = None
    study_date: datetime | None = None
    modalities: str | None = None
    peer: str | None = None
    state: str = NOT_FOUND
    expected_images: int | None = None
    received_images: int = 0
    attempts: int = 0
    next_attempt_on: datetime | None = None
    retrieved_on: datetime | None = None
    last_error: str | None = None
    asked: Asked | None = None
    sources: tuple[SourceAnswer, ...] = ()
    unwanted_at: tuple[str, ...] = ()
    interrupted_at: tuple[str, ...] = ()
    changes: tuple[SourceChange, ...] = ()
    inquiries: tuple[Asked, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it is verified to be complete here."""
        return self.state == RETRIEVED

    @property
    def missing(self) -> bool:
        """Whether no PACS has answered it, and no image is here."""
        return self.state == NOT_FOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfound:
    """The entries of a project that no PACS has answered."""

    study_uids: tuple[str, ...]
    accession_numbers: tuple[str, ...]


@either
async def get_project_members(session: AsyncSession, project_id: int) -> list[Member]:
    """Return a project's studies: the known ones by date, then those without one, then the others.

    Of one date, studies of one accession number are side by side; whatever the database's
    collation, the order is the same.
    """
    return await get_members(session, project_id)


async def get_members(
    session: AsyncSession, project_id: int, *, study_uids: Collection[str] | None = None
) -> list[Member]:
    """Return a project's studies as `get_project_members` does.

    Parameters
    ----------
    study_uids
        Only these of its studies, no more than a page; () means only its accession numbers that no
        known study has. None means all.
    """
    query = _members(project_id)
    if study_uids is not None:
        query = query.where(project_members.c.study_uid.in_(sorted(study_uids)))
    rows = (await session.execute(query)).all()
    received = await count_images(session, [row.uid for row in rows if row.study_id is not None])
    members = sorted((_member(row, received.get(row.uid, 0)) for row in rows), key=_place)
    nowhere = select(ProjectStudy.accession_number).where(
        ProjectStudy.project_id == project_id, *matches_nothing()
    )
    numbers = [] if study_uids else sorted(map(str, await session.scalars(nowhere)))
    members += [Member(study_uid=None, accession_number=number) for number in numbers]
    found = [row.uid for row in rows if row.found_id is not None]
    sources = await get_sources(session, found)
    uids = {row.found_id: row.uid for row in rows if row.found_id is not None}
    unwanted = {uids[key]: at for key, at in (await unwanted_at(session, uids)).items()}
    interrupted = {uids[key]: at for key, at in (await interrupted_at(session, uids)).items()}
    changes = await get_source_changes(session, found)
    asked = await last_asked(session, [key for member in members for key in _keys(member)])
    return [
        _with_answers(
            replace(
                member,
                sources=tuple(sources.get(member.study_uid or "", ())),
                unwanted_at=unwanted.get(member.study_uid or "", ()),
                interrupted_at=interrupted.get(member.study_uid or "", ()),
                changes=tuple(changes.get(member.study_uid or "", ())),
            ),
            [asked.get(key, {}) for key in _keys(member)],
        )
        for member in members
    ]


@either
async def get_ambiguous_accessions(
    session: AsyncSession, project_id: int
) -> dict[str, tuple[str, ...]]:
    """Return the accession numbers of a project that several studies have, with their UIDs."""
    pairs = [
        select(ProjectStudy.accession_number, known.study_uid)
        .join(known, known.accession_number == ProjectStudy.accession_number)
        .where(ProjectStudy.project_id == project_id)
        for known in (StudyFind, Study)
    ]
    as_a_source_says = (
        select(ProjectStudy.accession_number, StudyFind.study_uid)
        .join(StudySource, StudySource.accession_number == ProjectStudy.accession_number)
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(ProjectStudy.project_id == project_id)
    )
    studies: dict[str, set[str]] = {}
    for number, uid in await session.execute(union(*pairs, as_a_source_says)):
        studies.setdefault(str(number), set()).add(uid)
    return {
        number: tuple(sorted(uids)) for number, uids in sorted(studies.items()) if len(uids) > 1
    }


@either
async def get_unfound(session: AsyncSession, project_id: int) -> Unfound:
    """Return the entries of a project that no PACS has answered, in the order of their keys.

    A study that came under a UID that is none is left out: no PACS can be asked for it.
    """
    found = select(StudyFind.id)
    by_uid = select(ProjectStudy.study_uid).where(
        ProjectStudy.project_id == project_id,
        ProjectStudy.study_uid.is_not(None),
        ~found.where(StudyFind.study_uid == ProjectStudy.study_uid).exists(),
    )
    by_number = select(ProjectStudy.accession_number).where(
        ProjectStudy.project_id == project_id,
        ProjectStudy.accession_number.is_not(None),
        *_is_no_number_of_a_found_study(),
    )
    return Unfound(
        study_uids=tuple(sorted(filter(is_study_uid, map(str, await session.scalars(by_uid))))),
        accession_numbers=tuple(sorted(map(str, await session.scalars(by_number)))),
    )


@either
async def get_project_study_uids(session: AsyncSession, project_id: int) -> list[str]:
    """Return the UIDs of a project's studies."""
    query = select(project_members.c.study_uid).where(project_members.c.project_id == project_id)
    return sorted(await session.scalars(query))


def matches_nothing() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on an entry that is an accession number of no known study."""
    number = ProjectStudy.accession_number
    return (
        number.is_not(None),
        *_is_no_number_of_a_found_study(),
        ~select(Study.id).where(Study.accession_number == number).exists(),
    )


def _is_no_number_of_a_found_study() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on an accession number: neither drawn, nor of any source."""
    number = ProjectStudy.accession_number
    return tuple(
        ~select(known.id).where(known.accession_number == number).exists()
        for known in (StudyFind, StudySource)
    )


def _members(project_id: int) -> Any:  # noqa: ANN401
    uid = project_members.c.study_uid
    return (
        select(
            uid.label("uid"),
            Study.id.label("study_id"),
            StudyFind.id.label("found_id"),
            func.coalesce(StudyFind.accession_number, Study.accession_number).label("number"),
            func.coalesce(StudyFind.patient_id, Patient.patient_id).label("patient"),
            func.coalesce(StudyFind.study_date, Study.study_date).label("date"),
            *(getattr(StudyFind, name) for name in _FROM_PACS),
        )
        .select_from(project_members)
        .outerjoin(StudyFind, StudyFind.study_uid == uid)
        .outerjoin(Study, Study.study_uid == uid)
        .outerjoin(Patient, Patient.id == Study.patient_id)
        .where(project_members.c.project_id == project_id)
    )


def _place(member: Member) -> tuple[bool, datetime, str, str]:
    """Return what the order of a project's studies goes by."""
    day = member.study_date or datetime.combine(date.max, time())
    return member.missing, day, member.accession_number or "", member.study_uid or ""


def _member(row: Any, received: int) -> Member:  # noqa: ANN401
    known = {name: getattr(row, name) for name in _FROM_PACS}
    if row.found_id is None:
        state = NOT_FOUND if row.study_id is None else RECEIVED
        known |= {"state": state, "attempts": 0}
    return Member(
        study_uid=row.uid,
        accession_number=row.number,
        patient_id=row.patient,
        study_date=row.date,
        received_images=received,
        **known,
    )


def _keys(member: Member) -> list[Key]:
    """Return by what a PACS may have been asked for a study."""
    if member.study_uid is None:
        return [(ACCESSION_NUMBER, member.accession_number or "")]
    by_uid = [(STUDY_UID, member.study_uid)]
    if member.missing or member.accession_number is None:
        return by_uid
    return [*by_uid, (ACCESSION_NUMBER, member.accession_number)]


def _with_answers(member: Member, asked: Sequence[Mapping[str | None, Asked]]) -> Member:
    """Add what PACSs have answered that were asked for a study by its keys."""
    latest: dict[str | None, Asked] = {}
    for question in sorted((one for by_peer in asked for one in by_peer.values()), key=_when):
        latest.pop(question.peer, None)  # its place is that of the last one
        latest[question.peer] = question
    inquiries = list(latest.values())[::-1]
    seen = {source.peer: source.last_seen_on for source in member.sources}
    absent = []
    for question in inquiries:
        last_seen = seen.get(question.peer or "")
        if last_seen is not None and last_seen >= (question.since or question.on):
            continue  # this very question, or a later one, was answered with the study
        if not member.missing and question.answered and question.matches >= question.together:
            continue  # it has the study, though no count of it is known
        absent.append(question)
    first = inquiries[0] if member.missing and inquiries else None
    return replace(member, asked=first, inquiries=tuple(absent))


def _when(question: Asked) -> datetime:
    return question.on
