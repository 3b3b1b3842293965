"""Programs that run beside a test: started, watched by their output, and surely ended.

Every process gets a session of its own, so that whatever it forked goes down with it, and writes
its output to a file, so that no full pipe can stop it.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.forks import Forked, Forks
from tests.support.waiting import wait_until

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on at this moment.

    It is none of those that the system gives to outgoing connections, and no other test process
    of this run is told the same one: it stays free until it is used.
    """
    while True:
        port = next(_PORTS)
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port


def _own_ports() -> Iterator[int]:
    """Yield this test process's ports, round and round, from a random one."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 12_000 + worker % 8 * 2_500
    start = random.randrange(2_500)
    return (first + (start + number) % 2_500 for number in itertools.count())


_PORTS = _own_ports()


def accepts_connections(port: int, host: str = LOOPBACK) -> bool:
    """Say whether somebody listens on `port`."""
    try:
        with closing(socket.create_connection((host, port), timeout=1.0)):
            return True
    except OSError:
        return False


class Process:
    """A running program.

    `log` is the file that takes its standard output and error; it is created with its folder.
    `env` is the whole environment, and `account` the `user`, `group` and `extra_groups` to run as,
    as `subprocess` has them. With `forks` it is forked: `dicom-node`, or the program of a test that
    the interpreter is told to run with `-m` or `-c`.
    """

    def __init__(
        self,
        args: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        account: Mapping[str, Any] | None = None,
        forks: Forks | None = None,
    ) -> None:
        self.args = [str(part) for part in args]
        self.name = Path(self.args[0]).name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._popen: subprocess.Popen[bytes] | Forked
        with log.open("ab") as output:
            if forks is not None:
                with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - no path of ours
                    self._popen = forks.start(
                        self.args[1:],
                        stdin=nothing,
                        stdout=output,
                        stderr=output,
                        cwd=cwd or Path.cwd(),
                        env=env or os.environ,
                        session=True,
                        program=self.args[0] == sys.executable,
                    )
                return
            self._popen = subprocess.Popen(
                self.args,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=None if env is None else dict(env),
                start_new_session=True,
                **(account or {}),
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.returncode is None

    def output(self) -> str:
        """Return all that it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for_line(self, pattern: str, timeout: float = 20.0) -> re.Match[str]:
        """Wait until a line of its output matches `pattern` (searched), and return the match."""
        compiled = re.compile(pattern, re.MULTILINE)

        def found() -> re.Match[str] | None:
            # Whether it has ended is asked first: what it wrote before that is then in the file.
            ended = not self.running
            match = compiled.search(self.output())
            if match is None and ended:
                raise AssertionError(self._ended(f"without a line matching {pattern!r}"))
            return match

        match = wait_until(found, timeout, describe=lambda: self._story(f"no line {pattern!r}"))
        assert match is not None
        return match

    def wait_for_port(self, port: int, timeout: float = 20.0) -> None:
        """Wait until it, or a child of it, accepts connections on `port` of the loopback."""

        def open_or_ended() -> bool:
            if not self.running:
                raise AssertionError(self._ended(f"before it listened on port {port}"))
            return accepts_connections(port)

        wait_until(open_or_ended, timeout, describe=lambda: self._story(f"port {port} is closed"))

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for its end, and return its exit status."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._story(f"still running after {timeout:g} s")) from None

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self._popen.send_signal(number)

    def kill(self) -> int:
        """End it with SIGKILL, at once and without its consent, and return its exit status."""
        self._kill_group()
        return self._popen.wait(10.0)

    def terminate(self, timeout: float = 10.0) -> int:
        """Ask it to end, make it end after `timeout` seconds, and return its exit status."""
        if self.running:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        self._kill_group()
        return self._popen.wait(10.0)

    def _kill_group(self) -> None:
        """Kill whatever is left of the session that it led."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _ended(self, text: str) -> str:
        return self._story(f"ended with status {self.returncode} {text}")

    def _story(self, text: str) -> str:
        return f"{self.name} (pid {self.pid}): {text}. Its output:\n{self.output()[-4000:]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminate()


class Processes:
    """Starts processes for one test and holds it to account for those that it leaves behind."""

    def __init__(self, folder: Path, forks: Forks | None = None) -> None:
        self._folder = folder
        self._forks = forks
        self._started: list[Process] = []

    def start(
        self,
        *args: str | Path,
        log: Path | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a program; its output goes to `log`, by default a file named after it."""
        if log is None:
            log = self._folder / f"{Path(args[0]).name}-{len(self._started)}.log"
        process = Process(args, log=log, cwd=cwd, env=env)
        self._started.append(process)
        return process

    def fork(
        self, *args: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start `dicom-node`, or a program that uses its modules, forked from what has loaded them.

        `args` are the same as for `start`.
        """
        log = self._folder / f"{Path(args[0]).name}-{len(self._started)}.log"
        process = Process(args, log=log, cwd=cwd, env=env, forks=self._forks)
        self._started.append(process)
        return process

    def reap(self) -> list[str]:
        """End what still runs and return its command lines: each is a leak."""
        leaked = [process for process in self._started if process.running]
        for process in self._started:
            process.terminate(timeout=2.0)
        return [" ".join(process.args) for process in leaked]


def child_processes(parent: int | None = None) -> dict[int, str]:
    """Return the children of a process, zombies included, with their command lines (Linux only).

    `parent` is its id; without it, it is this process.
    """
    return described(children(parent))


def children(parent: int | None = None) -> set[int]:
    """Return the ids of the children of a process, quickly: it is asked before and after a test."""
    found: set[int] = set()
    threads = f"/proc/{parent or 'self'}/task"
    with suppress(OSError):
        for thread in os.listdir(threads):
            with suppress(OSError), open(f"{threads}/{thread}/children", "rb") as file:  # noqa: PTH123
                found.update(map(int, file.read().split()))
    return found


def described(pids: Iterable[int]) -> dict[int, str]:
    """Return the command lines of those processes that are there."""
    lines: dict[int, str] = {}
    for pid in pids:
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            line = b" ".join(words).decode(errors="replace").strip()
            lines[pid] = line or Path(f"/proc/{pid}/comm").read_text().strip()
    return lines
