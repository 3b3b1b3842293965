"""Lists of studies as people have them, and what spreadsheets do to them."""

import pytest

from node.cli.lists.study_lists import read_list
from node.errors import UsageError

U1 = "1.2.840.113619.2.1"
U2 = "1.2.840.113619.2.2"


def read(text: str | bytes, column: str | None = None):
    data = text if isinstance(text, bytes) else text.encode()
    return read_list(data, name="list.csv", column=column, by_option=True)


@pytest.mark.parametrize(
    "text",
    [
        f"{U1}\n{U2}\n",
        f"{U1}\r\n{U2}",
        f"{U1}\r{U2}\r",
        f"\ufeff{U1}\n\n  \n{U2}\n",
        f"study_uid\n{U1}\n{U2}\n",
        f"StudyInstanceUID\n{U1}\n{U2}\n",
        f'"Study Instance UID","Patient"\n"{U1}","Doe, Jane"\n"{U2}","x"\n',
        f"Patient;Study Instance UID\r\nDoe, Jane;{U1}\r\nRoe, Max;{U2}\r\n",
        f"patient\t(0020,000D)\nDoe\t{U1}\nRoe\t{U2}\n",
        f"sep=;\nstudyuid;x\n{U1};1\n{U2};2\n",
        f'"sep=,"\nstudyuid,x\n{U1},1\n{U2},2\n',
        f"7,{U1},Doe\n8,{U2},Roe\n",
        f' {U1} ,"first\nsecond line"\n\t{U2}\xa0,x\n',
        f'="{U1}"\n="{U2}"\n',
        f"UID,Accession Number\n{U1},A1\n{U2},\n",
        f"patient,study_uid\nM\xfcller,{U1}\nx,{U2}\n".encode("latin-1"),
        f"patient\tstudy_uid\nM\xfcller\t{U1}\nx\t{U2}\n".encode("utf-16"),
    ],
)
def test_uids_are_found_however_they_are_written(text):
    listed = read(text)
    assert listed.study_uids == [U1, U2]
    assert (listed.accession_numbers, listed.problems) == ([], [])


@pytest.mark.parametrize(
    "text",
    [
        "0012\nA-7\n",
        "accession_number\n0012\nA-7\n",
        "AccessionNumber;Name\n0012;Doe\nA-7;Roe\n",
        'Accession No.,x\n="0012",1\n"=""A-7""",2\n',
        "Name,Accession\nDoe,'0012\nRoe,A-7\n",
        "UID,Accession\n,0012\n,A-7\n",
    ],
)
def test_accession_numbers_are_found_however_they_are_written(text):
    listed = read(text)
    assert listed.accession_numbers == ["0012", "A-7"]
    assert (listed.study_uids, listed.problems) == ([], [])


@pytest.mark.parametrize(
    ("column", "uids", "numbers"),
    [
        ("Exam", [], ["0012", "0013"]),
        ("exam ", [], ["0012", "0013"]),
        ("2", [], ["0012", "0013"]),
        ("Key", [U1, U2], []),
        ("3", [U1, U2], []),
    ],
)
def test_a_column_is_chosen_by_its_heading_or_number(column, uids, numbers):
    listed = read(f"Name,Exam,Key\nDoe,0012,{U1}\nRoe,0013,{U2}\n", column)
    assert (listed.study_uids, listed.accession_numbers) == (uids, numbers)
    assert listed.problems == []


def test_a_column_is_chosen_by_number_where_there_is_no_heading():
    assert read("Doe,0012\nRoe,0013\n", "2").accession_numbers == ["0012", "0013"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1.23E+05", "digits are lost"),
        ("1,23E+12", "digits are lost"),
        ("2E+05", "digits are lost"),
        ("#N/A", "in place of a value"),
        ("########", "in place of a value"),
        ("12345.0", "leading zeros may be lost"),
        ("A*", "stand for others"),
        ("", "the cell is empty"),
    ],
)
def test_what_a_spreadsheet_has_damaged_is_told_with_its_line(value, said):
    listed = read(f'accession;name\n0012;x\n\n"{value}";y\n0013;z\n')
    assert listed.accession_numbers == ["0012", "0013"]
    ((line, message),) = [(one.line, one.message) for one in listed.problems]
    assert line == 4
    assert said in message
    assert value in message


TITLES = "Knee study 2024\n\nexported by Doe, Jane;;\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{TITLES}StudyInstanceUID\n{U1}\n{U2}\n",
        f"{TITLES}Patient;Study Instance UID\nDoe, Jane;{U1}\nRoe;{U2}\n",
    ],
)
def test_titles_above_the_heading_are_no_studies(text):
    listed = read(text)
    assert listed.study_uids == [U1, U2]
    assert listed.accession_numbers == []


@pytest.mark.parametrize("title", ["Accession", "Accession Number", "StudyUID"])
def test_a_title_that_could_be_a_heading_is_none_above_a_heading(title):
    listed = read(f"{title}\nPatient,Accession Number\nX,A100\nY,A101\n")
    assert listed.accession_numbers == ["A100", "A101"]
    assert not listed.problems


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"Knee 2024\n{U1}\n{U2}\n", [2, 3]),
        (f"P1 {U1}\nP2 {U2}\n", [1, 2]),
        (f"P1  0012\nP2|{U2}\n", [2]),
        (f"AccessionNumber,Name\nA1,x\n{U1},y\n", [3]),
        (f"StudyInstanceUID,AccessionNumber\nA1,{U1}\n{U2},A2\n", [2]),
    ],
)
def test_a_uid_among_accession_numbers_and_the_reverse_is_a_problem_with_its_line(text, lines):
    listed = read(text)
    assert [one.line for one in listed.problems] == lines
    assert not {U1, U2} & set(listed.accession_numbers)


@pytest.mark.parametrize(
    ("text", "uids", "lines"),
    [
        (f'"{U1}\n{U2}\n{U1}.3\n', [U2, f"{U1}.3"], [1]),
        (f'{U1}\n"{U2}\n{U1}.3\n"{U1}.4"\n{U1}.5\n', [U1, *(f"{U1}.{n}" for n in (3, 4, 5))], [2]),
        (f'uid,note\n{U1},"open\n{U2},x\n{U1}.3,"two\nlines"\n', [U2, f"{U1}.3"], [2]),
        (f'note,uid\n"P1,{U1}\n"P2",{U2}\nP3,{U1}.3\n', [U2, f"{U1}.3"], [2]),
        (f'uid\n{U1}\n"' + "\n1.2.x" * 3000 + f"\n{U2}", [U1, U2], range(3, 3004)),
    ],
)  # fmt: skip
def test_a_quote_that_is_not_closed_never_swallows_lines(text, uids, lines):
    listed = read(text)
    assert listed.study_uids == uids
    assert [one.line for one in listed.problems] == list(lines)


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("uid\n" + "".join(f"1.2.3.{n}\n" for n in range(1000)), "1,000 Study UIDs, from column 1"),
        (f"x;uid;accession\n1;{U1};A\n2;;A1\n3;;A2\n",
         "1 Study UID, from column 2; 2 accession numbers, from column 3"),
        (f"{TITLES}uid\n{U1}\n", "1 Study UID, from column 1; the heading is in line 4"),
        ("uid\nx\n", "no study"),
    ],
)  # fmt: skip
def test_a_list_is_summed_up(text, summary):
    assert read(text).summary == summary


@pytest.mark.parametrize("value", ["1.2.x", "0012", "1.23E+05", "1..2", "study", "1.2.840,1"])
def test_what_is_no_uid_in_a_column_of_uids_is_told_with_its_line(value):
    listed = read(f'study_uid,note\n"{U1}","two\nlines"\n"{value}",x\n{U2},y\n')
    assert listed.study_uids == [U1, U2]
    assert [one.line for one in listed.problems] == [4]
    assert value in listed.problems[0].message


def test_a_row_that_ends_too_early_is_told():
    listed = read(f"a,study_uid\nx,{U1}\ny\n")
    assert [one.line for one in listed.problems] == [3]


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", None, "is empty"),
        ("\n \n;;\n", None, "is empty"),
        ("Name,Born\nDoe,1970\n", None, "--column"),
        ("Name\nDoe\n", None, "--column"),
        (f"{U1},{U2}\n", None, "--column"),
        ("Name,Born\nDoe,1970\n", "Exam", "no column 'Exam'"),
        ("Name,Born\nDoe,1970\n", "3", "no column '3'"),
        ("Name,Born\nDoe,1970\n", "0", "no column '0'"),
        (f"study_uid\n{'9' * 200_000}\n", None, "line 2: this is no CSV"),
    ],
)
def test_a_list_without_keys_is_an_error_that_says_what_is_there(text, column, said):
    with pytest.raises(UsageError, match="list.csv") as caught:
        read(text, column)
    assert said in str(caught.value)
