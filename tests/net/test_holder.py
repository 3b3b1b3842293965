"""Who has a port that is taken."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from node.net.transport.holder import holder_of

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")

LISTEN = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_the_process_that_has_a_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert str(holder_of(server.getsockname()[1])).endswith(f"(process {os.getpid()})")


def test_another_process_is_named_with_its_program():
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        holder = holder_of(int(process.stdout.readline()))
        process.communicate("")
    assert str(holder).startswith("python")
    assert str(holder).endswith(f"(process {process.pid})")


def test_of_a_process_that_is_not_ours_to_see_the_user_is_named(monkeypatch):
    monkeypatch.setattr("node.net.transport.holder._has_one_of", lambda *_: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert str(holder_of(server.getsockname()[1])).startswith("a process of the user ")


def test_a_port_that_nobody_has_has_nobody(free_port):
    assert holder_of(free_port()) is None
