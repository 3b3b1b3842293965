"""A node, one store after the other, and in each of them one call that the system refuses.

Which calls a store needs is asked of strace: one store is traced from the sender's request until
its spool entry is gone. Then each call is refused in a store of its own: the `k`-th call of a
kind that a thread of a role makes, for k = 1, 2, … until a store does not come so far. What is
refused does not happen at all, as strace has it; so `close` is left out, which always happens.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from schema import Database
from tests.crash.programme import OUT_OF_RESOURCES, SUCCESS, Sent
from tests.faults.calls import CALL, ERRORS, known, role_of
from tests.faults.report import Point, Refused
from tests.faults.stores import make, send
from tests.support.cli import CommandLine
from tests.support.images import dataset_bytes
from tests.support.node import Node
from tests.support.processes import Process
from tests.support.strace import Attached
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]

ELSEWHERE = "elsewhere"
"""Where a call was refused that is about none of our files: a pipe."""

SCENARIOS = ("new", "again", "conflict", "large")
"""An object of a new study; the same once more; other bytes; one that is written in pieces.

The first and the last have the most calls: of four workers none then has both.
"""


class Faults:
    """A running node whose calls can be refused."""

    def __init__(self, folder: Path, *, switches: str = "wal=1,no-floor") -> None:
        (folder / "cli").mkdir(parents=True)
        self.folder = folder
        self.database = folder / "node" / "node.db"
        cli = CommandLine(folder / "cli")
        self.node = Node(cli, folder / "node", f"sqlite:///{self.database}")
        self._switches = switches
        self._made = 0
        self.refused: list[Refused] = []
        asyncio.run(self._initialize())

    async def _initialize(self) -> None:
        async with Database(self.node.database_url) as database:
            await database.initialize()

    def __enter__(self) -> Self:
        self.process = Process(
            [
                *(sys.executable, "-m", "tests.support.faulty_node", self._switches),
                *("run", "--config", self.node.config),
            ],
            log=self.folder / "node.log",
            cwd=ROOT,
            env=self.node.cli.env({"PYTHONPATH": str(ROOT)}),
        )
        try:
            self.process.wait_for_line("is listening on")
            for scenario in SCENARIOS * 2:  # so that everything is loaded, and every thread there
                self.store_whole(*self.prepare(scenario))
            self._descriptors = self.descriptors()
        except BaseException:
            self.process.terminate()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        code = self.process.terminate(timeout=30)
        assert error is not None or code == 0, self.process.output()

    # What the node has

    def threads(self) -> dict[int, str]:
        """Return the role of each thread of the node, and of the processes that read headers."""
        roles = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(FileNotFoundError):  # it has just ended
                name = (task / "comm").read_text().strip()
                number = int(task.name)
                roles[number] = "main" if number == self.process.pid else role_of(name)
                children = (task / "children").read_text().split()
                roles |= dict.fromkeys(map(int, children), "headers")
        return roles

    def spooled(self) -> list[Path]:
        """Return what is in the spool."""
        with suppress(FileNotFoundError):  # a file has gone while we looked
            return [path for path in (self.node.directory / ".spool").rglob("*") if path.is_file()]
        return [self.node.directory]

    def rows(self, table: str, uid: str) -> list[tuple[str, str]]:
        """Return path and digest of what the database has of a SOP Instance UID."""
        column = {"images": "image_uid", "quarantine": "sop_instance_uid"}[table]
        query = f"SELECT filepath, sha256 FROM {table} WHERE {column} = ?"
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return list(connection.execute(query, (uid,)))

    def files(self, uid: str) -> set[Path]:
        """Return every file that is named after a SOP Instance UID."""
        return {path for path in self.node.directory.rglob(f"{uid}*") if path.is_file()}

    def look(self, uid: str) -> Counter[str]:
        """Return the digests of all that is kept under a SOP Instance UID, having compared them.

        Raises
        ------
        AssertionError
            A row and its file differ, or one of them is without the other.
        """
        rows = self.rows("images", uid)
        assert len(rows) <= 1, rows
        kept: Counter[str] = Counter()
        rows += self.rows("quarantine", uid)
        for path, sha256 in rows:
            digest = hashlib.sha256(dataset_bytes(Path(path))).hexdigest()
            assert digest == sha256, f"{path} is not what its row says"
            kept[digest] += 1
        assert self.files(uid) == {Path(path) for path, _ in rows}
        return kept

    # Stores

    def prepare(self, scenario: str) -> tuple[Sent, Counter[str]]:
        """Return an object to store, and what is to be there of its UID at the end."""
        self._made += 1
        uid, study = f"1.2.3.4.{self._made + 10_000}", f"1.2.9.{self._made}"
        size = 2_500_000 if scenario == "large" else 3_000
        first = make(uid, study, "first", size=size)
        if scenario not in ("again", "conflict"):
            return first, Counter([first.digest])
        self.store_whole(first, Counter([first.digest]))
        second = make(uid, study, "first" if scenario == "again" else "second")
        return second, Counter({first.digest, second.digest})

    def send(self, sent: Sent) -> int | None:
        """Store an object, and return the status; None when there was no answer."""
        return send(self.node.port, sent)

    def store_whole(self, sent: Sent, expected: Counter[str]) -> None:
        """Store an object undisturbed."""
        status = self.send(sent)
        assert status == SUCCESS, f"{status}\n{self.process.output()[-3000:]}"
        self.wait_indexed()
        assert self.look(sent.uid) == expected

    def wait_indexed(self) -> None:
        """Wait until nothing is in the spool any more."""
        wait_until(lambda: not self.spooled(), 60, interval=0.01, describe=self.process.output)

    # Faults

    def points(self, scenario: str) -> list[Point]:
        """Return the calls on our files that a store makes, by tracing one."""
        for _ in range(10):
            roles, lines = self._traced(scenario)
            begun = [(call, line) for line in lines if (call := CALL.match(line)) is not None]
            # now and then another connection is opened, as all are busy: no store's call is that
            if any(roles[int(c[1])] == "main" and f"{self.database}" in line for c, line in begun):
                continue
            counts: Counter[tuple[int, str]] = Counter()
            found = {Point(scenario, "gate", "statfs", 1)}  # the room is not looked at each time
            for call, line in begun:
                thread, name = int(call[1]), call[2]
                counts[thread, name] += 1
                if f"{self.folder}/node/" in line or f"{self.folder}/node>" in line:
                    found.add(Point(scenario, roles[thread], name, counts[thread, name]))
            return sorted(found)
        raise AssertionError("each store opens the database anew")

    def _traced(self, scenario: str) -> tuple[dict[int, str], list[str]]:
        """Return what a store calls, by lines, and whose the threads are."""
        roles = self.threads()
        sent, expected = self.prepare(scenario)
        with Attached(roles, ["-e", f"trace={known()}"], self.folder / "trace") as traced:
            self.store_whole(sent, expected)
        return roles, list(traced.lines())

    def refuse(self, point: Point, error: str) -> Refused | None:
        """Refuse one call of a store, and see to it that nothing is lost, doubled or left over.

        Returns
        -------
        Refused or None
            None when the store did not come to that call.
        """
        sent, expected = self.prepare(point.scenario)
        before = self.look(sent.uid)
        stays = (point.role, point.call) == ("index", "unlink")
        for_good = stays or not point.number  # as long as we are there
        threads = [number for number, role in self.threads().items() if role == point.role]
        inject = f"inject={point.call}:error={error}:when={point.number or '1+'}"
        options = ["-e", f"trace={point.call}", "-e", inject]
        began = time.monotonic()
        with Attached(threads, options, self.folder / "trace") as traced:
            status = self.send(sent)
            if point.call == "statfs":  # beside the stores: a later one is told
                wait_until(lambda: self.send(sent) != SUCCESS, 10, interval=0.05)
                status = OUT_OF_RESOURCES
            assert status is None or status == SUCCESS or status >> 8 == 0xA7, f"{status:#06x}"
            with suppress(AssertionError):
                wait_until(lambda: not self.spooled(), 0.5 if for_good else 60, interval=0.01)
        seconds = time.monotonic() - began
        if stays and self.spooled():  # what could not be removed goes with the next one
            self.store_whole(*self.prepare("new"))
        self.wait_indexed()
        assert self.process.running, self.process.output()
        if point.call == "statfs":
            wait_until(lambda: self.send(sent) == SUCCESS, 5, describe=self.process.output)
            self.store_whole(sent, expected)
        elif status == SUCCESS:
            assert self.look(sent.uid) == expected
        else:
            kept = self.look(sent.uid)
            assert kept == before or (status is None and kept == expected)
            self.store_whole(sent, expected)
        hit = [line for line in traced.lines() if line.endswith("(INJECTED)")]
        if not hit:
            assert status == SUCCESS
            return None
        refused = Refused(point, error, self._where(hit[0]), status, seconds)
        self.refused.append(refused)
        return refused

    def exhaust(self, scenario: str) -> Iterator[Refused]:
        """Refuse every call of a store in every way, each in a store of its own."""
        points = self.points(scenario)
        calls: dict[tuple[str, str], int] = defaultdict(int)
        for point in points:
            key = point.role, point.call
            calls[key] = max(calls[key], point.number)
        for (role, call), last in calls.items():
            ours = {p.number for p in points if (p.role, p.call) == (role, call)}
            for error in ERRORS[call]:
                number = 0
                every = Point(scenario, role, call, number)
                if (role, call) != ("headers", "read") and (all_ := self.insist(every, error)):
                    yield all_
                while True:
                    number += 1
                    # what else a process reads are our questions to it
                    if role == "headers" and number not in ours and number <= last:
                        continue
                    if role in ("headers", "gate") and number > last:
                        break
                    refused = self.insist(Point(scenario, role, call, number), error)
                    if refused is not None:
                        yield refused
                    elif number >= last:
                        break

    def insist(self, point: Point, error: str) -> Refused | None:
        """Refuse a call, trying several times: a thread may have begun that we did not know."""
        if (point.role, point.call) == ("headers", "read"):
            return self._insist_on_reading(point, error)
        for _ in range(3):
            if refused := self.refuse(point, error):
                return refused
        return None

    def _insist_on_reading(self, point: Point, error: str) -> Refused | None:
        """Refuse to read a file; our questions to the process come before, in one call or two."""
        for step in (0, -1, 1) * 4:
            refused = self.refuse(replace(point, number=point.number + step), error)
            if refused and refused.where != ELSEWHERE:
                return refused
            # a process that could not read a question ends: the next one is to be there, and known
            self.store_whole(*self.prepare("new"))
        return None

    def descriptors(self) -> int:
        """Return how many descriptors the node has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def settled(self) -> None:
        """Let the node's own commands find nothing wrong, and no descriptor be left open."""
        wait_until(lambda: self.descriptors() <= self._descriptors + 2)
        for command in ("verify", "reconcile"):
            result = self.node(command)
            assert result.code == 0, result

    def _where(self, line: str) -> str:
        """Return what kind of file a refused call was about."""
        found: list[str] = re.findall(rf"{re.escape(str(self.folder / 'node'))}(/[^\">]*)", line)
        if not found:
            return ELSEWHERE
        path = found[-1] if "rename" in line or "link(" in line else found[0]
        if path.startswith("/node.db"):
            return path[1:]
        kind = Path(path).suffix if Path(path).suffix in (".part", ".dcm") else "folder"
        place = ".spool" if ".spool" in path else ".quarantine"
        return f"{place if place in path else 'archive'} {kind}"
