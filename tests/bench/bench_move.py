"""Studies per second that `dicom-node move` retrieves, beside a shell loop of DCMTK's `movescu`.

    python -m tests.bench.bench_move [--rounds 3] [--cases 120x10,20x100] [--pacs simulate|orthanc]

Every round has 120 studies of 10 images and 20 studies of 100 (10 KB each) moved from the same PACS
into a new node with an SQLite database, in each of these ways, each round beginning with another:

- movescu: a shell loop of one `movescu` for each study, into a running node; nothing is verified.
- beside: `dicom-node move` beside a running node.
- daemon: the move cycle of `dicom-node run`.
- alone: `dicom-node move` without a running node; it receives by itself.

And where `--ways` names them: movescu-2, movescu-4 have so many of such loops at once, which is all
that PACS and receiver can do on this machine; daemon-1, daemon-4 have so many associations
(`move.concurrency`; 2 unless said); daemon-off, daemon-4-off, alone-off are without
`move.throttle`.

The clock starts with the first program, its start included (for the daemon, with the cycle's row).
It stops when the last image is in the index, and for ours when every study is verified complete.
Figures are medians over the rounds: studies and images in a second, the ratio to the loop of the
same round, the processor's milliseconds for each image that the PACS, the running node and the
programs beside had, which part that is of all processors, and for ours from the attempts' rows: how
many were under way at once, and the median time of one until its last image was received, and from
then until its verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil

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
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one way came to in one round; times of one attempt are in milliseconds.

    Attributes
    ----------
    seconds
        How long it took.
    pacs, node, programs
        Seconds of a processor that they had.
    under_way, receiving, judging
        Attempts at once, on average; and the medians of theirs; 0 for a loop, which has none.
    """

    seconds: float
    pacs: float
    node: float
    programs: float
    under_way: float = 0.0
    receiving: float = 0.0
    judging: float = 0.0


@dataclass(slots=True, kw_only=True)
class Turn:
    """One measurement: a node that has found the studies, and nothing of them."""

    node: Node
    pacs: Pacs
    case: Case
    study_uids: list[str]
    used: list[tuple[float, ...]] = field(default_factory=list)

    def count(self, sql: str) -> int:
        """Return a number from the node's database."""
        ((number,),) = self.ask(sql)
        return int(number)

    def ask(self, sql: str) -> list[tuple[str, ...]]:
        """Return rows from the node's database."""
        path = self.node.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    def wait(self, sql: str, number: int) -> None:
        """Wait until a query has a number."""
        wait_until(lambda: self.count(sql) >= number, LIMIT, interval=0.02)

    def verified(self) -> None:
        """Make sure that every study is complete."""
        left = self.count("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL")
        if left:
            raise SystemExit(f"{left} of {self.case.label} are not complete")

    @contextmanager
    def counted(self, node: Process | None = None) -> Iterator[None]:
        """Take note of what the processors do for whom."""
        before = self._used(node)
        yield
        after = self._used(node)
        self.used.append(tuple(late - early for early, late in zip(before, after, strict=True)))

    def _used(self, node: Process | None) -> tuple[float, float, float]:
        programs = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (
            processor_seconds(self.pacs.pid),
            0.0 if node is None else processor_seconds(node.pid),
            programs.ru_utime + programs.ru_stime,
        )

    def figures(self, seconds: float) -> Figures:
        """Return what it came to."""
        ((pacs, node, programs),) = self.used
        attempts = [
            tuple(datetime.fromisoformat(one) for one in row)
            for row in self.ask(
                "SELECT a.started_on, max(i.received_on), a.ended_on FROM move_attempts AS a "
                "JOIN images AS i ON i.attempt_id = a.id WHERE a.started_on IS NOT NULL GROUP BY 1"
            )
        ]
        spans = [
            [(late - early).total_seconds() * 1000 for early, late in pairwise(row)]
            for row in attempts
        ]
        if not spans:
            return Figures(seconds=seconds, pacs=pacs, node=node, programs=programs)
        return Figures(
            seconds=seconds,
            pacs=pacs,
            node=node,
            programs=programs,
            under_way=sum(map(sum, spans)) / 1000 / seconds,
            receiving=statistics.median(receiving for receiving, _ in spans),
            judging=statistics.median(judging for _, judging in spans),
        )


def processor_seconds(pid: int) -> float:
    """Return the seconds of a processor that a process and its children have had."""
    total = 0.0
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def loop(turn: Turn, at_once: int = 1) -> float:
    """Run one `movescu` after the other, until all images are in the index."""
    program = str(find_program(LOOP, "dcmtk"))
    names = ("-S", "-aec", turn.pacs.aetitle, "-aem", "NODE", "-k", "QueryRetrieveLevel=STUDY")
    script = 'for uid in $UIDS; do "$@" -k StudyInstanceUID=$uid 127.0.0.1 $PORT || exit 1; done'
    if at_once > 1:
        several = f'xargs -P {at_once} -I % "$@" -k StudyInstanceUID=% 127.0.0.1 $PORT'
        script = f"printf '%s\\n' $UIDS | {several}"
    environment = {"UIDS": " ".join(turn.study_uids), "PORT": str(turn.pacs.port)}
    with turn.node.running() as node, turn.counted(node):
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
    with turn.node.running() as node:
        return alone(turn, node)


def alone(turn: Turn, node: Process | None = None) -> float:
    """Run `dicom-node move`."""
    with turn.counted(node):
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
    with turn.node.running() as node, turn.counted(node):
        turn.wait(f"SELECT count(*) {done}", 1)
    turn.verified()
    ((began, ended),) = turn.ask(f"SELECT started_on, finished_on {done}")
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def with_settings(way: Callable[[Turn], float], **move: object) -> Callable[[Turn], float]:
    """Return a way with other settings of its moves."""

    def moved(turn: Turn) -> float:
        settings = json.loads(turn.node.config.read_text())
        settings["move"] |= move
        turn.node.config.write_text(json.dumps(settings))
        return way(turn)

    return moved


WAYS: dict[str, Callable[[Turn], float]] = {
    LOOP: loop,
    "beside": beside,
    "daemon": daemon,
    "alone": alone,
}
OTHERS: dict[str, Callable[[Turn], float]] = {
    "movescu-2": lambda turn: loop(turn, 2),
    "movescu-4": lambda turn: loop(turn, 4),
    "daemon-1": with_settings(daemon, concurrency=1),
    "daemon-1-off": with_settings(daemon, concurrency=1, throttle=False),
    "daemon-4": with_settings(daemon, concurrency=4),
    "daemon-off": with_settings(daemon, throttle=False),
    "daemon-4-off": with_settings(daemon, concurrency=4, throttle=False),
    "alone-off": with_settings(alone, throttle=False),
}


@contextmanager
def serving(kind: str, folder: Path, images: list[Generated], place: Path) -> Iterator[Pacs]:
    """Run a PACS that holds the images."""
    destination = free_port()
    if kind == "orthanc":
        with Orthanc(place / "orthanc", peers={"NODE": destination}, environment={}) as server:
            server.fill([image.path for image in images])
            yield Pacs(
                aetitle=server.aetitle,
                port=server.port,
                destination=destination,
                pid=server.process.pid,
            )
        return
    port = free_port()
    cli = CommandLine(place)
    where = ("--port", str(port), "--destination", f"NODE={LOOPBACK}:{destination}")
    command = cli.args("simulate", folder, "--aetitle", "PACS", *where)
    with Process(command, log=place / "simulate.log", env=cli.env(), cwd=place) as process:
        process.wait_for_port(port, 120)
        yield Pacs(aetitle="PACS", port=port, destination=destination, pid=process.pid)


def measure(way: str, case: Case, pacs: Pacs, uids: list[str], place: Path) -> Figures:
    """Return what one way into a new node comes to."""
    place.mkdir()
    url = f"sqlite:///{place / 'node.db'}"
    peers = {"pacs": (pacs.aetitle, pacs.port)}
    node = Node(CommandLine(place), place / "node", url, peers=peers, port=pacs.destination)
    node.ok("db", "init")
    found = node.json("find", "pacs", *DATES)["found"]
    if found != case.studies:
        raise SystemExit(f"{found} of {case.studies} studies were found")
    os.sync()  # nobody pays for what another one left to the disk
    turn = Turn(node=node, pacs=pacs, case=case, study_uids=uids)
    figures = turn.figures((WAYS | OTHERS)[way](turn))
    shutil.rmtree(place)
    return figures


def run(
    cases: list[Case], kind: str, rounds: int, ways: list[str]
) -> dict[Case, dict[str, list[Figures]]]:
    """Return what every round came to."""
    figures: dict[Case, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            root = Path(name)
            made = generate(root / "images", studies=case.studies, images=case.images)
            uids = sorted({image.study_uid for image in made})
            with serving(kind, root / "images", made, root) as pacs:
                for turn in range(rounds):
                    first = turn % len(ways)
                    for way in ways[first:] + ways[:first]:
                        one = measure(way, case, pacs, uids, root / f"{turn}-{way}")
                        figures[case][way].append(one)
                        rate = case.studies / one.seconds
                        text = f"round {turn + 1} of {rounds}: {case.label}, {way}: {rate:.2f}/s"
                        print(text, file=sys.stderr, flush=True)
    return figures


COLUMNS = (
    *("studies/s", "÷ loop", "images/s", "PACS ms", "node ms", "programs ms", "busy"),
    *("under way", "receiving ms", "judging ms"),
)


def table(figures: dict[Case, dict[str, list[Figures]]]) -> str:
    """Return the medians."""
    lines = []
    for case, row in figures.items():
        lines += [f"{case.label:22}" + "".join(f"{name:>13}" for name in COLUMNS)]
        for way, rounds in row.items():
            values = [_columns(case, one, rounds, row) for one in range(len(rounds))]
            medians = [statistics.median(column) for column in zip(*values, strict=True)]
            lines += [f"{way:22}" + "".join(f"{value:13.2f}" for value in medians)]
    return "\n".join(lines)


def _columns(
    case: Case, number: int, rounds: list[Figures], row: dict[str, list[Figures]]
) -> list[float]:
    one, images = rounds[number], case.studies * case.images
    used = (one.pacs, one.node, one.programs)
    return [
        case.studies / one.seconds,
        row[LOOP][number].seconds / one.seconds if LOOP in row else float("nan"),
        images / one.seconds,
        *(seconds * 1000 / images for seconds in used),
        sum(used) / one.seconds / (os.cpu_count() or 1),
        *(one.under_way, one.receiving, one.judging),
    ]


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
    ways = [way for way in WAYS | OTHERS if way in options.ways.split(",")]
    figures = run(cases, options.pacs, options.rounds, ways)
    document = {
        case.label: {way: [asdict(one) for one in rounds] for way, rounds in row.items()}
        for case, row in figures.items()
    }
    print(json.dumps(document, indent=2) if options.json else table(figures))
    slower = [
        way
        for row in figures.values()
        for way in ways
        if LOOP in row and _typical(row[way]) > _typical(row[LOOP])
    ]
    return 1 if slower else 0


def _typical(rounds: list[Figures]) -> float:
    return statistics.median(one.seconds for one in rounds)


if __name__ == "__main__":
    sys.exit(main())
