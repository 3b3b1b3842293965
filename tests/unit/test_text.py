"""Text on its way out: what peers and files say is shown, and does nothing."""

import ast
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path

import pytest

from schema.text.document import rfc3339, to_json
from schema.text.harmless import escape, in_json, in_json_bytes, in_list, in_spreadsheet
from schema.text.words import are, counted, counted_are, named, verb

ROOT = Path(__file__).parents[2]

HARMFUL = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200e\u200f\u2028\u2029",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
]

WRITERS = {
    "node/storage/failpoints.py",  # its own words, and only in tests
    "node/cli/app.py",
    "node/cli/shell/answer.py",
    "node/cli/shell/output.py",
    "node/cli/shell/progress.py",
    "node/cli/simulator/demo.py",  # the command lines that it runs
}
"""Who may write to a standard stream; whoever is new here escapes what is not its own."""


@pytest.mark.parametrize("character", HARMFUL)
def test_no_harmful_character_reaches_a_terminal_a_document_or_a_list(character):
    text = f"A{character}B"
    for written in (escape(text), to_json({"comment": text}), in_list(text)):
        assert character not in written
        assert "A" in written
        assert "B" in written


@pytest.mark.parametrize("character", [*HARMFUL, "\udc80", "\\", '"', "山", "😀"])
def test_a_document_loses_nothing(character):
    value = {f"k{character}": [character, f'\\{character}"']}
    assert json.loads(to_json(value)) == value
    assert json.loads(to_json(value, ascii_only=True)) == value


@pytest.mark.parametrize("character", [*HARMFUL, "山", "é", "😀", "\u200b"])
def test_bytes_of_json_are_treated_as_its_text_is(character):
    text = json.dumps({"a": f"x{character}y"}, ensure_ascii=False)
    assert in_json_bytes(text.encode()).decode() == in_json(text)


@pytest.mark.parametrize(
    "value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n1", " =1", "＝1"]
)
def test_a_spreadsheet_runs_no_text(value):
    assert in_spreadsheet(value) == f"'{value}"
    assert in_list(value).startswith("'")


@pytest.mark.parametrize("value", ["", "DOE^JANE", "1.2.840.10008", "a=b", "'=1"])
def test_other_texts_are_left_as_they_are(value):
    assert in_list(value) == value


def test_a_moment_is_written_in_utc_with_z():
    naive = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - as the database gives it
    paris = datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1)))
    assert rfc3339(naive) == rfc3339(paris) == rfc3339(naive.replace(tzinfo=UTC))
    assert json.loads(to_json({"started_on": naive, "all": [paris]})) == {
        "started_on": "2026-01-02T03:04:05Z",
        "all": ["2026-01-02T03:04:05Z"],
    }


def test_what_is_counted_is_written_as_its_counts():
    @dataclass
    class Told:
        states: Counter[str]
        parts: list["Told"] = field(default_factory=list)

    told = Told(Counter(partial=2), [Told(Counter("a"))])
    assert json.loads(to_json(told)) == {
        "states": {"partial": 2},
        "parts": [{"states": {"a": 1}, "parts": []}],
    }


def test_a_date_of_a_header_is_a_day_and_no_moment():
    midnight = datetime(2026, 1, 2)  # noqa: DTZ001 - a study date
    written = to_json({"study_date": midnight, "day": date(2026, 1, 2), "time": time(3, 4)})
    assert json.loads(written) == {
        "study_date": "2026-01-02",
        "day": "2026-01-02",
        "time": "03:04:00",
    }


@pytest.mark.parametrize(
    ("count", "one", "text"),
    [
        (0, "object", "0 objects"),
        (1, "object", "1 object"),
        (2, "study", "2 studies"),
        (1, "study", "1 study"),
        (2, "day", "2 days"),
        (1, "series", "1 series"),
        (3, "series", "3 series"),
    ],
)
def test_counts_are_said_as_people_say_them(count, one, text):
    assert counted(count, one) == text


@pytest.mark.parametrize(
    ("count", "many", "said"),
    [(1, "files", "file"), (1, "entries", "entry"), (2, "files", "files"), (1, "series", "series")],
)
def test_a_unit_goes_with_its_count(count, many, said):
    assert named(count, many) == said


def test_the_verb_goes_with_the_count():
    assert (are(0), are(1), are(2)) == ("are", "is", "are")
    assert (counted_are(1, "file"), counted_are(2, "file")) == ("1 file is", "2 files are")
    assert (verb(1, "wait"), verb(2, "wait")) == ("waits", "wait")


def test_nobody_else_writes_to_a_standard_stream_or_makes_json_dates():
    """The rule is one place; a print elsewhere brought control characters to the terminal."""
    for package in ("node", "schema"):
        for path in (ROOT / package).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
                said = ast.unparse(call.func)
                writes = said == "print" or re.fullmatch(r"sys\.std(out|err)\.write", said)
                assert not writes or name in WRITERS, f"{name}:{call.lineno}: use Output"
                dumps = said in ("json.dumps", "json.dump")
                assert not (dumps and name.startswith("node/")), f"{name}:{call.lineno}: to_json"


COUNTED = re.compile(
    r"(?<!counted\()\{[^{}:]+\} (?:[a-z]+ )?(?:images|studies|objects|files|rows|patients|entries|"
    r"windows|answers|lines|errors|cycles|peers|attempts|packets)\b"
)


def test_no_message_of_a_command_says_1_files():
    for path in (ROOT / "node" / "cli").rglob("*.py"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not COUNTED.search(line), f"{path.name}:{number}: use schema.text.words.counted"
