"""One association that we have accepted, served from its acceptance to its end.

Messages are served one after the other by a task of the association's own (the asynchronous
operations window is 1/1, PS3.7 D.3.3.3). Which service answers what is not known here: a table says
it (`node.net.scp.answers`).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from node.dicom.status import Status
from node.net.dimse.inbox import Ended, Inbox, Message
from node.net.messages import Caller, StoreSink
from node.net.scp.agreement import Agreement
from node.net.transport.connection import Connection
from node.net.transport.failures import log_failure
from node.upperlayer import Command, CommandField, response_to
from node.upperlayer.events import Event, ReleaseRequested

log = logging.getLogger(__name__)

_AT_ONCE = 1 << 16
"""Bytes of datasets that leave in one write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Responder:
    """How one kind of request is answered.

    Attributes
    ----------
    give
        Sends the responses; a network handler never raises (PS3.7 Annex C), it answers a status.
    interruptible
        Whether it takes long and changes nothing here: it ends with the association.
    """

    give: "Callable[[Session, Message], Awaitable[None]]"
    interruptible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What requests are answered with.

    Attributes
    ----------
    by_field
        The answer to each request, by its Command Field; others are no operation of ours.
    open_sink
        Begins to take the dataset of a C-STORE request, in a presentation context.
    """

    by_field: Mapping[int, Responder]
    open_sink: "Callable[[Session, int, Command], StoreSink]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A request of ours that waits for its turn, and whoever waits for its response."""

    context_id: int
    command: Command
    dataset: bytes
    response: "asyncio.Future[Command | None]"


class Session:
    """Serves one association; `run` does until it ends.

    Parameters
    ----------
    connection
        Over which it goes.
    caller
        Who associated with us.
    agreement
        What the association may be used for.
    answers
        What requests are answered with.
    patience
        Seconds that a peer has to answer what we send it.

    Attributes
    ----------
    inbox
        The messages that wait to be served.
    released
        Whether the peer has released the association; True only once it is over.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        caller: Caller,
        agreement: Agreement,
        answers: Answers,
        patience: float,
    ) -> None:
        self.connection = connection
        self.caller = caller
        self.agreement = agreement
        self.patience = patience
        self.released = False
        self.inbox = Inbox(connection, self._open_sink, self._may_be_long)
        self._answers = answers
        self._message_id = 0
        self._interruptible: asyncio.Task[None] | None = None
        self._requests: deque[_Request] = deque()
        self._asked: dict[int, asyncio.Future[Command | None]] = {}
        self._over = asyncio.Event()

    # What happens to the association

    def received(self, event: Event) -> None:
        """Take an event of the association."""
        self.inbox.received(event)
        self._interrupt()

    def lost(self) -> None:
        """Take note that the connection is gone."""
        self.inbox.end(Ended(released=False, reason="the connection was closed"))
        self._interrupt()

    def give_up(self, reason: str) -> None:
        """Abort the association because of what the peer or we have done."""
        self.connection.abort()
        self.inbox.end(Ended(released=False, reason=reason))

    def _interrupt(self) -> None:
        """Stop what nobody waits for any more."""
        if self._interruptible is not None and self.inbox.ended is not None:
            self._interruptible.cancel()

    # What an answer may use, beside the attributes

    def next_message_id(self) -> int:
        """Return a message ID for a request of ours (PS3.7 9.1.1.1.1)."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    async def respond(
        self, context_id: int, response: Command, dataset: bytes | None = None
    ) -> None:
        """Send a response, unless the association is over."""
        if self.inbox.ended is None:
            self.connection.association.send(context_id, response, dataset)
            self.connection.flush()
            await self.connection.drain()

    async def respond_each(
        self, context_id: int, response: Command, datasets: Sequence[bytes]
    ) -> None:
        """Send a response with each of these datasets, unless the association is over."""
        waiting = 0
        for dataset in datasets:
            if self.inbox.ended is not None:
                return
            self.connection.association.send(context_id, response, dataset)
            waiting += len(dataset)
            if waiting > _AT_ONCE:
                waiting = 0
                self.connection.flush()
                await self.connection.drain()
        self.connection.flush()
        await self.connection.drain()

    async def request(self, context_id: int, command: Command, dataset: bytes) -> Command | None:
        """Send a request of ours when nothing else is under way, and wait for its response.

        Requests of the peer are answered meanwhile.

        Returns
        -------
        Command or None
            None when the association ends before, or the peer does not answer in time.
        """
        if self._over.is_set() or self.inbox.ended is not None:
            return None
        assert command.message_id is not None, "it is a request"  # noqa: S101
        response: asyncio.Future[Command | None] = asyncio.get_running_loop().create_future()
        self._requests.append(
            _Request(context_id=context_id, command=command, dataset=dataset, response=response)
        )
        self.inbox.wake()
        try:
            async with asyncio.timeout(self.patience):
                return await response
        except TimeoutError:
            return None
        finally:
            self._asked.pop(command.message_id, None)

    async def ends_within(self, seconds: float) -> bool:
        """Wait for the end of the association, so long; return whether it has come."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    async def refuse(self, message: Message) -> None:
        """Answer what is no operation of ours; what is no request at all ends the association."""
        command = message.command
        if command.is_response or command.message_id is None:
            self.give_up("it sent a message that is no request")
            log.warning("%s sent a message that is no request", self.caller.aetitle)
            return
        response = response_to(command, Status.UNRECOGNIZED_OPERATION)
        await self.respond(message.context_id, response)

    # Serving

    async def run(self) -> None:
        """Answer what comes, until the association ends or the task is cancelled."""
        try:
            await self._serve()
        except asyncio.CancelledError:
            if self.inbox.ended is not None:
                self._log_abort(self.inbox.ended)
        except Exception as error:  # noqa: BLE001 - the last one to see it
            log_failure("association", error)
            self.give_up("a mistake of ours")
        finally:
            self._over.set()
            self.inbox.discard_waiting()
            unanswered = [*self._asked.values(), *(one.response for one in self._requests)]
            for response in unanswered:
                if not response.done():
                    response.set_result(None)

    async def _serve(self) -> None:
        while True:
            message = await self.inbox.get_unless(lambda: bool(self._requests))
            if message is None:
                await self._ask(self._requests.popleft())
                continue
            if isinstance(message, Ended):
                self._log_abort(message)
                return
            if isinstance(message, ReleaseRequested):
                self.connection.association.respond_to_release()
                self.connection.flush()
                self.released = True
                log.info("Association from %s released", self.caller.aetitle)
                return
            self.connection.busy = True
            try:
                await self._answer(message)
            finally:
                self.connection.busy = False
            if self.inbox.has_waiting:
                await asyncio.sleep(0)  # who asks without waiting for answers is not alone here

    def _log_abort(self, ended: Ended) -> None:
        log.info("Association from %s aborted: %s", self.caller.aetitle, ended.reason)

    async def _ask(self, request: _Request) -> None:
        message_id = request.command.message_id
        if request.response.done() or message_id is None:  # nobody waits for it any more
            return
        self._asked[message_id] = request.response
        await self.respond(request.context_id, request.command, request.dataset)

    async def _answer(self, message: Message) -> None:
        command = message.command
        asked = self._asked.get(command.responding_to or 0) if command.is_response else None
        if asked is not None:
            if not asked.done():
                asked.set_result(command)
            return
        answer = self._answers.by_field.get(message.command.field)
        if answer is None:
            await self.refuse(message)
        elif answer.interruptible:
            await self._interruptibly(answer, message)
        else:
            await answer.give(self, message)

    async def _interruptibly(self, answer: Responder, message: Message) -> None:
        if self.inbox.ended is not None:
            return
        self._interruptible = asyncio.current_task()
        try:
            await answer.give(self, message)
        finally:
            self._interruptible = None

    def _may_be_long(self, context_id: int, command: Command) -> bool:
        """Tell whether the dataset of a request may be long: one that names many objects."""
        long = (CommandField.N_ACTION_RQ, CommandField.N_EVENT_REPORT_RQ)
        return command.field in long and self.agreement.commits(context_id)

    def _open_sink(self, context_id: int, command: Command) -> StoreSink:
        return self._answers.open_sink(self, context_id, command)
