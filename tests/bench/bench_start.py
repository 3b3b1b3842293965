"""Measures how long the commands take to start: `python -m tests.bench.bench_start`.

Each command runs with an empty database and without a node, so that what it takes is its start:
processor time (user and system) and wall time, medians of several rounds. With `--beside
/other/.venv/bin/dicom-node`, another version runs in turns with this one, and the ratio of the
processor times is printed: on a machine that has other work, only the ratio means anything.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

COMMANDS = (
    ("--help",),
    ("config", "check"),
    ("status",),
    ("db", "init"),
    ("project", "list"),
    ("quarantine", "list"),
)

_CONFIGURATION = """\
node: {port: 11}
peers: {pacs: {aetitle: PACS, host: 127.0.0.1, port: 12}}
"""


@dataclass(frozen=True, slots=True)
class Start:
    """What one start took, in seconds."""

    processor: float
    wall: float


def main() -> None:
    """Measure, and print a line for each command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--beside", type=Path, metavar="SCRIPT", help="another dicom-node")
    given = parser.parse_args()
    scripts = [Path(sys.executable).parent / "dicom-node"]
    if given.beside is not None:
        scripts.append(given.beside.absolute())
    with tempfile.TemporaryDirectory() as name:
        folders = {script: Path(name, str(number)) for number, script in enumerate(scripts)}
        for script, folder in folders.items():  # each has a database of its own schema
            folder.mkdir()
            (folder / "dicom-node.yaml").write_text(_CONFIGURATION, encoding="utf-8")
            start(script, ("db", "init"), folder)
        print(
            f"{'':16}{'processor':>12}{'wall':>9}"
            + f"{'beside':>12}{'wall':>9}{'ratio':>8}" * (len(scripts) - 1)
        )
        for command in COMMANDS:
            print(_line(command, _medians(folders, command, given.rounds)), flush=True)


def _medians(folders: dict[Path, Path], command: tuple[str, ...], rounds: int) -> list[Start]:
    for script, folder in folders.items():
        start(script, command, folder)  # its bytecode is compiled, its files are in memory
    taken: dict[Path, list[Start]] = {script: [] for script in folders}
    for _ in range(rounds):
        for script, folder in folders.items():
            taken[script].append(start(script, command, folder))
    return [
        Start(median(one.processor for one in starts), median(one.wall for one in starts))
        for starts in taken.values()
    ]


def start(script: Path, command: tuple[str, ...], folder: Path) -> Start:
    """Run a command to its end, without anything in its environment that makes it slower."""
    began = time.monotonic()
    process = subprocess.Popen(
        [script, *command],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{script} {' '.join(command)}: exit code {process.returncode}")
    return Start(usage.ru_utime + usage.ru_stime, wall)


def _line(command: tuple[str, ...], medians: list[Start]) -> str:
    ours = medians[0]
    line = f"{' '.join(command):16}{ours.processor:10.3f} s{ours.wall:7.2f} s"
    for other in medians[1:]:
        ratio = ours.processor / other.processor
        line += f"{other.processor:10.3f} s{other.wall:7.2f} s{ratio:8.2f}"
    return line


if __name__ == "__main__":
    main()
