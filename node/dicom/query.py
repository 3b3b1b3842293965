"""What to ask for, as values and as C-FIND and C-MOVE identifiers (PS3.4 C.4, Study Root).

Pure: windows are planned, identifiers are built, answers are checked; nothing is sent.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time

from pydicom.dataset import Dataset

from schema.finding.answer import StudyAnswer
from schema.header.values import key_of

STUDY_KEYS = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ModalitiesInStudy",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
"""What we ask to be told of each study (PS3.4 Table C.6-5); many peers leave some out."""


def more_keys(keywords: Iterable[str]) -> tuple[str, ...]:
    """Return those keywords that are not asked for anyway."""
    usual = {*STUDY_KEYS, "StudyInstanceUID"}
    return tuple(keyword for keyword in keywords if keyword not in usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A range of study dates, both ends included; None is open.

    Attributes
    ----------
    first, last
        Of one day, only the studies of these times, both included; None is all day. A range of
        times goes with one date alone: most PACSs apply it to each day of several.
    undated
        The studies that have no date, and no others.
    """

    start: date | None = None
    end: date | None = None
    first: time | None = None
    last: time | None = None
    undated: bool = False

    def __str__(self) -> str:
        if self.undated:
            return "without a date"
        if self.first is not None and self.last is not None:
            return f"{self.start} {self.first:%H:%M:%S} to {self.last:%H:%M:%S}"
        if self.start == self.end:
            return f"{self.start}" if self.start else "any date"
        return f"{self.start or '...'} to {self.end or '...'}"

    @property
    def days(self) -> int | None:
        """How many days it has; None when it is open at an end."""
        if self.start is None or self.end is None:
            return None
        return (self.end - self.start).days + 1

    def contains(self, day: date) -> bool:
        """Tell whether a study date is inside."""
        if self.undated:
            return False
        return (self.start is None or day >= self.start) and (self.end is None or day <= self.end)

    def contains_time(self, moment: time) -> bool:
        """Tell whether a study time is inside."""
        return (self.first is None or moment >= self.first) and (
            self.last is None or moment <= self.last
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """Which studies are wanted; an empty field means any.

    Attributes
    ----------
    window
        The study dates.
    patient_id, accession_number
        Single values; `*` and `?` are wildcards (PS3.4 C.2.2.2.4).
    issuer
        Who has given the patient the ID: Issuer of Patient ID (0010,0021).
    study_uids
        Study Instance UIDs.
    modality
        One of ModalitiesInStudy, such as CT.
    """

    window: Window = Window()
    patient_id: str = ""
    accession_number: str = ""
    study_uids: tuple[str, ...] = ()
    modality: str = ""
    issuer: str = ""

    def __str__(self) -> str:
        uids = self.study_uids
        several = f"{len(uids)} studies from {uids[0]} on" if len(uids) > 1 else ""
        dates = "" if self.window == Window() and self.keys() else str(self.window)
        patient = f"patient {self.patient_id}" if self.patient_id else ""
        named = (several or "".join(uids), self.accession_number, patient, dates, self.modality)
        return ", ".join(filter(None, named))

    def keys(self) -> dict[str, str]:
        """Return the matching keys beside the date, by DICOM keyword."""
        keys = {
            "PatientID": self.patient_id,
            "IssuerOfPatientID": self.issuer,
            "AccessionNumber": self.accession_number,
            "StudyInstanceUID": "\\".join(self.study_uids),
            "ModalitiesInStudy": self.modality,
        }
        return {keyword: value for keyword, value in keys.items() if value}

    @property
    def names_any(self) -> bool:
        """Whether studies or a patient are named, or a pattern of them."""
        return bool(self.study_uids or self.accession_number or self.patient_id)

    @property
    def by_keys(self) -> bool:
        """Whether it names other keys than dates and times."""
        return bool(
            self.study_uids
            or self.patient_id
            or self.issuer
            or self.accession_number
            or self.modality
        )

    @property
    def names_one(self) -> bool:
        """Whether one study is asked for by its UID, at any date and by no other key."""
        alone = len(self.study_uids) == 1 and len(self.keys()) == 1
        return alone and self.window == Window()

    @property
    def names_studies(self) -> bool:
        """Whether single studies are asked for: by UID, or by an accession number at any date."""
        literal = self.accession_number and not {"*", "?"} & set(self.accession_number)
        return bool(self.study_uids or (literal and self.window == Window()))

    @property
    def unbounded(self) -> bool:
        """Whether all studies of a PACS may match: neither dates nor a key that names some."""
        named = self.study_uids or any(
            key.strip("*? ") for key in (self.patient_id, self.accession_number)
        )
        return not named and self.window.start is None and self.window.end is None


def study_identifier(query: StudyQuery, window: Window, keywords: Sequence[str] = ()) -> Dataset:
    """Return the identifier of a study-level C-FIND.

    Parameters
    ----------
    query
        The keys to match.
    window
        The dates of this one question, in place of the query's.
    keywords
        Attributes to be told of each study beside the usual ones.
    """
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = ""
    for keyword in (*STUDY_KEYS, *keywords):
        setattr(identifier, keyword, "")
    identifier.StudyDate = date_range(window)
    identifier.StudyTime = time_range(window)
    for keyword, value in query.keys().items():
        setattr(identifier, keyword, value.split("\\") if keyword == "StudyInstanceUID" else value)
        if not value.isascii():  # PS3.4 C.4.1.1.3.1
            identifier.SpecificCharacterSet = "ISO_IR 192"
    return identifier


def date_range(window: Window) -> str:
    """Return a window as a DA range (PS3.4 C.2.2.2.5.1); "" for any date, never a lone "-"."""
    if window.start is None and window.end is None:
        return ""
    # strftime writes a year before 1000 with less than the four digits of a DA (PS3.5 6.2)
    start, end = (
        f"{day:%Y%m%d}".rjust(8, "0") if day else "" for day in (window.start, window.end)
    )
    return start if start == end else f"{start}-{end}"


def time_range(window: Window) -> str:
    """Return a window's times as a TM range (PS3.4 C.2.2.2.5.2); "" for all day.

    A range begins with the last microsecond of the minute before: some peers compare times as
    texts, for which `1200` is after `115959.999999` and before `120000`, so that it would be in
    neither of two ranges that meet there.
    """
    if window.first is None or window.last is None:
        return ""
    first = f"{window.first:%H%M%S}"
    if not window.first.second and not window.first.microsecond:
        minutes = window.first.hour * 60 + window.first.minute - 1
        first = f"{minutes // 60:02}{minutes % 60:02}59.999999" if minutes >= 0 else first
    fraction = f".{window.last.microsecond:06}" if window.last.microsecond else ""
    return f"{first}-{window.last:%H%M%S}{fraction}"


def matches(query: StudyQuery, window: Window, answer: StudyAnswer) -> bool:
    """Check an answer against the question, since peers ignore keys that they do not know.

    What the peer left out cannot be checked and counts as a match.
    """
    if answer.study_date is not None and not window.contains(answer.study_date.date()):
        return False
    if answer.study_time is not None and not window.contains_time(answer.study_time):
        return False
    if not query.by_keys:
        return True
    if query.study_uids and answer.study_uid not in map(key_of, query.study_uids):
        return False
    for value, wanted in (
        (answer.patient_id, query.patient_id),
        ((answer.keys or {}).get("IssuerOfPatientID"), query.issuer),
        (answer.accession_number, query.accession_number),
    ):
        if wanted and value and not fnmatch.fnmatchcase(value.strip(), _literal_brackets(wanted)):
            return False
    # a CS is upper case (PS3.5 6.2), which peers do not all know
    had = [modality.strip().upper() for modality in (answer.modalities or "").split("\\")]
    return not (query.modality and answer.modalities) or query.modality.upper() in had


def text_of(answer: Dataset, keyword: str) -> str:
    """Return an attribute of an answer as text without padding; "" when it is not there."""
    return str(answer.get(keyword, "") or "").strip(" \0")


def _literal_brackets(pattern: str) -> str:
    """DICOM's wildcards are only * and ?; fnmatch's brackets are not."""
    return pattern.strip().replace("[", "[[]")


def study_move_identifier(study_uid: str) -> Dataset:
    """Return the identifier of a C-MOVE of a whole study (PS3.4 C.4.2.1.4)."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study_uid
    return identifier


def retrieve_identifier(
    study_uid: str, series_uid: str = "", sop_uids: Sequence[str] = ()
) -> Dataset:
    """Return the identifier of a C-MOVE or C-GET (PS3.4 C.4.2.1.4, C.4.3.1.3).

    Parameters
    ----------
    series_uid
        Of one series; empty for the whole study.
    sop_uids
        SOP Instance UIDs of that series; none for all of it.
    """
    identifier = study_move_identifier(study_uid)
    if series_uid:
        identifier.QueryRetrieveLevel = "SERIES"
        identifier.SeriesInstanceUID = series_uid
    if sop_uids:
        identifier.QueryRetrieveLevel = "IMAGE"
        identifier.SOPInstanceUID = sop_uids[0] if len(sop_uids) == 1 else list(sop_uids)
    return identifier


def series_identifier(study_uid: str) -> Dataset:
    """Return the identifier of a C-FIND for the series of a study, with their counts."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID = study_uid
    identifier.SeriesInstanceUID = ""
    identifier.Modality = ""
    identifier.SeriesDescription = ""
    identifier.NumberOfSeriesRelatedInstances = ""
    return identifier


def image_identifier(study_uid: str, series_uid: str) -> Dataset:
    """Return the identifier of a C-FIND for the images of a series (PS3.4 C.4.1.2.1)."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    identifier.StudyInstanceUID = study_uid
    identifier.SeriesInstanceUID = series_uid
    identifier.SOPClassUID = ""
    identifier.SOPInstanceUID = ""
    return identifier
