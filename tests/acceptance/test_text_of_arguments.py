"""What is no text is refused on every command line, and a path may be of any bytes."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from node.cli import app as cli_app
from node.cli.shell.examples import EXAMPLES
from node.cli.shell.exits import Exit, explain
from tests.acceptance.test_documentation import COMMANDS

LEAVES = {name: one for name, one in COMMANDS.items() if not hasattr(one, "commands")}
NOT_UTF8, WITH_NUL = os.fsdecode(b"x\xffy"), "x\0y"


def line_with(name: str, param: Any, text: str) -> list[str]:
    """Return a command line that the command takes, but for one parameter."""
    words = name.split()[1:]
    line = shlex.split(EXAMPLES[" ".join(words)][0])[len(words) :]
    if param.param_type_name == "option":
        return [*line, param.opts[0], text]
    given = LEAVES[name].make_context(name, list(line)).params[param.name]
    at = [index for index, word in enumerate(line) if word == str(given)]
    return [*line[: at[0]], text, *line[at[0] + 1 :]] if at else [*line, text]


def outcome(name: str, param: Any, text: str) -> str:
    """Return what is said of a parameter; empty where it is taken as a path."""
    try:
        taken = LEAVES[name].make_context(name, line_with(name, param, text)).params[param.name]
    except Exception as error:  # noqa: BLE001 - whatever it is becomes an exit code
        said, code = explain(error) or (repr(error), Exit.FAILED)
        assert code == Exit.USAGE, (name, param.opts, said)
        return said
    values = taken if isinstance(taken, list | tuple) else [taken]
    assert all(isinstance(one, Path) for one in values), (name, param.opts, taken)
    return ""


def test_no_command_takes_what_is_no_text_but_as_a_path():
    refused = set()
    for name, command in LEAVES.items():
        for param in command.params:
            if getattr(param, "is_flag", False):
                continue
            said = outcome(name, param, NOT_UTF8)
            if not said.partition(";")[0].endswith(r"'x\xffy' is no text: it is not UTF-8"):
                continue  # a path, a number, a date, one of a few words
            assert "invalid value for" in said
            assert (param.metavar or param.opts[0]) in said or param.opts[0] in said
            assert r"'x\x00y' is no text" in outcome(name, param, WITH_NUL).replace("\0", r"\x00")
            refused.add(f"{name.removeprefix('dicom-node ')} {param.opts[0]}")
    assert refused >= {
        *("hold study", "hold --project", "explain text", "explain --accession"),
        *("report --peer", "coverage peer", "verify --study", "manifest create --study"),
        *("project add --manufacturer", "run --host", "db mirror --target"),
    }
    assert not refused & {"parse --input", "report --output", "send paths", "hold --list"}


def test_a_refused_argument_is_shown_so_that_it_can_be_found(capsys):
    assert cli_app.run(["hold", "--reason", os.fsdecode(b"h\xf6her"), "1.2.3", "--json"]) == 2
    said = capsys.readouterr()
    message = r"hold: invalid value for '--reason': 'h\xf6her' is no text: it is not UTF-8"
    assert said.err.startswith(f"dicom-node: {message}; ")
    assert json.loads(said.out)["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    "named", [["x" * 100_000], ["--accession", "é" * 301], ["1.2.3", "--study", "9" * 301]]
)
def test_explain_looks_for_no_text_that_is_too_long_to_be_a_name(named, capsys):
    assert cli_app.run(["explain", *named]) == 2
    said = capsys.readouterr().err
    assert f"it has {len(named[-1])} characters, 300 are the most" in said
    assert len(said) < 200


@pytest.mark.parametrize("host", ["a" * 64, "pacs..example.org", "é" * 64])
@pytest.mark.parametrize("command", ["run", "simulate"])
def test_a_host_that_nobody_can_look_up_is_refused(command, host, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli_app.run([command, "--host", host]) == 2
    assert "a host name or an IP address is needed" in capsys.readouterr().err
