"""Studies per second that `dicom-node move` retrieves, beside a shell loop of DCMTK's `movescu`.

    python -m tests.bench.bench_move [--rounds 3] [--cases 120x10,20x100] [--pacs simulate|orthanc]

Every round has 120 studies of 10 images and 20 studies of 100 (10 KB each) moved from the same PACS
into a new node with an SQLite database, in each of these ways, each round beginning with another:

- movescu: a shell loop of one `movescu` for each study, into a running node; nothing is verified.
- beside: `dicom-node move` beside a running node.
- daemon: the move cycle of `dicom-node run`.
- alone: `dicom-node move` without a running node; it receives by itself.
- daemon-off, alone-off: the same with `move.throttle: false`; only where `--ways` names them.

The clock starts with the first program, its start included (for the daemon, with the cycle's row).
It stops when the last image is in the index, and for ours when every study is verified complete.
Figures are medians over the rounds, and behind each its ratio to the loop of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.support.cli import CommandLine
from tests.support.images import Generated, generate
from tests.support.node import Node
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.programs import find_program
from tests.support.processes import LOOPBACK, Process, free_port
from tests.support.waiting import wait_until

LOOP = "movescu"
LIMIT = 900.0
DATES = ("--from", "2024-01-01", "--to", "2024-12-28")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many studies of so many images each."""

    studies: int
    images: int

    @property
    def label(self) -> str:
        """The row's name."""
        return f"{self.studies} studies of {self.images}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacs:
    """Who is asked; it knows NODE at `destination`."""

    aetitle: str
    port: int
    destination: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One measurement: a node that has found the studies, and nothing of them."""

    node: Node
    pacs: Pacs
    case: Case
    study_uids: list[str]

    def count(self, sql: str) -> int:
        """Return a number from the node's database."""
        path = self.node.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            return int(connection.execute(sql).fetchone()[0])

    def wait(self, sql: str, number: int) -> None:
        """Wait until a query has a number."""
        wait_until(lambda: self.count(sql) >= number, LIMIT, interval=0.01)

    def verified(self) -> None:
        """Make sure that every study is complete."""
        left = self.count("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL")
        if left:
            raise SystemExit(f"{left} of {self.case.label} are not complete")


def loop(turn: Turn) -> float:
    """Run one `movescu` after the other, until all images are in the index."""
    program = str(find_program(LOOP, "dcmtk"))
    names = ("-S", "-aec", turn.pacs.aetitle, "-aem", "NODE", "-k", "QueryRetrieveLevel=STUDY")
    script = 'for uid in $UIDS; do "$@" -k StudyInstanceUID=$uid 127.0.0.1 $PORT || exit 1; done'
    environment = {"UIDS": " ".join(turn.study_uids), "PORT": str(turn.pacs.port)}
    with turn.node.running():
        began = time.perf_counter()
        subprocess.run(
            ["sh", "-c", script, "sh", program, *names],
            env=os.environ | environment,
            check=True,
            timeout=LIMIT,
        )
        turn.wait("SELECT count(*) FROM images", turn.case.studies * turn.case.images)
        return time.perf_counter() - began


def beside(turn: Turn) -> float:
    """Run `dicom-node move` beside a running node."""
    with turn.node.running():
        return alone(turn)


def alone(turn: Turn) -> float:
    """Run `dicom-node move`."""
    began = time.perf_counter()
    turn.node.ok("move", "pacs", timeout=LIMIT)
    seconds = time.perf_counter() - began
    turn.verified()
    return seconds


def daemon(turn: Turn) -> float:
    """Let the node's own cycle move."""
    settings = json.loads(turn.node.config.read_text())
    settings["move"]["every"] = "1d"
    turn.node.config.write_text(json.dumps(settings))
    done = "FROM cycles WHERE kind = 'move' AND finished_on IS NOT NULL"
    with turn.node.running():
        turn.wait(f"SELECT count(*) {done}", 1)
    turn.verified()
    ((began, ended),) = (
        row.values() for row in turn.node.rows(f"SELECT started_on, finished_on {done}")
    )
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def unthrottled(way: Callable[[Turn], float]) -> Callable[[Turn], float]:
    """Return a way in which the PACS is not asked for less when it is slow to answer."""

    def moved(turn: Turn) -> float:
        settings = json.loads(turn.node.config.read_text())
        settings["move"]["throttle"] = False
        turn.node.config.write_text(json.dumps(settings))
        return way(turn)

    return moved


WAYS: dict[str, Callable[[Turn], float]] = {
    LOOP: loop,
    "beside": beside,
    "daemon": daemon,
    "alone": alone,
}
UNTHROTTLED = {
    "daemon-off": unthrottled(daemon),
    "alone-off": unthrottled(alone),
}


@contextmanager
def serving(kind: str, folder: Path, images: list[Generated], place: Path) -> Iterator[Pacs]:
    """Run a PACS that holds the images."""
    destination = free_port()
    if kind == "orthanc":
        with Orthanc(place / "orthanc", peers={"NODE": destination}, environment={}) as server:
            server.fill([image.path for image in images])
            yield Pacs(aetitle=server.aetitle, port=server.port, destination=destination)
        return
    port = free_port()
    cli = CommandLine(place)
    where = ("--port", str(port), "--destination", f"NODE={LOOPBACK}:{destination}")
    command = cli.args("simulate", folder, "--aetitle", "PACS", *where)
    with Process(command, log=place / "simulate.log", env=cli.env(), cwd=place) as process:
        process.wait_for_port(port, 120)
        yield Pacs(aetitle="PACS", port=port, destination=destination)


def measure(way: str, case: Case, pacs: Pacs, uids: list[str], place: Path) -> float:
    """Return the studies per second of one way into a new node."""
    place.mkdir()
    url = f"sqlite:///{place / 'node.db'}"
    peers = {"pacs": (pacs.aetitle, pacs.port)}
    node = Node(CommandLine(place), place / "node", url, peers=peers, port=pacs.destination)
    node.ok("db", "init")
    found = node.json("find", "pacs", *DATES)["found"]
    if found != case.studies:
        raise SystemExit(f"{found} of {case.studies} studies were found")
    os.sync()  # nobody pays for what another one left to the disk
    seconds = (WAYS | UNTHROTTLED)[way](Turn(node=node, pacs=pacs, case=case, study_uids=uids))
    shutil.rmtree(place)
    return case.studies / seconds


def run(
    cases: list[Case], kind: str, rounds: int, ways: list[str]
) -> dict[str, dict[str, list[float]]]:
    """Return the studies per second of every round."""
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            root = Path(name)
            made = generate(root / "images", studies=case.studies, images=case.images)
            uids = sorted({image.study_uid for image in made})
            with serving(kind, root / "images", made, root) as pacs:
                for turn in range(rounds):
                    first = turn % len(ways)
                    for way in ways[first:] + ways[:first]:
                        rate = measure(way, case, pacs, uids, root / f"{turn}-{way}")
                        figures[case.label][way].append(rate)
                        text = f"round {turn + 1} of {rounds}: {case.label}, {way}: {rate:.2f}/s"
                        print(text, file=sys.stderr, flush=True)
    return figures


def table(figures: dict[str, dict[str, list[float]]], ways: list[str]) -> str:
    """Return the medians, and behind each the median of its ratios to the loop."""
    lines = [f"{'studies/s, and ÷ the loop':26}" + "".join(f"{way:>16}" for way in ways)]
    for label, row in figures.items():
        line = f"{label:26}"
        for way in ways:
            line += f"{statistics.median(row[way]):9.2f}"
            ratios = [ours / its for ours, its in zip(row[way], row.get(LOOP, ()), strict=False)]
            line += f"{statistics.median(ratios):7.2f}" if ratios else f"{'-':>7}"
        lines.append(line)
    return "\n".join(lines)


def main() -> int:
    """Measure, and print a table or JSON; 1 when a way of ours is slower than the loop."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured")
    parser.add_argument("--cases", default="120x10,20x100", help="studies x images, by commas")
    parser.add_argument("--pacs", choices=("simulate", "orthanc"), default="simulate")
    parser.add_argument("--ways", default=",".join(WAYS), help="which ways, by commas")
    parser.add_argument("--json", action="store_true", help="print every round's figures as JSON")
    options = parser.parse_args()
    if find_program(LOOP, "dcmtk") is None:
        raise SystemExit("movescu is missing: make peers")
    os.environ.pop("TCP_NODELAY", None)  # DCMTK and Orthanc would not be as they are shipped
    sizes = [map(int, case.split("x")) for case in options.cases.split(",")]
    cases = [Case(studies=studies, images=images) for studies, images in sizes]
    ways = [way for way in WAYS | UNTHROTTLED if way in options.ways.split(",")]
    figures = run(cases, options.pacs, options.rounds, ways)
    print(json.dumps(figures, indent=2) if options.json else table(figures, ways))
    slower = [
        way
        for row in figures.values()
        for way in ways
        if LOOP in row and statistics.median(row[way]) < statistics.median(row[LOOP])
    ]
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
