"""What the receiving benchmark sends to: our node, Orthanc, DCMTK's storescp, pynetdicom's threads.

Each says when `count` more images have *arrived*, by its own promise: in the index and queryable
(node, Orthanc), or answered (storescp and pynetdicom, which have no index).
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.bench.threaded_receiver import AETITLE as THREADS_AETITLE
from tests.support.cli import CommandLine
from tests.support.peers.dcmtk import StoreScp
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.programs import find_program
from tests.support.processes import LOOPBACK, Process, free_port


class Receiver(Protocol):
    """A running storage SCP."""

    name: str
    aetitle: str
    port: int

    def count(self) -> int | None:
        """Return how many images its index holds; None when it has no index."""

    def kept(self) -> int:
        """Return how many images it has kept."""


@dataclass
class NodeReceiver:
    """`dicom-node run` on SQLite, with the settings that it is delivered with."""

    port: int
    database: Path
    process: Process
    name: str = "dicom-node"
    aetitle: str = "NODE"

    def count(self) -> int:
        """Count the rows in `images` through a connection of its own."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return int(connection.execute("SELECT count(*) FROM images").fetchone()[0])

    kept = count


@dataclass
class OrthancReceiver:
    """Orthanc with its SQLite index."""

    server: Orthanc
    name: str = "Orthanc"
    aetitle: str = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.aetitle, self.port = self.server.aetitle, self.server.port

    def count(self) -> int:
        """Ask for its statistics."""
        return self.server.count_images()

    kept = count


@dataclass
class FolderReceiver:
    """A storage SCP that writes files to a folder, and has no index."""

    name: str
    aetitle: str
    port: int
    folder: Path

    def count(self) -> None:
        """Return nothing: it has no index."""

    def kept(self) -> int:
        """Count its files."""
        return sum(1 for _ in self.folder.iterdir())


class _ShippedStoreScp(StoreScp):
    """storescp as Debian ships it: with Nagle's algorithm, which the tests turn off."""

    def start(self) -> None:
        log = self.folder / f"{self.aetitle}.log"
        self._process = Process(self._command(), log=log, env=shipped_environment())
        self._process.wait_for_port(self.port)


def shipped_environment() -> dict[str, str]:
    """Return this process's environment without what changes DCMTK's and Orthanc's sockets."""
    return {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}


@contextmanager
def node(folder: Path, settings: Mapping[str, Any] | None = None) -> Iterator[NodeReceiver]:
    """Run our node with an SQLite database; `settings` go over its section `node`."""
    folder.mkdir(parents=True)
    cli = CommandLine(folder)
    port, database = free_port(), folder / "node.db"
    config = folder / "node.yaml"
    storage = {"resources": f"sqlite:///{database}", "directory": str(folder / "dicom")}
    own = {"aetitle": NodeReceiver.aetitle, "host": LOOPBACK, "port": port, **(settings or {})}
    config.write_text(json.dumps({"node": own, "storage": storage}), encoding="utf-8")
    made = cli("db", "init", "--config", config)
    if made.code != 0:
        raise SystemExit(made.stderr)
    command = cli.args("run", "--config", config)
    with Process(command, log=folder / "node.log", env=cli.env(), cwd=folder) as process:
        process.wait_for_port(port)
        yield NodeReceiver(port=port, database=database, process=process)


@contextmanager
def orthanc(folder: Path) -> Iterator[OrthancReceiver]:
    """Run Orthanc as it is delivered but for its ports and folders."""
    with Orthanc(folder, environment={}) as server:
        yield OrthancReceiver(server)


@contextmanager
def storescp(folder: Path) -> Iterator[FolderReceiver]:
    """Run DCMTK's storescp: bit-preserving, a process for each association."""
    with _ShippedStoreScp(folder) as server:
        yield FolderReceiver("storescp", server.aetitle, server.port, server.received)


@contextmanager
def pynetdicom(folder: Path) -> Iterator[FolderReceiver]:
    """Run `tests.bench.threaded_receiver`."""
    received = folder / "received"
    received.mkdir(parents=True)
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.threaded_receiver", str(port), str(received)]
    with Process(command, log=folder / "threads.log") as process:
        process.wait_for_port(port)
        yield FolderReceiver("pynetdicom", THREADS_AETITLE, port, received)


def available() -> list[str]:
    """Return the names of the receivers that can be run here, ours first."""
    names = ["dicom-node"]
    if find_program("Orthanc", "orthanc"):
        names.append("Orthanc")
    if find_program("storescp", "dcmtk"):
        names.append("storescp")
    return [*names, "pynetdicom"]


RECEIVERS: dict[str, Callable[[Path], AbstractContextManager[Receiver]]] = {
    "dicom-node": node,
    "Orthanc": orthanc,
    "storescp": storescp,
    "pynetdicom": pynetdicom,
}
