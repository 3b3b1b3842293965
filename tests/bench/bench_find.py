"""Measures a find: `python -m tests.bench.bench_find [--studies 2000000 --rounds 3 --cap 500]`.

`dicom-node simulate --behaviour` serves so many made-up studies of 20 years, at most `--cap` in an
answer, in a process of its own. `dicom-node find` asks for all of them, and records them in a new
SQLite database; DCMTK's `findscu` puts the same questions over one association, and prints the
answers; a socket puts them, too, and only looks for the last response of each: so fast is the
PACS. Ours and `findscu` take turns. Figures are medians: studies in a second, programs' starts
included, the processor's seconds of each program, and the ratio within each round; and the most
memory that our find had.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as clock
from pathlib import Path
from statistics import median

from node.dicom.query import StudyQuery, Window, study_identifier
from tests.bench.bench_simulator import counted_by_socket, serving
from tests.support.cli import CommandLine
from tests.support.peers import dcmtk
from tests.support.processes import LOOPBACK

FIRST = date(2000, 1, 1)
"""Before the first study that the simulator makes up: those of 20 years."""


@dataclass(frozen=True)
class Run:
    """What a program did: how many studies it got, how long it took, and what it needed."""

    studies: int
    seconds: float
    processor: float
    megabytes: float

    @property
    def rate(self) -> float:
        """Studies in a second."""
        return self.studies / self.seconds


def run(args: Sequence[str], env: dict[str, str], log: Path) -> Run:
    """Run a program to its end; its output goes to a file. The studies are not counted yet."""
    begun = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(args, stdout=output, stderr=output, env=env, cwd=log.parent)
        _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{args[0]} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return Run(0, took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def by_find(folder: Path, port: int, last: date) -> tuple[Run, list[StudyQuery]]:
    """Find everything; return what it took, and the questions that were put."""
    cli = CommandLine(folder)
    (folder / "dicom-node.yaml").write_text(
        f"node: {{aetitle: NODE}}\n"
        f"storage: {{directory: {folder}/images, resources: 'sqlite:///{folder}/node.db'}}\n"
        f"peers: {{pacs: {{aetitle: PACS, host: {LOOPBACK}, port: {port}}}}}\n",
        encoding="utf-8",
    )
    made = cli.installed("db", "init")
    assert made.code == 0, made.stderr
    args = cli.args("find", "pacs", "--from", FIRST, "--to", f"{last}", "--quiet")
    done = run(args, cli.env(), folder / "find.log")
    with closing(sqlite3.connect(folder / "node.db")) as database:
        (studies,) = database.execute("SELECT count(*) FROM studies_find").fetchone()
        asked = database.execute(
            "SELECT start_date, end_date, start_time, end_time FROM find_windows ORDER BY id"
        ).fetchall()
    questions = [StudyQuery(window=_window(*row)) for row in asked]
    return Run(studies, done.seconds, done.processor, done.megabytes), questions


def _window(start: str, end: str, first: str | None, last: str | None) -> Window:
    return Window(
        start=date.fromisoformat(start[:10]),
        end=date.fromisoformat(end[:10]),
        first=clock.fromisoformat(first) if first else None,
        last=clock.fromisoformat(last) if last else None,
    )


def by_findscu(folder: Path, port: int, questions: Sequence[StudyQuery]) -> Run:
    """Put the same questions with `findscu`, which prints the answers."""
    files = []
    for number, query in enumerate(questions):
        path = folder / f"{number:06}.dcm"
        study_identifier(query, query.window).save_as(
            path, implicit_vr=True, little_endian=True, enforce_file_format=False
        )
        files.append(str(path))
    program = str(dcmtk.dcmtk_program("findscu"))
    log = folder / "findscu.log"
    options = ("-v", "-S", "-aec", "PACS", LOOPBACK, str(port))
    done = run([program, *options, *files], dcmtk.environment(), log)
    with log.open("rb") as printed:
        responses = sum(line.startswith(b"I: Find Response: ") for line in printed)
    return Run(responses, done.seconds, done.processor, done.megabytes)


def by_socket(port: int, questions: Sequence[StudyQuery]) -> float:
    """Return how many answers a second the PACS makes when nobody looks at them."""
    begun = time.perf_counter()
    answers = counted_by_socket(
        port, [study_identifier(query, query.window) for query in questions]
    )
    return answers / (time.perf_counter() - begun)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cap", type=int, default=500)
    given = parser.parse_args()
    ours, theirs, peers = [], [], []
    behaviour = f"archive: {{studies: {given.studies}}}\ncap: {{studies: {given.cap}}}\n"
    with serving(behaviour) as (_, port, _):
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as name:
                found, questions = by_find(Path(name), port, datetime.now(UTC).date())
                ours.append(found)
                theirs.append(by_findscu(Path(name), port, questions))
            peers.append(by_socket(port, questions))
    asked, studies = len(questions), ours[-1].studies
    print(f"{studies} studies, {asked} questions, {theirs[-1].studies} answers")
    for name, runs in (("dicom-node find, recording", ours), ("findscu, printing", theirs)):
        print(
            f"  {name:28}{median(one.rate for one in runs):8.0f}/s"
            f"{median(one.seconds for one in runs):8.1f} s"
            f"{median(one.processor for one in runs):8.1f} s of processor"
        )
    print(f"  {'memory of dicom-node find':28}{max(one.megabytes for one in ours):8.0f} MB")
    print(f"  {'the PACS, to a socket':28}{median(peers):8.0f}/s")
    ratios = [one.seconds / other.seconds for one, other in zip(theirs, ours, strict=True)]
    print(f"  the same questions ÷ findscu{median(ratios):8.2f}")


if __name__ == "__main__":
    main()
