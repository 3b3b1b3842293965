"""Measures `dicom-node db dump`: `python -m tests.bench.bench_dump --rows 1000000`.

A database gets so many images with a header of about 1.5 KB, by SQL alone. Then the console
script dumps them, and the memory that it took at most and the rows per second are printed. With
constant memory, the peak is the same for ten times the rows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from schema import Database
from tests.support.postgresql import PostgresServer

RESOURCES = "DICOM_NODE__STORAGE__RESOURCES"
LIMIT_MB = 400
"""What a dump may take at most, however many rows there are."""

_HEADER = json.dumps(
    {
        f"0018{tag:04X}": {"vr": "DS", "Value": [tag / 8, -tag / 16, 1.0]}
        for tag in range(0x50, 0x50 + 28)
    }
    | {"00080018": {"vr": "UI", "Value": ["1.2.840.113619.@"]}}
)
_NUMBERS = {
    "sqlite": (
        "WITH RECURSIVE numbers(n) AS"
        " (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)"
    ),
    "postgresql": "WITH numbers(n) AS (SELECT generate_series(1, :rows))",
}
_FILL = (
    "INSERT INTO images (image_uid, patient_id, patient_name, study_uid, study_date, modality,"
    " manufacturer, filepath, size, meta) {numbers} SELECT '1.2.840.113619.' || n,"
    " 'P' || n % 1000, 'Doe^Jane \"' || n || '\"', '1.2.' || n % 1000, '2024-01-02 03:04:05', 'CT',"
    " 'ACME', '/srv/dicom/' || n || '.dcm', n, {meta} FROM numbers"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one dump took."""

    seconds: float
    peak_mb: float
    rows: int
    size_mb: float


async def fill(url: str, rows: int) -> None:
    """Make the tables, and so many images."""
    async with Database(url, statement_timeout=3600) as database:
        await database.initialize()
        meta = f"replace('{_HEADER}', '@', CAST(n AS TEXT))".replace(":", r"\:")
        if database.dialect == "postgresql":
            meta = f"CAST({meta} AS jsonb)"
            stamp = "CAST('2024-01-02 03:04:05' AS timestamp)".replace(":", r"\:")
        else:
            stamp = "'2024-01-02 03:04:05'".replace(":", r"\:")
        statement = _FILL.replace("'2024-01-02 03:04:05'", stamp).format(
            numbers=_NUMBERS[database.dialect], meta=meta
        )
        async with database.begin() as session:
            await session.execute(text(statement), {"rows": rows})


def dump(url: str, folder: Path, fmt: str) -> Measurement:
    """Run the console script, and return what it took."""
    command = Path(sys.executable).parent / "dicom-node"
    started = time.monotonic()
    with (folder / "stdout").open("wb") as output, (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            [command, "db", "dump", "--json", "--fmt", fmt, "-o", folder],
            stdout=output,
            stderr=errors,
            env={**os.environ, RESOURCES: url},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    if process.returncode != 0:
        sys.exit((folder / "stderr").read_text())
    files = {one["table"]: one for one in json.loads((folder / "stdout").read_text())}
    (folder / f"images.{fmt}").unlink()
    return Measurement(
        seconds=seconds,
        peak_mb=usage.ru_maxrss / 1024,
        rows=files["images"]["rows"],
        size_mb=files["images"]["size"] / 1e6,
    )


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'node.db'}"
    else:
        with PostgresServer() as server:
            yield server.url(server.create_database())


def main() -> int:
    parser = argparse.ArgumentParser(description="db dump: rows per second and memory")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--fmt", choices=("csv", "parquet"), action="append")
    options = parser.parse_args()
    print(
        f"{'database':11} {'format':8} {'rows':>9} {'MB':>7} {'s':>7} {'rows/s':>8} {'peak MB':>8}"
    )
    over = False
    for kind in options.database or ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as name, database(kind, Path(name)) as url:
            asyncio.run(fill(url, options.rows))
            for fmt in options.fmt or ("csv", "parquet"):
                result = dump(url, Path(name), fmt)
                over = over or result.peak_mb > LIMIT_MB or result.rows != options.rows
                print(
                    f"{kind:11} {fmt:8} {result.rows:>9} {result.size_mb:>7.0f}"
                    f" {result.seconds:>7.1f} {result.rows / result.seconds:>8.0f}"
                    f" {result.peak_mb:>8.0f}",
                    flush=True,
                )
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
