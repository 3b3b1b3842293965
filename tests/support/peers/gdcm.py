"""GDCM: its client `gdcmscu`, run to its end. It has no TLS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.support.peers.programs import Finished, require_package, run_program
from tests.support.processes import LOOPBACK


def gdcmscu(
    operation: str,
    port: int,
    *options: str | Path,
    called: str,
    calling: str = "GDCMSCU",
    files: Sequence[Path] = (),
) -> Finished:
    """Do one of `echo`, `find`, `move`, `store`; all that was said is in the output.

    `find` is answered, and its matches are nowhere in the output: they were to come at its end.

    Its exit code says nothing: 3.0.21 ends with SIGABRT after each association that it releases,
    whoever the peer is, for it closes its connection and then looks at it.
    """
    program = require_package("libgdcm-tools", "gdcmscu")
    names = ("--aetitle", calling, "--call", called)
    return run_program(
        program, f"--{operation}", "-D", *names, *options, LOOPBACK, str(port), *files
    )


def statuses(done: Finished) -> list[int]:
    """Return the statuses of the responses, in their order."""
    # Each response is written twice, and only once in the list of values of its P-DATA-TF.
    said = re.findall(r"MessageHeader: 3\n(?:\(.*\n)*?\(0000,0900\).* (\d+) +#", done.output)
    return [int(status) for status in said]
