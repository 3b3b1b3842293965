"""The installed console script, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Result(NamedTuple):
    """What a command left: its exit status and the text on its two streams."""

    code: int
    stdout: str
    stderr: str


class CommandLine:
    """Runs `dicom-node` in a folder and an environment of its own.

    `cli("db", "init")` runs it to its end; `cli.args(…)` and `cli.env()` are for tests that start
    it in the background.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = Path(sys.executable).parent / "dicom-node"
        if not self.script.exists():
            raise AssertionError(f"{self.script} is missing: pip install -e .")

    def args(self, *args: str | Path) -> list[str]:
        """Return the command line."""
        return [str(self.script), *(str(arg) for arg in args)]

    def env(self, changes: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return this process's environment without anything that configures a node."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(("DICOM_NODE", "XDG_", "FORCE_COLOR"))
        }
        kept |= {"HOME": str(self.folder), "COLUMNS": "200", "PYTHONWARNINGS": "default"}
        return kept | dict(changes or {})

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
            written = b"\n".join(
                text.encode() if isinstance(text, str) else text or b""
                for text in (error.stdout, error.stderr)
            )
            raise AssertionError(
                f"dicom-node {' '.join(map(str, args))} ran for more than {timeout:g} s:\n"
                f"{written.decode(errors='replace')}"
            ) from None
        return Result(done.returncode, done.stdout, done.stderr)
