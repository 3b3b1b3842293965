"""Images per second that a node gives to others: C-MOVE and C-GET, beside Orthanc and `dcmqrscp`.

    python -m tests.bench.bench_answer_retrieve [--rounds 3] [--small 2400] [--large 400]

All three hold the same images: 10 KB and 512 KB each. Every round asks each of them, beginning with
another one, for

- move 1: all images, by one `movescu`, to one destination;
- move 4: the same in four studies, by four `movescu` at once, to four destinations;
- get: all images, by one `getscu`.

Destinations are DCMTK's `storescp --ignore`, which keeps nothing; `getscu --ignore` neither. So it
is who sends that is measured. `movescu`, `getscu` and the servers have Nagle's algorithm off
(`TCP_NODELAY=1`), which none has as it is shipped: `--as-shipped` leaves it on. Figures are medians
over the rounds, and the ratio of the node's to the others'.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench_move import processor_seconds
from tests.support.cli import CommandLine
from tests.support.images import Generated, Size, generate
from tests.support.node import Node
from tests.support.peers import dcmtk
from tests.support.peers.dcmtk import DcmQrScp, StoreScp
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.programs import find_program
from tests.support.processes import LOOPBACK, free_port
from tests.support.waiting import wait_until

_AS_SHIPPED = "BENCH_AS_SHIPPED"

OURS = "node"
SERVERS = (OURS, "dcmqrscp", "orthanc")
WAYS = ("move 1", "move 4", "get")
LIMIT = 600.0
DESTINATIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Who is asked, and its process."""

    aetitle: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Images in a second, and milliseconds of a processor that the server had for each."""

    rate: float
    processor: float


@contextmanager
def node_with(images: list[Generated], place: Path, stores: dict[str, int]) -> Iterator[Server]:
    """Run a node that has received the images."""
    peers = {name.lower(): (name, port) for name, port in stores.items()}
    node = Node(CommandLine(place), place / "node", f"sqlite:///{place / 'node.db'}", peers=peers)
    settings = json.loads(node.config.read_text())
    settings["peers"]["bench"] = {
        "aetitle": "BENCH",
        "host": LOOPBACK,
        "port": 104,
        "may_retrieve": ["BENCH"],
    }
    settings["peers"]["itself"] = {"aetitle": node.aetitle, "host": LOOPBACK, "port": node.port}
    node.config.write_text(json.dumps(settings))
    node.ok("db", "init")
    with node.running() as process:
        node.ok("send", "itself", images[0].path.parents[1], timeout=LIMIT)
        count = "SELECT count(*) FROM images"
        wait_until(lambda: node.value(count) == len(images), LIMIT, interval=0.2)
        yield Server(aetitle=node.aetitle, port=node.port, pid=process.pid)


@contextmanager
def orthanc_with(images: list[Generated], place: Path, stores: dict[str, int]) -> Iterator[Server]:
    """Run an Orthanc that holds the images."""
    peers = stores | {"BENCH": 104}
    environment = {} if _AS_SHIPPED in os.environ else None
    with Orthanc(place / "orthanc", peers=peers, environment=environment) as server:
        server.fill([image.path for image in images])
        yield Server(aetitle=server.aetitle, port=server.port, pid=server.process.pid)


@contextmanager
def dcmqrscp_with(images: list[Generated], place: Path, stores: dict[str, int]) -> Iterator[Server]:
    """Run a `dcmqrscp` that holds the images."""
    folder = place / "dcmqrscp"
    folder.mkdir()
    with DcmQrScp(folder, peers=stores | {"BENCH": 104}) as server:
        server.fill(images[0].path.parents[1])
        yield Server(aetitle=server.aetitle, port=server.port, pid=server.process.pid)


HOLDING = {OURS: node_with, "dcmqrscp": dcmqrscp_with, "orthanc": orthanc_with}


def requests(way: str, server: Server, studies: list[str], place: Path) -> list[list[str]]:
    """Return the commands that ask for the studies: the first has all images of the others."""
    where = [LOOPBACK, str(server.port)]
    names = ["-S", "-aet", "BENCH", "-aec", server.aetitle, "-k", "QueryRetrieveLevel=STUDY"]
    whole, *parts = studies
    if way == "get":
        program = str(find_program("getscu", "dcmtk"))
        return [[program, *names, "--ignore", "-k", f"StudyInstanceUID={whole}", *where]]
    program = str(find_program("movescu", "dcmtk"))
    wanted = [whole] if way == "move 1" else parts
    return [
        [program, *names, "-aem", f"STORE{number}", "-k", f"StudyInstanceUID={uid}", *where]
        for number, uid in enumerate(wanted)
    ]


def measure(way: str, server: Server, studies: list[str], count: int, place: Path) -> Figure:
    """Return what one way comes to."""
    commands = requests(way, server, studies, place)
    before = processor_seconds(server.pid)
    began = time.perf_counter()
    running = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        for command in commands
    ]
    codes = [process.wait(LIMIT) for process in running]
    seconds = time.perf_counter() - began
    used = processor_seconds(server.pid) - before
    if any(codes):
        raise SystemExit(f"{way}, {server.aetitle}: exit codes {codes}")
    return Figure(rate=count / seconds, processor=used * 1000 / count)


def run(
    size: Size, count: int, rounds: int, servers: list[str], ways: list[str]
) -> dict[str, dict[str, list[Figure]]]:
    """Return what every round came to, by way and server."""
    figures: dict[str, dict[str, list[Figure]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        place = Path(name)
        whole = generate(place / "images" / "whole", images=count, size=size)
        each = count // DESTINATIONS
        parts = generate(
            place / "images" / "parts", studies=DESTINATIONS, images=each, size=size, seed=1
        )
        # below one folder, two deep, as `fill` takes them
        images = [*whole, *parts]
        for one in (place / "images" / "whole", place / "images" / "parts"):
            for folder in one.iterdir():
                folder.rename(place / "images" / f"{one.name}-{folder.name}")
            one.rmdir()
        studies = list(dict.fromkeys(image.study_uid for image in images))
        stores = {f"STORE{number}": free_port() for number in range(DESTINATIONS)}
        for aetitle, port in stores.items():
            folder = place / aetitle
            folder.mkdir()
            stack.enter_context(StoreScp(folder, aetitle=aetitle, port=port, options=("--ignore",)))
        moved = [
            Generated(
                path=place / "images" / f"{kind}-{one.path.parent.name}" / one.path.name,
                patient_id=one.patient_id,
                study_uid=one.study_uid,
                study_date=one.study_date,
                series_uid=one.series_uid,
                sop_instance_uid=one.sop_instance_uid,
            )
            for kind, group in (("whole", whole), ("parts", parts))
            for one in group
        ]
        running = {one: stack.enter_context(HOLDING[one](moved, place, stores)) for one in servers}
        shutil.rmtree(place / "images")
        os.sync()
        for turn in range(rounds):
            first = turn % len(servers)
            for way in ways:
                for one in servers[first:] + servers[:first]:
                    figure = measure(way, running[one], studies, count, place)
                    figures[way][one].append(figure)
                    text = f"round {turn + 1}: {size}, {way}, {one}: {figure.rate:.0f}/s"
                    print(text, file=sys.stderr, flush=True)
    return figures


def table(size: str, figures: dict[str, dict[str, list[Figure]]]) -> str:
    """Return the medians."""
    lines = [f"{size:10}{'':10}{'images/s':>12}{'ms each':>10}{'node ÷':>10}"]
    for way, by_server in figures.items():
        rates = {one: statistics.median(f.rate for f in got) for one, got in by_server.items()}
        for one, got in by_server.items():
            used = statistics.median(f.processor for f in got)
            ratio = rates[OURS] / rates[one] if OURS in rates else float("nan")
            lines.append(f"{way:10}{one:10}{rates[one]:12.0f}{used:10.2f}{ratio:10.2f}")
    return "\n".join(lines)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--small", type=int, default=2400, help="images of 10 KB; 0 for none")
    parser.add_argument("--large", type=int, default=400, help="images of 512 KB; 0 for none")
    parser.add_argument("--servers", default=",".join(SERVERS), help="who is asked, by commas")
    parser.add_argument("--ways", default=",".join(WAYS), help="how, by commas")
    parser.add_argument("--as-shipped", action="store_true", help="leave Nagle's algorithm on")
    options = parser.parse_args()
    servers = [one for one in options.servers.split(",") if one]
    if missing := [one for one in ("movescu", "getscu") if find_program(one, "dcmtk") is None]:
        raise SystemExit(f"{', '.join(missing)} missing: make peers")
    os.environ.pop("TCP_NODELAY", None)
    if options.as_shipped:
        os.environ[_AS_SHIPPED] = "1"
        dcmtk.environment = lambda changes=None: os.environ | dict(changes or {})
    else:
        os.environ["TCP_NODELAY"] = "1"
    sizes: tuple[tuple[Size, int], ...] = (("small", options.small), ("large", options.large))
    for size, count in sizes:
        if count:
            figures = run(size, count, options.rounds, servers, options.ways.split(","))
            print(table(size, figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
