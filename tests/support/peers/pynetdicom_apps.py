"""pynetdicom's own command-line clients, run to their end. They have no TLS."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.peers.programs import Finished, run_program
from tests.support.processes import LOOPBACK


def app(
    name: str, port: int, *arguments: str | Path, called: str, calling: str = "PYNETDICOM"
) -> Finished:
    """Run `echoscu`, `storescu`, `findscu`, `movescu` or `getscu`."""
    names = ("-aet", calling, "-aec", called)
    module = ("-m", "pynetdicom", name)
    return run_program(Path(sys.executable), *module, LOOPBACK, str(port), *names, *arguments)


def keys(level: str, **values: str) -> list[str]:
    """Return the options that make an identifier."""
    given = {"QueryRetrieveLevel": level, **values}
    return [part for keyword, value in given.items() for part in ("-k", f"{keyword}={value}")]
