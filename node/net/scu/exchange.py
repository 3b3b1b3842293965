"""Messages over an association that we requested: a request goes out, its responses come in.

`node.net.scu.service_user` makes the DIMSE services of this.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from pynetdicom.ae import ApplicationEntity

from node.dicom.status import Status
from node.net.categories import is_pending
from node.net.dimse.inbox import Message
from node.net.dimse.sinks import Refused
from node.net.messages import Caller, Peer, StoreHandler, StoreRequest, StoreSink
from node.net.scu.link import Link
from node.upperlayer import Command, CommandField, LocalMistake, RoleSelection, response_to


class Exchange:
    """What every operation over an association needs: one at a time.

    Parameters
    ----------
    entity, peer, roles, response_timeout, extended
        See `Link`.

    Attributes
    ----------
    link
        The association that it goes over.
    store
        Takes the objects that the peer stores, during a C-GET; None refuses them.
    was_cancelled
        Whether `cancel` was called for the latest operation.
    events
        The N-EVENT-REPORTs that have come before the response that was waited for.
    """

    def __init__(
        self,
        entity: ApplicationEntity,
        peer: Peer,
        *,
        roles: tuple[RoleSelection, ...] = (),
        response_timeout: float | None = None,
        extended: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        self.store: StoreHandler | None = None
        self.was_cancelled = False
        self.events: deque[Message] = deque()
        self._received = {role.sop_class_uid for role in roles if role.scp}
        self._message_id = 0
        self._running: int | None = None
        self._running_context = 0
        self._abandoned: set[int] = set()
        self.link = Link(
            entity,
            peer,
            open_sink=self._open_sink,
            roles=roles,
            response_timeout=response_timeout,
            extended=extended,
        )

    # The parts of an operation

    def begin(self) -> int:
        """Begin an operation, and return its message ID; one that is running is cancelled.

        Raises
        ------
        AssociationLost
            The association has ended. So it is with everything that follows.
        """
        if self.link.is_over:
            raise self.link.lost_before()
        self._abandon()
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def send(
        self, context_id: int, command: Command, dataset: bytes | None = None, *, more: bool = False
    ) -> None:
        """Send a message; when there is `more`, its dataset follows in parts."""
        try:
            self.link.association.send(context_id, command, dataset)
        except LocalMistake as error:
            raise self.link.lost_before() from error
        if not more:
            self.link.connection.flush()

    async def send_part(self, context_id: int, data: bytes, *, last: bool) -> None:
        """Send a part of a dataset, and wait until the peer has read enough of it."""
        connection = self.link.connection
        try:
            self.link.association.send_part(context_id, data, last=last)
        except LocalMistake as error:
            raise self.link.lost_before() from error
        connection.flush()
        await connection.drain()  # the connection sees to it that the peer goes on reading
        if self.link.inbox.ended is not None:
            raise self.link.lost_before()

    async def response(self, field: CommandField, operation: str) -> Message:
        """Return the next response to what was asked last."""
        connection = self.link.connection
        connection.busy = True  # the peer is at work: the deadline is ours, here
        try:
            while True:
                message = await self._next(operation)
                if message.sink is not None:
                    await self._stored(message)
                elif message.command.field == CommandField.N_EVENT_REPORT_RQ:
                    self.events.append(message)
                elif not self._is_stale(message.command):
                    break
        finally:
            connection.busy = False
        command = message.command
        if (
            command.field != field
            or command.status is None
            or command.responding_to not in (self._message_id, None)
        ):
            self.link.abort(f"it answered the {operation} with something else")
            raise self.link.lost_before(operation)
        return message

    async def responses(
        self, context_id: int, command: Command, dataset: bytes, operation: str
    ) -> AsyncGenerator[Message, None]:
        """Send a request that was begun, and yield its responses, the last included.

        When the iteration is left before the last one, or another operation begins, this one
        is cancelled, and what still comes of it is ignored.
        """
        message_id = command.message_id
        self.send(context_id, command, dataset)
        self._running, self._running_context = message_id, context_id
        self.was_cancelled = False
        expected = CommandField(command.field | 0x8000)
        pending = True
        try:
            while pending:
                if self._running != message_id:
                    raise RuntimeError("another operation has been begun since")
                response = await self.response(expected, operation)
                pending = is_pending(response.command.status)
                if not pending:
                    self._running = None
                yield response
        finally:
            if self._running == message_id:
                self._abandon()

    async def cancel(self) -> None:
        """Ask for the end of the running operation, where one is running."""
        if self._running is not None:
            self.was_cancelled = True
            self._send_cancel()
            await self.link.connection.drain()

    async def cancelled(self) -> None:
        """Wait for the last response to each operation that was given up."""
        while self._abandoned:
            message = await self._next("C-CANCEL")
            if message.sink is not None:
                await self._stored(message)
            else:
                self._is_stale(message.command)

    # What comes

    async def _next(self, operation: str) -> Message:
        patience, inbox = self.link.patience, self.link.inbox
        while True:
            try:
                if inbox.has_waiting:  # a time-out costs more than all else here
                    message = await inbox.get()
                else:
                    async with asyncio.timeout(patience):
                        message = await inbox.get()
            except TimeoutError as error:
                if self._is_coming():
                    continue
                self.link.abort(f"nothing came for {patience:g} s")
                raise self.link.lost_before(operation) from error
            if not isinstance(message, Message):
                raise self.link.lost_before(operation)
            return message

    def _is_coming(self) -> bool:
        """Tell whether a long message is on its way, at a pace that the connection watches."""
        link = self.link
        quiet = asyncio.get_running_loop().time() - link.connection.last_activity
        return link.association.mid_message and quiet < link.patience

    def _is_stale(self, command: Command) -> bool:
        """Tell whether it answers an operation that was given up."""
        if command.responding_to not in self._abandoned or not command.is_response:
            return False
        if not is_pending(command.status):
            self._abandoned.discard(command.responding_to)
        return True

    # What nobody waits for

    def _abandon(self) -> None:
        """Cancel the operation that is running, if one is, and let its responses be stale."""
        if self._running is not None:
            self._abandoned.add(self._running)
            self._send_cancel()
            self._running = None

    def _send_cancel(self) -> None:
        """C-CANCEL (PS3.7 9.3.2.3) of the running operation, where the association goes on."""
        if not self.link.is_over:
            command = Command(field=CommandField.C_CANCEL_RQ, responding_to=self._running)
            self.send(self._running_context, command)

    # The sub-operations of a C-GET

    def _open_sink(self, context_id: int, command: Command) -> StoreSink:
        """Begin to take an image; the context has to be one of its class, which we wanted.

        Whether the peer has agreed to the role is not looked at: what we proposed to take, we take.
        """
        if self.store is None:  # it may not even be known yet what was accepted
            return Refused(Status.SOP_CLASS_NOT_SUPPORTED)
        abstract, transfer_syntax = self.link.accepted[context_id]
        if command.affected_sop_class_uid != abstract or abstract not in self._received:
            return Refused(Status.SOP_CLASS_NOT_SUPPORTED)
        host, port = self.link.connection.address
        return self.store(
            StoreRequest(
                caller=Caller(aetitle=self.link.peer.aetitle, address=host, port=port),
                sop_class_uid=abstract,
                sop_instance_uid=command.affected_sop_instance_uid or "",
                transfer_syntax_uid=transfer_syntax,
            )
        )

    async def _stored(self, message: Message) -> None:
        assert message.sink is not None, "the caller has looked"  # noqa: S101
        status = await message.sink.finish()
        if not self.link.is_over:
            self.send(message.context_id, response_to(message.command, status))
