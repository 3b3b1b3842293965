"""What the tests rely on must itself be reliable."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from tests.support.postgresql import PostgresServer
from tests.support.processes import Process, Processes, accepts_connections
from tests.support.waiting import wait_until, wait_until_async

pytest_plugins = ["pytester"]

SERVER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
time.sleep(60)
"""


def test_waiting_returns_what_the_condition_returned() -> None:
    answers = iter([0, None, "", "now"])
    assert wait_until(lambda: next(answers), 5, interval=0.001) == "now"


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(AssertionError, match=r"(?s)0\.01 s.*three of four"):
        wait_until(lambda: False, 0.01, describe=lambda: "three of four")


async def test_waiting_leaves_the_loop_free() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, done.set)
    assert await wait_until_async(done.is_set, 5)


def test_a_program_is_ready_when_its_port_and_its_line_are(
    processes: Processes, free_port: Callable[[], int]
) -> None:
    port = free_port()
    program = processes.start(sys.executable, "-c", SERVER, str(port))
    program.wait_for_port(port)
    assert program.wait_for_line("^rea(dy)").group(1) == "dy"
    assert program.terminate() == -signal.SIGTERM
    assert not accepts_connections(port)


def test_a_program_that_dies_is_not_waited_for(processes: Processes) -> None:
    program = processes.start(sys.executable, "-c", "print('no luck'); raise SystemExit(3)")
    with pytest.raises(AssertionError, match=r"(?s)status 3.*no luck"):
        program.wait_for_line("ready", timeout=60)


def test_a_program_takes_its_children_with_it(
    processes: Processes, free_port: Callable[[], int]
) -> None:
    port = free_port()
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    program = processes.start(sys.executable, "-c", code, SERVER, str(port))
    program.wait_for_port(port)
    program.kill()
    wait_until(lambda: not accepts_connections(port))


async def test_the_postgresql_database_is_real_and_empty(postgresql_url: str) -> None:
    connection = await asyncpg.connect(postgresql_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_stat_user_tables") == 0
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        await connection.execute("CREATE TABLE t (x text)")
    finally:
        await connection.close()


def test_a_postgresql_database_is_gone_after_use(postgresql: PostgresServer) -> None:
    name = postgresql.create_database()
    postgresql.drop_database(name)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        asyncio.run(asyncpg.connect(postgresql.url(name)))


LEAKING = """
import subprocess
from pathlib import Path

def test_leaks(tmp_path):
    child = subprocess.Popen(["sleep", "60"])
    Path("pid").write_text(str(child.pid))

def test_leaks_through_the_fixture(processes):
    processes.start("sleep", "60")
"""
SKIPPING = """
import pytest

def test_runs(): pass

def test_skipped(): pytest.skip("for want of a nail")

@pytest.mark.xfail
def test_expected_to_fail(): assert 0
"""


def test_a_skipped_test_does_not_fail_elsewhere_than_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "")
    result = run_inner(pytester, SKIPPING)
    result.stdout.fnmatch_lines(["*for want of a nail*"])
    result.assert_outcomes(passed=1, xfailed=1, skipped=1)
    assert result.ret == 0


def test_a_process_that_is_left_behind_fails_its_test_and_in_ci_a_skipped_test_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    result = run_inner(pytester, LEAKING + SKIPPING)
    os.kill(int((pytester.path / "pid").read_text()), signal.SIGKILL)
    result.stdout.fnmatch_lines(["*processes left behind*"])
    result.stdout.fnmatch_lines(["*skipped, though CI must run every test*for want of a nail*"])
    result.assert_outcomes(passed=3, errors=2, xfailed=1, failed=1)
    assert result.ret == 1


def run_inner(pytester: pytest.Pytester, module: str) -> pytest.RunResult:
    """Run a module under this suite's conftest in a pytest of its own."""
    root = Path(__file__).parents[3]
    pytester.makeconftest((root / "tests" / "conftest.py").read_text())
    pytester.makepyfile(textwrap.dedent(module))
    pytester.makeini(f"[pytest]\nasyncio_mode = auto\npythonpath = {root}\n")
    return pytester.runpytest_subprocess("-ra", "-p", "no:cacheprovider", timeout=60)


def test_a_process_used_as_a_context_is_reaped(tmp_path: Path) -> None:
    with Process([sys.executable, "-c", SERVER, "0"], log=tmp_path / "log") as program:
        program.wait_for_line("ready")
    assert program.returncode == -signal.SIGTERM
