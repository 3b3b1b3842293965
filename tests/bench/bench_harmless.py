"""How long another client of a PACS waits while a node moves from it.

    python -m tests.bench.bench_harmless [--rounds 3] [--seconds 40] [--after 10] [--pacs 2x15x10]

A simulated PACS has so many workers, a question takes so many milliseconds of one, and an image so
many (`capacity` of a behaviour file). Another client, with an AE title of its own, asks it for
single studies at a steady rate. Each round has that in each of these ways, beginning with another:

- idle: nobody else asks for anything.
- on: `dicom-node run` moves studies from it, with `move.throttle` as shipped.
- off: the same without it.

The figures are the median and the 95th percentile of the client's times, over all rounds; behind
the latter its ratio to idle; and the images per second that came meanwhile. The node begins with as
much at once as its configuration allows, and has `--after` seconds from its first image on to find
out what is too much for the PACS; these do not count. Ends with 1 when the ratio with the throttle
is more than 1.3.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from node.dicom.query import StudyQuery, study_identifier
from node.net.dimse.contexts import Service
from node.net.messages import Peer
from node.net.scu.requestor import associate
from tests.support.cli import CommandLine
from tests.support.node import Node
from tests.support.processes import LOOPBACK, Process, free_port
from tests.support.waiting import wait_until

MARK = 1.3
"""The 95th percentile with the throttle, to that of a PACS that nobody moves from, at most."""

IDLE, ON, OFF = WAYS = ("idle", "on", "off")
RATE = 5.0
STUDIES = 600
DATES = ("--from", "2024-01-01", "--to", "2024-01-31")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the PACS can do: workers, and the seconds of one for a question and for an image."""

    workers: int
    question: float
    image: float

    @classmethod
    def of(cls, text: str) -> Capacity:
        """Read `2x15x10`: workers, and milliseconds."""
        workers, question, image = map(int, text.split("x"))
        return cls(workers=workers, question=question / 1000, image=image / 1000)

    @property
    def label(self) -> str:
        """The row's name."""
        return f"{self.workers} x {self.question * 1000:.0f} ms, {self.image * 1000:.0f} ms"


@dataclass
class Figures:
    """What was measured in one way."""

    seconds: list[float] = field(default_factory=list)
    images: int = 0
    lasted: float = 0.0
    levels: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Of the client's times, in seconds."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """The 95th percentile of them."""
        return statistics.quantiles(self.seconds, n=20, method="inclusive")[-1]

    @property
    def rate(self) -> float:
        """Images that came in a second."""
        return self.images / self.lasted if self.lasted else 0.0


class OtherClient:
    """Asks a PACS for single studies, at random moments, whatever becomes of the answers."""

    def __init__(self, port: int, uids: list[str]) -> None:
        self._peer = Peer(
            name="pacs", aetitle="PACS", host=LOOPBACK, port=port, calling_aetitle="VIEWER"
        )
        self._uids = uids

    def ask(self, seconds: float) -> list[float]:
        """Return how long each answer took, in seconds."""
        return asyncio.run(self._ask(seconds))

    async def _ask(self, seconds: float) -> list[float]:
        took: list[float] = []
        async with associate(self._peer, Service.FIND) as association:
            begun = time.perf_counter()
            number = 0
            while (due := begun + number / RATE) < begun + seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                query = StudyQuery(study_uids=(self._uids[number * 37 % len(self._uids)],))
                began = time.perf_counter()
                answers = [
                    one async for one in association.find(study_identifier(query, query.window))
                ]
                took.append(time.perf_counter() - began)
                if len(answers) != 1:
                    raise SystemExit(f"{len(answers)} answers for one study")
                number += 1
        return took


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A PACS that is up, and a database in which its studies are found."""

    folder: Path
    port: int
    destination: int
    found: Path
    uids: list[str]

    def node(self, name: str, *, throttle: bool) -> Node:
        """Return a node that has found the studies, and nothing of them."""
        folder = self.folder / name
        folder.mkdir()
        node = Node(
            CommandLine(folder),
            folder / "node",
            f"sqlite:///{folder / 'node.db'}",
            peers={"pacs": ("PACS", self.port)},
            port=self.destination,
        )
        (folder / "node.db").write_bytes(self.found.read_bytes())
        settings = json.loads(node.config.read_text())
        settings["move"] |= {"every": "1d", "throttle": throttle, "settle": "1s"}
        node.config.write_text(json.dumps(settings))
        return node


@contextmanager
def serving(capacity: Capacity, folder: Path) -> Iterator[Place]:
    """Run a PACS, and find its studies."""
    port, destination = free_port(), free_port()
    cli = CommandLine(folder)
    behaviour = folder / "behaviour.json"
    behaviour.write_text(
        json.dumps(
            {
                "archive": {
                    "studies": STUDIES,
                    "start_date": "2024-01-01",
                    "end_date": "2024-01-31",
                    "image_bytes": [10_000, 10_000],
                },
                "capacity": {
                    "workers": capacity.workers,
                    "question": capacity.question,
                    "image": capacity.image,
                },
            }
        )
    )
    command = cli.args(
        *("simulate", "--aetitle", "PACS", "--port", str(port), "--behaviour", str(behaviour)),
        *("--destination", f"NODE={LOOPBACK}:{destination}"),
    )
    with Process(command, log=folder / "simulate.log", env=cli.env(), cwd=folder) as process:
        process.wait_for_port(port, 60)
        first = Node(
            cli,
            folder / "first",
            f"sqlite:///{folder / 'found.db'}",
            peers={"pacs": ("PACS", port)},
            port=destination,
        )
        first.ok("db", "init")
        first.ok("find", "pacs", *DATES)
        uids = [row["study_uid"] for row in first.rows("SELECT study_uid FROM studies_find")]
        yield Place(
            folder=folder,
            port=port,
            destination=destination,
            found=folder / "found.db",
            uids=uids,
        )


def measure(
    way: str, place: Place, name: str, seconds: float, figures: Figures, *, after: float = 0.0
) -> None:
    """Ask for so long, in one of the ways, beginning so many seconds after the first image."""
    client = OtherClient(place.port, place.uids)
    if way == IDLE:
        figures.seconds += client.ask(seconds)
        return
    node = place.node(name, throttle=way == ON)
    count = "SELECT count(*) FROM images"
    with node.running():
        wait_until(lambda: node.value(count) > 0, 60, interval=0.02)
        time.sleep(after)
        before, began = node.value(count), time.perf_counter()
        figures.seconds += client.ask(seconds)
        figures.images += node.value(count) - before
        figures.lasted += time.perf_counter() - began
    figures.levels += [row["level"] for row in node.rows("SELECT level FROM peer_throttles")]


def run(
    capacities: list[Capacity],
    rounds: int,
    seconds: float,
    ways: tuple[str, ...] = WAYS,
    *,
    after: float = 0.0,
) -> dict[Capacity, dict[str, Figures]]:
    """Return what was measured, by capacity and way."""
    all_figures: dict[Capacity, dict[str, Figures]] = {}
    for capacity in capacities:
        figures = all_figures[capacity] = defaultdict(Figures)
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            with serving(capacity, Path(name)) as place:
                for turn in range(rounds):
                    first = turn % len(ways)
                    for way in ways[first:] + ways[:first]:
                        measure(way, place, f"{turn}-{way}", seconds, figures[way], after=after)
                        one = figures[way]
                        text = (
                            f"round {turn + 1} of {rounds}: {capacity.label}, {way}:"
                            f" {one.p95 * 1000:.1f} ms, {one.rate:.1f} images/s so far"
                            f"{f', left at level {one.levels[-1]:.2g}' if one.levels else ''}"
                        )
                        print(text, file=sys.stderr, flush=True)
    return all_figures


def table(all_figures: dict[Capacity, dict[str, Figures]]) -> str:
    """Return the figures, a row for each capacity and way."""
    lines = [
        f"{'workers x question, image':28}{'move':>6}{'median ms':>11}{'p95 ms':>9}"
        f"{'÷ idle':>8}{'images/s':>10}"
    ]
    for capacity, figures in all_figures.items():
        for way, one in figures.items():
            ratio = one.p95 / figures[IDLE].p95
            lines.append(
                f"{capacity.label:28}{way:>6}{one.median * 1000:11.1f}{one.p95 * 1000:9.1f}"
                f"{ratio:8.2f}{one.rate:10.1f}"
            )
    return "\n".join(lines)


def main() -> int:
    """Measure, and print a table; 1 when the throttle does not keep to the mark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long each time")
    parser.add_argument("--after", type=float, default=10.0, help="so long after its first image")
    parser.add_argument(
        "--pacs",
        default="2x15x10,2x20x20,3x15x10,4x20x10",
        help="workers x milliseconds of a question x of an image, by commas",
    )
    options = parser.parse_args()
    capacities = [Capacity.of(one) for one in options.pacs.split(",")]
    figures = run(capacities, options.rounds, options.seconds, after=options.after)
    print(table(figures))
    worst = max(one[ON].p95 / one[IDLE].p95 for one in figures.values())
    return 0 if worst <= MARK else 1


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
