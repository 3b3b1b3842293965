"""From a DICOM dataset to the rows that describe it; pure, nothing here knows a session."""

from schema.finding.answer import read_answer
from schema.finding.drawing import STUDY_FACTS
from schema.record import DicomSource, ImageRecord, read_record, record_from_bytes
from schema.tables.columns import utcnow
from schema.tables.models import PENDING, Image, Patient, Series, Study, StudyFind
from schema.tables.rows import row_of

__all__ = [
    "DicomSource",
    "ImageRecord",
    "dcm2dbmodels",
    "dcm2image",
    "dcm2patient",
    "dcm2series",
    "dcm2study",
    "dcm2study_finding",
    "read_record",
    "record_from_bytes",
]


def patient_of(record: ImageRecord) -> Patient:
    """Return the patient of a record."""
    return Patient(
        patient_id=record.patient_id,
        patient_name=record.patient_name,
        patient_birth_date=record.patient_birth_date,
        institution=record.institution,
    )


def study_of(record: ImageRecord) -> Study:
    """Return the study of a record."""
    return Study(
        study_uid=record.study_uid,
        study_date=record.study_date,
        patient_age=record.patient_age,
        accession_number=record.accession_number,
        patient_name=record.patient_name,
        patient_birth_date=record.patient_birth_date,
    )


def series_of(record: ImageRecord) -> Series:
    """Return the series of a record."""
    return Series(series_uid=record.series_uid, modality=record.modality)


def image_of(record: ImageRecord) -> Image:
    """Return the image of a record."""
    return Image(**row_of(record))


def dcm2patient(dcm: DicomSource, institution: str | None = None) -> Patient:
    """Return the patient of a dataset; errors as `read_record`."""
    return patient_of(read_record(dcm, institution=institution))


def dcm2study(dcm: DicomSource) -> Study:
    """Return the study of a dataset; errors as `read_record`."""
    return study_of(read_record(dcm))


def dcm2series(dcm: DicomSource) -> Series:
    """Return the series of a dataset; errors as `read_record`."""
    return series_of(read_record(dcm))


def dcm2image(
    dcm: DicomSource, institution: str | None = None, filepath: str | None = None
) -> Image:
    """Return the image of a dataset; errors as `read_record`."""
    return image_of(read_record(dcm, institution=institution, filepath=filepath))


def dcm2dbmodels(
    dcm: DicomSource, institution: str | None = None, filepath: str | None = None
) -> tuple[Patient, Study, Series, Image]:
    """Return the rows of a dataset at all four levels, not connected to each other.

    Parameters
    ----------
    dcm
        A dataset, the path of a DICOM file, or encoded bytes.
    institution
        The institution whose patient this is.
    filepath
        Where the image's file is; the path itself when `dcm` is one.

    Raises
    ------
    InvalidDicom
        When there is no usable dataset.
    """
    record = read_record(dcm, institution=institution, filepath=filepath)
    return patient_of(record), study_of(record), series_of(record), image_of(record)


def dcm2study_finding(dcm: DicomSource) -> StudyFind:
    """Return what a C-FIND response (an identifier at study level) says about a study.

    Parameters
    ----------
    dcm
        The identifier, PS3.4 C.6.1.1.3 and C.6.2.1.2.

    Raises
    ------
    InvalidDicom
        When it has no Study Instance UID.
    """
    answer = read_answer(dcm)
    now = utcnow()
    return StudyFind(
        study_uid=answer.study_uid,
        **{name: getattr(answer, name) for name in STUDY_FACTS},
        state=PENDING,
        attempts=0,
        priority=0,
        found_on=now,
        last_seen_on=now,
        updated_on=now,
    )
