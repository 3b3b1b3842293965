"""The long programme: `python -m tests.crash --kills 1000`, on SQLite and PostgreSQL in turn."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from node.storage.failpoints import POINTS
from tests.crash.programme import Crash
from tests.support.postgresql import PostgresServer

_RECKON_EVERY = 25
_SAY_EVERY = 100


def programme(crash: Crash, kills: int, seed: int) -> None:
    """Kill a node so many times, half of them at failpoints, and reckon now and then."""
    choice = random.Random(seed)
    while crash.kills < kills:
        if choice.random() < 0.5:
            crash.die_at(choice.choice(POINTS), choice.choice(("kill", "kill", "hang")))
        else:
            crash.die_at_random()
        if crash.kills % _RECKON_EVERY == 0 or crash.kills == kills:
            crash.settle()
            crash.reckon(again=crash.kills == kills)
            if crash.kills % _SAY_EVERY == 0:
                print(f"{crash.kills} kills", file=sys.stderr, flush=True)


def main() -> None:
    """Run, and say what was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how often, in all")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the choices")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), help="only this one")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    names = [options.database] if options.database else ["sqlite", "postgresql"]
    with (
        tempfile.TemporaryDirectory(prefix="dicom-node-crash-") as folder,
        PostgresServer() as server,
    ):
        for name in names:
            url = f"sqlite:///{folder}/node.db"
            if name == "postgresql":
                url = server.url(server.create_database())
            started = time.monotonic()
            with Crash(Path(folder, name), url, seed=options.seed) as crash:
                programme(crash, options.kills // len(names), options.seed)
                journal = crash.journal
                print(
                    f"{name}: {crash.kills} kills in {time.monotonic() - started:.0f} s,"
                    f" {len(journal.acknowledged)} of {len(journal.begun)} objects acknowledged,"
                    " every one of them there once, bit-identical and indexed",
                    flush=True,
                )


if __name__ == "__main__":
    main()
