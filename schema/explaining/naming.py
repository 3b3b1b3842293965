"""What a text names: a study, a series, an image, an accession number or a patient.

The first of these that it is the name of, in this order: what is unique before what is not. UIDs
are looked up as they are. An accession number is looked for in what any PACS says and in what the
images say; a Patient ID in what was found and in what is here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_text
from schema.tables.ledger import Quarantined
from schema.tables.models import Image, Patient, Series, Study, StudyFind
from schema.tables.sources import StudySource


class NameKind(StrEnum):
    """What a text may be the name of."""

    STUDY = "study"
    SERIES = "series"
    IMAGE = "image"
    ACCESSION = "accession number"
    PATIENT = "patient"
    NOTHING = "nothing"
    """No row has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a text is the name of.

    Attributes
    ----------
    studies
        The Study Instance UIDs that it leads to.
    also
        What else it is the name of: an accession number that is a Patient ID as well.
    """

    text: str
    kind: NameKind
    studies: tuple[str, ...] = ()
    also: NameKind | None = None


@either
async def what_is(session: AsyncSession, text: str, kind: NameKind | None = None) -> Named:
    """Say what a text is the name of.

    Parameters
    ----------
    kind
        Only this: STUDY, ACCESSION or PATIENT; None: the first that it is.
    """
    name = clean_text(text)
    if kind is not None:
        found = await _studies(session, name, kind)
        named = kind if found or kind is not NameKind.STUDY else NameKind.NOTHING
        return Named(text=text, kind=named, studies=found)
    for one in (NameKind.STUDY, NameKind.SERIES, NameKind.IMAGE):
        if found := await _studies(session, name, one):
            return Named(text=text, kind=one, studies=tuple(filter(None, found)))
    patients = await _studies(session, name, NameKind.PATIENT)
    if found := await _studies(session, name, NameKind.ACCESSION):
        also = NameKind.PATIENT if patients else None
        return Named(text=text, kind=NameKind.ACCESSION, studies=found, also=also)
    if patients:
        return Named(text=text, kind=NameKind.PATIENT, studies=patients)
    return Named(text=text, kind=NameKind.NOTHING)


async def _studies(session: AsyncSession, name: str, kind: NameKind) -> tuple[str, ...]:
    """Return the studies that a name of some kind leads to; "" for one that is not known."""
    found: set[str] = set()
    for query in _QUERIES[kind](name):
        found.update(uid or "" for uid in await session.scalars(query))
    return tuple(sorted(found))


def _of_study(name: str) -> Sequence[Select[str | None]]:
    return [
        select(StudyFind.study_uid).where(StudyFind.study_uid == name),
        select(Study.study_uid).where(Study.study_uid == name),
        select(Quarantined.study_uid).where(Quarantined.study_uid == name).limit(1),
    ]


def _of_series(name: str) -> Sequence[Select[str | None]]:
    query = select(Study.study_uid).join(Series, Series.study_id == Study.id)
    return [query.where(Series.series_uid == name)]


def _of_image(name: str) -> Sequence[Select[str | None]]:
    return [
        select(Image.study_uid).where(Image.image_uid == name),
        select(Quarantined.study_uid).where(Quarantined.sop_instance_uid == name),
    ]


def _of_accession(name: str) -> Sequence[Select[str | None]]:
    return [
        select(StudyFind.study_uid).where(StudyFind.accession_number == name),
        select(StudyFind.study_uid)
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(StudySource.accession_number == name),
        select(Study.study_uid).where(Study.accession_number == name),
    ]


def _of_patient(name: str) -> Sequence[Select[str | None]]:
    return [
        select(StudyFind.study_uid).where(StudyFind.patient_id == name),
        select(Study.study_uid)
        .join(Patient, Patient.id == Study.patient_id)
        .where(Patient.patient_id == name),
    ]


_QUERIES = {
    NameKind.STUDY: _of_study,
    NameKind.SERIES: _of_series,
    NameKind.IMAGE: _of_image,
    NameKind.ACCESSION: _of_accession,
    NameKind.PATIENT: _of_patient,
}
