"""One name for one thing on the whole command line, and an example in every help."""

import ast
import re
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from node.cli import app as cli_app
from node.cli.shell.commands import SYNONYMS
from node.cli.shell.examples import EXAMPLES
from tests.acceptance.test_documentation import COMMANDS, text_of

ROOT = Path(__file__).parents[2]

PROGRAM_WIDE = {"--help", "--version", "--install-completion", "--show-completion"}

MEANINGS: dict[str, set[str]] = {
    # what is written behind an option, and what the option may be called then
    "ADDRESS": {"--host"},
    "AET": {"--aetitle"},
    "AET=HOST:PORT": {"--destination"},
    "CT": {"--modality"},
    "DATE": {"--from", "--to", "--since", "--today"},
    "DIR": {"--input", "--output", "--folder", "--directory"},
    "FILE": {"--behaviour", "--counters", "--config", "--output", "--list", "--csv", "--result"},
    "ID": {"--claim", "--patient-id"},
    "KIND": {"--kind"},
    "MOMENT": {"--as-of"},
    "KEYWORD": {"--ignore"},
    "SEED": {"--seed"},
    "N": {"--limit", "--priority", "--threads", "--concurrency", "--withhold"},
    "NAME": {"--project", "--institution-name", "--table", "--column"},
    "NUMBER": {"--accession"},
    "PEER": {"--peer", "--from"},
    "HOOK": {"--hook"},
    "STATE": {"--state"},
    "TIME": {"--until"},
    "PERCENT": {"--sample"},
    "PORT": {"--port"},
    "SHA256": {"--digest"},
    "TEXT": {"--description", "--manufacturer", "--reason"},
    "KEY=VALUE": {"--key"},
    "UID": {"--study", "--series", "--image"},
    "URL": {"--target"},
    "10s": {"--interval"},
    "7d": {"--last"},
    "60s": {"--commit-wait"},
}
"""A new option that takes one of these has the name that is here, or says here what else it is."""

SAID_ALIKE = {
    # options that mean the same to a person, of which one was chosen
    "--list": {"--failed", "--listing", "--report", "--failures"},
    "--study": {"--study-uid", "--study-instance-uid", "--uid"},
    "--accession": {"--accession-number"},
    "--output": {"--out", "--to-file", "--destination-dir"},
    "--target": {"--mirror", "--url"},
    "--table": {"--tables"},
    "--force": {"--overwrite", "--replace"},
    "--dry-run": {"--simulate", "--pretend", "--no-act"},
    "--yes": {"--confirm", "--really"},
    "--all": {"--everything"},
    "--threads": {"--workers", "--processes", "--jobs"},
    "--limit": {"--max", "--count", "--number"},
    "--config": {"--configuration", "--conf"},
    "--fmt": {"--format"},
    "--quiet": {"--silent"},
}


def options() -> list[tuple[str, Any]]:
    found = []
    for name, command in COMMANDS.items():
        for param in command.params:
            if param.param_type_name == "option" and not PROGRAM_WIDE & set(param.opts):
                found.append((name, param))
    assert len(found) > 100
    return found


def long_name(param: Any) -> str:
    (name,) = [opt for opt in param.opts if opt.startswith("--")]
    return str(name)


def test_an_option_has_one_long_name():
    for name, param in options():
        assert len([one for one in param.opts if one.startswith("--")]) == 1, (name, param.opts)


def test_a_letter_is_short_for_one_name_and_a_name_has_one_letter():
    names, letters = defaultdict(set), defaultdict(set)
    for _, param in options():
        short = [opt for opt in param.opts if not opt.startswith("--")]
        letters[long_name(param)].add("".join(short))
        for letter in short:
            names[letter].add(long_name(param))
    assert {letter: found for letter, found in names.items() if len(found) > 1} == {}
    assert {name: found for name, found in letters.items() if len(found) > 1} == {}


def test_what_is_meant_alike_is_called_alike():
    for name, param in options():
        if param.is_flag or param.metavar is None:
            continue
        allowed = MEANINGS.get(param.metavar)
        assert allowed is not None, f"{name} {long_name(param)}: what is {param.metavar}?"
        assert long_name(param) in allowed, f"{name}: {param.metavar} goes with {allowed}"


def test_no_option_has_a_name_that_another_one_has_for_the_same():
    for name, param in options():
        for chosen, others in SAID_ALIKE.items():
            assert long_name(param) not in others, f"{name}: it is called {chosen} elsewhere"


def test_one_name_means_one_thing():
    kinds = defaultdict(set)
    for _, param in options():
        kinds[long_name(param)].add(param.metavar if not param.is_flag else "")
    assert kinds.pop("--from") == {"DATE", "PEER"}, "a date, but for moves: from whom"
    # a file or a folder: where the result goes
    several = {
        name: kind for name, kind in kinds.items() if kind - {"FILE", "DIR"} and len(kind) > 1
    }
    assert several == {}


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [(command, old, new) for command, pairs in SYNONYMS.items() for old, new in pairs.items()],
)
def test_a_name_of_earlier_is_understood_and_shown_nowhere(command, old, new, capsys):
    found = COMMANDS[f"dicom-node {command}"]
    shown = {opt for param in found.params for opt in param.opts}
    assert new in shown
    assert old not in shown
    others = shlex.split(EXAMPLES[command][0])[len(command.split()) :]
    if "--target" in others:
        others = []
    for spelt in ([old, "x"], [f"{old}=x"] if old.startswith("--") else [f"{old}x"]):
        context = found.make_context(f"dicom-node {command}", [*others, *spelt])
        values = [value for value in context.params.values() if value]
        assert any(
            str(value) == "x" or (isinstance(value, list) and "x" in value) for value in values
        )
    assert cli_app.run([*command.split(), "--help"]) == 0
    assert f"{old} " not in capsys.readouterr().out


def test_what_follows_two_dashes_is_no_option():
    found = COMMANDS["dicom-node find"]
    context = found.make_context("dicom-node find", ["--last", "7d", "--", "--study-uid"])
    assert context.params["peer"] == "--study-uid"


def test_messages_and_documents_name_only_options_that_exist():
    known = {opt for _, param in options() for opt in (*param.opts, *param.secondary_opts)}
    known |= PROGRAM_WIDE
    for package in ("node", "schema"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name in ("commands.py", "failpoints.py") and path.parent.name in (
                "shell",
                "storage",
            ):
                continue
            for text in (
                node.value
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ):
                named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
                assert named <= known, f"{path.relative_to(ROOT)} names {named - known}"


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if not hasattr(COMMANDS[name], "commands")]
)
def test_every_help_has_an_example_that_the_command_takes(name, capsys):
    command = name.removeprefix("dicom-node ")
    lines = EXAMPLES.get(command)
    assert lines, f"{name} has no example: node/cli/shell/examples.py"
    shown = cli_app.run([*command.split(), "--help"])
    assert shown == 0
    text = " ".join(capsys.readouterr().out.split())
    guide = text_of("operating.md")
    for line in lines:
        words = shlex.split(line)
        depth = len(command.split())
        assert " ".join(words[:depth]) == command
        COMMANDS[name].make_context(name, words[depth:])
        assert f"Example: dicom-node {line}" in text
        assert f"dicom-node {line}\n" in guide, f"docs/operating.md has no `dicom-node {line}`"


def test_no_help_shows_what_only_programs_know(capsys):
    for name in COMMANDS:
        assert cli_app.run([*name.split()[1:], "--help"]) == 0
        text = capsys.readouterr().out
        assert "<bool>" not in text, name
        assert "[[" not in text, name


def test_the_help_of_config_init_promises_nothing_that_it_does_not_do(capsys):
    assert cli_app.run(["config", "init", "--help"]) == 0
    assert "DICOM_NODE_CONFIG" not in capsys.readouterr().out


@pytest.mark.parametrize("last", ["7x", "90s", "1h", "0d", "x"])
def test_a_refused_value_is_not_recommended(last, capsys):
    assert cli_app.run(["find", "pacs", "--last", last]) == 2
    said = capsys.readouterr().err
    _, _, recommended = said.partition(f"--last {last}: ")
    for value in re.findall(r'"([^"]+)"', recommended):
        with pytest.raises(Exception) as refused:  # noqa: PT011 - that it gets past its own option
            COMMANDS["dicom-node find"].callback("pacs", last=value, config="/no/such/file")
        assert "--last" not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        ["find", "--bogus"],
        ["bogus"],
        ["echo"],
        ["status", "--limit", "-1"],
        ["db", "dump", "--fmt", "xml"],
        ["send", "pacs", "/no/such/file"],
        ["find", "pacs", "--last", "7x"],
        ["db", "init", "-f", "/no/such/file"],
        ["verify", "--since", "yesterday"],
    ],
)
def test_all_errors_have_one_style(wrong, capsys):
    assert cli_app.run(wrong) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("dicom-node: ")
    assert not line.endswith(".")
