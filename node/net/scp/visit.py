"""One connection that somebody has opened to us, from its first sign to its end.

A visit opens the connection, and negotiates; once a request for an association has been accepted,
a `Session` serves it in a task of its own, and the visit hands on what happens.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from node.net.scp.access import Rights
from node.net.scp.session import Session
from node.net.transport.complaints import Complaints
from node.net.transport.connection import Connection
from node.net.transport.deadlines import Deadlines
from node.net.transport.opening import open_accepted
from node.net.transport.tls import Renewing
from node.net.transport.turns import Turns
from node.upperlayer import AssociateRequest, Association, Rejection
from node.upperlayer.events import Aborted, Event, Requested

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an association is rejected, for the peer and for the log."""

    rejection: Rejection
    reason: str


class Onlooker:
    """Is told what becomes of connections, at once, in the event loop; this one does nothing.

    Of each connection, in this order: `opened`; where an association is requested, `requested` and
    then `rejected` or `accepted`; of one that was accepted, `served`; and `closed`.
    """

    def opened(self, visit: "Visit") -> None:
        """Take note that a connection is open, its TLS handshake done."""

    def requested(self, visit: "Visit", request: AssociateRequest) -> None:
        """Take note that an association is requested; nothing has been decided about it."""

    def rejected(self, visit: "Visit") -> None:
        """Take note that it is rejected."""

    def accepted(self, visit: "Visit", session: Session) -> None:
        """Take note that it is accepted; nothing has come over it."""

    def served(self, visit: "Visit") -> None:
        """Take note that the association is over, and nothing is being done for it."""

    def closed(self, visit: "Visit") -> None:
        """Take note that the connection is gone, and nothing is being done for it."""


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
    complaints
        Warns of those with whom no association comes about.
    onlooker
        Is told what becomes of visits.
    """

    judge: "Callable[[Visit, AssociateRequest], Refusal | Rights]"
    welcome: "Callable[[Visit, AssociateRequest, Rights], Session]"
    established: "Callable[[Visit, Session], None]"
    ended: "Callable[[Visit], None]"
    complaints: Complaints
    onlooker: Onlooker = field(default_factory=Onlooker)


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
        self._served = False
        self._lost = False
        self._complained = False
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

    def reset(self) -> None:
        """Close the connection so that the peer sees a reset, whatever it is at."""
        if self.connection.was_opened:
            self.connection.reset()
        if self._serving is not None:
            self._serving.cancel()
        elif not self.connection.was_opened:
            self.close()

    # What the connection tells

    def received(self, event: Event) -> None:
        """Take an event of the association."""
        if self.session is not None:
            self.session.received(event)
        elif isinstance(event, Requested):
            self._negotiate(event.request)
        elif isinstance(event, Aborted) and not self.connection.is_closed:
            self._complain("%s asked for no association: %s", event.reason)

    def lost(self) -> None:
        """Take note that the connection is closed, or was never opened."""
        self._lost = True
        if self.session is not None:
            self.session.lost()
        elif not self._complained and self.connection.association.mid_message:
            self._complain("%s asked for no association: %s", "its request never came to its end")
        self._finish()

    def _complain(self, message: str, *args: object) -> None:
        """Warn of somebody with whom no association comes about, once."""
        if not self._complained:
            self._complained = True
            self._reception.complaints.about(self.address, message, self.address, *args)

    async def _open(self, tls: Renewing | None) -> None:
        """Give the connection to asyncio, and wait for its TLS handshake where there is one."""
        why = await open_accepted(self._sock, self.connection, tls)
        if why:
            self._complain("The TLS handshake with %s failed: %s", why)
        elif why is not None:
            log.debug("%s said nothing, or is gone already", self.address)
        else:
            self._reception.onlooker.opened(self)

    def _opened(self, _: "asyncio.Task[None]") -> None:
        """Take note that a connection is open, or never will be; its task may not have begun."""
        self._opening = None
        if not self.connection.was_opened:
            self._sock.close()
            self.lost()

    def _negotiate(self, request: AssociateRequest) -> None:
        title = request.calling_aetitle
        self._reception.onlooker.requested(self, request)
        judgement = self._reception.judge(self, request)
        if isinstance(judgement, Refusal):
            self._complained = True
            self._reception.complaints.about(
                self.address,
                "Rejected %s at %s, which called %s: %s",
                title,
                self.address,
                request.called_aetitle,
                judgement.reason,
            )
            self.connection.association.reject(judgement.rejection)
            self._reception.onlooker.rejected(self)
            return
        session = self._reception.welcome(self, request, judgement)
        self.connection.association.accept(session.agreement.accept)
        log.info("Association from %s at %s", title, self.address)
        self.session = session
        self._serving = asyncio.create_task(
            session.run(), name=f"association of {self.address} port {self.connection.address[1]}"
        )
        self._serving.add_done_callback(lambda _: self._end_serving())
        self._reception.established(self, session)
        self._reception.onlooker.accepted(self, session)

    def _end_serving(self) -> None:
        self._served = True
        self._reception.onlooker.served(self)
        self._finish()

    def _finish(self) -> None:
        """Take note of the end, once the connection is gone and nothing is being done for it."""
        serving = self._serving is not None and not self._served
        if self._lost and not serving and not self._over.is_set():
            self._over.set()
            self._reception.ended(self)
            self._reception.onlooker.closed(self)
