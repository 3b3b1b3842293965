"""Several nodes on one PostgreSQL move all that a bad PACS has, whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg

from node.simulator.generated.archive import GeneratedArchive
from node.simulator.generated.population import Population
from node.simulator.misbehaving.pacs import Misbehaving
from node.simulator.misbehaving.settings import Misbehaviour
from tests.support.cli import CommandLine
from tests.support.node import Node
from tests.support.postgresql import PostgresServer
from tests.support.processes import LOOPBACK, Process, free_port

BEHAVIOUR: dict[str, Any] = {
    "failures": [{"status": 0xA702, "share": 0.05, "first": 2}],
    "left_out": {"images": 0.3, "share": 0.02, "first": 1},
    "stall": {"images": 3, "at": "message", "every": 499},
    "breaks": {"images": 3, "every": 211},
    "restarts": {"every": 700, "seconds": 3},
}
"""A twentieth of the studies fails twice, a fiftieth comes in parts; now and then the PACS falls
silent, aborts, or is gone for a while."""

MOVE = {
    "every": "1s",
    "concurrency": 1,
    "settle": "1s",
    "timeout": "10s",
    "retry": "2s",
    "retry_limit": "10s",
    "attempts": 30,
}

SETTINGS = {"fsync": "on", "full_page_writes": "on"}
"""Of PostgreSQL: what is committed has to survive that it is killed."""

_IN_VAIN = ("partial", "empty", "failed", "interrupted")
"""The outcomes of attempts after which a study is to be asked for again ..."""

_NOT_ASKED = ("pending", "outage")
"""... and outcome and failure of one for which the PACS, which restarts, could not be reached."""

_TO_START = 60.0


class Campaign:
    """One simulated PACS, one PostgreSQL, and so many nodes, each with a storage directory.

    Parameters
    ----------
    folder
        For the storage directories and the logs.
    studies
        How many the PACS has.
    nodes
        How many processes move them.
    seed
        Of the moments of the kills, and of who is killed.

    Attributes
    ----------
    kills, server_kills
        How often a node, and the database server, was killed.
    seconds
        How long the campaign has taken.
    """

    def __init__(self, folder: Path, *, studies: int, nodes: int, seed: int) -> None:
        self.kills = self.server_kills = 0
        self.seconds = 0.0
        self.studies = studies
        self._folder = folder
        self._choice = random.Random(seed)
        self._population = Population(studies=studies, image_bytes=(200, 4000))
        self._stack = ExitStack()
        self._server = PostgresServer(settings=SETTINGS)
        self._port = free_port()
        self._cli = CommandLine(folder)
        self._names = [f"NODE{number}" for number in range(1, nodes + 1)]
        self._nodes: list[Node] = []
        self._running: dict[str, Process] = {}
        self._logs = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._stack:
            self._stack.callback(self._end)
            self._server.start()
            self._database = self._server.create_database()
            self._nodes = [self._node(name) for name in self._names]
            self._pacs = self._stack.enter_context(self._simulated())
            self._nodes[0].ok("db", "init")
            days = ("--from", f"{self._population.start_date}")
            self._nodes[0].ok(
                *("find", "pacs", *days, "--to", f"{self._population.end_date}", "--quiet"),
                timeout=600,
            )
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _end(self) -> None:
        for process in self._running.values():
            process.kill()
        self._server.__exit__(None, None, None)

    def _node(self, name: str) -> Node:
        return Node(
            CommandLine(self._folder / name),
            self._folder / name,
            self._server.url(self._database),
            peers={"pacs": ("PACS", self._port)},
            settings={"move": dict(MOVE)},
            aetitle=name,
        )

    def _simulated(self) -> Process:
        file = self._folder / "pacs.yaml"
        archive = {"studies": self.studies, "image_bytes": [200, 4000]}
        settings = {"archive": archive, "retrieval": BEHAVIOUR}
        file.write_text(json.dumps(settings), encoding="utf-8")
        where = [f"{node.aetitle}={LOOPBACK}:{node.port}" for node in self._nodes]
        process = Process(
            self._cli.args(
                *("simulate", "--behaviour", file, "--counters", self._counters),
                *("--aetitle", "PACS", "--port", str(self._port)),
                *(part for one in where for part in ("--destination", one)),
            ),
            log=self._folder / "pacs.log",
            env=self._cli.env(),
            cwd=self._folder,
        )
        process.wait_for_port(self._port, timeout=60)
        return process

    @property
    def _counters(self) -> Path:
        return self._folder / "counters.json"

    # What happens to them

    def run(self, *, kills: int, server_kills: int, limit: float) -> None:
        """Let the nodes move, kill them and the server at random moments, until all is retrieved.

        Parameters
        ----------
        limit
            Seconds; when they are over, it has failed.
        """
        began = time.monotonic()
        moments = [self._choice.random() * 0.95 for _ in range(kills + server_kills)]
        servers = set(self._choice.sample(range(len(moments)), server_kills))
        due = sorted((moment, number in servers) for number, moment in enumerate(moments))
        for node in self._nodes:
            self._start(node)
        while (done := self._retrieved()) < self.studies:
            self.seconds = time.monotonic() - began
            assert self.seconds < limit, f"{done} of {self.studies} after {limit:.0f} s"
            while due and done >= due[0][0] * self.studies:
                _, is_server = due.pop(0)
                if is_server:
                    self._kill_server()
                else:
                    self._kill_one()
                time.sleep(self._choice.random())
            self._see_that_they_run()
            time.sleep(0.2)
        assert not due, f"{len(due)} kills did not happen"
        self.seconds = time.monotonic() - began
        for name, process in list(self._running.items()):
            code = process.terminate(timeout=60)
            assert code == 0, f"{name} ended with {code}"
        self._running.clear()

    def _start(self, node: Node) -> None:
        self._logs += 1
        log = node.folder / f"run-{self._logs}.log"
        self._running[node.aetitle] = node.cli.start("run", "--config", node.config, log=log)

    def _kill_one(self) -> None:
        node = self._choice.choice(self._nodes)
        self._running.pop(node.aetitle).kill()
        self.kills += 1
        self._start(node)

    def _kill_server(self) -> None:
        self._server.kill()
        self.server_kills += 1
        time.sleep(self._choice.random() * 3)
        self._server.start()

    def _see_that_they_run(self) -> None:
        for name, process in self._running.items():
            assert process.returncode is None, f"{name} has ended: {process.output()[-2000:]}"

    def _retrieved(self) -> int:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            rows = self._rows("SELECT count(*) FROM studies_find WHERE retrieved_on IS NOT NULL")
            return int(rows[0][0])
        return 0

    def _rows(self, statement: str) -> list[Any]:
        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self._server.url(self._database), timeout=10)
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return asyncio.run(ask())

    # What has come of it

    def reckon(self) -> str:
        """Hold what is here against what the PACS has, and what was asked against its reasons.

        Returns
        -------
        str
            What was done, in a sentence.
        """
        images = self._reckon_images()
        attempts, again = self._reckon_attempts()
        most = self._reckon_associations()
        for node in self._nodes:
            node.ok("verify", "--quiet", timeout=1800)
        return (
            f"{self.kills} kills of nodes and {self.server_kills} of PostgreSQL: {self.studies}"
            f" studies with {images} images retrieved by {len(self._nodes)} nodes in"
            f" {self.seconds:.0f} s ({images / self.seconds:.0f} images/s), each of them and no"
            f" other; {attempts} attempts, {again} of them again, each with its cause; {most}"
            " associations at most at once"
        )

    def _reckon_images(self) -> int:
        pacs = Misbehaving(
            archive=GeneratedArchive(self._population), settings=Misbehaviour(), aetitle="PACS"
        )
        truth = {
            (study["StudyInstanceUID"][0], image.sop_instance_uid)
            for study in pacs.truth()
            for image in pacs.images(study["StudyInstanceUID"][0])
        }
        held = {tuple(row) for row in self._rows("SELECT study_uid, image_uid FROM images")}
        assert len(held) == len(truth), f"{len(held)} of {len(truth)} images"
        assert held == truth, "the index is not what the PACS has"
        odd = self._rows(
            "SELECT study_uid, state, evidence FROM studies_find WHERE retrieved_on IS NULL"
            " OR evidence NOT IN ('listed', 'counted') OR state != 'retrieved'"
        )
        assert not odd, odd[:5]
        return len(truth)

    def _reckon_attempts(self) -> tuple[int, int]:
        """See that no study was asked for twice at once, or again without a cause."""
        rows = self._rows(
            "SELECT id, study_find_id, cycle_id, node, outcome, failure, message, images,"
            " started_on, claimed_on, ended_on FROM move_attempts ORDER BY study_find_id, id"
        )
        of_study: dict[int, list[Any]] = defaultdict(list)
        for row in rows:
            of_study[row["study_find_id"]].append(row)
        again = 0
        for study, attempts in of_study.items():
            said = f"study {study}, of which the attempts are\n" + "\n".join(map(str, attempts))
            ended: datetime | None = None
            for place, attempt in enumerate(attempts):
                assert attempt["ended_on"] is not None, f"an attempt has no end: {said}"
                if place:
                    before = attempts[place - 1]
                    assert (
                        before["outcome"] in _IN_VAIN
                        or (before["outcome"], before["failure"]) == _NOT_ASKED
                    ), f"moved without a cause: {said}"
                    assert ended is not None
                    assert attempt["claimed_on"] >= ended, f"two were at it at once: {said}"
                    again += before["started_on"] is not None
                ended = attempt["ended_on"]
            assert attempts[-1]["outcome"] == "retrieved", f"no attempt brought it: {said}"
        assert len(of_study) == self.studies
        return len(rows), again

    def _reckon_associations(self) -> int:
        """See that there were never more associations than are configured."""
        self._pacs.signal(signal.SIGTERM)
        self._pacs.wait(30)
        counters = json.loads(self._counters.read_text(encoding="utf-8"))["associations"]
        allowed = 2  # one to retrieve, and one to ask what there is
        for name, most in counters["most_of"].items():
            assert most <= allowed, f"{name} had {most} associations at once"
        return int(counters["most"])
