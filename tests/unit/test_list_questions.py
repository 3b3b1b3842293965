"""What the lines of a list ask for, and which lists and lines are refused."""

from datetime import date

import pytest

from node.cli.lists.questions import check_columns, lines_of_list
from node.cli.lists.study_lists import read_list
from node.cli.lists.table import ListKey, check_headings, read_table
from node.dicom.query import StudyQuery, Window
from node.errors import UsageError

DAY = Window(start=date(2024, 1, 31), end=date(2024, 1, 31))


def asked(text: str):
    table = read_table(text.encode(), name="list.csv", keys=tuple(ListKey))
    check_headings(table)
    check_columns(table)
    return [(line.row.line, line.query or line.problem) for line in lines_of_list(table)]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("StudyInstanceUID\n1.2.3\n", StudyQuery(study_uids=("1.2.3",))),
        ("accession;x\n0012;y\n", StudyQuery(accession_number="0012")),
        ('PatientID,StudyDate\n="007",2024-01-31\n', StudyQuery(patient_id="007", window=DAY)),
        ("MRN\tStudy Date\tModality\n7\t20240131\tct\n",
         StudyQuery(patient_id="7", window=DAY, modality="CT")),
        ("PatientID,IssuerOfPatientID,AccessionNumber,StudyDate\nP,CLINIC,A,\n",
         StudyQuery(patient_id="P", issuer="CLINIC", accession_number="A")),
        ("(0010,0020);(0020,000D);StudyDate\nP;1.2.3;2024/01/31\n",
         StudyQuery(patient_id="P", study_uids=("1.2.3",), window=DAY)),
    ],
)  # fmt: skip
def test_all_keys_of_a_line_are_asked_for_together(text, query):
    assert asked(text) == [(2, query)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1.02.3,,,,", "leading zero"),
        (",A*,,,", "stand for others"),
        (",A\\B,,,", "stand for others"),
        (",,P?,,", "stand for others"),
        (",,A\\B,,", "backslash"),
        (",,,2024-01-31,", "StudyDate alone would bring too many"),
        (",,,,CT", "ModalitiesInStudy alone would bring too many"),
        (",,P,31.01.2024,", "no day"),
        (",,P,2024-02-30,", "no day"),
        (",,P,,C*", "no modality"),
        (",,P,,CT\\MR", "no modality"),
        (",1.23E+05,,,", "digits are lost"),
        (",,12345.0,,", "leading zeros may be lost"),
        ("x,,,,,", "no Study Instance UID"),
    ],
)
def test_a_line_that_cannot_be_asked_for_says_why(line, said):
    heading = "StudyInstanceUID,AccessionNumber,PatientID,StudyDate,Modality\n"
    ((number, problem),) = asked(f"{heading}{line}\n")
    assert number == 2
    assert said in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Modality\nCT\n", "ModalitiesInStudy alone would bring too many"),
        ("StudyDate,Modality\n20240131,CT\n", "has no column StudyInstanceUID"),
        ("Name,Born\nDoe,1970\n", "no column is called StudyInstanceUID"),
        ("AcessionNumber,PatientID\nA,P\n", "did you mean AccessionNumber by 'AcessionNumber'?"),
        ("PatientID,StudyDat\nP,20240131\n", "did you mean StudyDate by 'StudyDat'?"),
        ("StudyInstanceUID\n", "a heading in line 1, and nothing below it"),
    ],
)
def test_a_list_that_asks_for_nothing_exact_is_refused(text, said):
    with pytest.raises(UsageError, match="list.csv") as caught:
        asked(text)
    assert said in str(caught.value)


def test_other_columns_are_no_keys_though_they_are_dicom_keywords():
    text = "PatientID,StudyID,PatientName,Remark\nP,1,Doe^Jane,x\n"
    assert asked(text) == [(2, StudyQuery(patient_id="P"))]


def test_a_project_s_list_says_what_it_repeats():
    uids = "1.2.3\n1.2.4\n1.2.3\n"
    listed = read_list(f"uid\n{uids}".encode(), name="list.csv")
    assert listed.study_uids == ["1.2.3", "1.2.4"]
    assert listed.summary == "2 Study UIDs, from column 1; 1 line repeated"


def test_a_line_of_a_project_s_list_that_names_a_patient_alone_says_so():
    text = b"study_uid,MRN,accession,x\n,P7,,\n,,,y\n1.2.3,P7,,\n"
    with_a_patient, empty = read_list(text, name="list.csv").problems
    assert (with_a_patient.line, empty.line) == (2, 3)
    assert with_a_patient.message.startswith(
        "no study is named here, only PatientID: StudyInstanceUID and AccessionNumber are empty"
    )
    assert "find PEER --list" in with_a_patient.message
    assert empty.message == "no study is named here: the cell is empty"


def test_two_columns_of_one_key_are_an_error_that_names_both():
    text = b"study_uid,MRN,x,StudyInstanceUID\n1.2.3,P,y,1.2.9\n"
    both = "columns 1 and 4, 'study_uid' and 'StudyInstanceUID', are both StudyInstanceUID; "
    with pytest.raises(UsageError, match=f"{both}say with --column which one counts"):
        read_list(text, name="list.csv", by_option=True)
    with pytest.raises(UsageError, match=f"{both}call the one that is not to be asked for"):
        read_list(text, name="list.csv")
    assert read_list(text, name="list.csv", column="4").study_uids == ["1.2.9"]
    with pytest.raises(UsageError, match=f"{both}call the one that is not to be asked for"):
        asked(text.decode())
    with pytest.raises(UsageError, match="'MRN' and 'PatientID', are both PatientID"):
        asked("MRN,PatientID\nP,Q\n")


def test_what_is_no_text_is_no_list():
    with pytest.raises(UsageError, match="list.csv is no text: a list of studies, as CSV, is"):
        read_list(b"\x7fELF\2\1\1\0\0\0", name="list.csv")
    for encoding in ("utf-16", "latin-1"):
        assert read_list("uid\n1.2.3\n".encode(encoding), name="l").study_uids == ["1.2.3"]


def test_a_project_s_list_of_nothing_but_a_heading_or_of_no_uid_is_told():
    with pytest.raises(UsageError, match="a heading in line 1, and nothing below it"):
        read_list(b"StudyInstanceUID\n\n", name="list.csv")
    (problem,) = read_list(b"uid\n1.2.3\n1.02.3\n", name="list.csv").problems
    assert (problem.line, "leading zero" in problem.message) == (3, True)
