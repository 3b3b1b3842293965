"""Images per second received: our node beside Orthanc and DCMTK's storescp.

    python -m tests.bench.bench_receive [--rounds 3] [--small 400] [--large 80] [--json]

The same files go to each receiver from the same sender, in interleaved rounds, so that a change of
the machine's mood meets all of them. The figures are medians over the rounds; ratios are what to
look at. The clock stops when the last image is in the receiver's index (storescp has none: when the
last response has come).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.receivers import RECEIVERS, Receiver, available
from tests.support.images import Size, generate
from tests.support.peers.programs import find_program
from tests.support.processes import LOOPBACK
from tests.support.waiting import wait_until

# One row is limited to this many seconds, whatever happens.
LIMIT = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table: what is sent, and how."""

    label: str
    size: Size
    images: int
    associations: int
    sender: str = "raw"


def cases(small: int, large: int) -> list[Case]:
    """Return the rows."""
    rows = [
        Case(label=f"{text}, {n} assoc.", size=size, images=images, associations=n)
        for size, text, images in (("small", "10 KB", small), ("large", "512 KB", large))
        for n in (1, 4)
    ]
    if find_program("storescu", "dcmtk"):
        few = max(10, small // 8)
        label = "10 KB, storescu as shipped"
        rows.append(Case(label=label, size="small", images=few, associations=1, sender="storescu"))
    return rows


def measure(case: Case, receiver: Receiver, folder: Path) -> float:
    """Send the images of `folder` and return how many arrived in a second."""
    before = receiver.count()
    send = send_raw if case.sender == "raw" else send_storescu
    started, answered = send(case, receiver, folder)
    if before is None:
        return case.images / (answered - started)
    wait_until(lambda: (receiver.count() or 0) >= before + case.images, LIMIT, interval=0.002)
    return case.images / (max(time.perf_counter(), answered) - started)


def send_raw(case: Case, receiver: Receiver, folder: Path) -> tuple[float, float]:
    """Send with `tests.bench.sender`; return when it began and when the last answer had come."""
    names = (str(receiver.port), receiver.aetitle, str(case.associations), str(folder))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sender", *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        if sender.stdout.readline().strip() != "ready":
            raise SystemExit(f"the sender cannot send to {receiver.name}")
        started = time.perf_counter()
        sender.stdin.write("go\n")
        sender.stdin.flush()
        line = sender.stdout.readline()
        answered = time.perf_counter()
    answer = json.loads(line)
    if answer["statuses"] != {"0x0000": case.images}:
        raise SystemExit(f"{receiver.name} did not take every image: {answer['statuses']}")
    return started, answered


def send_storescu(case: Case, receiver: Receiver, folder: Path) -> tuple[float, float]:
    """Send with DCMTK's storescu, which leaves Nagle's algorithm on unless it is told otherwise."""
    program = find_program("storescu", "dcmtk")
    assert program is not None
    env = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    names = ("-aec", receiver.aetitle, LOOPBACK, str(receiver.port))
    started = time.perf_counter()
    subprocess.run([program, "-R", "+sd", "+r", *names, folder], env=env, check=True, timeout=LIMIT)
    return started, time.perf_counter()


def run(rounds: int, small: int, large: int) -> dict[str, dict[str, list[float]]]:
    """Return the images per second of every round: row, receiver, rounds."""
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    names = available()
    seed = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as place, ExitStack() as stack:
        root = Path(place)
        receivers = [stack.enter_context(RECEIVERS[name](root / name)) for name in names]
        for turn in range(rounds):
            for case in cases(small, large):
                seed += 1
                with tempfile.TemporaryDirectory(dir=root, prefix="images-") as images:
                    generate(Path(images), images=case.images, size=case.size, seed=seed)
                    # Each round begins with another receiver.
                    order = receivers[turn % len(receivers) :] + receivers[: turn % len(receivers)]
                    for receiver in order:
                        rate = measure(case, receiver, Path(images))
                        figures[case.label][receiver.name].append(rate)
            print(f"round {turn + 1} of {rounds} done", file=sys.stderr, flush=True)
    return {label: dict(row) for label, row in figures.items()}


def table(figures: dict[str, dict[str, list[float]]]) -> str:
    """Return the medians, in images per second, and our node's ratio to the others."""
    names = list(next(iter(figures.values())))
    names.sort(key=list(RECEIVERS).index)
    others = names[1:]
    head = f"{'images/s, median':28}" + "".join(f"{name:>12}" for name in names)
    lines = [head + "".join(f"{'÷ ' + name:>12}" for name in others)]
    for label, row in figures.items():
        medians = {name: statistics.median(row[name]) for name in names}
        line = f"{label:28}" + "".join(f"{medians[name]:12.0f}" for name in names)
        ours = medians[names[0]]
        lines.append(line + "".join(f"{ours / medians[name]:12.2f}" for name in others))
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured")
    parser.add_argument("--small", type=int, default=400, help="10 KB images in a row")
    parser.add_argument("--large", type=int, default=80, help="512 KB images in a row")
    parser.add_argument("--json", action="store_true", help="print every round's figures as JSON")
    options = parser.parse_args()
    figures = run(options.rounds, options.small, options.large)
    print(json.dumps(figures, indent=2) if options.json else table(figures))


if __name__ == "__main__":
    main()
