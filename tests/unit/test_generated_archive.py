"""Studies that are made up: as many as wanted, always the same ones, found without a scan."""

from collections import Counter
from datetime import date

import pytest
from pydantic import ValidationError

from node.dicom.querying.levels import Level
from node.dicom.querying.matching import matches_all
from node.dicom.querying.question import Question
from node.simulator.generated.archive import GeneratedArchive
from node.simulator.generated.population import Population

MIXED = Population(
    studies=3000,
    start_date="2023-06-01",
    end_date="2024-05-31",
    undated=30,
    nameless=0.05,
    bursts={"days": 2, "studies": 200, "minutes": 10},
    migrations=[
        {"date": "1900-01-01", "studies": 150},
        {"date": "2000-02-29", "studies": 40, "time": "none"},
    ],
)


@pytest.fixture(scope="module")
def archive():
    return GeneratedArchive(MIXED)


@pytest.fixture(scope="module")
def everything(archive):
    return list(archive.matching(asking()))


def asking(level=Level.STUDY, root=Level.STUDY, **keys):
    values = {k: (v,) if isinstance(v, str) else tuple(v) for k, v in keys.items()}
    return Question(level=level, root=root, keys={"StudyInstanceUID": (), **values})


def uids(studies):
    return [study["StudyInstanceUID"][0] for study in studies]


def test_there_are_exactly_as_many_studies_as_wanted_and_each_has_its_own_uid(archive, everything):
    assert len(archive) == len(everything) == len(set(uids(everything))) == 3000
    days = Counter(study.get("StudyDate", ("",))[0] for study in everything)
    assert (days[""], days["19000101"], days["20000229"]) == (30, 150, 40)
    assert sorted(days.values())[-2:][0] >= 200


def test_weekends_are_quiet_and_days_are_uneven(everything):
    days = Counter(study["StudyDate"][0] for study in everything if "StudyDate" in study)
    usual = {date.fromisoformat(d): n for d, n in days.items() if d > "20230601" and n < 200}
    weekdays = [n for d, n in usual.items() if d.weekday() < 5]
    weekends = [n for d, n in usual.items() if d.weekday() >= 5]
    assert sum(weekends) / 104 < sum(weekdays) / 261 / 3
    assert len(set(weekdays)) > 5


def test_the_same_settings_are_the_same_studies_and_another_seed_is_another_hospital(everything):
    again = GeneratedArchive(MIXED).matching(asking())
    assert list(again) == everything
    other = GeneratedArchive(MIXED.model_copy(update={"seed": 2})).matching(asking())
    assert not set(uids(everything)) & set(uids(other))


@pytest.mark.parametrize(
    "keys",
    [
        {"StudyDate": "20240110"},
        {"StudyDate": "20240101-20240331"},
        {"StudyDate": "20240401-"},
        {"StudyDate": "-19991231"},
        {"StudyDate": "20300101-20310101"},
        {"StudyDate": "20240331-20240101"},
        {"StudyDate": "-"},
        {"StudyDate": "2024-01-10"},
        {"StudyDate": "202401"},
        {"StudyDate": "19000101", "StudyTime": "000000-000000"},
        {"StudyDate": "20240101-20240331", "StudyTime": "0900-0959"},
        {"StudyTime": "1000"},
        {"StudyTime": "-0700"},
        {"StudyTime": "101500.5-"},
        {"StudyTime": "nonsense"},
        {"ModalitiesInStudy": "PT"},
        {"ModalitiesInStudy": ("MG", "US"), "StudyDate": "20240101-"},
        {"ModalitiesInStudy": "C?"},
        {"ModalitiesInStudy": "ZZ"},
        {"PatientID": "P00000123"},
        {"PatientID": "P000001*"},
        {"PatientID": "*1"},
        {"PatientID": "X*"},
        {"AccessionNumber": "A000000123"},
        {"AccessionNumber": "A0000012*"},
        {"AccessionNumber": "A00000?123"},
        {"AccessionNumber": "B1"},
        {"PatientName": "müller^*"},
        {"PatientName": "山田*"},
        {"PatientSex": "F", "StudyDate": "20240101-20240110"},
        {"NumberOfStudyRelatedInstances": "7"},
    ],
    ids=str,
)
def test_a_question_finds_what_a_look_at_every_study_finds(archive, everything, keys):
    question = asking(**keys)
    expected = [s for s in everything if matches_all(question.keys_of(Level.STUDY), s)]
    assert list(archive.matching(question)) == expected


def test_some_of_these_questions_find_something(archive):
    for keys in (
        {"PatientID": "P00000123"},
        {"AccessionNumber": "A000000123"},
        {"PatientName": "müller^*"},
        {"StudyTime": "1000"},
        {"StudyDate": "20240101-20240331", "StudyTime": "0900-0959"},
    ):
        assert list(archive.matching(asking(**keys))), keys


def test_a_list_of_uids_finds_those_that_there_are(archive, everything):
    wanted = uids(everything)[::500]
    strangers = ("1.2.3", "2.25.1", "2.25.x", wanted[0] + "1", "")
    found = archive.matching(asking(StudyInstanceUID=(*wanted, *strangers, wanted[0])))
    assert uids(found) == wanted


def test_a_few_accession_numbers_name_two_studies_and_a_few_studies_have_none():
    archive = GeneratedArchive(Population(studies=20_000))
    numbers = Counter(s.get("AccessionNumber", ("",))[0] for s in archive.matching(asking()))
    absent = numbers.pop("")
    assert 5 < absent < 50
    twice = [number for number, count in numbers.items() if count == 2]
    assert 5 < len(twice) < 50
    for number in twice:
        assert len(list(archive.matching(asking(AccessionNumber=number)))) == 2


def test_series_and_images_are_as_many_as_their_study_says(archive, everything):
    for study in everything[::300]:
        uid = study["StudyInstanceUID"]
        series = list(archive.matching(asking(Level.SERIES, StudyInstanceUID=uid)))
        assert study["NumberOfStudyRelatedSeries"] == (str(len(series)),)
        images = [
            image
            for one in series
            for image in archive.matching(
                asking(
                    Level.IMAGE, StudyInstanceUID=uid, SeriesInstanceUID=one["SeriesInstanceUID"]
                )
            )
        ]
        assert study["NumberOfStudyRelatedInstances"] == (str(len(images)),)
        assert len({image["SOPInstanceUID"] for image in images}) == len(images)
        assert {one["Modality"][0] for one in series} == set(study["ModalitiesInStudy"])


def test_patients_have_the_studies_that_are_counted(archive, everything):
    patients = list(archive.matching(Question(level=Level.PATIENT, root=Level.PATIENT, keys={})))
    counts = Counter(study["PatientID"][0] for study in everything)
    said = {p["PatientID"][0]: int(p["NumberOfPatientRelatedStudies"][0]) for p in patients}
    assert said == counts
    assert len(set(counts.values())) > 2
    one = asking(root=Level.PATIENT, PatientID="P00000200")
    assert len(list(archive.matching(one))) == counts["P00000200"]


def test_two_pacs_can_have_parts_of_the_same_studies(everything):
    parts = [
        set(uids(GeneratedArchive(MIXED.model_copy(update={"part": part})).matching(asking())))
        for part in ((0.0, 0.6), (0.4, 1.0), (0.0, 0.4))
    ]
    a_part = GeneratedArchive(MIXED.model_copy(update={"part": (0.0, 0.6)}))
    assert a_part.served() == (len(parts[0]), True)
    many = MIXED.model_copy(update={"part": (0.0, 0.6), "studies": 1_000_000})
    about, exact = GeneratedArchive(many).served()
    assert (580_000 < about < 620_000, exact) == (True, False)
    assert parts[0] | parts[1] == set(uids(everything))
    assert 450 < len(parts[0] & parts[1]) < 750
    assert parts[1] | parts[2] == set(uids(everything))
    assert not parts[1] & parts[2]


def test_two_pacs_can_have_halves_of_each_study(everything):
    odd, even = (
        GeneratedArchive(Population(**(MIXED.model_dump() | {"series": half})))
        for half in ("odd", "even")
    )
    assert uids(odd.matching(asking())) == uids(everything)
    halves = {s["StudyInstanceUID"]: s for s in even.matching(asking())}
    assert 0 < len(halves) < 3000
    for whole, first in zip(everything, odd.matching(asking()), strict=True):
        second = halves.get(whole["StudyInstanceUID"], {})
        for count in ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"):
            assert int(whole[count][0]) == int(first[count][0]) + int(second.get(count, ("0",))[0])


@pytest.mark.parametrize("studies", [0, 1, 2, 13])
def test_an_archive_may_be_empty_or_tiny(studies):
    archive = GeneratedArchive(Population(studies=studies))
    found = list(archive.matching(asking()))
    assert len(found) == studies
    for study in found:
        for keyword in ("PatientID", "AccessionNumber", "StudyInstanceUID"):
            assert study in list(archive.matching(asking(**{keyword: study[keyword]})))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"studies": 10, "undated": 11}, "more than the 10"),
        ({"start_date": "2024-01-02", "end_date": "2024-01-01"}, "before start_date"),
        ({"start_date": None}, "are needed"),
        ({"part": (0.5, 0.5)}, "smaller one first"),
        ({"studies": -1}, "whole number from 0"),
        ({"nameless": 2}, "share from 0 to 1"),
        ({"migrations": [{"studies": 1, "time": 93000}]}, "in quotes"),
        (
            {
                "start_date": "2024-01-01",
                "end_date": "2024-01-02",
                "bursts": {"days": 3, "studies": 1},
            },
            "than there are days",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, word):
    with pytest.raises(ValidationError, match=word):
        Population(**wrong)
