"""The installed console script, started afresh for each command, as a shell starts it.

Elsewhere commands are forked from a process that has loaded them (`tests.support.forks`). Here each
has to load what it needs by itself, from the script to its exit status.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import typer

from node.cli.app import app
from tests.support.cli import Result
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import Process, free_port


@pytest.fixture
def installed(cli, tmp_path, sqlite_url):
    """Return a node whose every command starts an interpreter of its own."""
    cli.forks = None
    return Node(cli, tmp_path / "node", sqlite_url, peers={"pacs": ("PACS", free_port())})


def groups_and_commands() -> dict[str, list[str]]:
    """Return the names at the top of the command line, with those below each."""
    root = typer.main.get_command(app)
    return {name: list(getattr(one, "commands", {})) for name, one in root.commands.items()}


def serving(node: Node, folder: Path, log: Path) -> Process:
    port = json.loads(node.config.read_text())["peers"]["pacs"]["port"]
    ours = f"NODE=127.0.0.1:{node.port}"
    options = ("--aetitle", "PACS", "--port", str(port), "--destination", ours)
    process = Process(node.cli.args("simulate", folder, *options), log=log, env=node.cli.env())
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
    with installed.running() as process:
        started.add("run")
        assert "listening on" in process.output()
    assert started == groups_and_commands().keys() - {"demo"}


def test_an_error_is_a_message_and_an_exit_status(installed):
    for args, code, said in (
        (("bogus",), 2, "bogus"),
        (("db", "current"), 1, "db init"),
        (("echo", "pacs"), 3, "nobody answers"),
    ):
        result = installed(*args) if args != ("bogus",) else installed.cli(*args)
        assert (result.code, said in result.stdout + result.stderr) == (code, True), result
        assert "Traceback" not in result.stderr


def test_a_fork_is_what_the_installed_script_is(cli):
    cases = (
        (("--version",), ""),
        (("--help",), ""),
        (("config", "show"), ""),
        (("db", "current"), ""),
        (("config", "show", "-f", "absent.yaml"), ""),
        (("db", "init", "--bogus"), ""),
        (("echo", "pacs"), ""),
        (("project", "add", "hip", "--csv", "-"), "1.2.x\n"),
    )
    for args, stdin in cases:
        assert cli(*args, stdin=stdin) == cli.installed(*args, stdin=stdin), args
