"""Which keys a peer may have ignored: no alarm where it only compares more generously."""

from datetime import date

import pytest

from node.dicom.asking.heeded import unheeded_keys
from node.dicom.asking.keys import read_key
from node.dicom.asking.question import question_of

TODAY = date(2024, 3, 15)


def unheeded(text, *values, fuzzy=False, also=()):
    """Return how many matches differ from a key, of which each says one of these; None: silent."""
    keys = [read_key(one, today=TODAY) for one in (text, *also)]
    answers = [{keys[0].keyword: value} for value in values]
    found = unheeded_keys(question_of(keys[:1]), answers, fuzzy=fuzzy)
    if also:
        found = unheeded_keys(question_of(keys), answers, fuzzy=fuzzy)
    return {one.key: one.differing for one in found}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PatientName=DOE*", "Doe^Jane"),
        ("PatientName=doe", "DOE^JANE^^Dr."),
        ("PatientName=Jane Doe", "DOE^JANE"),
        ("PatientName=Doe^J*", "Doe, Jane"),
        ("PatientName=MUELLER*", "Müller^Jörg"),
        ("PatientName=Müller*", "M?ller^J?rg"),
        ("PatientName=YAMADA*", "山田^太郎"),
        ("PatientName=YAMADA", "Yamada^Tarou=山田^太郎"),
        ("StudyDescription=head*", "HEAD  NECK"),
        ("AccessionNumber=a1", "A1 "),
        ("StudyDate=2024-", "20240102"),
        ("StudyDate=20240102", "2024.01.02"),
        ("StudyDate=20240102", "no date"),
        ("StudyTime=10:00-11", "10:59:59.5"),
        ("ModalitiesInStudy=CT", ["MR", "CT"]),
        ("ModalitiesInStudy=CT,MR", "MR"),
        ("StudyInstanceUID=1.2.3,1.2.4", "1.2.4"),
        ("NumberOfStudyRelatedInstances=7", 7),
        ("RequestAttributesSequence[0].ScheduledProcedureStepID=x",
         [{"ScheduledProcedureStepID": "y"}, {"ScheduledProcedureStepID": "X"}]),
        ("PatientID=*", "7"),
        ("PatientID", None),
    ],
)  # fmt: skip
def test_what_matches_more_generously_than_the_standard_is_no_alarm(key, value):
    assert unheeded(key, value, value) == {}


@pytest.mark.parametrize(
    ("key", "value", "differing"),
    [
        ("PatientName=DOE*", "Smith^Jane", 1),
        ("PatientName=Doe^J*", "Doe^Ann", 1),
        ("PatientID=1", "2", 1),
        ("StudyDate=2024-", "20230102", 1),
        ("StudyTime=10-11", "120000", 1),
        ("ModalitiesInStudy=CT", ["MR", "US"], 1),
        ("StudyInstanceUID=1.2.3", "1.2.33", 1),
        ("NumberOfStudyRelatedInstances=7", 8, 1),
        ("AccessionNumber=7", None, 0),
        ("RequestAttributesSequence[0].ScheduledProcedureStepID=x", [], 0),
        (
            "RequestAttributesSequence[0].ScheduledProcedureStepID=x",
            [{"ScheduledProcedureStepID": "y"}],
            1,
        ),
    ],
)
def test_what_plainly_does_not_match_is_said(key, value, differing):
    (found,) = unheeded(key, value).values()
    assert found == differing


def test_what_may_match_by_other_rules_is_not_judged():
    assert unheeded("PatientName=Meier", "Mayer", fuzzy=True) == {}
    both = unheeded("StudyTime=10-11", "120000", also=("StudyDate=20240101-20240103",))
    assert both == {"StudyDate": 0}, "one moment with the date, which nobody says here"
    assert unheeded("PatientID=1") == {}, "there is no match to look at"
    some = unheeded("PatientID=1", "1", None, "2")
    assert some == {"PatientID": 1}
