"""The application entity that others associate with (PS3.8 7.1, acceptor role).

`Acceptor` listens, offers `Services`, and hands every request to a coroutine in the event
loop that started it. Draining stops listening and lets running associations end; stopping
aborts what is left.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Sequence
from socketserver import BaseServer
from types import TracebackType
from typing import Any, Self, cast

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import ThreadedAssociationServer

from node.dicom.part10 import IMPLEMENTATION_CLASS_UID
from node.errors import ListenError
from node.net import library
from node.net.bridge import Bridge, caller_of, send_as_file
from node.net.contexts import prefer_plain_syntaxes, to_accept
from node.net.messages import Services, Timeouts

log = logging.getLogger(__name__)

_TO_ABORT = 3.0
"""Seconds for the aborts of all running associations together."""


class _Server(ThreadedAssociationServer):
    request_queue_size = 128  # connections that may wait to be accepted; with 5, bursts fail

    def stop_listening(self) -> None:
        # The library's own shutdown() and server_close() abort the running associations too.
        BaseServer.shutdown(self)
        with contextlib.suppress(OSError):
            cast(socket.socket, self.socket).close()


class _Application(ApplicationEntity):
    def associate(self, *args: Any, **kwargs: Any) -> Association:  # noqa: ANN401 - the library's own
        """Request the association over which a C-MOVE's files are sent."""
        association = super().associate(*args, **kwargs)
        send_as_file(association)
        return association


class Acceptor:
    """Listens for associations and serves them.

    Parameters
    ----------
    aetitle
        Our own title; also what called AE titles are compared with.
    host, port
        Where to listen. Port 0 takes a free one, see `port` after `start`.
    services
        What is offered beside C-ECHO.
    require_called_aetitle
        Reject associations that call another title (PS3.8 9.3.4, reason 7).
    allowed_calling
        When not empty, reject calling titles that are not in it (reason 3).
    max_associations
        More are rejected as transient, local limit exceeded (PS3.8 9.3.4).
    timeouts
        Deadlines of accepted associations.
    """

    def __init__(
        self,
        *,
        aetitle: str,
        host: str,
        port: int,
        services: Services,
        require_called_aetitle: bool = True,
        allowed_calling: Sequence[str] = (),
        max_associations: int = 64,
        timeouts: Timeouts | None = None,
    ) -> None:
        library.configure()
        timeouts = timeouts or Timeouts()
        entity = _Application(ae_title=aetitle)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = library.IMPLEMENTATION_VERSION_NAME
        entity.maximum_pdu_size = library.MAXIMUM_PDU_LENGTH
        entity.maximum_associations = max_associations
        entity.require_called_aet = require_called_aetitle
        entity.require_calling_aet = list(allowed_calling)
        entity.acse_timeout = timeouts.acse
        entity.dimse_timeout = timeouts.dimse
        entity.network_timeout = timeouts.network
        entity.supported_contexts = to_accept(
            find=services.find is not None, move=services.move is not None
        )
        self._entity = entity
        self._network_timeout = timeouts.network
        self._services = services
        self._address = (host, port)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def aetitle(self) -> str:
        """Our own AE title."""
        return str(self._entity.ae_title)

    @property
    def host(self) -> str:
        """The address we listen at."""
        return self._address[0]

    @property
    def port(self) -> int:
        """The port we listen on; known after `start` when 0 was asked for."""
        if self._server is None:
            return self._address[1]
        return int(self._server.server_address[1])

    @property
    def open_associations(self) -> int:
        """How many associations we have accepted that have not ended."""
        return len(self._accepted())

    async def start(self) -> None:
        """Begin to listen; connections are served from the moment this returns.

        Raises
        ------
        ListenError
            When the address is taken, not ours, or not allowed.
        """
        bridge = Bridge(self._services, asyncio.get_running_loop())
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_CONN_CLOSE, _closed),
            (evt.EVT_PDU_RECV, library.acknowledge_at_once),
            (evt.EVT_REQUESTED, _requested),
            (evt.EVT_ACCEPTED, _accepted),
            (evt.EVT_REJECTED, _rejected),
            (evt.EVT_ABORTED, _ended, ["aborted"]),
            (evt.EVT_RELEASED, _ended, ["released"]),
            (evt.EVT_C_ECHO, bridge.echo),
            (evt.EVT_C_STORE, bridge.store),
            (evt.EVT_C_FIND, bridge.find),
            (evt.EVT_C_MOVE, bridge.move),
        ]
        try:
            server = await asyncio.to_thread(
                lambda: self._entity.make_server(
                    self._address, evt_handlers=handlers, server_class=_Server
                )
            )
        except OSError as error:
            reason = error.strerror or str(error)
            host, port = self._address
            raise ListenError(f"cannot listen at {host} port {port}: {reason}") from error
        self._server = cast(_Server, server)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            name="accept",
            daemon=True,
        )
        self._thread.start()

    async def drain(self, grace: float) -> None:
        """Stop listening, and wait until running associations have ended.

        Parameters
        ----------
        grace
            Seconds that they have; `stop` aborts those that take longer.
        """
        await self._close_listener()
        deadline = asyncio.get_running_loop().time() + grace
        while self._accepted() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Stop listening, abort every running association, close every connection."""
        await self._close_listener()
        if accepted := self._accepted():
            log.warning("Aborting %d associations", len(accepted))
            aborts = [asyncio.create_task(asyncio.to_thread(a.abort)) for a in accepted]
            await asyncio.wait(aborts, timeout=_TO_ABORT)
        # Also those that were never negotiated: their threads would keep the process alive.
        for association in self._entity.active_associations:
            if association.is_acceptor:
                library.close_for_good(association)

    async def _close_listener(self) -> None:
        server, thread, self._thread = self._server, self._thread, None
        if server is None or thread is None:
            return
        self._address = (self.host, self.port)
        await asyncio.to_thread(server.stop_listening)
        await asyncio.to_thread(thread.join)
        self._server = None

    def _accepted(self) -> list[Association]:
        return [
            association
            for association in self._entity.active_associations
            if association.is_acceptor and association.is_established
        ]

    def _opened(self, event: evt.Event) -> None:
        library.set_up_connection(event, self._network_timeout)

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


def _closed(event: evt.Event) -> None:
    # The library goes on waiting for an association request until its deadline: wake it up.
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)


def _proposal(event: evt.Event) -> A_ASSOCIATE:
    return cast(A_ASSOCIATE, event.assoc.requestor.primitive)


def _requested(event: evt.Event) -> None:
    prefer_plain_syntaxes(_proposal(event))


def _accepted(event: evt.Event) -> None:
    caller = caller_of(event.assoc)
    log.info("Association from %s at %s", caller.aetitle, caller.address)


def _rejected(event: evt.Event) -> None:
    caller = caller_of(event.assoc)
    answer = event.assoc.acceptor.primitive
    log.warning(
        "Rejected %s at %s, which called %s: %s",
        caller.aetitle,
        caller.address,
        str(_proposal(event).called_ae_title).strip(),
        answer.reason_str if answer is not None else "no reason known",
    )


def _ended(event: evt.Event, how: str) -> None:
    log.info("Association from %s %s", caller_of(event.assoc).aetitle, how)
