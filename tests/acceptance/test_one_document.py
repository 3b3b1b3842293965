"""With `--json` the standard output has one document, whatever becomes of the command."""

import json
import shlex
import signal
import socket
import subprocess
from datetime import datetime

import pytest

from node.cli import app as cli_app
from node.cli.shell.examples import EXAMPLES
from tests.support.node import Node
from tests.support.processes import free_port

WITHOUT_JSON = {"run", "simulate", "demo"}
EVERY = {
    name: shlex.split(lines[-1]) for name, lines in EXAMPLES.items() if name not in WITHOUT_JSON
}
HOSTILE = "\x9b2J\x7f\u202e\u2028=HYPERLINK(1)\x1b[2J"


@pytest.fixture
def cli(inside):
    return inside


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("wrong", [["--bogus"], ["-f", "/no/such/file.yaml"]])
def test_a_command_that_cannot_begin_says_so_in_its_document(name, wrong, capsys):
    if name == "config init" and wrong[0] == "-f":
        wrong = ["-f", "also.yaml"]  # the file twice
    code = cli_app.run([*EVERY[name], "--json", *wrong])
    assert code == 2
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert (error["kind"], error["exit_code"]) == ("usage", 2)
    assert said.err == f"dicom-node: {error['message']}\n"
    assert cli_app.run([*EVERY[name], *wrong]) == 2
    assert capsys.readouterr().out == ""


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers={"pacs": ("PACS", free_port())})


@pytest.mark.parametrize(
    "arguments", [("status",), ("project", "list"), ("verify",), ("find", "pacs", "--last", "1d")]
)
def test_a_database_that_is_not_there_is_a_document_too(cli, tmp_path, sqlite_url, arguments):
    node = Node(cli, tmp_path / "node", sqlite_url, peers={"pacs": ("PACS", free_port())})
    result = node(*arguments, "--json")
    assert result.code == node(*arguments).code == 1
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "failed"
    assert "dicom-node db init" in error["message"]


def test_a_peer_that_is_away_is_a_document_too(node):
    for command in (("echo", "pacs"), ("find", "pacs", "--last", "1d")):
        result = node(*command, "--json")
        assert result.code == 3
        error = json.loads(result.stdout)["error"]
        assert (error["kind"], error["exit_code"]) == ("peer", 3)
        assert "nobody answers" in error["message"]
    told = node("find", "pacs", "--last", "1d").stderr
    assert told.startswith("find at pacs: 0 windows, "), "nothing was asked"
    newest, *_ = node.json("cycles", "list")["cycles"]
    assert (newest["counts"]["windows"], newest["outcome"]) == (0, "failed")


def test_of_several_peers_those_in_trouble_are_in_the_document(cli, tmp_path, migrated_sqlite_url):
    port = free_port()
    peers = {"away": ("AWAY", free_port()), "there": ("PACS", port)}
    node = Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)
    node.ok("project", "create", "p")
    node.ok("project", "add", "p", "--study", "1.2.3")
    (tmp_path / "empty").mkdir()
    pacs = cli.start(
        "simulate", tmp_path / "empty", "--port", str(port), log=tmp_path / "simulate.log"
    )
    try:
        pacs.wait_for_port(port)
        document = node.json("find", "--project", "p", code=1)
    finally:
        pacs.terminate()
    assert [one["peer"] for one in document["peers"]] == ["there"]
    (trouble,) = document["troubles"]
    assert trouble["peer"] == "away"
    assert "nobody answers" in trouble["message"]
    document = node.json("find", "--last", "1d", code=3)
    assert [one["peer"] for one in document["troubles"]] == ["away", "there"]
    told = node("find", "--last", "1d")
    assert (told.code, told.stderr.count("nobody answers")) == (3, 2), "each is told once"


def test_an_interrupted_command_leaves_one_document(node):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node.configure({"pacs": ("PACS", silent.getsockname()[1])})
        command = node.cli.args("find", "pacs", "--last", "1d", "--json", "-f", node.config)
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=node.cli.env()
        ) as process:
            silent.settimeout(30)
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            stdout, _ = process.communicate(timeout=30)
            connection.close()
    assert process.returncode == 130
    assert json.loads(stdout)["error"] == {
        "kind": "interrupted",
        "message": "interrupted",
        "exit_code": 130,
    }


def test_what_was_done_before_a_failure_stays_in_the_document(monkeypatch, capsys):
    from node.cli.shell.output import Output  # noqa: PLC0415
    from node.errors import StorageError  # noqa: PLC0415

    def fail(*_: object, **__: object) -> None:
        Output(json=True).document({"checked": 3})
        raise StorageError("the disk is away")

    monkeypatch.setattr(cli_app, "app", fail)
    assert cli_app.run(["verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "checked": 3,
        "error": {"kind": "failed", "message": "the disk is away", "exit_code": 1},
    }


def test_what_a_peer_has_said_does_nothing_in_a_document_a_terminal_or_a_list(
    node, tmp_path, capsys
):
    from tests.acceptance.test_quarantine import execute  # noqa: PLC0415

    quoted = HOSTILE.replace("'", "''")
    execute(
        node,
        "INSERT INTO quarantine (kind, reason, source, filepath, received_on) VALUES "
        f"('conflict', '=1+1 {quoted}', '@{quoted}', '/no/such/file', '2026-01-02 03:04:05')",
    )
    listed, shown = node("quarantine", "list", "--json"), node("quarantine", "list")
    node("quarantine", "export", "--all", "-o", tmp_path / "out")
    lists = (tmp_path / "out" / "quarantine.csv").read_text(encoding="utf-8")
    for text in (listed.stdout, shown.stdout, lists):
        assert not set(text) & set("\x9b\x7f\u202e\u2028\x1b")
    (one,) = json.loads(listed.stdout)["objects"]
    assert one["reason"] == f"=1+1 {HOSTILE}"
    assert one["received_on"] == "2026-01-02T03:04:05Z"
    assert ",'=1+1" in lists
    assert ",'@" in lists


def test_every_moment_in_a_document_is_in_utc_and_says_so(node):
    from tests.acceptance.test_quarantine import execute  # noqa: PLC0415

    execute(
        node,
        "INSERT INTO studies_find (study_uid, study_date, found_on, retrieved_on, peer, state,"
        " attempts, priority) VALUES ('1.2.3', '2026-01-01 00:00:00', '2026-01-02 03:04:05',"
        " '2026-01-02 03:04:05.5', 'pacs', 'retrieved', 1, 0)",
    )
    execute(
        node,
        "INSERT INTO cycles (kind, peer, started_on, finished_on, outcome) VALUES"
        " ('find', 'pacs', '2026-01-02 03:04:05', '2026-01-02 03:04:06', 'done')",
    )
    node.ok("project", "create", "p")
    node.ok("project", "add", "p", "--study", "1.2.3")
    moments = []
    for document in (node.json("status"), node.json("project", "show", "p")):
        for key, value in leaves(document):
            if key.endswith("_date"):
                assert value == "2026-01-01"
            elif key.endswith("_on") and value is not None:
                moments.append(value)
    assert len(moments) > 1
    for moment in moments:
        assert moment.endswith("Z")
        assert datetime.fromisoformat(moment).utcoffset() is not None


def leaves(value, key=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, key)
    else:
        yield key, value
