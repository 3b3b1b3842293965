"""Images per second received: our node beside Orthanc, storescp, pynetdicom's threads and the disk.

    python -m tests.bench.bench_receive [--full] [--rounds 3] [--only TEXT] [--json]

The same files go to each receiver from the same sender, in interleaved rounds, so that a change of
the machine's mood meets all of them. The figures are medians over the rounds; ratios are what to
look at. docs/measurements.md says what each row is. The files are below the directory for temporary
ones: let TMPDIR name one on the disk that is to be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.bench import crowd, large_object
from tests.bench.floor import floor
from tests.bench.receivers import RECEIVERS, Receiver, available, node
from tests.bench.rows import ALL, Case, cases
from tests.bench.sending import Mover, mover, send, send_with_storescu
from tests.support.images import Generated, generate

OURS = "dicom-node"
FLOOR = "floor"
OBJECT = "one large object"
MEMORY = "250 associations, 16 of them sending"
ECHO = "1,000 idle associations"
Figures = dict[str, dict[str, list[float]]]


class Bench:
    """The receivers that run, and the figures so far: row, receiver, rounds."""

    def __init__(
        self, root: Path, receivers: Mapping[str, Receiver], archive: Mover | None
    ) -> None:
        self._root = root
        self._receivers = receivers
        self._archive = archive
        self._seed = 0
        self.figures: Figures = defaultdict(lambda: defaultdict(list))

    def measure(self, case: Case, turn: int) -> None:
        """Measure a row once with each receiver, each round beginning with another one."""
        names = [name for name in (*self._receivers, FLOOR) if name in (OURS, FLOOR, *case.beside)]
        first = turn % len(names)
        with tempfile.TemporaryDirectory(dir=self._root, prefix="images-") as place:
            folder = Path(place)
            made = self._generate(case, folder)
            if case.way == "move":
                assert self._archive is not None
                self._archive.fill(folder, len(made))
            for name in names[first:] + names[:first]:
                os.sync()  # nobody pays for what another one left to the disk
                rate = self._rate(case, name, folder, made)
                self.figures[case.label][name].append(rate)

    def _generate(self, case: Case, folder: Path) -> list[Generated]:
        made: list[Generated] = []
        for size, images in case.images.items():
            self._seed += 1
            made += generate(folder / size, images=images, size=size, seed=self._seed)
        return made

    def _rate(self, case: Case, name: str, folder: Path, made: list[Generated]) -> float:
        if name == FLOOR:
            return floor([image.path for image in made], case.associations, self._root)
        receiver, images = self._receivers[name], len(made)
        if case.way == "storescu":
            return send_with_storescu(receiver, folder, images=images)
        if case.way == "move":
            assert self._archive is not None
            studies = sorted({image.study_uid for image in made})
            return self._archive.move(receiver, studies, images=images)
        return send(
            receiver, folder, images=images, associations=case.associations, manner=case.way
        )


def run(rows: list[Case], rounds: int) -> Figures:
    """Return the images per second of every round."""
    with tempfile.TemporaryDirectory(prefix="bench-") as place, ExitStack() as stack:
        root = Path(place)
        wanted = {OURS}.union(*(case.beside for case in rows))
        receivers = {
            name: stack.enter_context(RECEIVERS[name](root / name))
            for name in available()
            if name in wanted
        }
        archive: Mover | None = None
        if any(case.way == "move" for case in rows):
            ports = {receiver.aetitle: receiver.port for receiver in receivers.values()}
            archive = stack.enter_context(mover(root / "archive", ports))
        for receiver in receivers.values():
            _warm_up(receiver, root)
        bench = Bench(root, receivers, archive)
        for turn in range(rounds):
            for case in rows:
                started = time.perf_counter()
                bench.measure(case, turn)
                _say(f"round {turn + 1} of {rounds}: {case.label}", started)
        return {label: dict(row) for label, row in bench.figures.items()}


def _warm_up(receiver: Receiver, root: Path) -> None:
    """Let a receiver start what it starts with the first images: the rows are of running ones."""
    with tempfile.TemporaryDirectory(dir=root, prefix="first-") as folder:
        generate(Path(folder), images=32, seed=8999)
        send(receiver, Path(folder), images=32, associations=4, manner="at-once")


def run_limits(rounds: int, *, full: bool, scale: float, only: str) -> Figures:
    """Return what is measured for our node alone: row, quantity, rounds."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    megabytes = max(8, round((2048 if full else 256) * scale))
    images = max(32, round((800 if full else 160) * scale))
    echoes = max(100, round((2000 if full else 500) * scale))
    for turn in range(rounds):
        with tempfile.TemporaryDirectory(prefix="bench-") as place:
            root = Path(place)
            if only in OBJECT:
                started = time.perf_counter()
                _measure_object(figures[f"{OBJECT}, {megabytes} MiB"], root, megabytes, turn)
                _say(f"round {turn + 1} of {rounds}: {OBJECT}", started)
            if turn and not full:
                continue  # what has a limit is measured once
            if only in MEMORY:
                started = time.perf_counter()
                peak = crowd.memory(
                    root, associations=250, sending=16, images=images, seed=5000 + turn
                )
                figures[MEMORY]["MB"].append(peak)
                _say(f"round {turn + 1} of {rounds}: {MEMORY}", started)
            if only in ECHO:
                started = time.perf_counter()
                one, whole = crowd.echo(root, associations=1000, echoes=echoes)
                figures[ECHO]["C-ECHO p99 ms"].append(one)
                figures[ECHO]["with association p99 ms"].append(whole)
                _say(f"round {turn + 1} of {rounds}: {ECHO}", started)
    return {label: dict(row) for label, row in figures.items()}


def _measure_object(row: dict[str, list[float]], root: Path, megabytes: int, turn: int) -> None:
    with node(root / "object") as receiver:
        _warm_up(receiver, root)

        def ours() -> None:
            row[f"{OURS} MiB/s"].append(large_object.receive(receiver, megabytes, turn))

        def dd() -> None:
            row["dd MiB/s"].append(large_object.copy(root, megabytes))

        for measure in (ours, dd) if turn % 2 else (dd, ours):
            os.sync()
            measure()


def table(figures: Figures, rows: list[Case]) -> str:
    """Return the medians in images per second, and behind each the ratio of ours to it."""
    present = {name for row in figures.values() for name in row}
    names = [name for name in (*ALL, FLOOR) if name in present]
    lines = [
        f"{'images/s, and ours ÷ its':28}{OURS:>10}" + "".join(f"{f'{n} ÷':>15}" for n in names)
    ]
    short: list[str] = []
    for case in rows:
        medians = {name: statistics.median(of) for name, of in figures[case.label].items()}
        line = f"{case.label:28}{medians[OURS]:10.0f}"
        for name in names:
            if name not in medians:
                line += f"{'-':>15}"
                continue
            ratio = medians[OURS] / medians[name]
            line += f"{medians[name]:8.0f}{ratio:7.{1 if ratio >= 10 else 2}f}"
            wanted = case.marks.get(name, 0.0)
            if ratio < wanted:
                short.append(f"  {case.label}: {ratio:.2f} × {name}, should be {wanted:g}")
        lines.append(line.rstrip())
    return "\n".join(lines + _below(short))


def table_of_limits(figures: Figures) -> str:
    """Return what was measured for our node alone, and what should be."""
    lines: list[str] = []
    short: list[str] = []
    for label, row in figures.items():
        medians = {name: statistics.median(of) for name, of in row.items()}
        text = ", ".join(f"{name} {value:.1f}" for name, value in medians.items())
        if label.startswith(OBJECT):
            ratio = medians[f"{OURS} MiB/s"] / medians["dd MiB/s"]
            text += f", ours ÷ dd {ratio:.2f}"
            if ratio < 0.5:
                short.append(f"  {label}: {ratio:.2f} × dd, should be 0.5")
        elif label == MEMORY and max(row["MB"]) >= 250:
            short.append(f"  {label}: {max(row['MB']):.0f} MB, should be below 250")
        elif label == ECHO and medians["C-ECHO p99 ms"] >= 50:
            short.append(f"  {label}: {medians['C-ECHO p99 ms']:.1f} ms, should be below 50")
        lines.append(f"{label}: {text}")
    return "\n".join(lines + _below(short))


def _below(short: list[str]) -> list[str]:
    return ["", "not reached:", *short] if short else []


def _say(text: str, started: float) -> None:
    print(f"{text}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured")
    parser.add_argument("--full", action="store_true", help="send as many images as the rows say")
    parser.add_argument("--only", default="", help="measure the rows that have this in their names")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the numbers of images")
    parser.add_argument("--json", action="store_true", help="print every round's figures as JSON")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing is left running
    os.environ.pop("TCP_NODELAY", None)  # DCMTK and Orthanc would not be as they are shipped
    rows = [
        case for case in cases(full=options.full, scale=options.scale) if options.only in case.label
    ]
    figures = run(rows, options.rounds) if rows else {}
    limits = run_limits(options.rounds, full=options.full, scale=options.scale, only=options.only)
    if not figures and not limits:
        raise SystemExit(f"no row has {options.only!r} in its name")
    if options.json:
        print(json.dumps({"images_per_second": figures, "limits": limits}, indent=2))
        return
    parts = [table(figures, rows)] * bool(figures) + [table_of_limits(limits)] * bool(limits)
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
