"""The application entity that others associate with (PS3.8 7.1, acceptor role).

`Acceptor` listens, decides about associations, and gives each of them a task that serves it.
Draining stops listening and lets running associations end; stopping aborts what is left.
"""

import asyncio
import logging
import socket
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

from node.net.dimse.contexts import FIND_MODELS, GET_MODELS, MOVE_MODELS, VERIFICATION, is_storage
from node.net.local import MAXIMUM_PDU_LENGTH
from node.net.messages import Services, Timeouts
from node.net.scp.access import Access, Rights
from node.net.scp.limits import Crowd, Limits, OpenAssociations
from node.net.scp.session import Refusal, Session
from node.net.transport.connection import Connection
from node.net.transport.deadlines import Deadlines
from node.net.transport.descriptors import make_room
from node.net.transport.listener import Listener
from node.net.transport.tls import TO_SHUT_DOWN, AcceptorTLS, Renewing, is_for
from node.net.transport.turns import Turns
from node.upperlayer import AssociateRequest, Association, Rejection, Role
from node.upperlayer.associate import APPLICATION_CONTEXT

log = logging.getLogger(__name__)

_TO_ABORT = 3.0
"""Seconds for the aborts of all running associations together."""

_TO_CLOSE = 1.0
"""Seconds for connections to be gone once they are closed."""

# PS3.8 9.3.4
_APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection(result=1, source=1, reason=2)
_CALLING_NOT_RECOGNISED = Rejection(result=1, source=1, reason=3)
_CALLED_NOT_RECOGNISED = Rejection(result=1, source=1, reason=7)
_LOCAL_LIMIT_EXCEEDED = Rejection(result=2, source=3, reason=2)


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
    access
        Who may call from where, and for what (reason 3).
    limits
        Caps; what is beyond is rejected as transient, local limit exceeded (PS3.8 9.3.4).
    max_associations
        The same as `Limits(associations=...)`.
    timeouts
        Deadlines of accepted associations.
    tls
        Nothing but TLS is spoken when it is given.

    Raises
    ------
    ConfigurationError
        The files of `tls` cannot be used.
    """

    def __init__(
        self,
        *,
        aetitle: str,
        host: str,
        port: int,
        services: Services,
        require_called_aetitle: bool = True,
        allowed_calling: Collection[str] = (),
        access: Access | None = None,
        limits: Limits | None = None,
        max_associations: int = 64,
        timeouts: Timeouts | None = None,
        tls: AcceptorTLS | None = None,
    ) -> None:
        timeouts = timeouts or Timeouts()
        self.aetitle = aetitle
        self._services = services
        self._require_called = require_called_aetitle
        self._allowed_calling = frozenset(allowed_calling)
        self._access = access or Access()
        self._limits = limits or Limits(associations=max_associations)
        self._deadlines = Deadlines(
            negotiation=timeouts.acse, message=timeouts.dimse, idle=timeouts.network
        )
        self._tls = Renewing(tls) if tls is not None else None
        self._address = (host, port)
        self._listener = Listener(self._taken)
        self._sessions: set[Session] = set()
        self._crowd: Crowd[Session] = Crowd(self._limits.unnegotiated)
        self._associations = OpenAssociations(self._limits)

    @property
    def host(self) -> str:
        """The address we listen at."""
        return self._address[0]

    @property
    def port(self) -> int:
        """The port we listen on; known after `start` when 0 was asked for."""
        return self._address[1]

    @property
    def open_associations(self) -> int:
        """How many associations we have accepted that have not ended."""
        return self._associations.total

    @property
    def open_connections(self) -> int:
        """How many connections there are, with an association or without."""
        return len(self._sessions)

    async def start(self) -> None:
        """Begin to listen; connections are served from the moment this returns.

        Raises
        ------
        ListenError
            When the address is taken, not ours, or not allowed.
        """
        self._turns = Turns()
        make_room(self._limits.associations + self._limits.unnegotiated)
        host, port = self._address
        self._address = (host, await self._listener.open(host, port))

    async def drain(self, grace: float) -> None:
        """Stop listening, and wait until running associations have ended.

        Parameters
        ----------
        grace
            Seconds that they have; `stop` aborts those that take longer.
        """
        self._listener.close()
        for session in list(self._sessions):
            if not session.is_established:
                session.close()
        await self._wait_ended(grace, established=True)

    async def stop(self) -> None:
        """Stop listening, abort every running association, close every connection."""
        self._listener.close()
        if running := self.open_associations:
            log.warning("Aborting %d associations", running)
        for session in list(self._sessions):
            session.abort()
        await self._wait_ended(_TO_ABORT)
        for session in list(self._sessions):
            session.close()
        await self._wait_ended(_TO_CLOSE)
        if self._sessions:
            log.error("%d associations could not be ended", len(self._sessions))

    async def _wait_ended(self, timeout: float, *, established: bool = False) -> None:
        """Wait until connections have ended, or those with an association."""
        ends = [
            asyncio.ensure_future(session.wait_ended())
            for session in self._sessions
            if session.is_established or not established
        ]
        if not ends:
            return
        try:
            await asyncio.wait(ends, timeout=timeout)
        finally:
            for end in ends:
                end.cancel()

    # A connection, from its first sign to its end

    def _taken(self, sock: socket.socket, address: str) -> None:
        session = Session(
            address=address,
            services=self._services,
            judge=self._judge,
            supports=self._supports,
            patience=self._deadlines.message,
            established=self._established,
            ended=self._ended,
        )
        association = Association(Role.ACCEPTOR, maximum_length=MAXIMUM_PDU_LENGTH)
        connection = Connection(association, session, self._deadlines, self._turns)
        session.serve(connection)
        self._sessions.add(session)
        session.opening = asyncio.create_task(self._open(sock, session), name="open a connection")
        session.opening.add_done_callback(lambda _: self._opened(sock, session))
        if (surplus := self._crowd.add(session, address)) is not None:
            surplus.close()

    async def _open(self, sock: socket.socket, session: Session) -> None:
        """Give the connection to asyncio, and wait for its TLS handshake where there is one."""
        options: dict[str, Any] = {}
        try:
            if self._tls is not None:
                options = {
                    "ssl": self._tls.current(),
                    "ssl_handshake_timeout": self._tls.settings.handshake,
                    "ssl_shutdown_timeout": TO_SHUT_DOWN,
                }
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: session.connection, sock, **options
            )
        except (OSError, EOFError) as error:  # of TLS, or of a peer that is gone already
            log.debug("No connection from %s: %s", session.address, type(error).__name__)
            # asyncio's frames in it refer to it: a circle that keeps the buffers of the handshake,
            # 300 KB, until the garbage collector comes.
            error.__traceback__ = None

    def _opened(self, sock: socket.socket, session: Session) -> None:
        """Take note that a connection is open, or never will be; its task may not have begun."""
        session.opening = None
        if not session.connection.was_opened:
            sock.close()
            session.lost()

    def _established(self, session: Session) -> None:
        self._crowd.remove(session, session.address)
        self._associations.add(session.address, session.caller.aetitle)

    def _ended(self, session: Session) -> None:
        self._sessions.discard(session)
        if session.was_established:
            self._associations.remove(session.address, session.caller.aetitle)
        else:
            self._crowd.remove(session, session.address)

    # Decisions

    def _supports(self, abstract_syntax: str, rights: Rights) -> bool:
        if abstract_syntax == VERIFICATION:
            return True
        if abstract_syntax in FIND_MODELS:
            return rights.query and self._services.find is not None
        if abstract_syntax in MOVE_MODELS:
            return rights.query and self._services.move is not None
        if abstract_syntax in GET_MODELS:
            return rights.query and self._services.get is not None
        return rights.store and self._services.store is not None and is_storage(abstract_syntax)

    def _judge(self, session: Session, request: AssociateRequest) -> Refusal | Rights:
        """Decide about a request."""
        title = request.calling_aetitle
        if request.application_context != APPLICATION_CONTEXT:
            return Refusal(
                _APPLICATION_CONTEXT_NOT_SUPPORTED, "application context name not supported"
            )
        if self._require_called and request.called_aetitle != self.aetitle:
            return Refusal(_CALLED_NOT_RECOGNISED, "called AE title not recognised")
        rights = self._access.rights(title, session.address)
        if rights is None or (self._allowed_calling and title not in self._allowed_calling):
            return Refusal(_CALLING_NOT_RECOGNISED, "calling AE title not recognised")
        bound = self._tls is not None and self._tls.settings.bind_aetitle
        if bound and not is_for(session.connection.peer_certificate(), title):
            return Refusal(
                _CALLING_NOT_RECOGNISED, "calling AE title is not that of its certificate"
            )
        if (why := self._associations.full(session.address, title)) is not None:
            return Refusal(_LOCAL_LIMIT_EXCEEDED, f"local limit exceeded: {why}")
        return rights

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
