"""`dicom-node` in the process of the tests: a fork costs more, and compiles all its SQL again.

What a command makes of its arguments, its configuration and its database is the same; that it is a
process, with signals, an umask and streams of its own, others prove.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
import typer.main

from node.cli import app as cli_app
from tests.support.cli import CommandLine, Result

_OWN = {"run", "simulate", "demo", "parse"}
"""Commands that are ended by a signal, or that start processes of the interpreter."""


class Inside(CommandLine):
    """Runs commands as `CommandLine` does, but here; `_OWN` ones are forked still."""

    def __call__(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60.0,
        stdin: str = "",
    ) -> Result:
        """Run the command to its end."""
        words = [str(arg) for arg in args]
        if stdin or _OWN.intersection(words) or not _alone():
            return super().__call__(*args, env=env, cwd=cwd, timeout=timeout, stdin=stdin)
        stdout, stderr = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.env(env), clear=True),
            chdir(cwd or self.folder),
            redirect_stdout(stdout),
            redirect_stderr(stderr),
            _at_most(timeout, words),
        ):
            code = cli_app.run(words)
        return Result(code, stdout.getvalue(), stderr.getvalue())


@contextmanager
def _at_most(seconds: float, words: list[str]) -> Iterator[None]:
    """Fail where the block takes longer."""

    def late(*_: object) -> None:
        pytest.fail(f"{' '.join(words)} still runs after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    began = time.monotonic()
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)  # of the test's own limit
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 0.001))


def build_once() -> None:
    """Have the tree of commands and options made once: each command line makes its own else."""
    made, really = typer.main.get_command(cli_app.app), typer.main.get_command
    typer.main.get_command = lambda one: made if one is cli_app.app else really(one)


def _alone() -> bool:
    """Tell whether a command may take this thread: the main one, where no loop runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return threading.current_thread() is threading.main_thread()
    return False
