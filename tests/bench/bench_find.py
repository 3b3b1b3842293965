"""Measures a find: `python -m tests.bench.bench_find [--studies 2000000 --rounds 3 --cap 500]`.

`dicom-node simulate --behaviour` serves so many made-up studies of 20 years, at most `--cap` in an
answer, in a process of its own. `dicom-node find` asks for all of them, and records them in a new
database, SQLite or (`--postgresql`) a PostgreSQL that writes to stable storage before a commit
returns; then a second find asks again, when all are known. DCMTK's `findscu` puts the questions
of the first over one association, and prints the answers; a socket puts them, too, and only looks
for the last response of each: so fast is the PACS. Ours and `findscu` take turns. Figures are
medians: studies in a second, programs' starts included, the processor's seconds of each program
(a PostgreSQL server's are not among them), and the ratio within each round; and the most memory
that our find had.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median

from sqlalchemy import func, select

from node.dicom.query import StudyQuery, Window, study_identifier
from schema import Database, FindWindow, StudyFind
from tests.bench.bench_insert import DURABLE
from tests.bench.bench_simulator import counted_by_socket, serving
from tests.support.cli import CommandLine
from tests.support.peers import dcmtk
from tests.support.postgresql import PostgresServer
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


def by_find(
    folder: Path, port: int, last: date, resources: str
) -> tuple[Run, Run, list[StudyQuery]]:
    """Find everything, twice; return what each took, and the questions that the first has put.

    Parameters
    ----------
    resources
        The URL of the database, which is new.
    """
    cli = CommandLine(folder)
    (folder / "dicom-node.yaml").write_text(
        f"node: {{aetitle: NODE}}\n"
        f"storage: {{directory: {folder}/images, resources: '{resources}'}}\n"
        f"peers: {{pacs: {{aetitle: PACS, host: {LOOPBACK}, port: {port}}}}}\n",
        encoding="utf-8",
    )
    made = cli.installed("db", "init")
    assert made.code == 0, made.stderr
    args = cli.args("find", "pacs", "--from", FIRST, "--to", f"{last}", "--quiet")
    first = run(args, cli.env(), folder / "find.log")
    studies, questions = asyncio.run(_recorded(resources))
    again = run(args, cli.env(), folder / "find.log")
    return replace(first, studies=studies), replace(again, studies=studies), questions


async def _recorded(resources: str) -> tuple[int, list[StudyQuery]]:
    """Return how many studies there are, and the questions that were put."""
    columns = ("start_date", "end_date", "start_time", "end_time")
    async with Database(resources) as database, database.session() as session:
        studies = await session.scalar(select(func.count()).select_from(StudyFind))
        asked = await session.execute(
            select(*(getattr(FindWindow, name) for name in columns)).order_by(FindWindow.id)
        )
        windows = [Window(start=row[0], end=row[1], first=row[2], last=row[3]) for row in asked]
    return studies or 0, [StudyQuery(window=window) for window in windows]


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
    parser.add_argument("--postgresql", action="store_true")
    given = parser.parse_args()
    first, second, theirs, peers = [], [], [], []
    behaviour = f"archive: {{studies: {given.studies}}}\ncap: {{studies: {given.cap}}}\n"
    with ExitStack() as stack:
        _, port, _ = stack.enter_context(serving(behaviour))
        server = None
        if given.postgresql:
            server = stack.enter_context(PostgresServer(settings=DURABLE))
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                resources = f"sqlite:///{folder}/node.db"
                if server is not None:
                    resources = server.url(server.create_database())
                found, again, questions = by_find(folder, port, datetime.now(UTC).date(), resources)
                first.append(found)
                second.append(again)
                theirs.append(by_findscu(folder, port, questions))
            peers.append(by_socket(port, questions))
    kind = "PostgreSQL" if given.postgresql else "SQLite"
    print(
        f"{first[-1].studies} studies, {len(questions)} questions, {theirs[-1].studies} answers,"
        f" {kind}"
    )
    for name, runs in (
        ("dicom-node find, recording", first),
        ("dicom-node find, all known", second),
        ("findscu, printing", theirs),
    ):
        print(
            f"  {name:28}{median(one.rate for one in runs):8.0f}/s"
            f"{median(one.seconds for one in runs):8.1f} s"
            f"{median(one.processor for one in runs):8.1f} s of processor"
        )
    most = max(one.megabytes for one in (*first, *second))
    print(f"  {'memory of dicom-node find':28}{most:8.0f} MB")
    print(f"  {'the PACS, to a socket':28}{median(peers):8.0f}/s")
    for name, runs in (("recording", first), ("all known", second)):
        ratios = [one.seconds / other.seconds for one, other in zip(theirs, runs, strict=True)]
        print(f"  {f'findscu ÷ ours, {name}':28}{median(ratios):8.2f}")


if __name__ == "__main__":
    main()
