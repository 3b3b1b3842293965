"""What commands print, on a terminal, into a pipe, and as JSON."""

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import pytest

from node.cli.shell.output import Column, Output, cell
from node.cli.shell.progress import PlainProgress, duration

COLUMNS = (Column(key="study"), Column(key="images", right=True), "retrieved_on")
ROWS = [
    {"study": "山田^太郎", "images": 7, "retrieved_on": None},
    {"study": "A", "images": 1200, "retrieved_on": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)},
]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Kind(Enum):
    """An enumeration to print."""

    ONE = "one"


@dataclass
class Report:
    """A dataclass to print."""

    path: Path
    kind: Kind


@pytest.fixture
def streams(monkeypatch):
    """Fix the width of what rich draws."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return io.StringIO(), io.StringIO()


def test_a_piped_table_is_plain_aligned_text(streams):
    out, err = streams
    Output(stdout=out, stderr=err).table(COLUMNS, ROWS)
    assert out.getvalue() == (
        "study      images  retrieved on\n"
        "山田^太郎       7  -\n"
        "A            1200  2026-01-02 03:04:05+00:00\n"
    )
    assert err.getvalue() == ""


def test_a_table_on_a_terminal_is_drawn(streams):
    out = Terminal()
    Output(stdout=out, stderr=streams[1]).table(COLUMNS, ROWS, title="Studies")
    assert "─" in out.getvalue()
    assert "Studies" in out.getvalue()
    assert "1200" in out.getvalue()


def test_a_table_as_json_is_a_list_of_objects(streams):
    out, err = streams
    Output(json=True, stdout=out, stderr=err).table(COLUMNS, ROWS)
    assert json.loads(out.getvalue()) == [
        {"study": "山田^太郎", "images": 7, "retrieved_on": None},
        {"study": "A", "images": 1200, "retrieved_on": "2026-01-02T03:04:05Z"},
    ]


def test_an_empty_table_still_has_its_headings(streams):
    out, err = streams
    Output(stdout=out, stderr=err).table(COLUMNS, [])
    assert out.getvalue() == "study  images  retrieved on\n"


def test_a_sign_has_a_colour_on_a_terminal_and_nowhere_else(streams):
    columns = (Column(key="Jan", styles={"!": "red"}), Column(key="Feb", styles={"!": "red"}))
    rows = [{"Jan": "! 3d", "Feb": "= 3d"}]
    terminal = Terminal()
    Output(stdout=terminal).table(columns, rows)
    assert "\x1b[31m! 3d" in terminal.getvalue()
    assert "m= 3d" not in terminal.getvalue()
    out, _ = streams
    Output(stdout=out).table(columns, rows)
    assert out.getvalue() == "Jan   Feb\n! 3d  = 3d\n"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_values_of_a_peer_can_neither_drive_the_terminal_nor_be_markup(stream, streams):
    out = stream()
    evil = "\x1b]0;owned\x07[red]DOE[/red]\n"
    Output(stdout=out, stderr=streams[1]).table(["name"], [{"name": evil}])
    assert "\x1b]0;owned" not in out.getvalue()
    assert "[red]DOE[/red]\\n" in out.getvalue()


def test_with_json_the_standard_output_has_the_document_and_nothing_else(streams):
    out, err = streams
    output = Output(json=True, stdout=out, stderr=err)
    output.print("for people")
    output.note("a message")
    output.document(Report(path=Path("a/b"), kind=Kind.ONE))
    assert json.loads(out.getvalue()) == {"path": "a/b", "kind": "one"}
    assert err.getvalue() == "a message\n"


def test_json_can_have_everything_that_commands_report(streams):
    out, err = streams
    value = {1: (1.5, True, None), "days": {datetime(2026, 1, 2).date()}, "kind": [Kind.ONE]}  # noqa: DTZ001
    Output(json=True, stdout=out, stderr=err).document(value)
    assert json.loads(out.getvalue()) == {
        "1": [1.5, True, None],
        "days": ["2026-01-02"],
        "kind": ["one"],
    }


def test_json_survives_a_stream_that_cannot_speak_unicode():
    buffer = io.BytesIO()
    out = io.TextIOWrapper(buffer, encoding="ascii")
    Output(json=True, stdout=out).document({"name": "山田"})
    out.flush()
    assert json.loads(buffer.getvalue()) == {"name": "山田"}


def test_fields_are_below_each_other(streams):
    out, err = streams
    Output(stdout=out, stderr=err).fields({"studies_found": 3, "ok": True})
    assert out.getvalue() == "studies found  3\nok             yes\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (0, "0"),
        (2.345, "2.3"),
        (["CT", "SR"], "CT, SR"),
        (Kind.ONE, "one"),
        ("a\tb", "a\\tb"),
        (Path("a/b"), "a/b"),
    ],
)
def test_cells(value, text):
    assert cell(value) == text


def test_progress_into_a_pipe_is_a_line_now_and_then_and_one_at_the_end():
    now = 0.0
    stream = io.StringIO()
    progress = PlainProgress(
        "Moving", unit="images", total=100, stream=stream, interval=10, clock=lambda: now
    )
    with progress:
        for now in (1.0, 2.0, 10.0, 11.0):  # noqa: B007 - read by the clock
            progress.advance(5)
        progress.update(50, text="2 of 6 studies")
        now = 25.0
        progress.update(50)
        progress.update(100, total=100)
    assert stream.getvalue().splitlines() == [
        "Moving: 15 of 100 images, 1.5/s, 57 s left",
        "Moving: 50 of 100 images, 2 of 6 studies, 2.0/s, 25 s left",
        "Moving: 100 of 100 images, 2 of 6 studies, 4.0/s, 25 s in all",
    ]


def test_progress_goes_to_the_standard_error_stream(streams):
    out, err = streams
    with Output(stdout=out, stderr=err).progress("Finding", unit="days", total=2) as progress:
        progress.advance(2)
    assert out.getvalue() == ""
    assert err.getvalue().startswith("Finding: 2 of 2 days")


def test_progress_on_a_terminal_is_a_bar(streams):
    out, err = streams[0], Terminal()
    with Output(stdout=out, stderr=err).progress("Moving", unit="images") as progress:
        progress.update(3, total=6, text="[red]1 of 2\x1b studies")
        progress.advance(3)
    assert "Moving" in err.getvalue()
    assert "6/6" in err.getvalue()
    assert "[red]1 of 2\\e studies" in err.getvalue()
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (42, "42 s"), (125, "2 min 05 s"), (7259.7, "2 h 01 min")],
)
def test_durations_are_written_for_people(seconds, text):
    assert duration(seconds) == text


def test_quiet_output_has_what_went_wrong_and_json_and_nothing_else():
    out, err = io.StringIO(), io.StringIO()
    quiet = Output(quiet=True, stdout=out, stderr=err)
    quiet.print("a result")
    quiet.table(["key"], [{"key": 1}])
    quiet.fields({"key": 1})
    quiet.remark("by the way")
    with quiet.progress("work", unit="files") as progress:
        progress.advance()
    assert (out.getvalue(), err.getvalue()) == ("", "")
    quiet.note("it went wrong")
    assert err.getvalue() == "it went wrong\n"
    Output(json=True, quiet=True, stdout=out, stderr=err).table(["key"], [{"key": 1}])
    assert json.loads(out.getvalue()) == [{"key": 1}]
