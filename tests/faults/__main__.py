"""The long programme: `python -m tests.faults`, every call of a store, refused in every way."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.faults.programme import SCENARIOS, Faults
from tests.faults.report import table
from tests.support.strace import MISSING, find_strace


def main() -> None:
    """Run, and say what was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS, help="only this one")
    options = parser.parse_args()
    if find_strace() is None:
        raise SystemExit(MISSING)
    began = time.monotonic()
    refused = []
    for scenario in [options.scenario] if options.scenario else SCENARIOS:
        with tempfile.TemporaryDirectory(prefix="dicom-node-faults-") as folder:
            with Faults(Path(folder)) as faults:
                for one in faults.exhaust(scenario):
                    refused.append(one)
                    print(f"\r{len(refused)} {one.point}"[:78].ljust(79), end="", flush=True)
                faults.settled()
    print(f"\r{table(refused)}")
    print(
        f"{len(refused)} calls refused in {time.monotonic() - began:.0f} s: nothing lost, doubled,"
    )
    print("altered or left over, and the node went on each time")


if __name__ == "__main__":
    main()
