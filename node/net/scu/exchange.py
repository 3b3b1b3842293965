"""Messages over an association that we requested: a request goes out, its responses come in.

`node.net.scu.service_user` makes the DIMSE services of this.
"""

import asyncio

from pynetdicom.ae import ApplicationEntity

from node.errors import AssociationLost
from node.net.categories import is_pending
from node.net.dimse.inbox import Message
from node.net.messages import Caller, Peer, StoreHandler, StoreRequest, StoreSink
from node.net.scu.link import Link
from node.upperlayer import (
    Command,
    CommandField,
    LocalMistake,
    RoleSelection,
    response_to,
)


class Exchange(Link):
    """An association that we requested, and what every operation over it needs: one at a time.

    Parameters
    ----------
    entity, peer, roles, response_timeout
        See `Link`.
    """

    def __init__(
        self,
        entity: ApplicationEntity,
        peer: Peer,
        *,
        roles: tuple[RoleSelection, ...] = (),
        response_timeout: float | None = None,
    ) -> None:
        super().__init__(entity, peer, roles=roles, response_timeout=response_timeout)
        self._message_id = 0
        self._running: int | None = None
        self._running_context = 0
        self._cancelled = False
        self._abandoned: set[int] = set()
        self._store: StoreHandler | None = None

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
        if not is_pending(command.status):
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
            return super()._open_sink(context_id, command)
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
