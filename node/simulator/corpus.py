"""Makes the demonstration PACS's images from the files that pydicom ships.

Names, dates and UIDs are replaced, so that they make up coherent studies; the pixel bytes and
the transfer syntax stay as they are. The same day gives the same bytes: UIDs are
derived from names and dates, never drawn. Another day gives other UIDs, since the dates in
the datasets differ and one SOP Instance UID must not name two different objects.
"""

import uuid
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from io import BytesIO
from itertools import count, islice
from pathlib import Path

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from node.dicom.part10 import IMPLEMENTATION_CLASS_UID
from node.simulator.demonstration import STUDIES, DemoSeries, DemoStudy

_NAMESPACE = uuid.UUID("6f9d3b0e-4a7c-5a55-9c9e-0d1c0a2b7e31")

_SLICE_SPACING = 5.0
"""Millimetres between the copies of one slice."""


def make_corpus(folder: Path, *, today: date) -> list[Path]:
    """Write the demonstration corpus as DICOM files (PS3.10) below a folder.

    Parameters
    ----------
    folder
        Made where it is missing. Files of an earlier corpus of the same day are overwritten
        with the same bytes.
    today
        The day of the newest study; the others are up to forty days older.

    Returns
    -------
    list of Path
        The files, in the order of their studies, series and instance numbers.

    Raises
    ------
    OSError
        When the folder cannot be written.
    FileNotFoundError
        When the installed pydicom has no test files.
    """
    written = []
    with disable_value_validation():  # some sources have values that the standard does not allow
        for number, study in enumerate(STUDIES, start=1):
            for name, dataset in _datasets(study, number, today):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                dataset.save_as(path, enforce_file_format=True)
                written.append(path)
    return written


def derived_uid(*names: object) -> str:
    """Return the UID that belongs to a name: always the same one, under 2.25 (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(str, names))).int}"


def _datasets(study: DemoStudy, number: int, today: date) -> Iterator[tuple[Path, Dataset]]:
    """Yield what each file is to hold; the copies of a source are one dataset, described anew."""
    day = today - timedelta(days=study.days_ago)
    study_name = (day.isoformat(), number)
    for series_number, series in enumerate(study.series, start=1):
        folder = Path(f"study{number}", f"series{series_number}")
        numbers = count(1)
        for source in series.sources:
            dataset = _read(source)
            position = dataset.get("ImagePositionPatient")
            _describe_study(dataset, study, day)
            dataset.StudyInstanceUID = derived_uid("study", *study_name)
            dataset.StudyID = f"{number}"
            dataset.AccessionNumber = f"D{day:%Y%m%d}{number:02d}"
            _describe_series(dataset, series, series_number)
            dataset.SeriesInstanceUID = derived_uid("series", *study_name, series_number)
            for instance_number in islice(numbers, series.copies):
                _describe_instance(dataset, instance_number, position, of=series.images)
                dataset.SOPInstanceUID = derived_uid(
                    "instance", *study_name, series_number, instance_number
                )
                _describe_file(dataset)
                yield folder / f"{instance_number:04d}.dcm", dataset


def _describe_study(dataset: Dataset, study: DemoStudy, day: date) -> None:
    # All text is decoded first: it is encoded again, in the character set of the new name.
    dataset.decode()
    dataset.SpecificCharacterSet = list(study.patient.charset)
    dataset.PatientName = study.patient.name
    dataset.PatientID = study.patient.identifier
    dataset.PatientBirthDate = study.patient.birth_date
    dataset.PatientSex = study.patient.sex
    dataset.StudyDescription = study.description
    dataset.StudyTime = study.time
    dataset.StudyDate = f"{day:%Y%m%d}"
    for keyword in ("SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"):
        if keyword in dataset:
            setattr(dataset, keyword, dataset.StudyDate)


def _describe_series(dataset: Dataset, series: DemoSeries, number: int) -> None:
    dataset.Modality = series.modality
    dataset.SeriesNumber = number
    dataset.SeriesDescription = series.description


def _describe_instance(
    dataset: Dataset, number: int, position: Sequence[float] | None, *, of: int
) -> None:
    """Describe a copy of the source, which is at `position`."""
    dataset.InstanceNumber = number
    if of > 1 and position:
        x, y, z = (float(value) for value in position)
        z += _SLICE_SPACING * (number - 1)
        dataset.ImagePositionPatient = [x, y, round(z, 3)]


def _describe_file(dataset: Dataset) -> None:
    """Replace the File Meta Information, and keep the transfer syntax."""
    syntax = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    dataset.file_meta = meta


def _read(name: str) -> FileDataset:
    """Read one of pydicom's files; some, such as rtstruct.dcm, have no header of their own."""
    return dcmread(BytesIO(_source(name)), force=True)


@cache
def _source(name: str) -> bytes:
    found = get_testdata_file(name, download=False) or next(iter(get_charset_files(name)), None)
    if found is None:
        raise FileNotFoundError(f"the installed pydicom does not have its test file {name}")
    return Path(str(found)).read_bytes()
