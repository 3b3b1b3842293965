"""Documentation that can fail: what the code has is documented, and what is linked to exists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from node.cli.app import app
from node.cli.shell.exits import Exit
from node.config.problems import every_key
from node.dicom.status import Status
from schema import Base
from schema.tables.ledger import QuarantineKind
from schema.tables.models import EMPTY, FAILED, MOVING, PARTIAL, PENDING, RETRIEVED
from schema.tables.views import manufacturers, project_members, study_metadata

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
TABLES = [*Base.metadata.sorted_tables, study_metadata, manufacturers, project_members]


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    command = typer.main.get_command(app) if command is None else command
    yield " ".join(("dicom-node", *path)), command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands())


def test_the_paragraphs_of_a_help_are_broken_where_the_terminal_ends():
    for name, command in COMMANDS.items():
        paragraphs = (command.help or "").split("\n\n")
        assert all("\n" not in one for one in paragraphs), f"{name}: {paragraphs}"


def options_of(command: Any) -> list[str]:
    names = [name for option in command.params for name in (*option.opts, *option.secondary_opts)]
    return [name for name in names if name.startswith("-")]


def paragraph_of(name: str, text: str) -> str:
    """Return what is said about a command: from its first line to the next command's."""
    if name == "dicom-node":
        return text.split("\n### ", 1)[0]
    begin = re.search(rf"\n\n`{re.escape(name)}[ `]", text)
    assert begin, f"docs/operating.md has no paragraph that begins with `{name}`"
    end = re.search(r"\n\n`dicom-node |\n#", text[begin.end() :])
    assert end
    return text[begin.start() : begin.end() + end.start()]


def in_code(text: str) -> set[str]:
    """Return the words inside `code`."""
    return {
        word for code in re.findall(r"`([^`\n]+)`", text) for word in re.split(r"[\s=,]+", code)
    }


def table_below(heading: str, text: str) -> dict[str, str]:
    """Return the first cells, without their marks, and the second ones of a heading's table."""
    section = re.search(
        rf"^##+ {re.escape(heading)}$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert section, f"no heading {heading}"
    return dict(re.findall(r"^\| `([^`]+)` \| (.+?) \|", section[1], re.MULTILINE))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_operating_guide(name):
    command = COMMANDS[name]
    if getattr(command, "commands", {}) and name != "dicom-node":
        assert f"### {name}\n" in text_of("operating.md")
        return
    documented = in_code(paragraph_of(name, text_of("operating.md")))
    missing = [option for option in options_of(command) if option not in documented]
    assert missing == [], f"docs/operating.md, `{name}`: say what {', '.join(missing)} is for"


def test_the_operating_guide_has_no_option_that_does_not_exist():
    text = text_of("operating.md")
    known = {option for command in COMMANDS.values() for option in options_of(command)} | {"--help"}
    documented = {word for word in in_code(text.split("## Exit codes")[0]) if word.startswith("--")}
    assert documented <= known


def test_every_exit_code_is_in_the_operating_guide_and_the_readme():
    for text in (text_of("operating.md"), (ROOT / "README.md").read_text(encoding="utf-8")):
        rows = set(re.findall(r"^\| (\d+) \|", text, re.MULTILINE))
        assert rows == {str(int(code)) for code in Exit}


def test_every_state_is_in_the_operating_guide():
    states = table_below("States", text_of("operating.md"))
    assert {PENDING, MOVING, PARTIAL, RETRIEVED, EMPTY, FAILED} <= states.keys()


def test_every_kind_of_the_quarantine_is_documented():
    below = text_of("operating.md").split("`quarantine.kind`:")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|", below, re.MULTILINE)
    assert sorted(rows) == sorted(QuarantineKind)
    described = table_below("quarantine", text_of("schema.md"))["kind"]
    (option,) = [one for one in COMMANDS["dicom-node quarantine list"].params if one.name == "kind"]
    for kind in QuarantineKind:
        assert f"`{kind}`" in described
        assert kind in option.help


def test_every_configuration_key_is_documented_and_no_other():
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_.<>]+)` \|", text_of("configuration.md"), re.MULTILINE)
    assert sorted(rows) == sorted(every_key())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_and_column_is_documented_and_no_other(table):
    documented = table_below(table.name, text_of("schema.md"))
    assert sorted(documented) == sorted(column.name for column in table.columns)


@pytest.mark.parametrize("status", Status, ids=lambda status: status.name)
def test_every_status_is_in_the_conformance_statement(status):
    row = f"| `0x{status:04X}` | `{status.name}` | "
    rows = text_of("conformance.md").split("\n## Status values\n")[1].split("\n## ")[0].splitlines()
    meanings = [line.removeprefix(row).strip(" |") for line in rows if line.startswith(row)]
    assert len(meanings) == 1, (
        f"docs/conformance.md, Status values: {status.name} ({status.meaning}) has no row of its"
        f" own; write one that begins with {row}"
    )
    assert meanings[0], f"docs/conformance.md does not say where {status.name} comes up"


def test_the_conformance_statement_has_no_status_that_does_not_exist():
    rows = re.findall(
        r"^\| `0x([0-9A-F]{4})` \| `(\w+)` \|", text_of("conformance.md"), re.MULTILINE
    )
    known = {(f"{status:04X}", status.name) for status in Status}
    assert set(rows) <= known, f"docs/conformance.md: no line of Status is {set(rows) - known}"


def anchors_of(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as they are made from their text."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_a_document_links_to_is_there(document):
    text = document.read_text(encoding="utf-8")
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            missing.append(link)
    assert missing == []


def test_every_make_target_that_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(
        re.findall(r"(?:`|^    )make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    )
    assert named
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert named <= targets


def test_the_commands_that_the_readme_shows_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for arguments in re.findall(r"^(?:\$ |    )dicom-node (.+)$", text, re.MULTILINE):
        words = re.split(r"\s+[>&#]|\s+2>", arguments)[0].split()
        depth = 2 if words[0] in ("db", "config", "manifest", "project") else 1
        name = " ".join(("dicom-node", *words[:depth]))
        assert name in COMMANDS, name
        options = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert options <= set(options_of(COMMANDS[name])), arguments


def test_every_module_of_the_command_line_is_a_command_that_can_be_called():
    registered = {
        callback.__module__
        for command in COMMANDS.values()
        if (callback := getattr(command, "callback", None)) is not None
    }
    folder = ROOT / "node" / "cli"
    for path in sorted(folder.glob("*.py")):
        if path.stem not in ("__init__", "app"):
            name = f"node.cli.{path.stem}"
            assert name in registered, f"{name} is no command: node/cli/app.py does not register it"


def test_the_operating_guide_has_no_command_that_does_not_exist():
    described = re.findall(r"^`(dicom-node [a-z][a-z ]*)", text_of("operating.md"), re.MULTILINE)
    assert len(described) > 20
    unknown = {name for name in (one.strip() for one in described) if name not in COMMANDS}
    assert unknown == set(), f"docs/operating.md describes what is no command: {unknown}"


def test_the_documents_show_the_newest_revision():
    newest = max(path.stem[:4] for path in (ROOT / "migrations" / "versions").glob("0*.py"))
    for document in DOCUMENTS:
        shown = re.findall(r"created, at revision (\d{4})", document.read_text(encoding="utf-8"))
        assert set(shown) <= {newest}, f"{document.name} shows an older revision than {newest}"
