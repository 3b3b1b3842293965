"""An index of many studies, made up in the database: what a query is measured over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from pydicom import config, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from sqlalchemy import insert, text

from schema import Database, Image, Patient, Series, Study
from schema.record import ImageRecord, read_record
from schema.tables.statements import table_of

IMAGES_OF_A_STUDY = 4
FIRST_DAY = date(2015, 1, 1)
PATIENTS_SHARE = 2
"""Studies of each patient."""

_NAMES = [
    "Doe",
    "Smith",
    "Miller",
    "Jones",
    "Garcia",
    "Weber",
    "Rossi",
    "Silva",
    "Novak",
    "Kowalski",
    "Sato",
    "Kim",
    "Chen",
    "Nguyen",
    "Ali",
    "Hansen",
    "Larsen",
    "Dubois",
    "Moreau",
    "Costa",
]
_GIVEN = [
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Eva",
    "Felix",
    "Greta",
    "Hugo",
    "Ida",
    "Jonas",
    "Karla",
    "Leo",
    "Mia",
    "Noah",
]


def told(number: int) -> dict[str, str]:
    """Return what the headers of a study say, by keyword: studies are numbered from 0 on."""
    patient = number // PATIENTS_SHARE
    family = _NAMES[patient % len(_NAMES)]
    given = _GIVEN[patient // len(_NAMES) % len(_GIVEN)]
    day = FIRST_DAY + timedelta(days=number % 3650)
    return {
        "PatientID": f"PAT{patient:07d}",
        "PatientName": f"{family}{patient % 997}^{given}",
        "PatientBirthDate": f"{1930 + patient % 80}0{1 + patient % 9}1{patient % 10}",
        "PatientSex": "MF"[patient % 2],
        "StudyInstanceUID": study_uid(number),
        "StudyDate": f"{day:%Y%m%d}",
        "StudyTime": f"{number % 24:02d}{number % 60:02d}00",
        "AccessionNumber": f"ACC{number:08d}",
        "StudyID": f"S{number % 100000}",
        "StudyDescription": f"MR Head {number % 50}",
        "ReferringPhysicianName": f"Referrer{number % 40}^Ann",
    }


def study_uid(number: int) -> str:
    """Return the Study Instance UID of a study."""
    return f"1.2.826.0.1.3680043.8.498.77.{number + 1}"


async def fill(db: Database, studies: int) -> None:
    """Put so many studies of two series of two images into an empty index."""
    record = read_record(template())
    meta = bytes(record.meta).decode()
    for start in range(0, studies, 5_000):
        numbers = range(start, min(start + 5_000, studies))
        async with db.begin() as session:
            connection = await session.connection()
            for model, rows in _rows(numbers, record, meta).items():
                await connection.execute(insert(table_of(model)), rows)
    async with db.begin() as session:
        await session.execute(text("ANALYZE"))


def _rows(numbers: range, record: ImageRecord, meta: str) -> Mapping[Any, list[dict[str, Any]]]:
    rows: dict[Any, list[dict[str, Any]]] = {Patient: [], Study: [], Series: [], Image: []}
    for number in numbers:
        said = told(number)
        patient = number // PATIENTS_SHARE
        day = datetime.strptime(said["StudyDate"], "%Y%m%d")  # noqa: DTZ007
        born = datetime.strptime(said["PatientBirthDate"], "%Y%m%d")  # noqa: DTZ007
        if number % PATIENTS_SHARE == 0:
            rows[Patient].append(
                {
                    "id": patient + 1,
                    "patient_id": said["PatientID"],
                    "patient_name": said["PatientName"],
                    "patient_birth_date": born,
                    "institution": "",
                }
            )
        rows[Study].append(
            {
                "id": number + 1,
                "patient_id": patient + 1,
                "study_uid": said["StudyInstanceUID"],
                "study_date": day,
                "accession_number": said["AccessionNumber"],
                "patient_age": 40,
                "patient_name": said["PatientName"],
                "patient_birth_date": born,
                "one_person": True,
            }
        )
        own = _said(meta, said)
        for series in range(2):
            series_id = 2 * number + series + 1
            uid = f"{said['StudyInstanceUID']}.{series + 1}"
            rows[Series].append(
                {"id": series_id, "study_id": number + 1, "series_uid": uid, "modality": "MR"}
            )
            for image in range(2):
                rows[Image].append(
                    {
                        "series_id": series_id,
                        "patient_id": said["PatientID"],
                        "patient_name": said["PatientName"],
                        "study_uid": said["StudyInstanceUID"],
                        "study_date": day,
                        "series_uid": uid,
                        "modality": "MR",
                        "sop_class_uid": str(MRImageStorage),
                        "image_uid": f"{uid}.{image + 1}",
                        "meta": own,
                        "filepath": f"/none/{uid}.{image}.dcm",
                        "transfer_syntax_uid": str(ExplicitVRLittleEndian),
                    }
                )
    return rows


def _said(meta: str, said: Mapping[str, str]) -> str:
    for keyword, value in said.items():
        meta = meta.replace(f"@{keyword}@", value)
    return meta


def template() -> Dataset:
    """Return the header of an MR image, a mark in place of what differs from study to study."""
    path = get_testdata_file("MR_small.dcm")
    assert isinstance(path, str)
    with config.disable_value_validation():
        dataset = dcmread(path, stop_before_pixels=True)
        for keyword in told(0):
            setattr(dataset, keyword, f"@{keyword}@")
    return dataset
