"""CTN, the Central Test Node: its clients that need no database of its own. They have no TLS."""

from __future__ import annotations

from pathlib import Path

from tests.support.peers.programs import Finished, require_package, run_program
from tests.support.processes import LOOPBACK


def dicom_echo(port: int, *, called: str, calling: str = "CTN") -> Finished:
    """Verify a peer with C-ECHO."""
    program = require_package("ctn", "dicom_echo")
    return run_program(program, "-a", calling, "-c", called, LOOPBACK, str(port))


def send_image(port: int, *paths: Path, called: str, calling: str = "CTN") -> Finished:
    """Send files; it stops at the first that is not taken."""
    program = require_package("ctn", "send_image")
    return run_program(program, "-r", "-a", calling, "-c", called, LOOPBACK, str(port), *paths)
