"""What a C-FIND response at study level says about a study, as a value; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from schema.finding.facts import StudyFacts
from schema.header.dicomjson import Header, header_of, read_header
from schema.header.plain import PlainHeader, read_plain
from schema.header.values import key_of, parse_time
from schema.record import DicomSource, midnight_of, uid_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAnswer(StudyFacts):
    """A C-FIND response: a study, and what is said of it."""

    study_uid: str


def read_answer(
    dcm: DicomSource, keywords: Sequence[str] = (), *, transfer_syntax_uid: str | None = None
) -> StudyAnswer:
    """Read a C-FIND response (an identifier at study level).

    Parameters
    ----------
    dcm
        The identifier, PS3.4 C.6.1.1.3 and C.6.2.1.2.
    keywords
        What it may say besides, to be kept in `keys`.
    transfer_syntax_uid
        Of encoded bytes; None: as they look.

    Raises
    ------
    InvalidDicom
        When it has no Study Instance UID.
    """
    header = _header(dcm, transfer_syntax_uid)
    more = {keyword: "\\".join(header.texts(keyword)) for keyword in keywords}
    return StudyAnswer(
        study_uid=key_of(uid_of(header, "StudyInstanceUID")),
        patient_name=header.text("PatientName"),
        patient_id=header.text("PatientID"),
        patient_birth_date=midnight_of(header.text("PatientBirthDate")),
        study_date=midnight_of(header.text("StudyDate")),
        study_time=parse_time(header.text("StudyTime")),
        accession_number=header.text("AccessionNumber"),
        modalities="\\".join(header.texts("ModalitiesInStudy")) or None,
        study_description=header.text("StudyDescription"),
        expected_series=_count(header.text("NumberOfStudyRelatedSeries")),
        expected_images=_count(header.text("NumberOfStudyRelatedInstances")),
        keys={keyword: value for keyword, value in more.items() if value} or None,
    )


def _header(dcm: DicomSource, transfer_syntax_uid: str | None) -> Header | PlainHeader:
    if isinstance(dcm, Dataset):
        return header_of(dcm)
    if isinstance(dcm, bytes) and (plain := read_plain(dcm, transfer_syntax_uid)) is not None:
        return plain
    if isinstance(dcm, bytes | memoryview):
        return read_header(dcm, transfer_syntax_uid)
    with Path(dcm).open("rb") as file:
        return read_header(file, transfer_syntax_uid)


def _count(text: str | None) -> int | None:
    """Return a count of PS3.4 C.6; None when it is none, or none that a column holds."""
    try:
        number = int(text) if text is not None else -1
    except ValueError:
        return None
    return number if 0 <= number < 2**31 else None
