"""What a probe asks, and what it makes of an answer, as values; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum

from pydicom.dataset import Dataset

from node.dicom.query import STUDY_KEYS, Window, date_range, text_of
from schema.header.values import parse_date, parse_time

ENOUGH = 2000
"""Studies after which an answer is cut short: nobody wants to hear a whole archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeQuestion:
    """A C-FIND at study level.

    Attributes
    ----------
    purpose
        What it is to find out, for people.
    window
        The study dates; without ends it is universal.
    times
        The first and the last study time, both included.
    study_uids, patient_id, accession_number, modality
        The other matching keys.
    repository
        Whether it is a Repository Query (PS3.4 C.6.4).
    bare
        Whether it has no key but the dates, and asks to be told nothing else: whatever is answered
        then is enough.
    enough
        How many studies are listened to.
    """

    purpose: str
    window: Window
    times: tuple[time, time] | None = None
    study_uids: tuple[str, ...] = ()
    patient_id: str = ""
    accession_number: str = ""
    modality: str = ""
    repository: bool = False
    bare: bool = False
    enough: int = ENOUGH

    @property
    def plain(self) -> bool:
        """Whether it is a C-FIND that names nothing but dates."""
        keys = (self.times, self.study_uids, self.patient_id, self.accession_number, self.modality)
        return not (any(keys) or self.repository or self.bare)


class ProbeOutcome(StrEnum):
    """How an answer ended."""

    ANSWERED = "answered"
    """With Success; or we had heard enough."""
    ANNOUNCED = "announced"
    """With the word that there is more (PS3.4 C.6.4)."""
    REFUSED = "refused"
    """With a failure."""
    FAILED = "failed"
    """Not at all: the association was lost, or nothing came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenStudy:
    """A study, as a peer has described it; what it has left out is empty, or None."""

    uid: str
    day: date | None = None
    moment: time | None = None
    patient_id: str = ""
    accession_number: str = ""
    modalities: tuple[str, ...] = ()
    images: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """What came of a question.

    Attributes
    ----------
    answered_on
        When, in UTC.
    outcome
        How it ended.
    studies
        Each once.
    stopped
        Whether we had heard enough before it was at its end.
    message
        What went wrong.
    attempts
        How often it was asked.
    fresh
        Whether it was the first question over its association: so it was not one too many.
    """

    answered_on: datetime
    outcome: ProbeOutcome = ProbeOutcome.ANSWERED
    studies: tuple[SeenStudy, ...] = ()
    stopped: bool = False
    message: str = ""
    attempts: int = 1
    fresh: bool = True

    @property
    def whole(self) -> bool:
        """Whether the peer has answered with Success, to the end."""
        return self.outcome is ProbeOutcome.ANSWERED and not self.stopped

    @property
    def uids(self) -> frozenset[str]:
        """Which studies."""
        return frozenset(study.uid for study in self.studies)


def identifier_of(question: ProbeQuestion) -> Dataset:
    """Return the identifier of a question (PS3.4 C.4.1.1.3)."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    if question.bare:
        identifier.StudyDate = date_range(question.window)
        return identifier
    for keyword in STUDY_KEYS:
        setattr(identifier, keyword, "")
    identifier.StudyInstanceUID = list(question.study_uids) or ""
    identifier.StudyDate = date_range(question.window)
    if question.times is not None:
        identifier.StudyTime = "-".join(f"{end:%H%M%S}" for end in question.times)
    identifier.PatientID = question.patient_id
    identifier.AccessionNumber = question.accession_number
    identifier.ModalitiesInStudy = question.modality
    if not (question.patient_id + question.accession_number).isascii():  # PS3.4 C.4.1.1.3.1
        identifier.SpecificCharacterSet = "ISO_IR 192"
    return identifier


def seen_in(answer: Dataset) -> SeenStudy:
    """Return the study that an identifier describes; its UID is empty where it names none."""
    modalities = answer.get("ModalitiesInStudy") or ()
    named: Iterable[object] = [modalities] if isinstance(modalities, str) else modalities
    return SeenStudy(
        uid=text_of(answer, "StudyInstanceUID"),
        day=parse_date(text_of(answer, "StudyDate")),
        moment=parse_time(text_of(answer, "StudyTime")),
        patient_id=text_of(answer, "PatientID"),
        accession_number=text_of(answer, "AccessionNumber"),
        modalities=tuple(filter(None, (str(one).strip(" \0") for one in named))),
        images=_count(text_of(answer, "NumberOfStudyRelatedInstances")),
    )


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
