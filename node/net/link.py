"""The requestor's end of an association: opening it, messages over it, ending it.

`node.net.requestor` makes the DIMSE services of this.
"""

import asyncio
import logging
from dataclasses import replace

from pydicom.uid import UID

from node.dicom.status import Status
from node.errors import AssociationLost, PeerRefused
from node.net.connection import Connection
from node.net.deadlines import Deadlines
from node.net.dialing import dial, rejected, unanswered, where
from node.net.inbox import Ended, Inbox, Message
from node.net.local import MAXIMUM_PDU_LENGTH, OURSELVES
from node.net.messages import Caller, Peer, StoreHandler, StoreRequest, StoreSink
from node.net.whole import Refused
from node.upperlayer import (
    AssociateRequest,
    Association,
    Command,
    CommandField,
    LocalMistake,
    ProposedContext,
    Role,
    RoleSelection,
    State,
    response_to,
)
from node.upperlayer.events import Accepted, Event, Rejected, ReleaseRequested

log = logging.getLogger(__name__)

_TO_CLOSE = 2.0
"""Seconds for an abort to be written and the connection to close."""

PENDING = (Status.PENDING, 0xFF01)


class Link:
    """An association that we request, and what every operation over it needs.

    Parameters
    ----------
    peer
        Whom to associate with.
    contexts
        What to propose.
    roles
        Of SOP classes in which we want to be the SCP (PS3.7 D.3.3.4).
    response_timeout
        Seconds to wait for the next response; the peer's DIMSE time-out when None.
    """

    def __init__(
        self,
        peer: Peer,
        contexts: tuple[ProposedContext, ...],
        *,
        roles: tuple[RoleSelection, ...] = (),
        response_timeout: float | None = None,
    ) -> None:
        self._peer = peer
        self._proposed = {context.id: context for context in contexts}
        self._roles = roles
        self._patience = response_timeout or peer.timeouts.dimse
        self._core = Association(Role.REQUESTOR, maximum_length=MAXIMUM_PDU_LENGTH)
        network = max(peer.timeouts.network, self._patience)
        deadlines = Deadlines(
            negotiation=peer.timeouts.acse, message=peer.timeouts.dimse, idle=network
        )
        self._connection = Connection(self._core, self, deadlines)
        self._inbox = Inbox(self._connection, self._open_sink)
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Event] = self._loop.create_future()
        self._opened = False
        self._message_id = 0
        self._running: int | None = None
        self._running_context = 0
        self._cancelled = False
        self._abandoned: set[int] = set()
        self._store: StoreHandler | None = None

    # The association as a whole

    async def open(self) -> None:
        """Connect, propose, and wait for the answer.

        Raises
        ------
        PeerUnreachable, PeerRefused
            See `node.net.requestor.associate`.
        ConfigurationError
            The files for TLS cannot be used.
        """
        peer = self._peer
        self._core.request(
            AssociateRequest(
                called_aetitle=peer.aetitle,
                calling_aetitle=peer.calling_aetitle,
                contexts=tuple(self._proposed.values()),
                user=replace(OURSELVES, roles=self._roles),
            )
        )
        await dial(peer, self._connection)
        try:
            async with asyncio.timeout(peer.timeouts.acse):
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
            async with asyncio.timeout(self._peer.timeouts.acse):
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

    # The parts of an operation

    def _begin(self) -> int:
        """Begin an operation, and return its message ID."""
        if self.is_over:
            raise self._lost()
        self._abandon()
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _send(
        self, context_id: int, command: Command, dataset: bytes | None = None, *, more: bool = False
    ) -> None:
        """Send a message; when there is `more`, its dataset follows in parts."""
        try:
            self._core.send(context_id, command, dataset)
        except LocalMistake as error:
            raise self._lost() from error
        if not more:
            self._connection.flush()

    async def _send_part(self, context_id: int, data: bytes, *, last: bool) -> None:
        """Send a part of a dataset, and wait until the peer has read enough of it."""
        try:
            self._core.send_part(context_id, data, last=last)
        except LocalMistake as error:
            raise self._lost() from error
        self._connection.flush()
        await self._connection.drain()  # the connection sees to it that the peer goes on reading
        if self._inbox.ended is not None:
            raise self._lost()

    async def _response(self, field: CommandField, operation: str) -> Message:
        """Return the next response to what was asked last."""
        self._connection.busy = True  # the peer is at work: the deadline is ours, here
        try:
            while True:
                message = await self._next(operation)
                if message.sink is not None:
                    await self._stored(message)
                elif not self._is_stale(message.command):
                    break
        finally:
            self._connection.busy = False
        command = message.command
        if (
            command.field != field
            or command.status is None
            or command.responding_to not in (self._message_id, None)
        ):
            self.abort(f"it answered the {operation} with something else")
            raise self._lost(operation)
        return message

    async def _next(self, operation: str) -> Message:
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    message = await self._inbox.get()
            except TimeoutError as error:
                if self._is_coming():
                    continue
                self.abort(f"nothing came for {self._patience:g} s")
                raise self._lost(operation) from error
            if not isinstance(message, Message):
                raise self._lost(operation)
            return message

    def _is_coming(self) -> bool:
        """Tell whether a long message is on its way, at a pace that the connection watches."""
        quiet = self._loop.time() - self._connection.last_activity
        return self._core.mid_message and quiet < self._patience

    def _is_stale(self, command: Command) -> bool:
        """Tell whether it answers an operation that was given up."""
        if command.responding_to not in self._abandoned or not command.is_response:
            return False
        if command.status not in PENDING:
            self._abandoned.discard(command.responding_to)
        return True

    def _abandon(self) -> None:
        """Cancel the operation that is running, if one is, and let its responses be stale."""
        if self._running is not None:
            self._abandoned.add(self._running)
            self._cancel()
            self._running = None

    def _cancel(self) -> None:
        """C-CANCEL (PS3.7 9.3.2.3) of the running operation, where the association goes on."""
        if not self.is_over:
            command = Command(field=CommandField.C_CANCEL_RQ, responding_to=self._running)
            self._send(self._running_context, command)

    # The sub-operations of a C-GET

    def _open_sink(self, context_id: int, command: Command) -> StoreSink:
        if self._store is None:
            return Refused(Status.SOP_CLASS_NOT_SUPPORTED)
        host, port = self._connection.address
        return self._store(
            StoreRequest(
                caller=Caller(aetitle=self._peer.aetitle, address=host, port=port),
                sop_class_uid=command.affected_sop_class_uid or "",
                sop_instance_uid=command.affected_sop_instance_uid or "",
                transfer_syntax_uid=self._core.contexts[context_id].transfer_syntax,
            )
        )

    async def _stored(self, message: Message) -> None:
        assert message.sink is not None, "the caller has looked"  # noqa: S101
        status = await message.sink.finish()
        if not self.is_over:
            self._send(message.context_id, response_to(message.command, status))

    # Errors

    def _lost(self, operation: str = "") -> AssociationLost:
        ended = self._inbox.ended
        why = ended.reason if ended is not None and ended.reason else "the association has ended"
        before = f" before the {operation} was answered" if operation else ""
        return AssociationLost(f"{self._peer.name}: the association ended{before}: {why}")
