"""The whole programme: `python -m tests.moving --seeds 100`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from node.ops.retrieving import over_dimse
from schema import Database
from tests.moving.behaviours import combined
from tests.moving.programme import MoveCase, MoveVerdict, all_played, described, shrunk
from tests.support.memory import folder_in_memory

_AT_ONCE = 6
"""PACSs: they wait more than they work."""

_TOGETHER = 40
"""PACSs that one node and one database have."""


async def programme(cases: Sequence[MoveCase], folder: Path) -> list[MoveVerdict]:
    """Play all cases, and say of each what is wrong, with the fewest behaviours that show it."""
    verdicts: list[MoveVerdict] = []
    for first in range(0, len(cases), _TOGETHER):
        part = cases[first : first + _TOGETHER]
        async with Database(f"sqlite:///{folder / f'{first}.sqlite'}") as database:
            await database.initialize()
            verdicts += await all_played(part, database, folder / f"{first}", at_once=_AT_ONCE)
    for number, verdict in enumerate(verdicts):
        if verdict.wrong:
            print(described(await shrunk(verdict, folder / f"shrunk-{number}")), flush=True)
    return verdicts


def summary(verdicts: Sequence[MoveVerdict], seconds: float) -> str:
    """Return what came of all, and which verdicts rest on what was not true."""
    wrong = sum(bool(verdict.wrong) for verdict in verdicts)
    stands = [stand for verdict in verdicts for stand in verdict.stands.values()]
    states = Counter(stand.state for stand in stands)
    evidence = Counter(stand.evidence for stand in stands if stand.evidence)
    without = Counter(basis for verdict in verdicts for basis in verdict.unfounded.values())
    return (
        f"{len(verdicts)} PACSs in {seconds:.0f} s: {len(stands)} studies, {_counted(states)}; "
        f"evidence: {_counted(evidence)}; not all here, and nothing that the PACS said would tell:"
        f" {_counted(without) or 'none'}; {wrong} wrong"
    )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


def main() -> None:
    """Run, and say what came of it; the exit code is 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.moving", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many random combinations")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what is not complete is logged, and that is the point here
    over_dimse._TO_CANCEL = 0.2
    cases = [combined(options.seed + number) for number in range(options.seeds)]
    began = time.monotonic()
    memory = folder_in_memory("moving-")
    with tempfile.TemporaryDirectory(prefix="dicom-node-move-", dir=memory) as folder:
        verdicts = asyncio.run(programme(cases, Path(folder)))
    if memory is not None:
        memory.rmdir()
    print(summary(verdicts, time.monotonic() - began))
    sys.exit(1 if any(verdict.wrong for verdict in verdicts) else 0)


if __name__ == "__main__":
    main()
