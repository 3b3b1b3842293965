"""Finding the peers' programs, or skipping the test and saying how to get them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

_ALSO = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin")
HOW = "run `make peers`, or `apt-get install dcmtk orthanc orthanc-dicomweb`"


class Finished(NamedTuple):
    """A program's exit status, negative after a signal, and all that it wrote."""

    code: int
    output: str


def run_program(
    program: Path, *args: str | Path, env: Mapping[str, str] | None = None, timeout: float = 120.0
) -> Finished:
    """Run a program to its end, at most `timeout` seconds."""
    done = subprocess.run(
        [program, *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=None if env is None else dict(env),
        timeout=timeout,
    )
    return Finished(done.returncode, done.stdout)


def require_package(package: str, program: str, *files: Path) -> Path:
    """Return the path of a program of a Debian package, or skip the test.

    `files` of the package, or of others, have to be there as well.
    """
    found = shutil.which(program, path=os.pathsep.join(_ALSO))
    if found is None or not all(path.exists() for path in files):
        pytest.skip(f"{program} is not installed: run `make peers`, or `apt-get install {package}`")
    return Path(found)


@functools.cache
def find_program(name: str, maker: str) -> Path | None:
    """Return the program `name` whose `--version` names `maker`.

    pynetdicom installs scripts with the names of DCMTK's tools, so the virtual environment is
    left out and the maker is asked for.
    """
    own = Path(sys.executable).parent
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *_ALSO]
    for folder in dict.fromkeys(folders):
        found = shutil.which(name, path=folder) if folder and Path(folder) != own else None
        if found and maker.lower() in _version(found).lower():
            return Path(found)
    return None


def require_program(name: str, maker: str) -> Path:
    """Return the program, or skip the test."""
    found = find_program(name, maker)
    if found is None:
        pytest.skip(f"{maker}'s {name} is not installed: {HOW}")
    return found


def _version(program: str) -> str:
    try:
        asked = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout + asked.stderr
