"""The whole programme: `python -m tests.differential --queries 2000 --images 20000 --seed 1`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from node.net.messages import Peer
from schema import Database
from tests.differential.asking import ask
from tests.differential.holdings import Holdings
from tests.differential.known import KNOWN
from tests.differential.programme import Verdict, ask_node, orthanc_with, shrunk, verdict
from tests.differential.questions import draw_queries
from tests.support.memory import folder_in_memory
from tests.support.postgresql import PostgresMissingError, PostgresServer


async def compared(holdings: Holdings, count: int, seed: int, url: str, other: Peer) -> Verdict:
    """Put the queries to both, and show the fewest keys that show what is not known."""
    queries = draw_queries(holdings.datasets, count, seed=seed)
    async with Database(url) as database:
        await database.initialize()
        await holdings.index(database)
        began = time.monotonic()
        node = await ask_node(database, queries)
        between = time.monotonic()
        theirs = await ask(other, queries)
        ended = time.monotonic()
        said = verdict(holdings, queries, node, theirs)
        for difference in said.unknown:
            print(await shrunk(difference, holdings, database, other))
    print(
        f"{url.partition(':')[0]}: {said.queries} queries, {said.matches} matches; the node took "
        f"{between - began:.0f} s, Orthanc {ended - between:.0f} s; {said.differing} are answered "
        f"otherwise, {len(said.unknown)} of them without a reason that is known"
    )
    return said


def main() -> None:
    """Run, and say what came of it; the exit code is 1 where a difference is not known."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--queries", type=int, default=2000, help="how many")
    parser.add_argument("--images", type=int, default=20_000, help="how many are held")
    parser.add_argument("--seed", type=int, default=0, help="what both are drawn from")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    holdings = Holdings(options.images, seed=options.seed)
    verdicts = []
    with ExitStack() as stack:
        folder = folder_in_memory("differential-") or Path(tempfile.mkdtemp())
        stack.callback(shutil.rmtree, folder)
        urls = [f"sqlite:///{folder}/node.db"]
        try:
            server = stack.enter_context(PostgresServer(in_memory=True))
            urls.append(server.url(server.create_database()))
        except PostgresMissingError:
            print("There is no PostgreSQL here: only SQLite is asked.")
        other = stack.enter_context(orthanc_with(holdings, folder / "orthanc"))
        for url in urls:
            asking = compared(holdings, options.queries, options.seed, url, other)
            verdicts.append(asyncio.run(asking))
    for known in KNOWN:
        print(f"{verdicts[0].known[known]:6} {known.node} / {known.orthanc}")
    sys.exit(1 if any(said.unknown for said in verdicts) else 0)


if __name__ == "__main__":
    main()
