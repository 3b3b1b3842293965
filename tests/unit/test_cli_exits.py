"""What becomes of an exception: one message, and an exit code."""

import pytest
import typer

from node import errors as node_errors
from node.cli import app as cli
from node.cli.shell.exits import Exit, explain
from node.config import InvalidConfiguration, Problem


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (node_errors.ConfigurationError("x"), Exit.USAGE),
        (node_errors.UsageError("x"), Exit.USAGE),
        (InvalidConfiguration([Problem(key="a", message="b")]), Exit.USAGE),
        (node_errors.PeerUnreachable("x"), Exit.PEER),
        (node_errors.PeerRefused("x"), Exit.PEER),
        (node_errors.PeerFailure("x", status=0xA700), Exit.FAILED),
        (node_errors.AssociationLost("x"), Exit.FAILED),
        (node_errors.ListenError("x"), Exit.FAILED),
        (node_errors.StorageError("x"), Exit.FAILED),
        (PermissionError(13, "Permission denied", "/x"), Exit.FAILED),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (typer.Abort(), Exit.INTERRUPTED),
    ],
)
def test_every_expected_error_has_its_exit_code(error, code):
    explained = explain(error)
    assert explained is not None
    assert explained[0]
    assert explained[1] is code


def test_errors_of_the_schema_have_theirs():
    from schema import errors  # noqa: PLC0415 - what this is about

    assert explain(errors.InvalidDatabaseSource("x")) == ("x", Exit.USAGE)
    assert explain(errors.UnknownTable("x")) == ("x", Exit.USAGE)
    assert explain(errors.SchemaBehind("x")) == ("x", Exit.FAILED)
    assert explain(errors.DatabaseUnavailable("x")) == ("x", Exit.FAILED)


def test_an_operating_system_s_error_names_the_file():
    assert explain(FileNotFoundError(2, "No such file", "/x/y")) == (
        "/x/y: No such file",
        Exit.FAILED,
    )


def test_an_error_that_nobody_expected_is_not_explained():
    assert explain(ValueError("x")) is None


def raising(error: BaseException):
    def command(*_: object, **__: object) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (node_errors.PeerRefused("pacs says no\x1b"), 3, "dicom-node: pacs says no\\e\n"),
        (node_errors.ConfigurationError("two\n  lines"), 2, "dicom-node: two\n  lines\n"),
        (KeyboardInterrupt(), 130, "dicom-node: interrupted\n"),
        (SystemExit(130), 130, "dicom-node: interrupted\n"),
        (SystemExit(2), 2, ""),
        (SystemExit(None), 0, ""),
        (
            RuntimeError("oops"),
            1,
            "dicom-node: unexpected error: RuntimeError: oops; DICOM_NODE_DEBUG=1 shows where\n",
        ),
    ],
)
def test_there_is_one_message_and_no_traceback(monkeypatch, capsys, error, code, said):
    monkeypatch.delenv("DICOM_NODE_DEBUG", raising=False)
    monkeypatch.setattr(cli, "app", raising(error))
    assert cli.run([]) == code
    assert capsys.readouterr().err == said


def test_a_value_that_the_shell_has_taken_to_pieces_is_recognised(capsys):
    assert cli.run(["find", "pacs", "--patient-id", "A1", "A2", "-f", "x.yaml"]) == 2
    said = "find: 'A2' is one argument too many; a value with blanks, * or ? goes in quotes; "
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("query sim PatientName=DOE", "say -k PatientName=DOE; "),
        ("query sim PatientName=DOE*", "say -k 'PatientName=DOE*'; "),
        ("query sim ScheduledProcedureStepSequence[0].Modality=CT", "say -k 'ScheduledProc"),
        ("get sim 1.2.3 4 -o out", "say --study 1.2.3; "),
        ("project add P 1.2.840.10008", "say --study 1.2.840.10008; "),
        ("get sim PatientName=DOE -o out", "goes in quotes; "),
        ("status sim 1.2.3", "goes in quotes; "),
        ("get sim 4711 -o out", "goes in quotes; "),
    ],
)
def test_an_option_that_was_forgotten_is_named(words, hint, capsys):
    assert cli.run(words.split()) == 2
    assert f"is one argument too many; {hint}" in capsys.readouterr().err.replace(
        "a value with blanks, * or ? ", ""
    )


def test_debugging_shows_the_traceback(monkeypatch, capsys):
    monkeypatch.setenv("DICOM_NODE_DEBUG", "1")
    monkeypatch.setattr(cli, "app", raising(RuntimeError("oops")))
    assert cli.run([]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_exit_codes_are_those_that_scripts_know():
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 130]


@pytest.mark.parametrize("words", [["query", "here", "-k"], ["status", "--limit"]])
def test_an_option_without_its_value_is_wrong_usage(words, capsys):
    assert cli.run(words) == 2
    assert "requires an argument; `dicom-node --help` shows" in capsys.readouterr().err
