"""From an association's events to whole messages, one after the other.

Requests and responses wait here until whoever serves the association takes them. A dataset
that is to be stored does not wait: its bytes go into a sink as they come. Who sends faster
than it is served is not read from meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from node.net.dimse.guarded import GuardedSink
from node.net.messages import StoreSink
from node.net.transport.connection import Connection
from node.upperlayer import Command, CommandField
from node.upperlayer.events import (
    Aborted,
    CommandReceived,
    DatasetFragment,
    Event,
    Released,
    ReleaseRequested,
)

_MOST_MESSAGES = 64
"""Messages that may wait before the connection is not read from: a C-FIND's matches come fast."""

_MOST_STORES = 2
"""Objects that may wait behind the one that is being stored: no sender that keeps to the
asynchronous operations window of 1/1 (PS3.7 D.3.3.3) has any waiting."""

_MOST_BYTES = 1 << 22
"""Bytes of an identifier, and of all that wait; a longer one is no identifier."""

_MOST_BYTES_OF_LONG = 1 << 25
"""Bytes of what may be long: a hundred thousand objects are 15 MB of Storage Commitment."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole DIMSE message.

    Attributes
    ----------
    dataset
        Its encoded dataset; None when the command announces none, or when it went to `sink`.
    sink
        Where the dataset of a C-STORE request went.
    """

    context_id: int
    command: Command
    dataset: bytes | None = None
    sink: StoreSink | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The association is over.

    Attributes
    ----------
    released
        Whether in good order.
    reason
        Why not.
    """

    released: bool
    reason: str = ""


OpenSink = Callable[[int, Command], StoreSink]


def _never(context_id: int, command: Command) -> bool:  # noqa: ARG001 - as others are called
    return False


class Inbox:
    """Collects messages, and hands them out in order.

    Parameters
    ----------
    connection
        Is not read from while too much waits.
    open_sink
        Where the dataset of a C-STORE request goes; None keeps it in the message.
    long
        Whether the dataset of a request may be longer than any identifier is: 32 MB.
    """

    def __init__(
        self,
        connection: Connection,
        open_sink: OpenSink | None = None,
        long: Callable[[int, Command], bool] = _never,
    ) -> None:
        self._connection = connection
        self._open_sink = open_sink
        self._long = long
        self._most = _MOST_BYTES
        self._waiting: deque[Message] = deque()
        self._ended: Ended | None = None
        self._release_wanted = False
        self._change = asyncio.Event()
        self._current: tuple[int, Command] | None = None
        self._gathered = bytearray()
        self._waiting_stores = 0
        self._waiting_bytes = 0
        self._sink: GuardedSink | None = None
        self._draining: asyncio.Task[None] | None = None
        self._cancelled: set[int] = set()
        self._cancel_came = asyncio.Event()

    @property
    def ended(self) -> Ended | None:
        """How the association ended; None while it has not."""
        return self._ended

    @property
    def has_waiting(self) -> bool:
        """Whether a message waits to be taken."""
        return bool(self._waiting)

    @property
    def release_wanted(self) -> bool:
        """Whether the peer has asked for the release, and is not answered yet."""
        return self._release_wanted

    def is_cancelled(self, message_id: int | None) -> bool:
        """Tell whether a C-CANCEL has come for a request (PS3.7 9.3.2.3)."""
        return message_id in self._cancelled

    async def wait_cancelled(self, message_id: int | None) -> None:
        """Wait until a C-CANCEL has come for a request; one task at a time."""
        while not self.is_cancelled(message_id):
            self._cancel_came.clear()
            await self._cancel_came.wait()

    async def get(self) -> Message | ReleaseRequested | Ended:
        """Return the next message, or how the association ends when no message is left."""
        while (one := self._next()) is None:
            self._change.clear()
            await self._change.wait()
        return one

    async def get_unless(
        self, called: Callable[[], bool]
    ) -> Message | ReleaseRequested | Ended | None:
        """Do as `get`, but return None when nothing has come and whoever waits is called away.

        Parameters
        ----------
        called
            Tells whether it is; asked after each `wake`.
        """
        while (one := self._next()) is None and not called():
            self._change.clear()
            await self._change.wait()
        return one

    def wake(self) -> None:
        """Let whoever waits look whether it is called away."""
        self._change.set()

    def _next(self) -> Message | ReleaseRequested | Ended | None:
        if self._waiting:
            message = self._waiting.popleft()
            self._count(message, -1)
            self._balance()
            return message
        if self._ended is not None:
            return self._ended
        if self._release_wanted:
            self._release_wanted = False
            return ReleaseRequested()
        return None

    def received(self, event: Event) -> None:
        """Take an event of the association."""
        if isinstance(event, DatasetFragment):
            self._take_fragment(event)
        elif isinstance(event, CommandReceived):
            self._take_command(event)
        elif isinstance(event, ReleaseRequested):
            self._release_wanted = True
            self._change.set()
        elif isinstance(event, Released):
            self.end(Ended(released=True))
        elif isinstance(event, Aborted):
            self.end(Ended(released=False, reason=event.reason))

    def end(self, ended: Ended) -> None:
        """Take note that nothing more will come; what is incomplete is thrown away."""
        if self._ended is None:
            self._ended = ended
        if self._draining is not None:
            self._draining.cancel()
        if self._sink is not None:
            self._sink.discard()
            self._sink = None
        self._current = None
        self._gathered = bytearray()
        self._change.set()

    def discard_waiting(self) -> None:
        """Throw away what nobody will take any more."""
        while self._waiting:
            message = self._waiting.popleft()
            self._count(message, -1)
            if message.sink is not None:
                message.sink.discard()

    def _take_command(self, event: CommandReceived) -> None:
        command = event.command
        if command.field == CommandField.C_CANCEL_RQ:
            if command.responding_to is not None and len(self._cancelled) < _MOST_MESSAGES:
                self._cancelled.add(command.responding_to)
                self._cancel_came.set()
            self._change.set()
            return
        if command.message_id is not None:
            self._cancelled.discard(command.message_id)  # that was an earlier one of this number
        if not command.has_dataset:
            self._put(Message(event.context_id, command))
            return
        self._current = event.context_id, command
        may_be_long = self._long(event.context_id, command)
        self._most = _MOST_BYTES_OF_LONG if may_be_long else _MOST_BYTES
        if command.field == CommandField.C_STORE_RQ and (opens := self._open_sink) is not None:
            self._sink = GuardedSink(lambda: opens(event.context_id, command))

    def _take_fragment(self, event: DatasetFragment) -> None:
        if self._current is None or self._ended is not None:
            return
        if self._sink is not None:
            self._sink.write(event.data)
            self._drain_when_full()
        else:
            if len(self._gathered) + len(event.data) > self._most:
                self._connection.abort()
                reason = f"an identifier of more than {self._most >> 20} MB"
                self.end(Ended(released=False, reason=reason))
                return
            self._gathered += event.data
        if event.last:
            context_id, command = self._current
            sink, self._sink, self._current = self._sink, None, None
            dataset = None if sink is not None else bytes(self._gathered)
            self._gathered = bytearray()
            self._put(Message(context_id, command, dataset, sink))

    def _drain_when_full(self) -> None:
        if self._draining is None and self._sink is not None and self._sink.full:
            self._draining = asyncio.create_task(self._drain(self._sink), name="drain a sink")
            self._balance()

    async def _drain(self, sink: GuardedSink) -> None:
        try:
            await sink.drained()
        finally:
            self._draining = None
            self._drain_when_full()
            self._balance()

    def _put(self, message: Message) -> None:
        self._waiting.append(message)
        self._count(message, 1)
        self._balance()
        self._change.set()

    def _count(self, message: Message, one: int) -> None:
        self._waiting_stores += one * (message.sink is not None)
        self._waiting_bytes += one * len(message.dataset or b"")

    def _balance(self) -> None:
        """Read from the connection or do not: there are several reasons, each one enough."""
        if (
            self._draining is not None
            or len(self._waiting) >= _MOST_MESSAGES
            or self._waiting_stores >= _MOST_STORES
            or self._waiting_bytes >= _MOST_BYTES
        ):
            self._connection.pause_reading()
        elif len(self._waiting) <= _MOST_MESSAGES // 2:
            self._connection.resume_reading()
