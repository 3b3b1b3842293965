"""Senders that keep a journal, a node that is killed under them, and the reckoning."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import text

from schema import Database
from tests.bench import sender
from tests.support.encoded import element
from tests.support.images import dataset_bytes
from tests.support.processes import LOOPBACK, free_port
from tests.support.received import flip_byte
from tests.support.waiting import wait_until

MR = "1.2.840.10008.5.1.4.1.1.4"
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
ROOT = Path(__file__).parents[2]

REPAIRS = ("archive.replace", "archive.replaced")
"""Failpoints that only an object reaches whose image has a damaged file."""

_SMALL = 10_000
_MANY = 500


@dataclass(frozen=True)
class Sent:
    """One object: its SOP Instance UID, and its dataset."""

    uid: str
    dataset: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.dataset).hexdigest()


@dataclass
class Journal:
    """What the senders know: the digests that were acknowledged, and all that were begun."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    small: dict[str, Sent] = field(default_factory=dict)
    """Small objects that were acknowledged, by digest: they can be sent again."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, sent: Sent) -> None:
        with self._lock:
            self.begun[sent.digest] = sent.uid

    def answer(self, sent: Sent, status: int) -> None:
        with self._lock:
            self.statuses[status] += 1
            if status == SUCCESS:
                self.acknowledged[sent.digest] = sent.uid
                if len(sent.dataset) < _SMALL and len(self.small) < _MANY:
                    self.small[sent.digest] = sent


def make(uid: str, choice: random.Random, comment: str) -> Sent:
    """Make an object, mostly a small one, sometimes one that is written in several pieces."""

    def ui(tag: int, value: str) -> bytes:
        return element(tag, "UI", value.encode() + b"\0" * (len(value) % 2))

    study = f"1.2.3.{choice.randrange(5)}"
    pixels = choice.choices((2_000, 200_000, 2_500_000), (80, 17, 3))[0]
    dataset = b"".join(
        (
            ui(0x00080016, MR),
            ui(0x00080018, uid),
            element(0x00100020, "LO", b"P1"),
            ui(0x0020000D, study),
            ui(0x0020000E, f"{study}.{choice.randrange(3)}"),
            element(0x00204000, "LT", comment.encode().ljust(64)),
            element(0x7FE00010, "OW", choice.randbytes(pixels)),
        )
    )
    return Sent(uid, dataset)


class Association(sender.Association):
    """One whose socket is closed even when the node goes while it associates."""

    def __init__(self, port: int) -> None:
        try:
            super().__init__(port, "NODE", [])
        except BaseException:
            if hasattr(self, "_socket"):
                self._socket.close()
            raise
        self._socket.settimeout(15)


class Sender(threading.Thread):
    """Sends until the node is gone; what was not acknowledged is sent again by the next one.

    Now and then it sends another object under a known UID, or the same object again.
    """

    def __init__(
        self,
        port: int,
        journal: Journal,
        choice: random.Random,
        again: list[Sent],
        name: str,
        pause: float,
    ) -> None:
        super().__init__(name=name)
        self._pause = pause
        self._port = port
        self._journal = journal
        self._choice = choice
        self.again = again
        self.stopping = threading.Event()
        self.association: Association | None = None

    def run(self) -> None:
        try:
            self.association = Association(self._port)
            number = 0
            while not self.stopping.is_set():
                number += 1
                self._send(self.again[0] if self.again else self._next(number))
                self.stopping.wait(self._pause)
            self.association.release()
        except (OSError, AssertionError, SystemExit, ValueError):
            pass  # the node is gone
        except BaseException as error:
            self._journal.unexpected.append(repr(error))
            raise
        finally:
            if self.association is not None:
                self.association._socket.close()

    def _next(self, number: int) -> Sent:
        choice = self._choice
        uid = f"1.2.3.4.{choice.getrandbits(60)}"
        made = make(uid, choice, f"{self.name} {number}")
        if choice.random() < 0.05:
            self.again.append(make(uid, choice, "another"))
        if choice.random() < 0.05:
            self.again.append(made)
        return made

    def _send(self, sent: Sent) -> None:
        self._journal.begin(sent)
        if sent not in self.again:
            self.again.insert(0, sent)
        command = sender.store_request(1, MR, sent.uid)
        step = sender.MAXIMUM_LENGTH - 6
        pdus = [sender.data_pdu(0x03, command)]
        for start in range(0, len(sent.dataset), step):
            last = 0x02 if start + step >= len(sent.dataset) else 0
            pdus.append(sender.data_pdu(last, sent.dataset[start : start + step]))
        assert self.association is not None
        self.association._socket.sendall(b"".join(pdus))
        status = self.association._status()
        self._journal.answer(sent, status)
        self.again.remove(sent)
        if status != SUCCESS:
            self.again.append(sent)


class Crash:
    """A node's storage directory and database, through all its lives."""

    def __init__(self, folder: Path, database_url: str, *, seed: int = 0, senders: int = 8) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.url = database_url
        self.directory = folder / "dicom"
        self.port = free_port()
        self.journal = Journal()
        self._read: dict[str, str] = {}
        self.kills = 0
        self._choice = random.Random(seed)
        self._senders = senders
        self._again: list[list[Sent]] = [[] for _ in range(senders)]
        self._share = folder / "share"
        self._share.mkdir()
        self._logs = 0
        self._pid = 0
        config = folder / "node.yaml"
        own = {"aetitle": "NODE", "host": LOOPBACK, "port": self.port}
        storage = {"resources": database_url, "directory": str(self.directory)}
        config.write_text(json.dumps({"node": own, "storage": storage}), encoding="utf-8")
        asyncio.run(self._initialize())
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        )
        assert self._ask(None) == "ready"

    async def _initialize(self) -> None:
        async with Database(self.url) as database:
            await database.initialize()

    def _ask(self, line: str | None) -> str:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        if line is not None:
            self._zygote.stdin.write(line + "\n")
            self._zygote.stdin.flush()
        return self._zygote.stdout.readline().strip()

    @property
    def log(self) -> Path:
        """The log of the node's present life."""
        return self.folder / f"node-{self._logs}.log"

    def output(self) -> str:
        """Return what the node has written in its present life."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self, failpoints: str = "-", *, wait: bool = True) -> None:
        """Start the node."""
        self._logs += 1
        self._pid = int(self._ask(f"start {failpoints} {self.log}"))
        if wait:
            wait_until(self._listens_or_has_ended, 30, describe=self.output)

    def _listens_or_has_ended(self) -> bool:
        if not Path(f"/proc/{self._pid}/cmdline").read_bytes():  # a failpoint at the start
            return True
        with suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=1):
            return True
        return False

    def kill(self) -> int:
        """Kill the node, if it still lives; return how it ended."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self.kills += 1
        return int(self._ask("wait"))

    def stop(self) -> int:
        """Ask the node to end; return how it ended."""
        os.kill(self._pid, signal.SIGTERM)
        return int(self._ask("wait"))

    def send(self, pause: float = 0) -> list[Sender]:
        """Start the senders, which pause so many seconds after each object."""
        senders = [
            Sender(
                self.port,
                self.journal,
                random.Random(self._choice.getrandbits(64)),
                again,
                name=f"sender {number}",
                pause=pause,
            )
            for number, again in enumerate(self._again)
        ]
        for one in senders:
            one.start()
        return senders

    def join(self, senders: list[Sender]) -> None:
        """Wait for the senders' end: the node is gone, or they were asked to stop."""
        for one in senders:
            one.join(30)
            assert not one.is_alive(), one.name
        assert not self.journal.unexpected, self.journal.unexpected

    def wound(self, count: int) -> int:
        """Damage files of the archive, and let them be sent again; return how many.

        Every third one is taken out of it instead, as `parse` would leave it in the index.
        """
        images, _ = asyncio.run(self._rows())
        waiting = {sent.digest for again in self._again for sent in again}
        whole = [
            (Path(filepath), sha256)
            for _, filepath, sha256 in images
            if sha256 in self.journal.small
            and sha256 not in waiting
            # the spool may have its second name: then it would be damaged as well
            and Path(filepath).stat().st_nlink == 1
        ]
        chosen = self._choice.sample(whole, min(count, len(whole)))
        for number, (path, sha256) in enumerate(chosen):
            if number % 3 == 2:
                target = self._share / f"{sha256}.dcm"
                shutil.move(path, target)
                asyncio.run(self._parsed(path, target))
            else:
                flip_byte(path, path.stat().st_size - 1)
            self._read.pop(str(path), None)
            self._choice.choice(self._again).insert(0, self.journal.small[sha256])
        return len(chosen)

    async def _parsed(self, path: Path, target: Path) -> None:
        async with Database(self.url) as database, database.begin() as session:
            await session.execute(
                text("UPDATE images SET filepath = :new, node = NULL WHERE filepath = :old"),
                {"new": str(target), "old": str(path)},
            )

    def wound_surely(self, count: int) -> None:
        """Damage so many files, with nothing before them in the spool."""
        self.settle()
        while self.wound(count) < count:
            self.die_at_random()
            self.settle()

    def die_at_random(self, *, within: float = 0.6) -> None:
        """Let the node live for a moment under load, and kill it."""
        if self._choice.random() < 0.3:
            self.wound(3)
        self.start(wait=self._choice.random() < 0.9)  # or while it starts
        senders = self.send()
        time.sleep(self._choice.random() * within)
        self.kill()
        self.join(senders)

    def die_at(self, point: str, action: str) -> None:
        """Let the node die at a failpoint, by itself (`kill`) or where it hangs (`hang`)."""
        number = self._choice.randrange(1, 12) if point.startswith(("spool", "store")) else 1
        if point == "spool.remove":
            number = self._choice.randrange(1, 4)
        if point in REPAIRS:
            self.wound_surely(3)
        self.start(f"{point}={action}@{number}", wait=False)
        reached = f"failpoint {point}: {action}"
        senders: list[Sender] = []
        wait_until(self._listens_or_has_ended, 30, describe=self.output)
        senders = self.send()
        wait_until(lambda: reached in self.output(), 30, describe=self.output)
        if action == "hang":
            time.sleep(0.1)
        self.kill()
        self.join(senders)

    def survive(self, failpoints: str, expected: list[str]) -> None:
        """Let steps fail, and the node go on."""
        self.wound_surely(9)
        self.start(failpoints)
        # the index waits after each of its errors: there is time for many more objects than steps
        senders = self.send(pause=0.15)
        wait_until(
            lambda: all(f"failpoint {point}: error" in self.output() for point in expected),
            30,
            describe=self.output,
        )
        for one in senders:
            one.stopping.set()
        self.join(senders)
        # what cannot be removed from the spool is for the next start to see that it is indexed
        left = sum(point == "spool.remove" for point in expected)
        wait_until(lambda: len(self.spooled()) <= left, 60, describe=self.output)
        assert self.stop() == 0, self.output()

    def settle(self) -> None:
        """Start the node once more, undisturbed, and let it finish what is left."""
        left = [sent for again in self._again for sent in again]
        self.start()
        senders = self.send()  # what was not acknowledged comes again
        wait_until(
            lambda: not any(sent in again for sent in left for again in self._again),
            60,
            describe=self.output,
        )
        for one in senders:
            one.stopping.set()
        self.join(senders)
        wait_until(lambda: not self.spooled(), 120, describe=self.output)
        assert self.stop() == 0, self.output()

    def spooled(self) -> list[Path]:
        """Return what is in the spool."""
        return [path for path in (self.directory / ".spool").rglob("*") if path.is_file()]

    def reckon(self, *, again: bool = True) -> None:
        """Compare the journal with what the database and the disk have.

        Parameters
        ----------
        again
            Whether files are read that an earlier reckoning has read.

        Raises
        ------
        AssertionError
            Something acknowledged is missing, altered or doubled, or something is left over.
        """
        images, quarantined = asyncio.run(self._rows())
        kept: Counter[str] = Counter()
        named: list[str] = []
        if again:
            self._read.clear()
        for uid, filepath, sha256 in images:
            digest = self._digest(filepath)
            assert digest == sha256, f"{filepath} is not what its row says"
            assert self.journal.begun.get(digest) == uid, f"{uid} was never sent like this"
            kept[digest] += 1
            named.append(filepath)
        assert len({uid for uid, _, _ in images}) == len(images)
        for kind, filepath, sha256 in quarantined:
            assert kind in ("conflict", "damaged"), f"{filepath}: {kind}"
            digest = self._digest(filepath)
            assert digest == sha256
            kept[digest] += kind == "conflict"
            named.append(filepath)
        lost = self.journal.acknowledged.keys() - kept.keys()
        assert not lost, f"{len(lost)} acknowledged objects are lost"
        doubled = {digest: count for digest, count in kept.items() if count > 1}
        assert not doubled, f"doubled: {doubled}"
        files = (path for path in self.directory.rglob("*") if path.is_file())
        on_disk = {str(path) for path in files if not path.name.startswith(".storage-id")}
        assert on_disk == set(named), sorted(on_disk ^ set(named))[:5]

    def _digest(self, filepath: str) -> str:
        if filepath not in self._read:
            self._read[filepath] = hashlib.sha256(dataset_bytes(Path(filepath))).hexdigest()
        return self._read[filepath]

    async def _rows(self) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        async with Database(self.url) as database, database.session() as session:
            images = await session.execute(text("SELECT image_uid, filepath, sha256 FROM images"))
            others = await session.execute(text("SELECT kind, filepath, sha256 FROM quarantine"))
            return [tuple(row) for row in images], [tuple(row) for row in others]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(ProcessLookupError):
            if self._pid and Path(f"/proc/{self._pid}").exists():
                os.kill(self._pid, signal.SIGKILL)
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.close()
        self._zygote.stdout.close()
        self._zygote.wait(10)
