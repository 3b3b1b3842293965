"""A running node in this process that is asked for storage commitment, and a modality that asks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from pydicom.uid import MRImageStorage

from node.config import Config
from node.daemon.supervisor import serve
from node.dicom.commitment import CommitmentReport, CommitmentRequest, Reference
from node.dicom.status import Status
from node.net.messages import Peer, ReportRequest, Services, Timeouts
from node.net.scp.acceptor import Acceptor
from node.net.scp.access import Access, KnownCaller
from node.net.scu.commitment import CommitmentUser, associate_to_commit
from node.net.scu.requestor import associate
from node.ops.send import send
from schema import Database
from tests.support.acceptors import acceptor
from tests.support.images import Generated
from tests.support.processes import LOOPBACK, free_port

_numbers = itertools.count(1)


def a_transaction() -> str:
    """Return a Transaction UID that nobody has used."""
    return f"1.2.826.0.1.3680043.8.498.78.{next(_numbers)}"


def references(images: Iterable[Generated], sop_class: str = MRImageStorage) -> list[Reference]:
    """Return what names these images in a request."""
    return [Reference(str(sop_class), one.sop_instance_uid) for one in images]


@asynccontextmanager
async def committing_node(
    database: Database,
    folder: Path,
    modality_port: int,
    *,
    aetitle: str = "NODE",
    modality: dict[str, Any] | None = None,
    others: Sequence[str] = (),
    **sections: Any,
) -> AsyncIterator[Peer]:
    """Run a node that MODALITY may ask for commitment; yields it as a peer of the modality's.

    `others` are titles that may store.
    """
    rights = {"may_commit": ["MODALITY"], **(modality or {})}
    config = Config(
        node={"aetitle": aetitle, "host": LOOPBACK, "port": free_port(), "grace": "1s"},
        storage={"directory": str(folder)},
        peers={
            "modality": {
                "aetitle": "MODALITY",
                "host": LOOPBACK,
                "port": modality_port,
                "timeouts": {"connect": "1s", "acse": "2s", "dimse": "2s"},
                **rights,
            },
            **{
                name.lower(): {"aetitle": name, "host": LOOPBACK, "port": 104, "may_store": [name]}
                for name in others
            },
        },
        find={"every": None},
        move={"every": None},
        **sections,
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(
        serve(config, database, stop=stop, ready=lambda _: ready.set()), name="node"
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if not ready.is_set():
            await running
        yield Peer(
            name="node",
            aetitle=aetitle,
            host=LOOPBACK,
            port=config.node.port,
            calling_aetitle="MODALITY",
            timeouts=Timeouts(connect=2, acse=2, dimse=5, network=10),
        )
    finally:
        stop.set()
        await running


class Modality:
    """Asks for commitment, and takes reports at a port of its own; a context manager.

    Attributes
    ----------
    reports
        What was reported over associations that were opened to it.
    answer
        What it answers to them.
    """

    def __init__(self, port: int | None = None, node: str = "NODE") -> None:
        self.port = port or free_port()
        self.reports: list[CommitmentReport] = []
        self.answer: int = Status.SUCCESS
        self._acceptor: Acceptor = acceptor(
            Services(report=self._take),
            aetitle="MODALITY",
            port=self.port,
            access=Access([KnownCaller(name="node", aetitle=node)]),
        )

    async def _take(self, request: ReportRequest) -> int:
        self.reports.append(request.report)
        return self.answer

    async def __aenter__(self) -> Self:
        await self._acceptor.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._acceptor.stop()


async def store(node: Peer, images: Iterable[Generated]) -> None:
    """Send images to the node."""
    report = await send(node, [one.path for one in images])
    assert all(result.sent for result in report.results), report


async def request(
    association: CommitmentUser, wanted: Iterable[Reference], transaction: str | None = None
) -> int:
    """Ask for commitment; return the status."""
    return await association.request(
        CommitmentRequest(transaction_uid=transaction or a_transaction(), references=tuple(wanted))
    )


async def ask_and_leave(
    node: Peer, wanted: Iterable[Reference], transaction: str | None = None
) -> int:
    """Ask for commitment, and release the association; return the status."""
    async with associate_to_commit(node) as association:
        return await request(association, wanted, transaction)


async def ask_and_stay(
    node: Peer, wanted: Iterable[Reference], transaction: str | None = None
) -> CommitmentReport:
    """Ask for commitment; return the report that comes over the same association."""
    reports: list[CommitmentReport] = []

    async def take(report: CommitmentReport) -> int:
        reports.append(report)
        return Status.SUCCESS

    async with associate_to_commit(node) as association:
        status = await request(association, wanted, transaction)
        assert status == Status.SUCCESS, hex(status)
        async with asyncio.timeout(10):
            assert await association.wait_for_report(take)
    return reports[0]


__all__ = [
    "Modality",
    "a_transaction",
    "ask_and_leave",
    "ask_and_stay",
    "associate",
    "committing_node",
    "references",
    "request",
    "store",
]
