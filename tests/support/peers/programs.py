"""Finding the peers' programs, or skipping the test and saying how to get them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ALSO = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin")
HOW = "run `make peers`, or `apt-get install dcmtk orthanc orthanc-dicomweb`"


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
