"""The whole programme: `python -m tests.moving --seeds 300`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.moving.behaviours import combined
from tests.moving.running import programme, summary
from tests.support.memory import folder_in_memory


def main() -> None:
    """Run, and say what came of it; the exit code is 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.moving", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many random combinations")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once")
    options = parser.parse_args()
    cases = [combined(options.seed + number) for number in range(options.seeds)]
    began = time.monotonic()
    memory = folder_in_memory("moving-")
    with tempfile.TemporaryDirectory(prefix="dicom-node-move-", dir=memory) as folder:
        verdicts = programme(cases, Path(folder), processes=options.processes)
    if memory is not None:
        memory.rmdir()
    print(summary(verdicts, time.monotonic() - began))
    sys.exit(1 if any(verdict.wrong for verdict in verdicts) else 0)


if __name__ == "__main__":
    main()
