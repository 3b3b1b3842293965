"""The requestor's end of an association: opening it, and ending it in good order or not.

What goes over it in between is in `node.net.scu.exchange`.
"""

import asyncio
import logging
from dataclasses import replace

from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity

from node.dicom.status import Status
from node.errors import PeerRefused
from node.net.dimse.inbox import Ended, Inbox
from node.net.dimse.sinks import Refused
from node.net.entity import deadlines, introduction, proposal
from node.net.messages import Peer, StoreSink
from node.net.scu.dialing import dial, rejected, unanswered, where
from node.net.transport.connection import Connection
from node.upperlayer import (
    AssociateRequest,
    Association,
    Command,
    LocalMistake,
    Role,
    RoleSelection,
    State,
)
from node.upperlayer.events import Accepted, Event, Rejected, ReleaseRequested

log = logging.getLogger(__name__)

_TO_CLOSE = 2.0
"""Seconds for an abort to be written and the connection to close."""


class Link:
    """An association that we request.

    Parameters
    ----------
    entity
        What we are: title, requested contexts and time-outs.
    peer
        Whom to associate with.
    roles
        Of SOP classes in which we want to be the SCP (PS3.7 D.3.3.4).
    response_timeout
        Seconds to wait for the next response; the peer's DIMSE time-out when None.
    """

    def __init__(
        self,
        entity: ApplicationEntity,
        peer: Peer,
        *,
        roles: tuple[RoleSelection, ...] = (),
        response_timeout: float | None = None,
    ) -> None:
        self._entity = entity
        self._peer = peer
        self._proposed = {context.id: context for context in proposal(entity)}
        self._roles = roles
        limits = deadlines(entity)
        self._patience = response_timeout or limits.message
        self._core = Association(Role.REQUESTOR, maximum_length=entity.maximum_pdu_size)
        limits = replace(limits, idle=max(limits.idle, self._patience))
        self._connection = Connection(self._core, self, limits)
        self._inbox = Inbox(self._connection, self._open_sink)
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Event] = self._loop.create_future()
        self._opened = False

    # The association as a whole

    async def open(self) -> None:
        """Connect, propose, and wait for the answer.

        Raises
        ------
        PeerUnreachable, PeerRefused
            See `node.net.scu.requestor.associate`.
        ConfigurationError
            The files for TLS cannot be used.
        """
        peer = self._peer
        self._core.request(
            AssociateRequest(
                called_aetitle=peer.aetitle,
                calling_aetitle=self._entity.ae_title,
                contexts=tuple(self._proposed.values()),
                user=introduction(self._entity, self._roles),
            )
        )
        await dial(peer, self._connection, patience=self._entity.connection_timeout)
        try:
            async with asyncio.timeout(self._entity.acse_timeout):
                answer = await self._answer
        except TimeoutError as error:
            raise unanswered(self._peer) from error
        if isinstance(answer, Rejected):
            raise rejected(peer, answer.rejection)
        if not isinstance(answer, Accepted):
            raise unanswered(self._peer)
        self._opened = True
        if self._proposed and not self._core.contexts:
            refused = ", ".join(
                UID(context.abstract_syntax).name for context in list(self._proposed.values())[:3]
            )
            raise PeerRefused(f"{where(peer)} accepts none of what we need: {refused}")

    async def release(self) -> None:
        """Release the association (PS3.8 7.2)."""
        if self._inbox.ended is not None:
            return
        if self._core.state is State.AWAITING_LOCAL_RELEASE_RESPONSE:
            self._core.respond_to_release()  # the peer was quicker
            self._connection.flush()
            self._inbox.end(Ended(released=True))
            return
        try:
            self._core.release()
        except LocalMistake:
            return  # it is ending already
        self._connection.flush()
        try:
            async with asyncio.timeout(self._entity.acse_timeout):
                await self._released()
        except TimeoutError:
            log.debug("%s did not answer the release", self._peer.name)

    async def _released(self) -> None:
        """Wait for the end; what comes before it nobody waits for."""
        while not isinstance(message := await self._inbox.get(), Ended):
            if isinstance(message, ReleaseRequested):  # both have asked: PS3.8 9.2.3, AR-9
                self._core.respond_to_release()
                self._connection.flush()
            elif message.sink is not None:
                message.sink.discard()

    async def close(self) -> None:
        """Abort what has not been released, and wait until the connection is gone."""
        connection = self._connection
        try:
            if not connection.is_open:
                return
            if self._inbox.ended is None:
                connection.abort()
            else:
                connection.flush()
            connection.close_soon()
            try:
                async with asyncio.timeout(_TO_CLOSE):
                    await connection.wait_closed()
            except TimeoutError:
                connection.close()
                await connection.wait_closed()
            except asyncio.CancelledError:
                connection.close()
                raise
        finally:
            self._inbox.end(Ended(released=False, reason="we have closed the connection"))
            self._inbox.discard_waiting()

    def abort(self, reason: str) -> None:
        """Abort the association: nothing can be said over it any more."""
        self._connection.abort()
        self._inbox.end(Ended(released=False, reason=reason))

    @property
    def is_over(self) -> bool:
        """Whether the association has ended, or is ending."""
        return self._inbox.ended is not None or not self._core.is_established

    # What the connection tells

    def received(self, event: Event) -> None:
        """Take an event of the upper layer."""
        if not self._opened and not self._answer.done():
            self._answer.set_result(event)
            if isinstance(event, Accepted):
                return
        self._inbox.received(event)

    def lost(self) -> None:
        """Take note that the connection is closed."""
        self._inbox.end(Ended(released=False, reason="the connection was closed"))
        if not self._answer.done():
            self._answer.set_exception(unanswered(self._peer))
            self._answer.exception()  # somebody else may have raised first

    # What a subclass may do

    def _open_sink(self, context_id: int, command: Command) -> StoreSink:  # noqa: ARG002
        """Begin to take an object that the peer stores: none is expected here."""
        return Refused(Status.SOP_CLASS_NOT_SUPPORTED)
