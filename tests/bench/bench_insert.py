"""Measures how fast images go into the index: `python -m tests.bench.bench_insert [--full]`.

`add_images` puts in batches of 200 records with headers of about 4 KB, each batch a committed
transaction, on databases that hold 0, 100,000 and (with `--full`) 1,000,000 images already. Both
databases write to stable storage before a commit returns, as in production. The levels take
turns, so that whatever else the machine does hits all of them; medians count.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import asyncpg
from sqlalchemy import text

from schema import Database, ImageRecord, add_images
from tests.bench.ct_records import ct_records
from tests.support.postgresql import PostgresServer

WANTED = 0.7
"""What the last level must keep of the first one's rate."""

BATCH = 200
FILL = 2000
"""Rows in a transaction that is measured, and in one that fills."""

DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "128MB",
}
"""PostgreSQL as it is shipped, and unlike the one of the tests."""


class Backend(Protocol):
    """Where databases are made: empty, or as copies."""

    name: str

    def url(self, database: str) -> str: ...
    async def copy(self, source: str, target: str) -> None: ...
    async def drop(self, database: str) -> None: ...
    async def settle(self, database: Database) -> None: ...
    async def promises(self, database: Database) -> str: ...


class Sqlite:
    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, database: str) -> str:
        return f"sqlite:///{self._folder / database}.db"

    async def copy(self, source: str, target: str) -> None:
        # The last connection that closed has emptied the write-ahead log.
        shutil.copyfile(self._folder / f"{source}.db", self._folder / f"{target}.db")

    async def drop(self, database: str) -> None:
        (self._folder / f"{database}.db").unlink()

    async def settle(self, database: Database) -> None:
        async with database.begin() as session:
            await session.execute(text("ANALYZE"))

    async def promises(self, database: Database) -> str:
        async with database.session() as session:
            journal = await session.scalar(text("PRAGMA journal_mode"))
            level = await session.scalar(text("PRAGMA synchronous"))
        names = ("OFF", "NORMAL", "FULL", "EXTRA")
        return f"SQLite {sqlite3.sqlite_version}: {journal}, synchronous={names[level or 0]}"


class Postgresql:
    name = "PostgreSQL"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def url(self, database: str) -> str:
        return self._server.url(database)

    async def copy(self, source: str, target: str) -> None:
        await self._execute(f"CREATE DATABASE {target} TEMPLATE {source} STRATEGY FILE_COPY")

    async def drop(self, database: str) -> None:
        await self._execute(f"DROP DATABASE {database} WITH (FORCE)")

    async def settle(self, database: Database) -> None:
        connection = await asyncpg.connect(
            database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        )
        await connection.execute("VACUUM (FREEZE, ANALYZE)")
        await connection.execute("CHECKPOINT")
        await connection.close()

    async def promises(self, database: Database) -> str:
        async with database.session() as session:
            version = await session.scalar(text("SHOW server_version"))
            shown = [f"{name}={await session.scalar(text(f'SHOW {name}'))}" for name in DURABLE]
        return f"PostgreSQL {version}: {', '.join(shown)}"

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server.url())
        await connection.execute(statement)
        await connection.close()


async def fill(database: Database, records: Iterator[ImageRecord], rows: int) -> None:
    """Put rows in by `add_images`, in large batches that PostgreSQL need not sync."""
    for _ in range(rows // FILL):
        async with database.begin() as session:
            if database.dialect == "postgresql":
                await session.execute(text("SET LOCAL synchronous_commit = off"))
            await add_images(session, itertools.islice(records, FILL))


async def measure(backend: Backend, level: int, records: Iterator[ImageRecord], rows: int) -> float:
    """Return the rows per second that a database takes; the empty one is made anew."""
    name = f"level_{level}"
    if not level:
        name = "sample"
        await backend.copy("level_0", name)
    batches = [list(itertools.islice(records, BATCH)) for _ in range(rows // BATCH + 1)]
    async with Database(backend.url(name)) as database:
        seconds = []
        gc.collect()
        for batch in batches:
            start = time.perf_counter()
            async with database.begin() as session:
                added = await add_images(session, batch)
            seconds.append(time.perf_counter() - start)
            assert all(one.inserted for one in added)
    if not level:
        await backend.drop(name)
    # The first batch opens the connection and prepares the statements.
    return BATCH * len(seconds[1:]) / sum(seconds[1:])


async def prepare(backend: Backend, levels: list[int], records: Iterator[ImageRecord]) -> str:
    """Make one database for each level, and return what the last one promises."""
    promises = ""
    for below, level in zip([None, *levels], levels, strict=False):
        if below is not None:
            await backend.copy(f"level_{below}", f"level_{level}")
        async with Database(backend.url(f"level_{level}")) as database:
            await database.initialize()
            start = time.perf_counter()
            await fill(database, records, level - (below or 0))
            await backend.settle(database)
            promises = await backend.promises(database)
        if level:
            took = time.perf_counter() - start
            print(f"{backend.name}: filled to {level:,} in {took:.0f} s", file=sys.stderr)
    return promises


async def run(
    backends: list[Backend], levels: list[int], samples: int, rows: int, scattered: bool
) -> bool:
    """Measure and print; return whether the last level keeps what is wanted of the first."""
    records = ct_records(1, scattered=scattered)
    promises = [await prepare(backend, levels, records) for backend in backends]
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(samples):
        for level, backend in itertools.product(levels, backends):
            rate = await measure(backend, level, records, rows)
            rates.setdefault((backend.name, level), []).append(rate)
    print("\n".join(promises))
    print(f"rows/s of add_images, batches of {BATCH}, medians of {samples} samples of {rows} rows")
    print("images before" + "".join(f"{one.name:>12}{'÷ first':>9}" for one in backends))
    kept = 1.0
    for level in levels:
        line = f"{level:13,}"
        for backend in backends:
            median = statistics.median(rates[backend.name, level])
            ratio = median / statistics.median(rates[backend.name, levels[0]])
            line += f"{median:12,.0f}{ratio:9.2f}"
            kept = min(kept, ratio) if level == levels[-1] else kept
        print(line)
    return kept >= WANTED


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="also at 1,000,000 images (15 GB)")
    parser.add_argument("--samples", type=int, default=7)
    parser.add_argument("--rows", type=int, default=2000, help="rows in a sample")
    parser.add_argument(
        "--scattered", action="store_true", help="with UIDs that fall anywhere in their index"
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--folder", type=Path, default="/tmp", help="where the databases are made")
    options = parser.parse_args()
    levels = [0, 100_000, 1_000_000] if options.full else [0, 100_000]
    with ExitStack() as stack:
        backends: list[Backend] = []
        if options.database != "postgresql":
            place = tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder)
            backends.append(Sqlite(Path(stack.enter_context(place))))
        if options.database != "sqlite":
            server = PostgresServer(settings=DURABLE, parent=options.folder)
            backends.append(Postgresql(stack.enter_context(server)))
        kept = asyncio.run(run(backends, levels, options.samples, options.rows, options.scattered))
    # What is wanted is wanted at a million images, of UIDs as scanners make them.
    return 0 if kept or not options.full or options.scattered else 1


if __name__ == "__main__":
    sys.exit(main())
