"""What the receiving benchmark sends to: our node, Orthanc and DCMTK's storescp.

Each says when `count` more images have *arrived*, by its own promise: in the index and queryable
(node, Orthanc), or answered (storescp, which has no index).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

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


@dataclass
class NodeReceiver:
    """`dicom-node run` on SQLite."""

    port: int
    database: Path
    name: str = "dicom-node"
    aetitle: str = "NODE"

    def count(self) -> int:
        """Count the rows in `images` through a connection of its own."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return int(connection.execute("SELECT count(*) FROM images").fetchone()[0])


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


@dataclass
class StoreScpReceiver:
    """DCMTK's storescp, a process for each association, no index."""

    server: StoreScp
    name: str = "storescp"
    aetitle: str = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.aetitle, self.port = self.server.aetitle, self.server.port

    def count(self) -> None:
        """Return nothing: it has no index."""


@contextmanager
def node(folder: Path) -> Iterator[NodeReceiver]:
    """Run our node with an SQLite database."""
    folder.mkdir(parents=True)
    cli = CommandLine(folder)
    receiver = NodeReceiver(port=free_port(), database=folder / "node.db")
    config = folder / "node.yaml"
    storage = {"resources": f"sqlite:///{receiver.database}", "directory": str(folder / "dicom")}
    own = {"aetitle": receiver.aetitle, "host": LOOPBACK, "port": receiver.port}
    config.write_text(json.dumps({"node": own, "storage": storage}), encoding="utf-8")
    made = cli("db", "init", "--config", config)
    if made.code != 0:
        raise SystemExit(made.stderr)
    command = cli.args("run", "--config", config)
    with Process(command, log=folder / "node.log", env=cli.env(), cwd=folder) as process:
        process.wait_for_port(receiver.port)
        yield receiver


@contextmanager
def orthanc(folder: Path) -> Iterator[OrthancReceiver]:
    """Run Orthanc as it is delivered but for its ports and folders."""
    with Orthanc(folder, environment={}) as server:
        yield OrthancReceiver(server)


@contextmanager
def storescp(folder: Path) -> Iterator[StoreScpReceiver]:
    """Run DCMTK's storescp, bit-preserving."""
    with StoreScp(folder) as server:
        yield StoreScpReceiver(server)


def available() -> list[str]:
    """Return the names of the receivers that can be run here, ours first."""
    names = ["dicom-node"]
    if find_program("Orthanc", "orthanc"):
        names.append("Orthanc")
    if find_program("storescp", "dcmtk"):
        names.append("storescp")
    return names


RECEIVERS = {"dicom-node": node, "Orthanc": orthanc, "storescp": storescp}
