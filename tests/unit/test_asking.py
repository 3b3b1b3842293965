"""What people type becomes the identifiers of a query, or a message that says what is wrong."""

from datetime import date
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import decode

from node.dicom.asking.answered import in_words, said_by
from node.dicom.asking.charsets import charset_for
from node.dicom.asking.keys import read_key
from node.dicom.asking.moments import date_range, moment_range, time_range
from node.dicom.asking.question import ignored_above, question_of
from node.dicom.querying.levels import Level
from node.dicom.querying.model import QueryModel
from node.errors import UsageError
from node.net.dimse.identifiers import write_identifier

MANY = ",".join("ABCDEFGHI")
TODAY = date(2024, 3, 15)


def keys(*texts):
    return [read_key(text, today=TODAY) for text in texts]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("2024-03-01", "20240301"),
        ("20240301", "20240301"),
        ("2024-02", "20240201-20240229"),
        ("2023", "20230101-20231231"),
        ("2024-", "20240101-"),
        ("2024-03-", "20240301-"),
        ("-2023", "-20231231"),
        ("-2024-02", "-20240229"),
        ("2024-03-01..2024-03-31", "20240301-20240331"),
        ("2024-03-01-2024-03-31", "20240301-20240331"),
        ("2022..2023-06", "20220101-20230630"),
        ("2022-2023", "20220101-20231231"),
        ("20240101-20240131", "20240101-20240131"),
        ("20240101-", "20240101-"),
        ("-20240131", "-20240131"),
        ("..yesterday", "-20240314"),
        ("today", "20240315"),
        ("Yesterday", "20240314"),
        ("-7d", "20240308-20240315"),
        ("-2w", "20240301-20240315"),
        ("-30d..-7d", "20240214-20240315"),
        ("0070-05-01", "00700501"),
        ("*", ""),
    ],
)
def test_a_date_is_written_as_people_do(text, sent):
    assert date_range(text, TODAY) == sent


@pytest.mark.parametrize(
    "text",
    ["x", "2024-13", "2024-02-30", "24-03-01", "..", "-", "2024-03-02..2024-03-01", "-999999w"],
)
def test_what_is_no_date_or_ends_before_it_begins_is_refused_with_the_ways_to_write_one(text):
    with pytest.raises(UsageError, match=r"is none of the ways|ends before") as refused:
        read_key(f"StudyDate={text}", today=TODAY)
    assert "StudyDate" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("08:30:15", "083015"),
        ("083015.5", "083015.5"),
        ("08:30", "083000-083059.999999"),
        ("08", "080000-085959.999999"),
        ("08:00-12:00", "080000-120000"),
        ("0800-1200", "080000-120000"),
        ("22-", "220000-"),
        ("..12:00", "-120000"),
    ],
)
def test_a_range_of_times_ends_at_the_moment_that_is_written(text, sent):
    assert time_range(text) == sent


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("2024-03-01T08:30", "20240301083000-20240301083059.999999"),
        ("2024-03-01 08:30:15..2024-03-02", "20240301083015-20240302"),
        ("20240301083015.25+0100", "20240301083015.25+0100"),
        ("2024-03", "20240301-20240331"),
    ],
)
def test_a_moment_has_a_date_and_perhaps_a_time(text, sent):
    assert moment_range(text, TODAY) == sent


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("patientname=Doe^J*", "PatientName", ("Doe^J*",)),
        ("0020000D=1.2.3,1.2.4", "StudyInstanceUID", ("1.2.3", "1.2.4")),
        ("(0020,000d)=1.2.3\\1.2.4", "StudyInstanceUID", ("1.2.3", "1.2.4")),
        ("0010,0020", "PatientID", ()),
        ("PatientSex=f", "PatientSex", ("F",)),
        ("ModalitiesInStudy=ct, mr", "ModalitiesInStudy", ("CT", "MR")),
        ("StudyDescription=Head, Neck = all", "StudyDescription", ("Head, Neck = all",)),
        ("Rows=512", "Rows", ("512",)),
        (
            "ScheduledProcedureStepSequence[0].Modality=CT",
            "ScheduledProcedureStepSequence.Modality",
            ("CT",),
        ),
        ("00400100.00080060", "ScheduledProcedureStepSequence.Modality", ()),
    ],
)
def test_a_key_is_named_by_its_keyword_or_its_tag(text, name, values):
    (key,) = keys(text)
    assert (key.name, key.values) == (name, values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PatientNam=x", "did you mean PatientName"),
        ("=x", "no attribute"),
        ("0009,1001", "no attribute of the data dictionary"),
        ("PixelData=1", "cannot be matched"),
        ("StudyInstanceUID=1.2.*", "UIDs have no wildcards"),
        ("Rows=many", "no whole number"),
        ("ScheduledProcedureStepSequence=CT", "is a sequence"),
        ("ScheduledProcedureStepSequence[1].Modality=CT", "has one item"),
        ("PatientName.Modality", "is no sequence"),
    ],
)
def test_a_key_that_cannot_match_anything_is_refused(text, said):
    with pytest.raises(UsageError, match=r".") as refused:
        keys(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("texts", "level"),
    [
        (("PatientName=DOE*",), Level.STUDY),
        (("StudyInstanceUID=1.2", "SeriesDescription"), Level.SERIES),
        (("StudyInstanceUID=1.2", "SeriesInstanceUID=1.3", "Rows"), Level.IMAGE),
        (("RequestAttributesSequence",), Level.STUDY),
    ],
)
def test_the_level_is_the_deepest_that_a_key_belongs_to(texts, level):
    assert question_of(keys(*texts)).level is level


def test_patients_are_asked_for_in_the_patient_root_model():
    question = question_of(keys("PatientName=D*"), level=Level.PATIENT)
    assert question.model is QueryModel.PATIENT_ROOT
    assert question_of(keys("PatientID=1"), model=QueryModel.PATIENT_ROOT).level is Level.PATIENT
    (identifier,) = question.identifiers()
    assert "StudyInstanceUID" not in identifier
    with pytest.raises(UsageError, match="Patient Root"):
        question_of(keys("PatientID=1"), level=Level.PATIENT, model=QueryModel.STUDY_ROOT)


@pytest.mark.parametrize(
    ("texts", "options", "said"),
    [
        (("Modality=CT",), {}, "-k StudyInstanceUID=UID"),
        (("Modality=CT",), {}, "-k ModalitiesInStudy=CT"),
        (("StudyInstanceUID=1.2,1.3", "Modality=CT"), {}, "name the one study"),
        (("StudyInstanceUID=1.2",), {"level": Level.IMAGE}, "-k SeriesInstanceUID=UID"),
        (("StudyDate",), {"model": QueryModel.PATIENT_ROOT}, "-k PatientID=ID"),
        (("Rows=5",), {"level": Level.STUDY}, "--level image"),
        (("PatientID=1", "PatientID=2"), {}, "named twice"),
        ((f"PatientSex={MANY}", f"ModalitiesInStudy={MANY}"), {}, "more than 64"),
    ],
)
def test_a_question_that_no_peer_can_answer_is_refused(texts, options, said):
    with pytest.raises(UsageError, match=r".") as refused:
        question_of(keys(*texts), **options)
    assert said in str(refused.value)


def test_a_relational_question_needs_no_unique_keys():
    question = question_of(keys("Modality=CT", "StudyDate=2024-"), relational=True)
    assert question.level is Level.SERIES
    assert ignored_above(question) == ["StudyDate"]
    assert question.columns[-3:] == ["StudyDate", "StudyInstanceUID", "SeriesInstanceUID"]
    alike = question_of(keys("Modality=CT", "StudyInstanceUID=1.2"))
    assert "StudyInstanceUID" not in alike.columns, "it is that of all"


def test_a_list_of_uids_is_one_question_and_one_of_modalities_is_several():
    (one,) = question_of(keys("StudyInstanceUID=1.2,1.3")).identifiers()
    assert list(one.StudyInstanceUID) == ["1.2", "1.3"]
    asked = question_of(keys("ModalitiesInStudy=CT,MR", "PatientID=4")).identifiers()
    assert [(one.ModalitiesInStudy, one.PatientID) for one in asked] == [("CT", "4"), ("MR", "4")]


def test_what_is_below_a_sequence_is_in_its_item():
    texts = (
        "ScheduledProcedureStepSequence[0].Modality=CT",
        "ScheduledProcedureStepSequence.ScheduledStationAETitle",
        "RequestedProcedureCodeSequence",
    )
    (one,) = question_of(keys(*texts)).identifiers()
    (item,) = one.ScheduledProcedureStepSequence
    assert (item.Modality, item["ScheduledStationAETitle"].value) == ("CT", None)
    assert len(one.RequestedProcedureCodeSequence) == 0


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("Doe", ""),
        ("Müller", "ISO_IR 100"),
        ("Łódź", "ISO_IR 101"),
        ("Иванов", "ISO_IR 144"),
        ("Παπαδόπουλος", "ISO_IR 126"),
        ("山田", "ISO_IR 192"),
        ("Müller 山田", "ISO_IR 192"),
    ],
)
def test_a_question_goes_out_in_the_narrowest_character_set_that_has_its_text(text, charset):
    assert charset_for(text) == charset
    (asked,) = question_of(keys(f"PatientName={text}")).identifiers()
    assert str(asked.get("SpecificCharacterSet", "")) == charset
    named = question_of(keys(f"PatientName={text}", "SpecificCharacterSet=iso_ir 192"))
    assert named.identifiers()[0].SpecificCharacterSet == "ISO_IR 192"


def test_a_match_says_plain_values_whatever_is_wrong_with_some():
    match = Dataset()
    match.PatientName = "Doe^Jane=山田"
    match.StudyDate, match.StudyTime = "20240102", "083015"
    match.ModalitiesInStudy = ["CT", "MR"]
    match.NumberOfStudyRelatedInstances = "12"
    match.PatientWeight = "70.50"
    match.Rows = 512
    match.AccessionNumber = None
    inner = Dataset()
    inner.CodeValue = "C1"
    match.ProcedureCodeSequence = [inner]
    match.add_new(0x00091001, "OB", b"\x01\x02")
    said = said_by(match)
    assert said == {
        "StudyDate": "20240102",
        "StudyTime": "083015",
        "AccessionNumber": None,
        "ModalitiesInStudy": ["CT", "MR"],
        "ProcedureCodeSequence": [{"CodeValue": "C1"}],
        "00091001": "0102",
        "PatientName": "Doe^Jane=山田",
        "PatientWeight": "70.50",
        "NumberOfStudyRelatedInstances": 12,
        "Rows": 512,
    }
    shown = {name: in_words(value, name) for name, value in said.items()}
    assert shown["StudyDate"] == "2024-01-02"
    assert shown["StudyTime"] == "08:30:15"
    assert shown["ModalitiesInStudy"] == "CT, MR"
    assert shown["ProcedureCodeSequence"] == "{CodeValue=C1}"
    assert shown["AccessionNumber"] == ""


@pytest.mark.parametrize(
    ("declared", "written", "codec"),
    [
        ("ISO_IR 192", "Müller", "utf-8"),
        ("ISO_IR 192", "Müller", "latin-1"),  # it is not what is declared
        ("", "Müller", "latin-1"),
        ("", "Łódź", "utf-8"),
        ("ISO_IR 101", "Łódź", "iso8859-2"),
        ("ISO_IR 144", "Иванов", "iso8859-5"),
    ],
)
def test_names_are_read_in_the_character_set_that_they_are_in(declared, written, codec):
    match = Dataset()
    if declared:
        match.SpecificCharacterSet = declared
    match.PatientName = "@@"
    encoded = write_identifier(match, str(ImplicitVRLittleEndian))
    name = written.encode(codec)
    encoded = encoded.replace(b"\x02\0\0\0@@", len(name).to_bytes(4, "little") + name)
    decoded = decode(BytesIO(encoded), True, True)
    assert said_by(decoded)["PatientName"] == written
