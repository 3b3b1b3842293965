"""What the node says and refuses when it starts."""

import signal
import sqlite3
from contextlib import closing

import pytest

from tests.support.node import Node
from tests.support.waiting import wait_until


def test_a_postgresql_that_may_lose_commits_is_warned_of(cli, tmp_path, postgresql_url):
    node = Node(cli, tmp_path / "node", f"{postgresql_url}?options=-c%20synchronous_commit%3Doff")
    node.ok("db", "init")
    with node.running() as process:
        said = process.output()
    assert "PostgreSQL runs with synchronous_commit = off" in said
    assert "PostgreSQL runs with fsync = off" in said  # as the server of these tests does


def test_sqlite_needs_no_warning_and_the_end_of_a_terminal_is_an_end_in_good_order(
    cli, tmp_path, sqlite_url
):
    node = Node(cli, tmp_path / "node", sqlite_url)
    node.ok("db", "init")
    with node.running() as process:
        said = process.output()
        process.signal(signal.SIGHUP)  # as when its terminal is closed
        wait_until(lambda: not process.running)
        assert "Received SIGHUP: draining" in process.output()
        assert process.terminate() == 0
    assert "may be lost" not in said


@pytest.mark.parametrize(
    ("revision", "advice"), [("0001", "db upgrade"), ("9999", "install the newer version")]
)
@pytest.mark.parametrize("command", [("run",), ("find", "pacs", "--last", "1d")])
def test_a_schema_of_another_version_is_refused(
    cli, tmp_path, sqlite_url, revision, advice, command
):
    node = Node(cli, tmp_path / "node", sqlite_url, peers={"pacs": ("PACS", 104)})
    node.ok("db", "init")
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    result = node(*command)
    assert result.code == 1
    assert advice in result.stderr
    assert node("db", "current").code == 1
