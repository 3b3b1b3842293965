"""Puts a simulated PACS on the network: C-ECHO, C-FIND, C-MOVE, C-GET and C-STORE.

The answers are the behaviour's. Here are only the things that touch the world: the acceptor,
the addresses of move destinations, and the files that are stored or have to be staged.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from node.dicom.part10 import file_header
from node.dicom.status import Status
from node.net.dimse.sinks import whole
from node.net.entity import accepting
from node.net.messages import (
    Conduct,
    FindRequest,
    GetRequest,
    Instance,
    InstanceFile,
    InstanceInMemory,
    MovePlan,
    MoveRequest,
    Peer,
    Services,
    StoreRequest,
)
from node.net.scp.acceptor import Acceptor
from node.net.scp.limits import Attendance
from node.simulator.archive import SimulatedArchive
from node.simulator.behaviour import Behaviour, Honest
from node.simulator.holdings import Holdings
from node.simulator.instances import HeldInstance, NotAnInstanceError, describe
from schema.text.words import counted

log = logging.getLogger(__name__)

_TO_BE_HEARD = 0.05
"""Seconds from the last response to the connections' reset: who reads it has done so."""

Destinations = Mapping[str, tuple[str, int]]
"""Host and port of each AE title that a C-MOVE may name."""


class Simulator:
    """A PACS over an archive, until it is stopped.

    Parameters
    ----------
    archive
        What it holds. C-STORE adds to files.
    incoming
        The folder for files that arrive. Made when the first one does.
    aetitle, host, port
        Where it listens; port 0 takes a free one, see `port` after `start`.
    destinations
        Who may be named as a move destination; anybody else is unknown (0xA801). May change.
    behaviour
        What it answers; honest unless said. May be changed at any time.
    repository
        Whether it offers Repository Query (PS3.4 C.6.4).
    most_associations
        How many there may be at once; more are rejected as transient, local limit exceeded.
    attendance
        Is told of associations.
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
        most_associations: int = 64,
        attendance: Attendance | None = None,
    ) -> None:
        files = archive if isinstance(archive, SimulatedArchive) else None
        self.behaviour: Behaviour = behaviour or Honest(archive=archive, aetitle=aetitle)
        self._incoming = incoming
        self._destinations = {} if destinations is None else destinations
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarting: asyncio.Task[None] | None = None
        services = Services(
            store=whole(partial(self._store, files)) if files is not None else None,
            find=self._find,
            repository=repository,
            move=self._move,
            get=self._get,
            held=archive.transfer_syntaxes,
        )
        self._acceptor = Acceptor(
            accepting(aetitle, services, max_associations=most_associations),
            host=host,
            port=port,
            services=services,
            attendance=attendance,
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
        await self.stop()

    async def stop(self) -> None:
        """Stop listening, abort every association, and end what goes on beside them."""
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.wait([self._restarting])
        await self._acceptor.stop()
        await self._end_tasks()

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

    async def _move(self, request: MoveRequest) -> MovePlan | Conduct:
        target = self._target(request.destination)
        if target is None:
            log.warning("Asked to move to %s, which is no known destination", request.destination)
        if (conduct := self.behaviour.conduct(request, target, self)) is not None:
            return conduct
        if target is None:
            return MovePlan(target=None)
        chosen = self.behaviour.retrieve(request.model, request.identifier)
        log.info(
            "C-MOVE from %s to %s: %s",
            request.caller.aetitle,
            request.destination,
            counted(len(chosen), "image"),
        )
        return MovePlan(target=target, instances=[await self.sendable(i) for i in chosen])

    def _target(self, destination: str) -> Peer | None:
        """Return the application entity that a destination is; None where it is not known."""
        if (address := self._destinations.get(destination)) is None:
            return None
        host, port = address
        return Peer(
            name=destination,
            aetitle=destination,
            host=host,
            port=port,
            calling_aetitle=self.aetitle,
        )

    async def _get(self, request: GetRequest) -> Sequence[Instance] | Conduct:
        if (conduct := self.behaviour.conduct(request, None, self)) is not None:
            return conduct
        chosen = self.behaviour.retrieve(request.model, request.identifier)
        log.info("C-GET from %s: %s", request.caller.aetitle, counted(len(chosen), "image"))
        return [await self.sendable(i) for i in chosen]

    # What a behaviour may use: see `node.simulator.behaviour.House`

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Do something beside the associations: it ends with the PACS, or when it goes down."""
        task = asyncio.create_task(_logged(work), name="beside the associations")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def restart(self, seconds: float) -> None:
        """Go down for so long, soon: connections are reset, and new ones refused."""
        if self._restarting is None or self._restarting.done():
            self._restarting = asyncio.create_task(_logged(self._restart(seconds)), name="restart")

    async def _restart(self, seconds: float) -> None:
        await asyncio.sleep(_TO_BE_HEARD)
        await self._end_tasks()
        await self._acceptor.vanish()
        log.info("Gone for %g s", seconds)
        await asyncio.sleep(seconds)
        await self._acceptor.start()

    async def _end_tasks(self) -> None:
        for task in (running := list(self._tasks)):
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def sendable(self, instance: HeldInstance) -> Instance:
        """Return an instance as a PS3.10 file, or as bytes; bare datasets get a header first."""
        if instance.encoded is not None:
            return InstanceInMemory(
                dataset=instance.encoded,
                sop_class_uid=instance.sop_class_uid,
                sop_instance_uid=instance.sop_instance_uid,
                transfer_syntax_uid=instance.transfer_syntax_uid,
            )
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


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """Do something that nobody may wait for."""
    try:
        await work
    except Exception:
        log.exception("A mistake of the simulator")


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
