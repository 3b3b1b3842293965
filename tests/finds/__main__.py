"""The long programme: `python -m tests.finds --studies 2000000 --cap 500 --kills 20`, on SQLite.

`dicom-node find` asks `dicom-node simulate` for all of its studies, and is killed so many times
while it does, started again each time. At the end everything that the PACS has is recorded, and
nothing else; every day is proven; no question was put again but those that a kill cut off, which
are the one that is put and the one whose answers are being recorded, and the largest one, first of
all, by the find that goes on; and the find has never had more than 300 MB.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.finds.programme import Finds


def main() -> None:
    """Run, and say what was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.finds", description=__doc__)
    parser.add_argument("--studies", type=int, default=2_000_000, help="at the PACS")
    parser.add_argument("--cap", type=int, default=500, help="studies in an answer at most")
    parser.add_argument("--kills", type=int, default=20, help="how often, in all")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="dicom-node-finds-") as folder,
        Finds(Path(folder), studies=options.studies, cap=options.cap, seed=options.seed) as finds,
    ):
        finds.kill_at_random(options.kills)
        finds.finish()
        finds.reckon()
        asked = finds.asked()
        print(
            f"{finds.kills} kills: {options.studies} studies recorded, each of them and no other,"
            f" in {finds.seconds:.0f} s; {len(asked)} questions,"
            f" {asked.total() - len(asked)} of them put again; {finds.peak:.0f} MB at the most"
        )


if __name__ == "__main__":
    main()
