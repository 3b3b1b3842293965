from datetime import date, time

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from node.dicom.query import (
    StudyQuery,
    Window,
    date_range,
    matches,
    study_identifier,
    time_range,
)
from node.net.dimse.identifiers import write_identifier
from schema.finding.answer import read_answer

DAY = date(2024, 2, 28)


def test_times_of_one_day_are_a_range_to_the_last_fraction():
    window = Window(start=DAY, end=DAY, first=time(8), last=time(8, 59, 59, 999999))
    assert time_range(window) == "080000-085959.999999"
    assert time_range(Window(start=DAY, end=DAY)) == ""
    identifier = study_identifier(StudyQuery(), window)
    assert (identifier.StudyDate, identifier.StudyTime) == ("20240228", "080000-085959.999999")


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(), ""),
        (Window(start=DAY, end=DAY), "20240228"),
        (Window(start=DAY, end=date(2024, 3, 1)), "20240228-20240301"),
        (Window(start=DAY), "20240228-"),
        (Window(end=DAY), "-20240228"),
        (Window(start=date(999, 2, 28), end=DAY), "09990228-20240228"),
    ],
)
def test_a_window_is_written_as_a_date_range(window, expected):
    assert date_range(window) == expected


def test_the_identifier_asks_for_counts_and_matches_on_modalities_in_study():
    query = StudyQuery(modality="CT", patient_id="P*", study_uids=("1.2", "1.3"))
    identifier = study_identifier(query, Window(start=DAY, end=DAY))
    assert identifier.QueryRetrieveLevel == "STUDY"
    assert identifier.ModalitiesInStudy == "CT"
    assert "Modality" not in identifier
    assert list(identifier.StudyInstanceUID) == ["1.2", "1.3"]
    assert identifier.PatientID == "P*"
    assert identifier.PatientName is None or identifier.PatientName == ""
    assert "NumberOfStudyRelatedInstances" in identifier
    assert "NumberOfStudyRelatedSeries" in identifier
    assert identifier.StudyDate == "20240228"


def test_a_key_that_is_not_ascii_is_sent_in_utf_8():
    identifier = study_identifier(StudyQuery(patient_id="Müller*"), Window())
    assert identifier.SpecificCharacterSet == "ISO_IR 192"
    encoded = write_identifier(identifier, ImplicitVRLittleEndian)
    assert "Müller*".encode() in encoded
    assert "SpecificCharacterSet" not in study_identifier(StudyQuery(patient_id="M"), Window())


def answer(day, **values):
    dataset = Dataset()
    dataset.StudyInstanceUID = "1.2"
    dataset.StudyDate = f"{day:%Y%m%d}" if day else ""
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return read_answer(dataset)


@pytest.mark.parametrize(
    ("query", "values", "day", "expected"),
    [
        ({}, {}, DAY, True),
        ({}, {}, date(2024, 2, 29), False),
        ({}, {}, None, True),
        ({"study_uids": ("1.2",)}, {}, DAY, True),
        ({"study_uids": ("1.3",)}, {}, DAY, False),
        ({"patient_id": "A*"}, {"PatientID": "ABC "}, DAY, True),
        ({"patient_id": "A*"}, {"PatientID": "XBC"}, DAY, False),
        ({"patient_id": "A[1]"}, {"PatientID": "A[1]"}, DAY, True),
        ({"patient_id": "A*"}, {}, DAY, True),
        ({"modality": "CT"}, {"ModalitiesInStudy": ["CT", "SR"]}, DAY, True),
        ({"modality": "CT"}, {"ModalitiesInStudy": "MR"}, DAY, False),
        ({"modality": "CT"}, {}, DAY, True),
        ({"accession_number": "7"}, {"AccessionNumber": "8"}, DAY, False),
    ],
)
def test_answers_are_checked_against_the_question(query, values, day, expected):
    window = Window(start=DAY, end=DAY)
    assert matches(StudyQuery(**query), window, answer(day, **values)) is expected
