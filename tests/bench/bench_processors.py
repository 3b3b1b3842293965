"""Where the processors' time goes while images are received: node, headers, sender, disk.

    python -m tests.bench.bench_processors [--images 1000] [--rounds 3]

Milliseconds of a processor for one image of 10 KB, from a sender that acknowledges at once. The
floor is the loop that only makes the same files durable (`tests/bench/floor.py`): what the system
itself needs for that. With N processors no receiver can take more than N / sum images a
millisecond; what is left below that is waiting for the disk, and for each other.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
from collections import defaultdict
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil

from tests.bench.floor import floor
from tests.bench.receivers import NodeReceiver, node
from tests.bench.sending import send, send_counted
from tests.support.images import generate


@dataclass(frozen=True)
class Round:
    """One measurement: images in a second, and milliseconds of a processor for each."""

    rate: float
    node_user: float
    node_system: float
    headers: float
    sender: float
    floor_rate: float
    floor_cpu: float


@dataclass(frozen=True)
class Used:
    """Seconds of a processor: the node's own, and those of the processes that read headers."""

    user: float
    system: float
    headers: float


def used(receiver: NodeReceiver) -> Used:
    """Return what a node has used so far."""
    process = psutil.Process(receiver.process.pid)
    own = process.cpu_times()
    others = [child.cpu_times() for child in process.children()]
    return Used(own.user, own.system, sum(other.user + other.system for other in others))


def measure(
    receiver: NodeReceiver, root: Path, *, images: int, associations: int, seed: int
) -> Round:
    """Send once, and make the same files durable once."""
    with tempfile.TemporaryDirectory(dir=root, prefix="images-") as place:
        made = generate(Path(place), images=images, seed=seed)
        os.sync()
        before = used(receiver)
        rate, sender = send_counted(
            receiver, Path(place), images=images, associations=associations, manner="at-once"
        )
        after = used(receiver)
        os.sync()
        ours = resource.getrusage(resource.RUSAGE_SELF)
        floor_rate = floor([image.path for image in made], associations, root)
        then = resource.getrusage(resource.RUSAGE_SELF)
    each = 1000 / images
    return Round(
        rate=rate,
        node_user=each * (after.user - before.user),
        node_system=each * (after.system - before.system),
        headers=each * (after.headers - before.headers),
        sender=each * sender,
        floor_rate=floor_rate,
        floor_cpu=each * (then.ru_utime - ours.ru_utime + then.ru_stime - ours.ru_stime),
    )


def main() -> None:
    """Measure, and print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=1000, help="images of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured")
    options = parser.parse_args()
    rows: dict[int, list[Round]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        root = Path(place)
        with node(root / "node") as receiver:
            generate(root / "first", images=32, seed=8999)
            send(receiver, root / "first", images=32, associations=4, manner="at-once")
            for turn in range(options.rounds):
                for associations in (1, 4, 16):
                    rows[associations].append(
                        measure(
                            receiver,
                            root,
                            images=options.images,
                            associations=associations,
                            seed=100 * turn + associations,
                        )
                    )
    processors = os.cpu_count() or 1
    print(f"ms of {processors} processors for an image of 10 KB")
    print(
        f"{'assoc.':>6}{'images/s':>10}{'user':>8}{'system':>8}{'headers':>9}{'sender':>8}"
        f"{'sum':>7}{'busy':>7}{'floor: images/s':>18}{'ms':>7}"
    )
    for associations, rounds in rows.items():
        median = Round(*(statistics.median(of) for of in zip(*map(astuple, rounds), strict=True)))
        total = median.node_user + median.node_system + median.headers + median.sender
        print(
            f"{associations:6}{median.rate:10.0f}{median.node_user:8.2f}{median.node_system:8.2f}"
            f"{median.headers:9.2f}{median.sender:8.2f}{total:7.2f}"
            f"{total * median.rate / 1000 / processors:7.0%}"
            f"{median.floor_rate:18.0f}{median.floor_cpu:7.2f}"
        )


if __name__ == "__main__":
    main()
