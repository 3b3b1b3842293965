"""Files per second indexed by `dicom-node parse`, and the memory that it takes.

    python -m tests.bench.bench_parse [--files 4000] [--rounds 3] [--json]

Every round parses the same folder of images of about 10 KB (71 elements and 8 KB of pixels) into
a new database, with one and with two processes that read, on SQLite and on PostgreSQL (whose
fsync is off here); the last row parses a folder all of which is known. The files are in the page
cache: what a disk or a network folder adds is not measured. Figures are what the command itself
says, medians over interleaved rounds, and beside them the ratio to the 60 files/s that
pacsanini 0.2.1 reached on two processors. Memory is the most that the proportional set sizes of
all its processes came to, without the database server.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.images import generate
from tests.support.postgresql import PostgresServer

SEED = 60.0
"""Files per second of pacsanini's `parse` on two processors, with SQLite."""

WANTED = 15.0
"""How many times faster we have to be there."""

SCRIPT = Path(sys.executable).parent / "dicom-node"
PER_FOLDER = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one run came to."""

    files_per_second: float
    megabytes: float


def make(folder: Path, files: int) -> None:
    """Write the images, in folders as studies have them."""
    generate(folder, studies=-(-files // PER_FOLDER), images=min(files, PER_FOLDER))


def measure(folder: Path, url: str, workers: int, place: Path) -> Measurement:
    """Run the command, and watch its memory."""
    config = place / "conf.yaml"
    config.write_text(json.dumps({"storage": {"resources": url}}))
    options = ["--json", "--create-tables", "--institution-name", "Bench", "-t", str(workers)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [SCRIPT, "parse", "-i", folder, "-f", config, *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=place,
        ) as command,
    ):
        peak = 0.0
        while command.poll() is None:
            peak = max(peak, memory_of(command.pid))
            time.sleep(0.1)
        assert command.stdout is not None
        answer = command.stdout.read()
        if command.returncode:
            errors.seek(0)
            raise SystemExit(f"parse ended with {command.returncode}:\n{errors.read()}")
    return Measurement(files_per_second=json.loads(answer)["files_per_second"], megabytes=peak)


def memory_of(pid: int) -> float:
    """Return the proportional set size of a process and its children, in megabytes."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_full_info().pss
    return total / 1e6


def run(files: int, rounds: int) -> dict[str, list[Measurement]]:
    """Return every round's measurements, by row."""
    figures: dict[str, list[Measurement]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as root,
        PostgresServer() as server,
    ):
        folder = Path(root, "images")
        make(folder, files)
        for turn in range(rounds):
            for workers in (1, 2):
                with tempfile.TemporaryDirectory(dir=root) as place:
                    url = f"sqlite:///{place}/node.db"
                    label = f"SQLite, -t {workers}"
                    figures[label].append(measure(folder, url, workers, Path(place)))
                    if workers == 2:
                        again = measure(folder, url, workers, Path(place))
                        figures["SQLite, all known"].append(again)
                    name = server.create_database()
                    label = f"PostgreSQL, -t {workers}"
                    figures[label].append(measure(folder, server.url(name), workers, Path(place)))
                    server.drop_database(name)
            print(f"round {turn + 1} of {rounds} done", file=sys.stderr, flush=True)
    return {label: figures[label] for label in sorted(figures, reverse=True)}


def main() -> int:
    """Measure, and print a table or JSON; 1 when it is slower than it has to be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=4000, help="files in the folder")
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured")
    parser.add_argument("--json", action="store_true", help="print every round's figures as JSON")
    options = parser.parse_args()
    figures = run(options.files, options.rounds)
    speeds = {
        label: statistics.median(one.files_per_second for one in row)
        for label, row in figures.items()
    }
    if options.json:
        plain = {
            label: [(one.files_per_second, one.megabytes) for one in row]
            for label, row in figures.items()
        }
        print(json.dumps(plain, indent=2))
    else:
        print(f"{f'parse, {options.files} files':24}{'files/s':>10}{'÷ 60':>8}{'peak MB':>10}")
        for label, row in figures.items():
            speed, peak = speeds[label], max(one.megabytes for one in row)
            print(f"{label:24}{speed:10.0f}{speed / SEED:8.1f}{peak:10.0f}")
    return 0 if speeds["SQLite, -t 2"] >= WANTED * SEED else 1


if __name__ == "__main__":
    sys.exit(main())
