"""The whole programme: `python -m tests.finding --seeds 300`, every eighth find on PostgreSQL."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from node.ops.finding import find as finds
from schema import Database
from tests.finding.behaviours import alone, combined
from tests.finding.programme import Case, Verdict, played
from tests.support.postgresql import PostgresMissingError, PostgresServer

_ON_POSTGRESQL = 8
"""Every which find."""


class Databases:
    """An empty database for each find: a copy of one that was made once."""

    def __init__(self, folder: Path, server: PostgresServer | None) -> None:
        self._folder = folder
        self._server = server
        self._template = ""

    async def make(self) -> None:
        """Make the templates."""
        async with Database(f"sqlite:///{self._folder / 'template'}") as database:
            await database.initialize()
        if self._server is not None:
            self._template = self._server.create_database()
            async with Database(self._server.url(self._template)) as database:
                await database.initialize()

    async def play(self, number: int, case: Case) -> Verdict:
        """Play a case over a database of its own, which is removed."""
        if self._server is not None and number % _ON_POSTGRESQL == 0:
            name = await asyncio.to_thread(self._server.create_database, self._template)
            try:
                async with Database(self._server.url(name)) as database:
                    return await played(case, database)
            finally:
                await asyncio.to_thread(self._server.drop_database, name)
        path = self._folder / f"{number}.sqlite"
        shutil.copy(self._folder / "template", path)
        try:
            async with Database(f"sqlite:///{path}") as database:
                return await played(case, database)
        finally:
            path.unlink()


async def programme(cases: Sequence[Case], databases: Databases) -> list[Verdict]:
    """Play all cases, and say of each what is wrong, with the fewest behaviours that show it."""
    await databases.make()
    verdicts = []
    for number, one in enumerate(cases):
        verdict = await databases.play(number, one)
        verdicts.append(verdict)
        if verdict.wrong:
            fewer = await _shrunk(number, verdict, databases)
            case = fewer.case
            print(f"{case.name}: {case.settings}, {case.profile}", *fewer.wrong, sep="\n  ")
    return verdicts


async def _shrunk(number: int, verdict: Verdict, databases: Databases) -> Verdict:
    """Leave out behaviours as long as something stays wrong."""
    case = verdict.case
    for name in [name for name in case.settings if name != "archive"]:
        fewer = replace(case, settings={k: v for k, v in case.settings.items() if k != name})
        again = await databases.play(number, fewer)
        if again.wrong:
            case, verdict = fewer, again
    return verdict


def main() -> None:
    """Run, and say what came of it; the exit code is 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.finding", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many random combinations")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--only", action="store_true", help="nothing but these combinations")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # refusals are logged, and there are thousands
    finds._PAUSE = 0.001
    cases = [] if options.only else alone()
    cases += [combined(options.seed + number) for number in range(options.seeds)]
    try:
        server: PostgresServer | None = PostgresServer(in_memory=True)
    except PostgresMissingError:
        server = None
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dicom-node-find-") as folder:
        databases = Databases(Path(folder), server)
        if server is None:
            verdicts = asyncio.run(programme(cases, databases))
        else:
            with server:
                verdicts = asyncio.run(programme(cases, databases))
    wrong = [verdict for verdict in verdicts if verdict.wrong]
    asked, fewest = (sum(getattr(one, name) for one in verdicts) for name in ("asked", "fewest"))
    named = "" if wrong else ", each of them in a gap that is named"
    print(
        f"{len(verdicts)} finds in {time.monotonic() - began:.0f} s: "
        f"{sum(one.truth for one in verdicts)} studies, {sum(one.missing for one in verdicts)} "
        f"missing{named}; {asked} questions, where {fewest:.0f} would have done; {len(wrong)} wrong"
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
