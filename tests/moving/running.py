"""Many PACSs, some of them at one node each, in several processes; and what came of all."""

from __future__ import annotations

import logging
import multiprocessing
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from schema import Database
from tests.moving.programme import MoveCase, MoveVerdict, all_played, described, shrunk
from tests.support.virtual_time import run_in_virtual_time

_TOGETHER = 20
"""PACSs that one node and one database have."""


def programme(cases: Sequence[MoveCase], folder: Path, *, processes: int = 1) -> list[MoveVerdict]:
    """Play all cases, and say of each what is wrong, with the fewest behaviours that show it."""
    parts = [cases[first : first + _TOGETHER] for first in range(0, len(cases), _TOGETHER)]
    folders = [folder / f"{number}" for number in range(len(parts))]
    if processes == 1:
        return [one for part in map(_played, parts, folders) for one in part]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return [one for part in pool.map(_played, parts, folders) for one in part]


def _played(cases: Sequence[MoveCase], folder: Path) -> list[MoveVerdict]:
    logging.disable(logging.CRITICAL)  # what is not complete is logged, and that is the point here
    verdicts = run_in_virtual_time(_in_one_node(cases, folder))
    logging.disable(logging.NOTSET)
    return verdicts


async def _in_one_node(cases: Sequence[MoveCase], folder: Path) -> list[MoveVerdict]:
    folder.mkdir()
    async with Database(f"sqlite:///{folder / 'node.sqlite'}") as database:
        await database.initialize()
        verdicts = await all_played(cases, database, folder / "node")
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
    days = [verdict.seconds / 86_400 for verdict in verdicts]
    most = max((len(stand.attempts) for stand in stands), default=0)
    open_ones = sum(not stand.ended for stand in stands)
    return (
        f"{len(verdicts)} PACSs in {seconds:.0f} s: {len(stands)} studies, {_counted(states)}; "
        f"{open_ones} not ended, as their PACS cannot be asked; {sum(days):.0f} days of them, "
        f"{max(days, default=0):.1f} at most, and {most} attempts at a study; "
        f"evidence: {_counted(evidence)}; not all here, and nothing that the PACS said would tell:"
        f" {_counted(without) or 'none'}; {wrong} wrong"
    )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())
