"""One image as a value: everything that the index keeps of it, read from its header.

Nothing in a header stops an image from having a record, but for the three UIDs that say what
it is: a value that is no date or time is None here, and verbatim in `meta`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, time
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from pydicom.dataset import Dataset

from schema.errors import InvalidDicom
from schema.header.dicomjson import Header, header_of, read_header
from schema.header.plain import PlainHeader
from schema.header.values import (
    MAX_KEY,
    NO_AGE,
    clean_or_none,
    clean_text,
    key_of,
    parse_age,
    parse_date,
    parse_time,
)

T = TypeVar("T")

DicomSource = Dataset | str | PathLike[str] | bytes | memoryview
"""What is accepted where a dataset is: itself, the path of its file, or its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderValue:
    """Where a value comes from: an attribute of the header, and what is made of it."""

    keyword: str
    convert: Callable[[Header, str], Any]


def _source(keyword: str, convert: Callable[[Header, str], Any]) -> dict[str, HeaderValue]:
    return {"source": HeaderValue(keyword=keyword, convert=convert)}


def _of(keyword: str, convert: Callable[[Header, str], T], default: Any = None) -> T:  # noqa: ANN401
    """Return a field of a record that comes from the header; type checkers see its value."""
    value: T = field(default=default, metadata=_source(keyword, convert))
    return value


def uid_of(header: Header | PlainHeader, keyword: str) -> str:
    """Return a UID that must be there."""
    uid = (header.text(keyword) or "").strip(" \x00")
    if not uid:
        raise InvalidDicom(f"the dataset has no {keyword}")
    return uid


def _text(header: Header, keyword: str) -> str:
    return header.text(keyword) or ""


def _midnight(header: Header, keyword: str) -> datetime | None:
    return midnight_of(header.text(keyword))


def _time(header: Header, keyword: str) -> time | None:
    return parse_time(header.text(keyword))


def _age(header: Header, keyword: str) -> int:
    return parse_age(header.text(keyword))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One image, with all that the rows of its patient, study, series and itself hold.

    The attributes are the columns of those tables; `institution` and `patient_id` are empty
    when there is none, `patient_age` is -1, `meta` is encoded DICOM JSON. Those that come from
    the header say here from which attribute, and how. A key that is too long for an index is
    as the tables have it (`key_of`): who looks for it in an answer of theirs finds it.
    """

    image_uid: str = field(metadata=_source("SOPInstanceUID", uid_of))
    series_uid: str = field(metadata=_source("SeriesInstanceUID", uid_of))
    study_uid: str = field(metadata=_source("StudyInstanceUID", uid_of))
    patient_id: str = _of("PatientID", _text, "")
    patient_name: str | None = _of("PatientName", Header.text)
    patient_birth_date: datetime | None = _of("PatientBirthDate", _midnight)  # noqa: RUF009 - a field
    patient_sex: str | None = _of("PatientSex", Header.text)
    patient_age: int = _of("PatientAge", _age, NO_AGE)
    study_date: datetime | None = _of("StudyDate", _midnight)  # noqa: RUF009 - a field
    accession_number: str | None = _of("AccessionNumber", Header.text)
    modality: str | None = _of("Modality", Header.text)
    body_part_examined: str | None = _of("BodyPartExamined", Header.text)
    sop_class_uid: str | None = _of("SOPClassUID", Header.text)
    acquisition_time: time | None = _of("AcquisitionTime", _time)  # noqa: RUF009 - a field
    manufacturer: str | None = _of("Manufacturer", Header.text)
    manufacturer_model_name: str | None = _of("ManufacturerModelName", Header.text)
    kvp: float | None = _of("KVP", Header.number)
    slice_thickness: float | None = _of("SliceThickness", Header.number)
    magnetic_field_strength: float | None = _of("MagneticFieldStrength", Header.number)
    institution: str = ""
    meta: bytes = b"{}"
    filepath: str | None = None
    sha256: str | None = None
    size: int | None = None
    transfer_syntax_uid: str | None = None
    received_on: datetime | None = None
    source: str | None = None
    node: str | None = None
    source_address: str | None = None
    attempt_id: int | None = None
    storage_id: str | None = None

    def __post_init__(self) -> None:
        for name in _KEYS:
            if len(value := getattr(self, name)) > MAX_KEY:
                object.__setattr__(self, name, key_of(value))


_KEYS = ("image_uid", "series_uid", "study_uid", "patient_id", "institution")

HEADER_VALUES: Mapping[str, HeaderValue] = {
    one.name: one.metadata["source"] for one in fields(ImageRecord) if "source" in one.metadata
}
"""The attributes of a record that come from the header."""


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
        **{name: one.convert(header, one.keyword) for name, one in HEADER_VALUES.items()},
        institution=clean_text(institution or "").strip(),
        meta=header.meta_json,
        filepath=None if filepath is None else clean_text(str(filepath)),
        sha256=sha256,
        size=size,
        transfer_syntax_uid=clean_text(transfer_syntax_uid or "") or header.transfer_syntax_uid,
        received_on=received_on,
        source=clean_or_none(source),
        node=clean_or_none(node),
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


@lru_cache(maxsize=1 << 12)  # studies and images of a day come together
def midnight_of(text: str | None) -> datetime | None:
    """Return a DA value as the columns keep dates: at midnight."""
    day = parse_date(text)
    return None if day is None else datetime(day.year, day.month, day.day)  # noqa: DTZ001
