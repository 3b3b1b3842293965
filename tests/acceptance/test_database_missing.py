"""Every command that needs a database says the same of one that was never made."""

import json
import shlex

import pytest

from node.cli.shell.examples import EXAMPLES
from tests.support.processes import free_port

WITHOUT = {"echo", "send", "simulate", "demo", "db init"} | {
    command for command in EXAMPLES if command.startswith("config ")
}
"""What needs none."""

WITHOUT |= {"query", "get", "fetch"}
"""And what asks a peer, and keeps nothing."""

WITHOUT |= {"manifest verify"}
"""And what looks at the file first that it is given: there is none."""

OTHERWISE = {
    "parse": "parse -i .",
    "cycles show": "cycles show 1 --limit 1",
    "quarantine discard": "quarantine discard 17 --yes",
    "run": "run",
    "db upgrade": "db upgrade",
    "db mirror": "db mirror --target sqlite:///mirror.db",
}
"""Commands whose example makes a database, asks back, or names what is not there."""


@pytest.fixture
def folder(cli):
    """Return a folder with a configuration, whose database is missing, and a list of studies."""
    peers = {"pacs": {"aetitle": "PACS", "host": "127.0.0.1", "port": free_port()}}
    settings = {"node": {"port": free_port()}, "peers": peers}
    (cli.folder / "dicom-node.yaml").write_text(json.dumps(settings))
    (cli.folder / "studies.csv").write_text("StudyInstanceUID\n1.2.3\n")
    return cli.folder


def test_every_command_that_needs_a_database_fails_alike_where_there_is_none(cli, folder):
    for command in EXAMPLES.keys() - WITHOUT:
        words = shlex.split(OTHERWISE.get(command, EXAMPLES[command][0]))
        result = cli(*words)
        if command == "db current":  # that is what it is asked
            said = result.stdout
            assert "has no tables yet; `dicom-node db init` creates them" in said
        else:
            said = result.stderr
            assert "node.db does not exist; run `dicom-node db init`" in said, (command, result)
        assert result.code == 1, (command, result)
    assert not (folder / "var" / "node.db").exists()
