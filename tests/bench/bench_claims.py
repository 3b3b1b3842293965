"""How long the next studies take to be claimed, and `status`, among a million that were found.

    python -m tests.bench.bench_claims [--studies 1000000] [--databases sqlite,postgresql]

Of the studies half are here, four of ten wait for their next attempt, and one of ten may be asked
for now. Times are medians, in milliseconds: of the next eight of a PACS, as many as a node claims
at once, from the index over what is ready (`schema.moving.ready`); of these and the beginning of
their attempts, committed; and of the whole command `dicom-node status`, the start of Python
included. The plan of the first is shown. On PostgreSQL the tables are vacuumed first: autovacuum,
which servers of tests have switched off, does so within a minute after so many rows have come;
before that `status` takes a quarter longer.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from sqlalchemy import text

from schema import Database
from schema.moving.attempts import begin_attempts
from schema.moving.ready import next_ready
from schema.tables.sources import READY
from tests.support.many_studies import fill
from tests.support.postgresql import PostgresServer

AT_ONCE = 8
ROUNDS = 25


async def plan(db: Database) -> str:
    """Return how the database finds the next studies."""
    ready = READY.replace("state", "s.state")
    for name in ("verified_on", "gone_on", "next_attempt_on", "given_up_on"):
        ready = ready.replace(f"{name} IS", f"s.{name} IS")
    query = (
        "SELECT f.id FROM studies_find f JOIN study_sources s ON s.study_find_id = f.id"
        f" WHERE s.peer = 'pacs' AND {ready} ORDER BY s.rank, s.study_date, s.id LIMIT {AT_ONCE}"
    )
    explain = "EXPLAIN QUERY PLAN " if db.dialect == "sqlite" else "EXPLAIN (COSTS OFF) "
    async with db.session() as session:
        rows = (await session.execute(text(explain + query))).all()
    return "\n".join(f"    {row[-1]}" for row in rows)


async def vacuum(db: Database) -> None:
    """Leave the tables as autovacuum does."""
    if db.dialect == "postgresql":
        async with db.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))


async def measure(url: str, studies: int) -> tuple[float, float, str]:
    """Return the milliseconds of a page, and of a claim, and the plan."""
    db = Database(url)
    try:
        await db.initialize()
        await fill(db, studies)
        await vacuum(db)
        pages, claims = [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            async with db.session() as session:
                page = await next_ready(session, peer="pacs", limit=AT_ONCE)
            pages.append(time.perf_counter() - began)
            uids = [study.study_uid for study in page]
            await db.run(begin_attempts, uids, peer="pacs", cycle_id=None, node="NODE")
            claims.append(time.perf_counter() - began)
        return (
            1000 * statistics.median(pages),
            1000 * statistics.median(claims),
            await plan(db),
        )
    finally:
        await db.dispose()


def status(url: str, folder: Path) -> tuple[float, float]:
    """Return the milliseconds of the command `dicom-node status`, its start included.

    And those of the processor that it takes, which other programs on the machine do not change.
    """
    settings = {
        "storage": {"resources": url, "directory": str(folder / "dicom")},
        "peers": {"pacs": {"aetitle": "PACS", "host": "127.0.0.1", "port": 104}},
    }
    file = folder / "node.yaml"
    file.write_text(yaml.safe_dump(settings))
    program = Path(sys.executable).parent / "dicom-node"
    took, worked = [], []
    for _ in range(7):
        began = time.perf_counter()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [program, "status", "-f", str(file)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        took.append(time.perf_counter() - began)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        worked.append(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)
    return 1000 * statistics.median(took), 1000 * statistics.median(worked)


def main() -> int:
    """Measure, and print a table; 1 when a study's claim takes 5 ms, or `status` a second."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--databases", default="sqlite,postgresql", help="which, by commas")
    options = parser.parse_args()
    slow = False
    for name in options.databases.split(","):
        with tempfile.TemporaryDirectory(prefix="bench-") as place:
            folder = Path(place)
            if name == "sqlite":
                url = f"sqlite:///{folder / 'node.db'}"
                page, claim, how = asyncio.run(measure(url, options.studies))
                whole, worked = status(url, folder)
            else:
                with PostgresServer() as server:
                    url = server.url(server.create_database())
                    page, claim, how = asyncio.run(measure(url, options.studies))
                    whole, worked = status(url, folder)
        print(f"{name}, {options.studies} studies: next {AT_ONCE} in {page:.1f} ms;", end=" ")
        print(f"with their attempts begun {claim:.1f} ms, {claim / AT_ONCE:.1f} ms each;", end=" ")
        print(f"status {whole:.0f} ms, {worked:.0f} ms of the processor for it")
        print(how, flush=True)
        slow = slow or claim / AT_ONCE >= 5 or whole >= 1000
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
