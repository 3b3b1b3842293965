"""The result of a list: gone on with wherever it ends, and never mixed up with another file."""

import pytest

from node.cli.lists.results import ResultFile
from node.cli.lists.table import ListKey, read_table
from node.errors import UsageError
from node.ops.finding.singles.lines import LineAnswer, LineOutcome

LIST = 'uid;note\n1.2.1;"two\nlines, and ""quotes"""\n1.2.2;\xe9\r\n1.2.3\n 1.2.4 ;x;y\n'
ANSWERS = [
    LineAnswer(outcome=LineOutcome.FOUND, study_uids=("1.2.1",)),
    LineAnswer(outcome=LineOutcome.NOT_FOUND),
    LineAnswer(outcome=LineOutcome.AMBIGUOUS, study_uids=("1.1", "1.2"), message='=2, "two"\n'),
    LineAnswer(outcome=LineOutcome.FAILED, message="lost"),
]


def table(text: str = LIST):
    return read_table(text.encode(), name="list.csv", keys=tuple(ListKey))


def go_on(path, text: str = LIST, peer: str = "pacs", most: int = 9) -> int:
    """Write what is missing, at most so many rows; return how many rows there were."""
    listed = table(text)
    with ResultFile(path, listed, peer) as file:
        before = file.done
        for row, answer in list(zip(listed.rows, ANSWERS, strict=False))[before:][:most]:
            file.add(row, answer)
        file.flush()
    return before


def test_a_result_that_is_torn_at_any_byte_is_gone_on_with_and_ends_the_same(tmp_path):
    whole = tmp_path / "whole.csv"
    assert go_on(whole) == 0
    written = whole.read_bytes()
    torn = tmp_path / "torn.csv"
    counts = []
    for length in range(len(written) + 1):
        torn.write_bytes(written[:length])
        counts.append(go_on(torn))
        assert torn.read_bytes() == written, length
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3, 4}


def test_the_lines_are_there_as_they_were(tmp_path):
    path = tmp_path / "result.csv"
    go_on(path)
    assert path.read_bytes().decode().split("\r\n")[:2] == [
        "uid;note;column 3;find_line;find_peer;find_outcome;find_count;find_studies;find_message",
        '1.2.1;"two\nlines, and ""quotes""";;2;pacs;found;1;1.2.1;',
    ]
    assert " 1.2.4 ;x;y;6;pacs;failed;0;;lost" in path.read_text(encoding="utf-8")
    assert "'=2" in path.read_text(encoding="utf-8"), "what a peer says is no formula"


@pytest.mark.parametrize(
    ("changed", "peer", "said"),
    [
        (LIST.replace("1.2.2", "1.2.9"), "pacs", "line 4 of the list is not what it was"),
        (LIST.replace("1.2.2;\xe9\r\n", ""), "pacs", "line 4 of the list is not what it was"),
        ("uid;note\n1.2.1;x;z\n", "pacs", "line 2 of the list is not what it was"),
        (LIST.replace("note", "remark"), "pacs", "no result of this list"),
        (LIST, "other", "this is what pacs has answered"),
    ],
)
def test_a_list_that_has_changed_since_is_noticed(tmp_path, changed, peer, said):
    path = tmp_path / "result.csv"
    go_on(path, most=2)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=said):
        go_on(path, changed, peer)
    assert path.read_bytes() == before


def test_lines_that_were_added_since_are_asked_for(tmp_path):
    path = tmp_path / "result.csv"
    go_on(path, LIST.removesuffix("\n"))
    with ResultFile(path, table(f"{LIST}1.2.5;z\n"), "pacs") as file:
        assert (file.done, file.counts[LineOutcome.FOUND]) == (4, 1)


@pytest.mark.parametrize(
    "content",
    [b"\0\1\2", b"uid,note\n1.2.3,x\n", LIST.encode(), b"patients", b"a,b\r\nc,d\r\n"],
)
def test_another_file_is_never_touched(tmp_path, content):
    path = tmp_path / "image.dcm"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="name another one"):
        go_on(path)
    assert path.read_bytes() == content


def test_a_result_that_somebody_has_edited_is_not_cut_off(tmp_path):
    path = tmp_path / "result.csv"
    go_on(path)
    edited = path.read_bytes().replace(b"1.2.2;\xc3\xa9", b'1.2.2;"\xc3\xa9"x')
    path.write_bytes(edited)
    with pytest.raises(UsageError, match="not as a find writes it"):
        go_on(path)
    assert path.read_bytes() == edited
