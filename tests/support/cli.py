"""`dicom-node` as a user runs it: as the installed console script, or forked from a loaded one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from tests.support.forks import Forks
from tests.support.processes import Process

FORKED = (
    *("DICOM_NODE__", "DICOM_NODE_CONFIG", "HOME", "XDG_CONFIG_HOME"),
    *("_DICOM_NODE_COMPLETE", "COMP_"),
)
"""What is read from the environment when a command runs, not when the interpreter starts."""


class Result(NamedTuple):
    """What a command left: its exit status and the text on its two streams."""

    code: int
    stdout: str
    stderr: str


class CommandLine:
    """Runs `dicom-node` in a folder and an environment of its own.

    `cli("db", "init")` runs it to its end, forked from a process that has loaded it (`Forks`);
    `cli.installed("db", "init")` starts the installed script, where the start or its environment
    is the point. `cli.start(…)` starts a command beside the test; `cli.args(…)` and `cli.env()` are
    for tests that start the installed script so.
    """

    def __init__(self, folder: Path, forks: Forks | None = None) -> None:
        self.folder = folder
        self.forks = forks
        self.script = Path(sys.executable).parent / "dicom-node"
        if not self.script.exists():
            raise AssertionError(f"{self.script} is missing: pip install -e .")

    def args(self, *args: str | Path) -> list[str]:
        """Return the command line."""
        return [str(self.script), *(str(arg) for arg in args)]

    def env(self, changes: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return this process's environment without anything that configures a node."""
        return clean_environment(self.folder) | dict(changes or {})

    def __call__(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60.0,
        stdin: str = "",
    ) -> Result:
        """Run the command to its end, at most `timeout` seconds.

        `env` is added to the environment. `cwd` is the test's own empty folder by default.
        """
        if self.forks is None or not all(name.startswith(FORKED) for name in env or ()):
            return self.installed(*args, env=env, cwd=cwd, timeout=timeout, stdin=stdin)
        with TemporaryFile() as given, TemporaryFile() as stdout, TemporaryFile() as stderr:
            given.write(stdin.encode())
            given.seek(0)
            forked = self.forks.start(
                [str(arg) for arg in args],
                stdin=given,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd or self.folder,
                env=self.env(env),
            )
            try:
                code = forked.wait(timeout)
            except subprocess.TimeoutExpired:
                forked.kill()
                forked.wait(10)
                texts = [_text(stdout), _text(stderr)]
                raise AssertionError(_too_long(args, timeout, texts)) from None
            return Result(code, _text(stdout), _text(stderr))

    def start(self, *args: str | Path, log: Path) -> Process:
        """Start the command beside the test; the caller ends it."""
        return Process(self.args(*args), log=log, env=self.env(), forks=self.forks)

    def installed(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60.0,
        stdin: str = "",
    ) -> Result:
        """Do the same with the installed script in a new interpreter."""
        try:
            done = subprocess.run(
                self.args(*args),
                input=stdin,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=self.env(env),
                cwd=cwd or self.folder,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            texts = [
                text if isinstance(text, str) else (text or b"").decode(errors="replace")
                for text in (error.stdout, error.stderr)
            ]
            raise AssertionError(_too_long(args, timeout, texts)) from None
        return Result(done.returncode, done.stdout, done.stderr)


def clean_environment(home: Path) -> dict[str, str]:
    """Return this process's environment without anything that configures a node."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("DICOM_NODE", "XDG_", "FORCE_COLOR"))
        and name != "PYTHONDONTWRITEBYTECODE"  # or each command compiles all that it loads again
    }
    return kept | {"HOME": str(home), "COLUMNS": "200", "PYTHONWARNINGS": "default"}


def _text(file: IO[bytes]) -> str:
    """Return what was written, as `subprocess` returns a text."""
    file.seek(0)
    text = file.read().decode(errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _too_long(args: Sequence[str | Path], timeout: float, texts: Sequence[str]) -> str:
    written = "\n".join(texts)
    return f"dicom-node {' '.join(map(str, args))} ran for more than {timeout:g} s:\n{written}"
