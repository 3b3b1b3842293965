"""Puts a simulated PACS on the network: C-ECHO, C-FIND, C-MOVE, C-GET and C-STORE.

The answers are the behaviour's. Here are only the things that touch the world: the acceptor,
the addresses of move destinations, and the files that are stored or have to be staged.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

from node.dicom.part10 import file_header
from node.dicom.status import Status
from node.net.dimse.sinks import whole
from node.net.entity import accepting
from node.net.messages import (
    FindRequest,
    GetRequest,
    InstanceFile,
    MovePlan,
    MoveRequest,
    Peer,
    Services,
    StoreRequest,
)
from node.net.scp.acceptor import Acceptor
from node.simulator.archive import SimulatedArchive
from node.simulator.behaviour import Behaviour, Honest
from node.simulator.holdings import Holdings
from node.simulator.instances import HeldInstance, NotAnInstanceError, describe
from schema.text.words import counted

log = logging.getLogger(__name__)

Destinations = Mapping[str, tuple[str, int]]
"""Host and port of each AE title that a C-MOVE may name."""


class Simulator:
    """A PACS over an archive, until it is stopped.

    Parameters
    ----------
    archive
        What it holds. Of files it also answers C-MOVE and C-GET, and C-STORE adds to them.
    incoming
        The folder for files that arrive. Made when the first one does.
    aetitle, host, port
        Where it listens; port 0 takes a free one, see `port` after `start`.
    destinations
        Who may be named as a move destination; anybody else is unknown (0xA801).
    behaviour
        What it answers; honest unless said. May be changed at any time.
    repository
        Whether it offers Repository Query (PS3.4 C.6.4).
    """

    def __init__(
        self,
        *,
        archive: Holdings,
        incoming: Path,
        aetitle: str = "PACS",
        host: str = "127.0.0.1",
        port: int = 0,
        destinations: Destinations | None = None,
        behaviour: Behaviour | None = None,
        repository: bool = False,
    ) -> None:
        self._files = archive if isinstance(archive, SimulatedArchive) else None
        self.behaviour: Behaviour = behaviour or Honest(archive=archive, aetitle=aetitle)
        self._incoming = incoming
        self._destinations = dict(destinations or {})
        self._writing = asyncio.Lock()
        services = Services(find=self._find, repository=repository)
        if self._files is not None:
            services = Services(
                store=whole(partial(self._store, self._files)),
                find=self._find,
                repository=repository,
                move=self._move,
                get=self._get,
                held=self._files.transfer_syntaxes,
            )
        self._acceptor = Acceptor(
            accepting(aetitle, services), host=host, port=port, services=services
        )

    @property
    def aetitle(self) -> str:
        """Our own AE title."""
        return self._acceptor.aetitle

    @property
    def host(self) -> str:
        """The address we listen at."""
        return self._acceptor.host

    @property
    def port(self) -> int:
        """The port we listen on; known after `start` when 0 was asked for."""
        return self._acceptor.port

    async def start(self) -> None:
        """Begin to listen.

        Raises
        ------
        ListenError
            When the address cannot be listened at.
        """
        await self._acceptor.start()

    async def drain(self, grace: float) -> None:
        """Stop listening, let running associations end within `grace` seconds, abort the rest."""
        await self._acceptor.drain(grace)
        await self._acceptor.stop()

    async def stop(self) -> None:
        """Stop listening and abort every association."""
        await self._acceptor.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _find(self, request: FindRequest) -> AsyncIterator[bytes]:
        count = 0
        async for identifier in self.behaviour.find(request):
            yield identifier
            count += 1
        log.info("C-FIND from %s: %s", request.caller.aetitle, counted(count, "match", "matches"))

    async def _move(self, request: MoveRequest) -> MovePlan:
        address = self._destinations.get(request.destination)
        if address is None:
            log.warning("Asked to move to %s, which is no known destination", request.destination)
            return MovePlan(target=None)
        chosen = self.behaviour.retrieve(request.model, request.identifier)
        log.info(
            "C-MOVE from %s to %s: %s",
            request.caller.aetitle,
            request.destination,
            counted(len(chosen), "image"),
        )
        host, port = address
        target = Peer(
            name=request.destination,
            aetitle=request.destination,
            host=host,
            port=port,
            calling_aetitle=self.aetitle,
        )
        return MovePlan(target=target, instances=[await self._sendable(i) for i in chosen])

    async def _get(self, request: GetRequest) -> list[InstanceFile]:
        chosen = self.behaviour.retrieve(request.model, request.identifier)
        log.info("C-GET from %s: %s", request.caller.aetitle, counted(len(chosen), "image"))
        return [await self._sendable(i) for i in chosen]

    async def _sendable(self, instance: HeldInstance) -> InstanceFile:
        """Return an instance as a PS3.10 file; bare datasets are copied behind a header."""
        path = instance.path
        if instance.bare_from is not None:
            async with self._writing:
                path = await asyncio.to_thread(self._stage, instance, instance.bare_from)
        return InstanceFile(
            path=path,
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
        )

    def _stage(self, instance: HeldInstance, offset: int) -> Path:
        path = self._incoming / "staged" / _file_name(instance.sop_instance_uid)
        if not path.exists():
            header = file_header(
                sop_class_uid=instance.sop_class_uid,
                sop_instance_uid=instance.sop_instance_uid,
                transfer_syntax_uid=instance.transfer_syntax_uid,
            )
            _write(path, header, instance.path.read_bytes()[offset:])
        return path

    async def _store(self, archive: SimulatedArchive, request: StoreRequest, dataset: bytes) -> int:
        async with self._writing:
            try:
                instance = await asyncio.to_thread(self._keep, archive, request, dataset)
            except NotAnInstanceError as error:
                log.warning("Refused an object from %s: %s", request.caller.aetitle, error)
                return Status.UNABLE_TO_PROCESS
            except OSError:
                log.exception("Cannot keep an object")
                return Status.OUT_OF_RESOURCES
        if instance is None:
            return Status.DATASET_MISMATCH
        archive.add(instance)
        return Status.SUCCESS

    def _keep(
        self, archive: SimulatedArchive, request: StoreRequest, dataset: bytes
    ) -> HeldInstance | None:
        """Write an object as a file; None when it is not the one that the command names."""
        header = file_header(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            source_aetitle=request.caller.aetitle,
        )
        path = self._incoming / _file_name(request.sop_instance_uid)
        instance = describe(BytesIO(header + dataset), path)
        named = (request.sop_class_uid, request.sop_instance_uid)
        if (instance.sop_class_uid, instance.sop_instance_uid) != named:
            return None
        if instance.sop_instance_uid not in archive:
            _write(path, header, dataset)
        return instance


def _file_name(sop_instance_uid: str) -> str:
    """Return a name for an instance's file; what is no UID (PS3.5 9.1) is never part of one."""
    if re.fullmatch(r"[0-9.]{1,64}", sop_instance_uid) and ".." not in sop_instance_uid:
        return f"{sop_instance_uid}.dcm"
    return f"{hashlib.sha256(sop_instance_uid.encode()).hexdigest()}.dcm"


def _write(path: Path, header: bytes, dataset: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_bytes(header + dataset)
    temporary.replace(path)
