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
from schema.finding.answer import StudyAnswer, read_answer

DAY = date(2024, 2, 28)


def test_times_of_one_day_are_a_range_to_the_last_fraction():
    window = Window(start=DAY, end=DAY, first=time(8), last=time(8, 59, 59, 999999))
    assert time_range(window) == "075959.999999-085959.999999"
    assert time_range(Window(start=DAY, end=DAY)) == ""
    identifier = study_identifier(StudyQuery(), window)
    assert (identifier.StudyDate, identifier.StudyTime) == ("20240228", time_range(window))


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


@pytest.mark.parametrize("moment", ["12", "1200", "120000", "120000.000000", "000000", "1159"])
def test_a_peer_that_compares_times_as_texts_has_each_time_in_one_half_of_the_day(moment):
    halves = [(time(0), time(11, 59, 59, 999999)), (time(12), time(23, 59, 59, 999999))]
    ranges = [time_range(Window(start=DAY, end=DAY, first=a, last=b)).split("-") for a, b in halves]
    assert sum(first <= moment <= last for first, last in ranges) == 1


def test_a_modality_is_the_same_in_lower_case():
    answer = StudyAnswer(study_uid="1.2", modalities="sr\\ Ct")
    assert matches(StudyQuery(modality="CT"), Window(), answer)
    assert not matches(StudyQuery(modality="MR"), Window(), answer)
