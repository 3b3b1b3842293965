"""`--quiet`: a command that does what it should says nothing, and one that does not says why."""

import pytest
import typer

from node.cli.app import app
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.received import flip_byte


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url):
    peers = {"pacs": ("PACS", free_port())}
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)


def test_a_quiet_command_says_only_what_went_wrong(node, tmp_path):
    (image,) = generate(tmp_path / "images", images=1)
    commands = (
        ("parse", "-i", tmp_path / "images"),
        ("verify",),
        ("reconcile",),
        ("project", "create", "trial"),
        ("project", "add", "trial", "--study", "1.2.3"),
        ("move", "--project", "trial"),
        ("project", "export", "trial", "-o", tmp_path / "out"),
        ("db", "dump", "-o", tmp_path / "dump"),
        ("quarantine", "retry", "--all"),
    )
    for command in commands:
        done = node(*command, "--quiet")
        assert (done.code, done.stdout, done.stderr) == (0, "", ""), command
    flip_byte(image.path, 2000)
    wrong = node("verify", "-q")
    assert (wrong.code, wrong.stdout) == (1, "")
    assert "the SHA-256 of its dataset is another one" in wrong.stderr
    away = node("find", "pacs", "--last", "1d", "-q")
    assert (away.code, away.stdout) == (3, "")
    assert "pacs" in away.stderr


def test_every_command_that_shows_progress_can_be_quiet():
    command = typer.main.get_command(app)
    for name in ("find", "move", "send", "parse", "verify", "reconcile"):
        options = [option for one in command.commands[name].params for option in one.opts]
        assert "--quiet" in options, name
