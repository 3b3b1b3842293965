"""One connection that somebody has opened to us, from its first sign to its end.

A visit opens the connection, and negotiates; once a request for an association has been accepted,
a `Session` serves it in a task of its own, and the visit hands on what happens.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from node.net.scp.access import Rights
from node.net.scp.session import Session
from node.net.transport.connection import Connection
from node.net.transport.deadlines import Deadlines
from node.net.transport.tls import TO_SHUT_DOWN, Renewing
from node.net.transport.turns import Turns
from node.upperlayer import AssociateRequest, Association, Rejection
from node.upperlayer.events import Event, Requested

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an association is rejected, for the peer and for the log."""

    rejection: Rejection
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """Who receives visits, and decides about them.

    Attributes
    ----------
    judge
        Decides about the request for an association.
    welcome
        Returns what serves an association that is to be accepted.
    established
        Called once, when the association has been accepted.
    ended
        Called once, when the connection is gone and nothing is being done for it.
    """

    judge: "Callable[[Visit, AssociateRequest], Refusal | Rights]"
    welcome: "Callable[[Visit, AssociateRequest, Rights], Session]"
    established: "Callable[[Visit], None]"
    ended: "Callable[[Visit], None]"


class Visit:
    """A connection, and the association on it when there is one.

    Parameters
    ----------
    sock
        The connection, which is opened from now on.
    address
        Where it comes from.
    association
        The sans-IO core.
    deadlines, turns
        See `Connection`.
    tls
        The TLS that is spoken; None is plain text.
    reception
        Who receives it.

    Attributes
    ----------
    connection
        The connection; it may not be open yet.
    session
        What serves the association; None while there is none.
    """

    def __init__(
        self,
        sock: socket.socket,
        address: str,
        *,
        association: Association,
        deadlines: Deadlines,
        turns: Turns,
        tls: Renewing | None,
        reception: Reception,
    ) -> None:
        self.address = address
        self.connection = Connection(association, self, deadlines, turns)
        self.session: Session | None = None
        self._sock = sock
        self._reception = reception
        self._serving: asyncio.Task[None] | None = None
        self._lost = False
        self._over = asyncio.Event()
        self._opening: asyncio.Task[None] | None = asyncio.create_task(
            self._open(tls), name="open a connection"
        )
        self._opening.add_done_callback(self._opened)

    @property
    def is_established(self) -> bool:
        """Whether there is an association that has not ended."""
        return self.session is not None and not self._over.is_set()

    async def wait_ended(self) -> None:
        """Wait until the connection is gone and nothing is being done for it."""
        await self._over.wait()

    def abort(self) -> None:
        """Abort the association, and stop what is being done for it."""
        if self.session is None or self._serving is None:
            self.close()
            return
        self.session.give_up("we are stopping")
        self._serving.cancel()

    def close(self) -> None:
        """Close the connection without a word, whatever it is at."""
        if self.connection.was_opened:
            self.connection.close()
        elif self._opening is not None:
            self._opening.cancel()

    # What the connection tells

    def received(self, event: Event) -> None:
        """Take an event of the association."""
        if self.session is not None:
            self.session.received(event)
        elif isinstance(event, Requested):
            self._negotiate(event.request)

    def lost(self) -> None:
        """Take note that the connection is closed, or was never opened."""
        self._lost = True
        if self.session is not None:
            self.session.lost()
        self._finish()

    async def _open(self, tls: Renewing | None) -> None:
        """Give the connection to asyncio, and wait for its TLS handshake where there is one."""
        options: dict[str, Any] = {}
        try:
            if tls is not None:
                options = {
                    "ssl": tls.current(),
                    "ssl_handshake_timeout": tls.settings.handshake,
                    "ssl_shutdown_timeout": TO_SHUT_DOWN,
                }
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self.connection, self._sock, **options
            )
        except (OSError, EOFError) as error:  # of TLS, or of a peer that is gone already
            log.debug("No connection from %s: %s", self.address, type(error).__name__)
            # asyncio's frames in it refer to it: a circle that keeps the buffers of the handshake,
            # 300 KB, until the garbage collector comes.
            error.__traceback__ = None

    def _opened(self, _: "asyncio.Task[None]") -> None:
        """Take note that a connection is open, or never will be; its task may not have begun."""
        self._opening = None
        if not self.connection.was_opened:
            self._sock.close()
            self.lost()

    def _negotiate(self, request: AssociateRequest) -> None:
        title = request.calling_aetitle
        judgement = self._reception.judge(self, request)
        if isinstance(judgement, Refusal):
            log.warning(
                "Rejected %s at %s, which called %s: %s",
                title,
                self.address,
                request.called_aetitle,
                judgement.reason,
            )
            self.connection.association.reject(judgement.rejection)
            return
        session = self._reception.welcome(self, request, judgement)
        self.connection.association.accept(session.agreement.accept)
        log.info("Association from %s at %s", title, self.address)
        self.session = session
        self._serving = asyncio.create_task(
            session.run(), name=f"association of {self.address} port {self.connection.address[1]}"
        )
        self._serving.add_done_callback(lambda _: self._finish())
        self._reception.established(self)

    def _finish(self) -> None:
        """Take note of the end, once the connection is gone and nothing is being done for it."""
        serving = self._serving is not None and not self._serving.done()
        if self._lost and not serving and not self._over.is_set():
            self._over.set()
            self._reception.ended(self)
