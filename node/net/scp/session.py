"""One association that we have accepted, from the request to its end.

Messages are served one after the other by a task of the association's own (the asynchronous
operations window is 1/1, PS3.7 D.3.3.3). A handler's mistake becomes a status: a network
handler never raises (PS3.7 Annex C).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from node.dicom.status import Status
from node.net.dimse.inbox import Ended, Inbox, Message
from node.net.dimse.sinks import Refused
from node.net.messages import Caller, Services, StoreRequest, StoreSink
from node.net.scp.access import Rights
from node.net.scp.agreement import Agreement, Offer
from node.net.scp.get import answer_get
from node.net.scp.query import answer_find, answer_move
from node.net.transport.connection import Connection
from node.net.transport.failures import log_failure
from node.upperlayer import AssociateRequest, Command, CommandField, Rejection, response_to
from node.upperlayer.events import Event, ReleaseRequested, Requested

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an association is rejected, for the peer and for the log."""

    rejection: Rejection
    reason: str


class Session:
    """Serves one connection.

    Parameters
    ----------
    address
        Where it comes from.
    services
        What is offered.
    judge
        Decides about the request for an association.
    offer
        What is offered to whom.
    patience
        Seconds that a peer has to answer what we send it.
    established
        Called with the session once, when its association has been accepted.
    ended
        Called with the session once, when its connection is gone and its task has ended.

    Attributes
    ----------
    opening
        The task that opens the connection, while it does.
    patience
        As given.
    agreement
        What the association may be used for, once it has been accepted.
    """

    def __init__(
        self,
        *,
        address: str,
        services: Services,
        judge: "Callable[[Session, AssociateRequest], Refusal | Rights]",
        offer: Offer,
        patience: float,
        established: "Callable[[Session], None]",
        ended: "Callable[[Session], None]",
    ) -> None:
        self.address = address
        self.opening: asyncio.Task[None] | None = None
        self._services = services
        self._judge = judge
        self._offer = offer
        self.patience = patience
        self.agreement: Agreement
        self._when_established = established
        self._when_ended = ended
        self._caller = Caller(aetitle="", address=address, port=0)
        self._message_id = 0
        self._task: asyncio.Task[None] | None = None
        self._interruptible = False
        self._over = asyncio.Event()
        self._lost = False

    def serve(self, connection: Connection) -> None:
        """Take a connection that is about to open."""
        self._connection = connection
        self._association = connection.association
        self.inbox = Inbox(connection, self._open_sink)

    @property
    def connection(self) -> Connection:
        """The connection that is served."""
        return self._connection

    @property
    def caller(self) -> Caller:
        """Who associated with us."""
        return self._caller

    @property
    def services(self) -> Services:
        """What is offered."""
        return self._services

    @property
    def was_established(self) -> bool:
        """Whether there is an association, or was one."""
        return self._task is not None

    @property
    def is_established(self) -> bool:
        """Whether there is an association that has not ended."""
        return self._task is not None and not self._over.is_set()

    async def wait_ended(self) -> None:
        """Wait until the connection is gone and nothing is being done for it."""
        await self._over.wait()

    def abort(self) -> None:
        """Abort the association, and stop what is being done for it."""
        if self._task is None:
            self.close()
            return
        self._connection.abort()
        self.inbox.end(Ended(released=False, reason="we are stopping"))
        self._task.cancel()

    def close(self) -> None:
        """Close the connection without a word, whatever it is at."""
        if self._connection.was_opened:
            self._connection.close()
        elif self.opening is not None:
            self.opening.cancel()

    def received(self, event: Event) -> None:
        """Take an event of the association."""
        if isinstance(event, Requested):
            self._negotiate(event.request)
        else:
            self.inbox.received(event)
            self._interrupt()

    def lost(self) -> None:
        """Take note that the connection is closed, or was never opened."""
        self._lost = True
        self.inbox.end(Ended(released=False, reason="the connection was closed"))
        self._interrupt()
        if self._task is None or self._task.done():
            self._finish()

    def _interrupt(self) -> None:
        """Stop what nobody waits for any more."""
        if self.inbox.ended is not None and self._interruptible and self._task is not None:
            self._task.cancel()

    def next_message_id(self) -> int:
        """Return a message ID for a request of ours (PS3.7 9.1.1.1.1)."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    async def respond(
        self, context_id: int, response: Command, dataset: bytes | None = None
    ) -> None:
        """Send a response, unless the association is over."""
        if self.inbox.ended is None:
            self._association.send(context_id, response, dataset)
            self._connection.flush()
            await self._connection.drain()

    def _negotiate(self, request: AssociateRequest) -> None:
        port = self._connection.address[1]
        title = request.calling_aetitle
        self._caller = Caller(aetitle=title, address=self.address, port=port)
        judgement = self._judge(self, request)
        if isinstance(judgement, Refusal):
            log.warning(
                "Rejected %s at %s, which called %s: %s",
                title,
                self.address,
                request.called_aetitle,
                judgement.reason,
            )
            self._association.reject(judgement.rejection)
            return
        self.agreement = Agreement(request, self._offer, judgement)
        self._association.accept(self.agreement.accept)
        log.info("Association from %s at %s", title, self.address)
        self._task = asyncio.create_task(
            self._run(), name=f"association of {self.address} port {port}"
        )
        self._when_established(self)

    def _open_sink(self, context_id: int, command: Command) -> StoreSink:
        if self._services.store is None or not self.agreement.takes(context_id):
            return Refused(Status.SOP_CLASS_NOT_SUPPORTED)
        return self._services.store(
            StoreRequest(
                caller=self._caller,
                sop_class_uid=command.affected_sop_class_uid or "",
                sop_instance_uid=command.affected_sop_instance_uid or "",
                transfer_syntax_uid=self.agreement.transfer_syntax(context_id),
            )
        )

    async def _run(self) -> None:
        try:
            await self._serve()
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - the last one to see it
            log_failure("association", error)
            self.give_up("a mistake of ours")
        finally:
            self.inbox.discard_waiting()
            if self._lost:
                self._finish()

    def give_up(self, reason: str) -> None:
        """Abort the association because of what the peer or we have done."""
        self._connection.abort()
        self.inbox.end(Ended(released=False, reason=reason))

    async def _serve(self) -> None:
        while True:
            message = await self.inbox.get()
            if isinstance(message, Ended):
                log.info("Association from %s aborted: %s", self._caller.aetitle, message.reason)
                return
            if isinstance(message, ReleaseRequested):
                self._association.respond_to_release()
                self._connection.flush()
                log.info("Association from %s released", self._caller.aetitle)
                return
            self._connection.busy = True
            try:
                await self._answer(message)
            finally:
                self._connection.busy = False
            if self.inbox.has_waiting:
                await asyncio.sleep(0)  # who asks without waiting for answers is not alone here

    async def _answer(self, message: Message) -> None:
        command = message.command
        if command.field == CommandField.C_STORE_RQ and message.sink is not None:
            status = await message.sink.finish()
        elif command.field == CommandField.C_ECHO_RQ:
            status = Status.SUCCESS
        elif command.field == CommandField.C_FIND_RQ:
            await self._interruptibly(answer_find(self, message))
            return
        elif command.field == CommandField.C_MOVE_RQ:
            await self._interruptibly(answer_move(self, message))
            return
        elif command.field == CommandField.C_GET_RQ:
            await self._interruptibly(answer_get(self, message))
            return
        elif command.is_response or command.message_id is None:
            self.give_up("it sent a message that is no request")
            log.warning("%s sent a message that is no request", self._caller.aetitle)
            return
        else:
            status = Status.UNRECOGNIZED_OPERATION
        await self.respond(message.context_id, response_to(command, status))

    async def _interruptibly(self, answering: Coroutine[Any, Any, None]) -> None:
        """Answer what takes long and changes nothing here: it ends with the association."""
        if self.inbox.ended is not None:
            answering.close()
            return
        self._interruptible = True
        try:
            await answering
        finally:
            self._interruptible = False

    def _finish(self) -> None:
        if not self._over.is_set():
            self._over.set()
            self._when_ended(self)
