"""A node that answers over its index, in this process, and peers that ask it and are sent to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from node.config import Config
from node.net.dimse.contexts import Service, StorageContext
from node.net.dimse.sinks import whole
from node.net.messages import MoveProgress, Peer, Services, Timeouts
from node.net.scp.acceptor import Acceptor
from node.net.scu.requestor import associate
from node.ops.answering.giving.giving import giving
from node.ops.answering.giving.held import HeldSyntaxes
from node.ops.answering.services import services
from node.ops.receiving.listening import acceptor_of
from schema import Database
from schema.images import add_images
from schema.parsing.extract import dataset_digest
from schema.record import read_record
from tests.support.acceptors import acceptor
from tests.support.processes import LOOPBACK

NODE = "NODE"
SHORT = {"connect": "2s", "acse": "2s", "dimse": "2s", "network": "5s"}


@dataclass(kw_only=True)
class AnsweringNode:
    """The node; see `answering_node`."""

    config: Config
    database: Database
    acceptor: Acceptor
    held: HeldSyntaxes

    def peer(self, calling: str = "VIEWER") -> Peer:
        """Return the node as a peer of who calls it so."""
        return Peer(
            name="node",
            aetitle=NODE,
            host=LOOPBACK,
            port=self.acceptor.port,
            calling_aetitle=calling,
            timeouts=Timeouts(connect=5, acse=5, dimse=10, network=20),
        )

    async def move(
        self, destination: str, *, calling: str = "VIEWER", level: str = "STUDY", **keys: Any
    ) -> list[MoveProgress]:
        """Ask for a C-MOVE, and return its responses."""
        async with associate(self.peer(calling), Service.MOVE) as association:
            moving = association.move(identifier(level, **keys), destination)
            return [progress async for progress in moving]


@dataclass(kw_only=True)
class Receiving:
    """What a destination was sent: transfer syntax and dataset by SOP Instance UID, and who asked.

    `statuses` are answered in turn, then Success.
    """

    port: int = 0
    images: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    originators: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    acceptor: Any = None

    async def store(self, request: Any, dataset: bytes) -> int:
        """Keep an object."""
        self.originators.append(request.originator)
        status = self.statuses.pop(0) if self.statuses else 0
        if not status or status & 0xF000 == 0xB000:
            self.images[request.sop_instance_uid] = (request.transfer_syntax_uid, dataset)
        return status


@asynccontextmanager
async def destination(store: Any = None, **changes: Any) -> AsyncIterator[Receiving]:
    """Listen as STORE; `store` is called before an object is kept, and may wait or raise."""
    receiving = Receiving()

    async def stored(request: Any, dataset: bytes) -> int:
        if store is not None:
            await store(request, dataset)
        return await receiving.store(request, dataset)

    async with acceptor(Services(store=whole(stored)), aetitle="STORE", **changes) as listening:
        receiving.port, receiving.acceptor = listening.port, listening
        yield receiving


@asynccontextmanager
async def answering_node(
    database: Database,
    folder: Path,
    *,
    store: int = 104,
    viewer: Mapping[str, Any] | None = None,
    peers: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> AsyncIterator[AnsweringNode]:
    """Answer for the length of the block.

    `viewer` may retrieve, and `store` listens at a port as STORE: `settings` are more of it.
    """
    answer = settings.pop("answer", {})
    known: dict[str, Any] = {
        "viewer": {"aetitle": "VIEWER", "host": LOOPBACK, "port": 104, "may_retrieve": ["VIEWER"]}
        | dict(viewer or {}),
        "store": {"aetitle": "STORE", "host": LOOPBACK, "port": store, "timeouts": SHORT}
        | settings,
    }
    config = Config.model_validate(
        {
            "node": {"aetitle": NODE, "host": LOOPBACK, "port": 104, "grace": "1s"},
            "storage": {"directory": str(folder / "dicom")},
            "peers": known | dict(peers or {}),
            "answer": answer,
        }
    )
    async with giving(config, database) as given:
        offered = services(config, database, lambda: False, giving=given)
        listening = acceptor_of(config, offered)
        listening._address = (LOOPBACK, 0)
        async with listening:
            yield AnsweringNode(
                config=config, database=database, acceptor=listening, held=given.held
            )


async def index(database: Database, paths: Iterable[Path]) -> None:
    """Put files into the index where they are, as the node would that has received them."""
    records = [
        read_record(
            path,
            institution="Hospital",
            filepath=str(path),
            sha256=dataset_digest(str(path)),
            size=path.stat().st_size,
        )
        for path in paths
    ]
    async with database.begin() as session:
        await add_images(session, records)


def identifier(level: str = "STUDY", **keys: Any) -> Dataset:
    """Return the identifier of a retrieval."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def pairs_of(paths: Iterable[Path]) -> list[StorageContext]:
    """Return the SOP class and transfer syntax pairs of files."""
    from pydicom import dcmread  # noqa: PLC0415

    found = (dcmread(path, stop_before_pixels=True) for path in paths)
    return sorted({(str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in found})
