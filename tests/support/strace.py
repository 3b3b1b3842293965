"""strace, attached to threads that run already, or around a program from its start."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.processes import Process
from tests.support.waiting import wait_until

MISSING = (
    "strace is not installed: run `make peers`, or `apt-get install strace`;"
    " or it may not attach to processes here: see kernel.yama.ptrace_scope"
)


@functools.cache
def find_strace() -> str | None:
    """Return the path of strace; None where it is missing, or may not attach to processes."""
    found = shutil.which("strace")
    if found is None:
        return None
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            with subprocess.Popen(
                [found, "-o", os.devnull, "-p", str(other.pid)], stderr=subprocess.PIPE
            ) as tried:
                assert tried.stderr is not None
                attached = b" attached" in tried.stderr.readline()
                tried.terminate()
        finally:
            other.kill()
    return found if attached else None


def require_strace() -> str:
    """Return the path of strace, or skip the test."""
    if (found := find_strace()) is None:
        pytest.skip(MISSING)
    return found


class Attached:
    """strace at some threads, for the length of a `with` block.

    Only these threads are followed, not the ones that they start.

    Parameters
    ----------
    threads
        Thread IDs; those of several processes may be mixed.
    options
        What to trace, and what to inject.
    log
        Takes the trace, one file anew for each use.
    """

    def __init__(self, threads: Iterable[int], options: Sequence[str], log: Path) -> None:
        self.log = log
        self._messages = log.with_suffix(".messages")
        self._threads = sorted(threads)
        self._arguments = [require_strace(), "-y", "-o", str(log), *options]
        for thread in self._threads:
            self._arguments += ["-p", str(thread)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._messages.open("wb") as messages:
            self._process = subprocess.Popen(
                self._arguments, stdin=subprocess.DEVNULL, stderr=messages
            )
        try:
            wait_until(self._is_attached, 20, interval=0.002, describe=self._messages.read_text)
        except BaseException:
            self._detach()
            raise
        return self

    def _is_attached(self) -> bool:
        assert self._process is not None
        text = self._messages.read_text()
        assert self._process.poll() is None, text
        there, gone = text.count(" attached\n"), text.count("No such process\n")
        assert gone < len(self._threads), text
        return there + gone >= len(self._threads)  # one may have ended just now

    def _detach(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._detach()

    def lines(self) -> list[str]:
        """Return the trace so far."""
        return self.log.read_text(errors="backslashreplace").splitlines()


class Traced:
    """A program that strace follows from its start, with all that it starts.

    Parameters
    ----------
    args, cwd, env
        The program, as `subprocess` has them.
    calls
        What is traced, separated by commas.
    log
        Takes the trace: strings whole and in hexadecimal.
    output
        Takes what the program writes.
    """

    def __init__(
        self,
        args: Sequence[str | Path],
        *,
        calls: str,
        log: Path,
        output: Path,
        cwd: Path,
        env: Mapping[str, str],
    ) -> None:
        self.log = log
        options = ["-f", "--seccomp-bpf", "-y", "-xx", "-s", "16777216", "-e", f"trace={calls}"]
        self._process = Process(
            [require_strace(), *options, "-o", log, *args], log=output, cwd=cwd, env=env
        )
        self.output = self._process.output
        self.wait_for_line = self._process.wait_for_line

    def wait(self) -> int:
        """Wait for the program's end, and return its exit status."""
        return self._process.wait(60)

    def stop(self) -> int:
        """Ask the program to end, and return its exit status."""
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                os.kill(int(child), signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End the program and strace, wherever they are."""
        self._process.kill()
