"""A command that is asked to end ends in good order, whoever asks."""

import signal
import socket

import pytest

from tests.support.node import Node


@pytest.fixture
def silent():
    """A PACS that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url, silent):
    peers = {"pacs": ("PACS", silent.getsockname()[1])}
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)


def ended(process, silent, number):
    """Wait until the command has called the PACS, send it a signal, and return its exit code."""
    silent.settimeout(20)
    with silent.accept()[0]:
        process.signal(number)
        code = process.wait(20)
    assert "dicom-node: interrupted" in process.output()
    assert "Traceback" not in process.output()
    return code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_ended_records_so_whichever_signal_ends_it(
    number, cli, node, silent, tmp_path
):
    dates = ("--from", "2024-01-01", "--to", "2024-01-01")
    process = cli.start("find", "pacs", *dates, "--config", node.config, log=tmp_path / "find.log")
    try:
        assert ended(process, silent, number) == 130
    finally:
        process.terminate()
    assert node.rows("SELECT outcome FROM cycles") == [{"outcome": "interrupted"}]


def test_sigterm_ends_in_good_order_what_a_shell_has_started_without_control_c(
    cli, node, silent, processes
):
    """A shell's `command &` ignores SIGINT from the start."""
    command = cli.args("find", "pacs", "--last", "1d", "--config", node.config)
    process = processes.start("sh", "-c", 'trap "" INT; exec "$@"', "sh", *command, env=cli.env())
    assert ended(process, silent, signal.SIGTERM) == 130
    assert node.rows("SELECT outcome FROM cycles") == [{"outcome": "interrupted"}]
