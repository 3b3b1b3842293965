"""Commands that have nothing of the node loaded before them, as a shell starts them.

Elsewhere commands are forked from a process that has loaded them (`tests.support.forks`). Here each
has to load by itself what it needs of the node, to its exit status; the libraries, the settings and
the tables, which all have in common, are there. What each command needs of those, and in which
order, is for the installed console script, started afresh, and for `test_imports_of_commands`.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import typer

from node.cli.app import app
from tests.support.cli import Result
from tests.support.forks import Forks
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import Process, free_port


@pytest.fixture
def installed(cli, tmp_path, sqlite_url, background_pids):
    """Return a node whose every command loads the node's modules by itself."""
    with Forks(cli.env(), libraries_only=True) as cli.forks:
        node = Node(cli, tmp_path / "node", sqlite_url, peers={"pacs": ("PACS", free_port())})
        yield node


def groups_and_commands() -> dict[str, list[str]]:
    """Return the names at the top of the command line, with those below each."""
    root = typer.main.get_command(app)
    return {name: list(getattr(one, "commands", {})) for name, one in root.commands.items()}


def serving(node: Node, folder: Path, log: Path) -> Process:
    port = json.loads(node.config.read_text())["peers"]["pacs"]["port"]
    ours = f"NODE=127.0.0.1:{node.port}"
    options = ("--aetitle", "PACS", "--port", str(port), "--destination", ours)
    process = node.cli.start("simulate", folder, *options, log=log)
    process.wait_for_port(port)
    return process


def test_every_command_loads_what_it_needs(installed, tmp_path):
    started: set[str] = set()

    def ok(*args: str | Path) -> Result:
        started.add(str(args[0]))
        result = installed.ok(*args)
        assert "Warning" not in result.stderr
        assert "Traceback" not in result.stderr
        return result

    images = generate(tmp_path / "images", studies=2, images=2)
    ok("db", "init")
    ok("config", "check")
    assert json.loads(ok("status", "--json").stdout)
    with serving(installed, tmp_path / "images", tmp_path / "simulate.log") as pacs:
        started.add("simulate")
        ok("echo", "pacs")
        ok("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-02")
        ok("coverage", "pacs")
        ok("cycles", "list")
        ok("probe", "pacs", "--interval", "0s")
        ok("move", "pacs")
        ok("explain", images[0].study_uid)
        ok("sample", "1", "pacs")
        ok("query", "pacs", "-k", "StudyDate=2024-")
        ok("get", "pacs", "--study", images[0].study_uid, "-o", tmp_path / "got")
        ok("fetch", "pacs", "--study", images[0].study_uid, "-o", tmp_path / "fetched")
        ok("send", "pacs", images[0].path)
        pacs.signal(signal.SIGTERM)
        assert pacs.wait(15) == 0
    assert len(installed.stored()) == 4
    ok("verify")
    ok("reconcile")
    ok("quarantine", "list")
    ok("project", "create", "knee")
    ok("report", "--fmt", "csv")
    ok("expect")
    for command in ("hold", "release", "retry", "cancel"):
        ok(command, images[0].study_uid)
    ok("manifest", "create", "--all", "-o", tmp_path / "all.sha256")
    ok("manifest", "verify", tmp_path / "all.sha256")
    ok("hooks", "list")
    ok("parse", "-i", tmp_path / "images")
    ok("db", "dump", "--fmt", "csv")
    installed.cli.forks = None  # the console script itself
    with installed.running() as process:
        started.add("run")
        assert "listening on" in process.output()
    assert started == groups_and_commands().keys() - {"demo"}


def test_a_fork_is_what_the_installed_script_is_and_an_error_is_a_message_and_a_status(
    cli, tmp_path, sqlite_url
):
    node = Node(cli, tmp_path / "node", sqlite_url, peers={"pacs": ("PACS", free_port())})
    of_node = ("--config", node.config)
    cases = (
        (("--version",), "", 0, "dicom-node"),
        (("config", "show", *of_node), "", 0, "PACS"),
        (("bogus",), "", 2, "bogus"),
        (("config", "show", "-f", "absent.yaml"), "", 2, "absent.yaml"),
        (("echo", "pacs", *of_node), "", 3, "nobody answers"),
        (("project", "add", "hip", "--csv", "-", *of_node), "1.2.x\n", 1, "db init"),
    )
    for args, stdin, code, said in cases:
        result = cli.installed(*args, stdin=stdin)
        assert (result.code, said in result.stdout + result.stderr) == (code, True), result
        assert "Traceback" not in result.stderr
        assert cli(*args, stdin=stdin) == result, args
