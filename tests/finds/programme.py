"""A find of made-up studies that is killed, started again, and held against the truth."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from node.simulator.generated.archive import GeneratedArchive
from node.simulator.generated.population import Population
from node.simulator.misbehaving.pacs import Misbehaving
from node.simulator.misbehaving.settings import Misbehaviour
from tests.support.cli import CommandLine
from tests.support.processes import LOOPBACK, Process, free_port

MEGABYTES = 300
"""What a find may take of memory, however many studies there are."""

_MARGIN = 200
"""Questions that a small archive takes in any case: the first windows are narrow, and five days are
split into times."""

_AFTER = 0.3
"""Seconds until a kill at most, from when so many studies are there."""

_ASKED = re.compile(r"C-FIND \d+ of \w+, STUDY (\{.*\}): \d+ answers")


class Finds:
    """A simulated PACS in a process of its own, and the find of all that it has.

    Parameters
    ----------
    folder
        For the database and the logs.
    studies, cap
        How many studies the PACS has, and how many it answers at most, with Success.
    seed
        Of the moments of the kills.

    Attributes
    ----------
    kills
        How often the find was killed.
    peak
        The most memory that a find had, in MB.
    seconds
        How long the finds took together.
    """

    def __init__(self, folder: Path, *, studies: int, cap: int, seed: int) -> None:
        self.kills = 0
        self.peak = 0.0
        self.seconds = 0.0
        self.studies, self.cap = studies, cap
        self._choice = random.Random(seed)
        self._folder = folder
        self._port = free_port()
        self._cli = CommandLine(folder)
        self._population = Population(studies=studies, bursts={"days": 5, "studies": 3 * cap})
        self._pacs: Process | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "pacs.yaml").write_text(
            f"archive: {{studies: {self.studies}, bursts: {{days: 5, studies: {3 * self.cap}}}}}\n"
            f"cap: {{studies: {self.cap}}}\n",
            encoding="utf-8",
        )
        (self._folder / "dicom-node.yaml").write_text(
            "node: {aetitle: NODE}\n"
            f"storage: {{directory: images, resources: 'sqlite:///{self._database}'}}\n"
            f"peers: {{pacs: {{aetitle: PACS, host: {LOOPBACK}, port: {self._port}}}}}\n",
            encoding="utf-8",
        )
        made = self._cli.installed("db", "init")
        assert made.code == 0, made.stderr
        arguments = ("--behaviour", "pacs.yaml", "--port", str(self._port))
        self._pacs = Process(
            self._cli.args("--debug", "simulate", *arguments),
            log=self._folder / "pacs.log",
            env=self._cli.env(),
            cwd=self._folder,
        )
        self._pacs.wait_for_port(self._port, timeout=60)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pacs is not None:
            self._pacs.terminate()

    @property
    def _database(self) -> Path:
        return self._folder / "node.db"

    def kill_at_random(self, kills: int) -> None:
        """Start the find, and kill it soon after so many studies are there; again and again."""
        numbers = sorted(self._choice.randrange(self.studies * 9 // 10) for _ in range(kills))
        for number in numbers:
            self._run(until=number)
            self.kills += 1

    def finish(self) -> None:
        """Let the find come to its end."""
        self._run(until=None)

    def _run(self, *, until: int | None) -> None:
        """Run the find; kill it once so many studies are there."""
        begun = time.monotonic()
        days = ("--from", f"{self._population.start_date}", "--to", f"{self._population.end_date}")
        with (self._folder / "find.log").open("ab") as log:
            process = subprocess.Popen(
                self._cli.args("find", "pacs", *days, "--quiet"),
                stdout=log,
                stderr=log,
                env=self._cli.env(),
                cwd=self._folder,
            )
        try:
            while process.poll() is None:
                self.peak = max(self.peak, memory(process.pid))
                if until is not None and self.recorded() >= until:
                    time.sleep(self._choice.random() * _AFTER)
                    break
                time.sleep(0.05)
        finally:
            process.kill()
            code = process.wait()
        self.seconds += time.monotonic() - begun
        ended = 0 if until is None else -9
        assert code == ended, (code, (self._folder / "find.log").read_text()[-2000:])

    def recorded(self) -> int:
        """Return how many studies were recorded: none is ever removed."""
        ((number,),) = self._rows("SELECT coalesce(max(id), 0) FROM studies_find")
        return int(number)

    def reckon(self) -> None:
        """Hold what was recorded against the truth, and what was asked against its limits."""
        pacs = Misbehaving(
            archive=GeneratedArchive(self._population), settings=Misbehaviour(), aetitle="PACS"
        )
        truth = sorted(
            tuple(study[keyword][0] for keyword in ("StudyInstanceUID", "PatientID", "StudyDate"))
            for study in pacs.truth()
        )
        for table, joined in (
            ("studies_find", "studies_find"),
            ("study_sources", "study_sources JOIN studies_find f ON f.id = study_find_id"),
        ):
            found = self._rows(
                f"SELECT study_uid, {table}.patient_id,"
                f" replace(substr({table}.study_date, 1, 10), '-', '')"
                f" FROM {joined} ORDER BY study_uid"
            )
            assert len(found) == len(truth), f"{table}: {len(found)} of {len(truth)} studies"
            assert found == truth, f"{table} is not what the PACS has"
        self._reckon_days()
        asked = self.asked()
        again = sum(count - 1 for count in asked.values())
        # the one that is put, and the one before, whose end is recorded; and the largest of all,
        # to see whether it brings as much to the find that goes on; and once the first that is at
        # the cap, before that is believed
        lost = 3 * self.kills + 1
        assert again <= lost, f"{again} questions were put again after {self.kills} kills"
        most = 3 * self.studies // self.cap + _MARGIN
        assert len(asked) <= most, f"{len(asked)} questions, where {most} are many"
        assert self.peak <= MEGABYTES, f"{self.peak:.0f} MB"

    def _reckon_days(self) -> None:
        """See that each day is in a window that is proven."""
        day, last = self._population.start_date, self._population.end_date
        assert day is not None
        assert last is not None
        for start, end in self._rows(
            "SELECT start_date, end_date FROM find_windows"
            " WHERE covered_on IS NOT NULL AND start_time IS NULL AND axes IS NULL ORDER BY 1"
        ):
            if date.fromisoformat(start) <= day:
                day = max(day, date.fromisoformat(end) + timedelta(days=1))
        assert day > last, f"{day} is in no window that is proven"

    def asked(self) -> Counter[str]:
        """Return how often each question was put, as the PACS has noted it."""
        log = (self._folder / "pacs.log").read_text(encoding="utf-8")
        return Counter(_ASKED.findall(log))

    def _rows(self, statement: str) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as database:
            return database.execute(statement).fetchall()


def memory(pid: int) -> float:
    """Return the most memory that a process has had, in MB; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123 - no file of ours
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return 0.0
