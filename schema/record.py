"""One image as a value: everything that the index keeps of it, read from its header.

Nothing in a header stops an image from having a record, but for the three UIDs that say what
it is: a value that is no date or time is None here, and verbatim in `meta`.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, time
from os import PathLike
from pathlib import Path

from pydicom.dataset import Dataset

from schema.errors import InvalidDicom
from schema.header.dicomjson import Header, header_of, read_header
from schema.header.values import clean_text, parse_age, parse_date, parse_time

DicomSource = Dataset | str | PathLike[str] | bytes | memoryview
"""What is accepted where a dataset is: itself, the path of its file, or its bytes."""

MAX_KEY = 300
"""Characters of a text that is indexed; PostgreSQL's index entries end at 2,704 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One image, with all that the rows of its patient, study, series and itself hold.

    The attributes are the columns of those tables; `institution` and `patient_id` are empty
    when there is none, `patient_age` is -1, `meta` is encoded DICOM JSON.
    """

    image_uid: str
    series_uid: str
    study_uid: str
    patient_id: str = ""
    institution: str = ""
    patient_name: str | None = None
    patient_birth_date: datetime | None = None
    study_date: datetime | None = None
    patient_age: int = -1
    accession_number: str | None = None
    modality: str | None = None
    sop_class_uid: str | None = None
    acquisition_time: time | None = None
    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    meta: bytes = b"{}"
    filepath: str | None = None
    sha256: str | None = None
    size: int | None = None
    transfer_syntax_uid: str | None = None
    received_on: datetime | None = None
    source: str | None = None
    node: str | None = None


def read_record(
    dcm: DicomSource,
    *,
    institution: str | None = None,
    filepath: str | PathLike[str] | None = None,
    sha256: str | None = None,
    size: int | None = None,
    transfer_syntax_uid: str | None = None,
    source: str | None = None,
    node: str | None = None,
    received_on: datetime | None = None,
) -> ImageRecord:
    """Read everything that the index keeps of an image.

    Parameters
    ----------
    dcm
        A dataset, the path of a DICOM file (then the default of `filepath` and `size`), or
        the encoded bytes.
    institution
        The institution whose patient this is; no attribute of the header stands in for it.
    filepath
        Where the image's file is.
    sha256, size
        Digest of the encoded dataset; size of the file in bytes.
    transfer_syntax_uid
        Where the data has no File Meta Information that says it.
    source, node, received_on
        Calling AE title, receiving node's AE title, and the time of receipt (naive UTC).

    Raises
    ------
    InvalidDicom
        When there is no usable dataset, or none of the UIDs that make it an image.
    OSError
        When the file cannot be read.
    """
    if isinstance(dcm, Dataset):
        header = header_of(dcm)
    elif isinstance(dcm, bytes | memoryview):
        header = read_header(dcm, transfer_syntax_uid)
    else:
        path = Path(dcm)
        filepath = path if filepath is None else filepath
        with path.open("rb") as file:
            header = read_header(file, transfer_syntax_uid)
        size = path.stat().st_size if size is None else size
    return ImageRecord(
        image_uid=uid_of(header, "SOPInstanceUID"),
        series_uid=uid_of(header, "SeriesInstanceUID"),
        study_uid=uid_of(header, "StudyInstanceUID"),
        patient_id=key_of(header.text("PatientID") or ""),
        institution=key_of(clean_text(institution or "").strip()),
        patient_name=header.text("PatientName"),
        patient_birth_date=midnight_of(header.text("PatientBirthDate")),
        study_date=midnight_of(header.text("StudyDate")),
        patient_age=parse_age(header.text("PatientAge")),
        accession_number=header.text("AccessionNumber"),
        modality=header.text("Modality"),
        sop_class_uid=header.text("SOPClassUID"),
        acquisition_time=parse_time(header.text("AcquisitionTime")),
        manufacturer=header.text("Manufacturer"),
        manufacturer_model_name=header.text("ManufacturerModelName"),
        meta=header.meta_json,
        filepath=None if filepath is None else clean_text(str(filepath)),
        sha256=sha256,
        size=size,
        transfer_syntax_uid=clean_text(transfer_syntax_uid or "") or header.transfer_syntax_uid,
        received_on=received_on,
        source=None if source is None else clean_text(source),
        node=None if node is None else clean_text(node),
    )


def record_from_bytes(
    encoded: bytes | memoryview,
    transfer_syntax_uid: str,
    *,
    institution: str | None = None,
    filepath: str | PathLike[str] | None = None,
    sha256: str | None = None,
    size: int | None = None,
    source: str | None = None,
    node: str | None = None,
    received_on: datetime | None = None,
) -> ImageRecord:
    """Read an image as it comes by C-STORE: without preamble and File Meta Information.

    The parameters and errors are those of `read_record`; `sha256` is computed when not given.
    """
    return read_record(
        encoded,
        institution=institution,
        filepath=filepath,
        sha256=sha256 or hashlib.sha256(encoded).hexdigest(),
        size=size,
        transfer_syntax_uid=transfer_syntax_uid,
        source=source,
        node=node,
        received_on=received_on,
    )


def uid_of(header: Header, keyword: str) -> str:
    """Return a UID that must be there."""
    uid = (header.text(keyword) or "").strip(" \x00")
    if not uid:
        raise InvalidDicom(f"the dataset has no {keyword}")
    return key_of(uid)


def key_of(value: str) -> str:
    """Return a text that fits into an index; a longer one is told apart by its digest."""
    if len(value) <= MAX_KEY:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{value[: MAX_KEY - 65]}~{digest}"


def midnight_of(text: str | None) -> datetime | None:
    """Return a DA value as the columns keep dates: at midnight."""
    day = parse_date(text)
    return None if day is None else datetime(day.year, day.month, day.day)  # noqa: DTZ001
