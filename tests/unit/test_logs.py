"""Logging: one line for one record, and no patients above the debug level."""

import io
import json
import logging
import warnings

import pytest

from node import logs
from node.errors import PeerFailure
from node.ops.moving.failures import without_words


@pytest.fixture
def stream():
    """Log to a stream of the test's own, and restore what there was."""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in logs.FOREIGN}
    with warnings.catch_warnings():
        yield io.StringIO()
        logging.captureWarnings(capture=False)
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def log_exception(logger: str, message: str, error: Exception) -> None:
    try:
        raise error
    except type(error):
        logging.getLogger(logger).exception(message)


def test_a_record_is_one_line(stream):
    logs.setup(stream=stream)
    logging.getLogger("node.test").info("received %d images", 3)
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(" info    node.test: received 3 images")


def test_the_level_is_respected(stream):
    logs.setup(level="warning", stream=stream)
    logging.getLogger("node.test").info("not this")
    logging.getLogger("node.test").warning("but this")
    assert "not this" not in stream.getvalue()
    assert "but this" in stream.getvalue()


def test_setting_up_again_replaces_the_handler(stream):
    logs.setup(stream=stream)
    logs.setup(stream=stream)
    logging.getLogger("node.test").info("once")
    assert stream.getvalue().count("once") == 1


@pytest.mark.parametrize("style", ["text", "json"])
def test_control_characters_of_a_peer_cannot_forge_a_line(stream, style):
    logs.setup(style=style, stream=stream)
    logging.getLogger("node.test").warning(
        "called by %s", "EVIL\n2026-01-01 info: \x1b[2J\u202e\x9b"
    )
    assert len(stream.getvalue().splitlines()) == 1
    assert not set("\x1b\u202e\x9b") & set(stream.getvalue())


def test_a_traceback_cannot_forge_a_line_either(stream):
    logs.setup(stream=stream)
    log_exception("node.test", "failed", ValueError("first\n2026-01-01 00:00:00 info forged"))
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("failed")
    assert all(line.startswith("  | ") for line in rest)


def test_json_has_one_object_for_each_record_with_its_extra_fields(stream):
    logs.setup(style="json", stream=stream)
    logging.getLogger("node.test").warning("late", extra={"peer": "pacs"})
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry == {"level": "warning", "logger": "node.test", "message": "late", "peer": "pacs"}


def test_json_has_the_traceback(stream):
    logs.setup(style="json", stream=stream)
    log_exception("node.test", "failed", ValueError("why"))
    assert "ValueError: why" in json.loads(stream.getvalue())["exception"]


@pytest.mark.parametrize("name", ["pynetdicom", "pynetdicom.assoc", "sqlalchemy.engine", "pydicom"])
@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_what_libraries_say_about_patients_is_not_logged(stream, name, level):
    logs.setup(level=level, stream=stream)
    library = logging.getLogger(name)
    library.info("PatientName: DOE^JANE")
    library.warning("PatientName: %s", "DOE^JANE")
    log_exception(name, "PatientName: DOE^JANE", ValueError("DOE^JANE"))
    assert "DOE^JANE" not in stream.getvalue()
    assert f"{name}: the library reports ValueError at test_logs:" in stream.getvalue()


def test_what_a_peer_says_with_a_failure_is_not_logged(stream):
    said = PeerFailure("pacs: 0xA900: no DOE^JOHN", status=0xA900, comment="no DOE^JOHN ")
    logs.setup(stream=stream)
    logging.getLogger("node.test").warning("%s: %s", "1.2", said)
    assert stream.getvalue().endswith("1.2: pacs: 0xA900\n")
    assert without_words("2 missing; pacs: 0xA900: no DOE^JOHN", said) == "2 missing; pacs: 0xA900"


def test_a_level_that_a_library_sets_itself_does_not_help_it(stream):
    logs.setup(stream=stream)
    logging.getLogger("pynetdicom.assoc").setLevel(logging.DEBUG)
    try:
        logging.getLogger("pynetdicom.assoc").info("PatientName: DOE^JANE")
    finally:
        logging.getLogger("pynetdicom.assoc").setLevel(logging.NOTSET)
    assert stream.getvalue() == ""


def test_warnings_about_values_are_shown_without_the_values(stream):
    logs.setup(stream=stream)
    warnings.simplefilter("always")
    warnings.warn("Invalid value for PN: DOE^JANE", UserWarning, stacklevel=1)
    assert "DOE^JANE" not in stream.getvalue()
    assert "test_logs.py" in stream.getvalue()
    assert "reports UserWarning at" in stream.getvalue()


def test_warnings_from_one_place_are_shown_once(stream):
    logs.setup(stream=stream)
    warnings.simplefilter("always")
    for value in ("DOE^JANE", "DOE^JOHN"):
        warnings.warn(f"Invalid value for PN: {value}", UserWarning, stacklevel=1)
    assert len(stream.getvalue().splitlines()) == 1


def test_one_query_with_odd_values_brings_one_line_and_not_one_for_each(stream):
    """pydicom says each warning twice, to its log and to `warnings`, at many places."""
    import pydicom  # noqa: PLC0415 - it sets up its own log

    logs.setup(level="warning", stream=stream)
    warnings.simplefilter("always")
    dataset = pydicom.Dataset()
    dataset.PatientBirthDate = "19700101"
    for keyword, value in (
        ("StudyInstanceUID", "1.2.x"),
        ("StudyDate", "yesterday"),
        ("StudyTime", "late"),
        ("AccessionNumber", "x" * 20),
        ("Modality", "ct"),
        ("PatientID", "y" * 70),
    ):
        setattr(dataset, keyword, value)
    (line,) = stream.getvalue().splitlines()
    assert "pydicom" in line
    assert "yesterday" not in line


def test_at_debug_level_everything_is_said(stream):
    logs.setup(level="debug", stream=stream)
    logging.getLogger("pynetdicom.assoc").debug("PatientName: DOE^JANE")
    assert "DOE^JANE" in stream.getvalue()


def test_logging_goes_to_the_standard_error_stream_by_default(stream, capsys):
    logs.setup()
    logging.getLogger("node.test").info("here")
    captured = capsys.readouterr()
    assert "here" in captured.err
    assert captured.out == ""
