"""A TCP connection with an association on it: the bytes between asyncio and the sans-IO core.

Every read is acknowledged at once (`TCP_QUICKACK`, where the system has it), and every message
leaves in one write with Nagle's algorithm off: senders that wait for the delayed ACK of a
receiver, as those built on DCMTK do, wait 40 ms for each image otherwise.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Mapping
from typing import Any, Protocol, cast

from node.net.transport.deadlines import Deadlines, Watch
from node.net.transport.failures import log_failure
from node.net.transport.turns import Turns
from node.upperlayer import Association, State
from node.upperlayer.events import Aborted, Event

_BUFFER_SIZE = 1 << 18
_HIGH_WATER = 1 << 20
_NOTHING = memoryview(b"")
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)

_NO_LINGERING = struct.pack("ii", 1, 0)
"""What is unsent is thrown away, and the peer is sent an RST."""

_TICK = 1.0
"""Seconds from one look at a connection's deadlines to the next, at most."""


class _Buffers(threading.local):
    """One buffer for all connections of a loop, hence of a thread: see `Connection.get_buffer`."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_BUFFER_SIZE))


_BUFFERS = _Buffers()


class User(Protocol):
    """Who is told what an association says."""

    def received(self, event: Event) -> None:
        """Take an event; in the event loop, and quickly."""

    def lost(self) -> None:
        """Take note that the connection is closed; nothing follows."""


class Connection(asyncio.BufferedProtocol):
    """Reads, writes and keeps the deadlines of one connection.

    Parameters
    ----------
    association
        The sans-IO core.
    user
        Is told the core's events.
    deadlines
        See there.
    turns
        Shared by connections that are served together.

    Attributes
    ----------
    address
        Host and port of the peer.
    """

    def __init__(
        self,
        association: Association,
        user: User,
        deadlines: Deadlines,
        turns: Turns | None = None,
    ) -> None:
        self.association = association
        self.address: tuple[str, int] = ("", 0)
        self._user = user
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._buffer = _BUFFERS.buffer
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turns = turns or Turns()
        self._has_turn = False
        self._busy = False
        self._reading = True
        self._listening = True
        self._watch = Watch(association, deadlines, self._loop.time())
        self._writable: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def busy(self) -> bool:
        """Whether something is being done for the peer: it may be silent meanwhile."""
        return self._busy

    @busy.setter
    def busy(self, busy: bool) -> None:
        if self._busy and not busy:
            self._watch.last = self._loop.time()  # the peer's time to be silent begins only now
        self._busy = busy

    @property
    def last_activity(self) -> float:
        """When a byte came or went last, in the loop's time."""
        return self._watch.last

    @property
    def was_opened(self) -> bool:
        """Whether the connection was ever made."""
        return self._transport is not None

    @property
    def is_open(self) -> bool:
        """Whether the connection was made and is not gone."""
        return self._transport is not None and not self.is_closed

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return self._closed.done()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await asyncio.shield(self._closed)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the transport is open, and its TLS handshake done where there is one."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._watch.opened(self._loop.time())
        if name := self._transport.get_extra_info("peername"):
            self.address = str(name[0]), int(name[1])
        found = self._transport.get_extra_info("socket")
        if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
            self._socket = found
            with contextlib.suppress(OSError):  # the peer may be gone already
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.association.transport_opened()
        self.flush()
        self._keep_deadlines()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Say where the next bytes go: they are handed on before another connection is read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that have come."""
        if self._socket is not None and _QUICKACK is not None:
            # Linux forgets the option after a while, so it is set after each read.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        self._receive(self._buffer[:nbytes])

    def _receive(self, data: memoryview) -> None:
        try:
            told = self.association.receive(data)
            self._watch.received(len(data), self._loop.time())
            for event in told:
                self._user.received(event)
            self.flush()
        except Exception as error:  # noqa: BLE001 - asyncio would log its words
            log_failure("connection", error)
            self.close()
        self._listen()

    def _take_more(self) -> None:
        """Take more of what has come already: the other connections have had their turn."""
        self._has_turn = False
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._receive(_NOTHING)

    def _listen(self) -> None:
        """Read while the user wants it and all that has come is taken."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        behind = self.association.unread
        if behind and self._reading and not self._has_turn:
            self._has_turn = True
            self._turns.later(self._take_more)
        listening = self._reading and not behind
        if listening is not self._listening:
            self._listening = listening
            (transport.resume_reading if listening else transport.pause_reading)()

    def eof_received(self) -> bool:
        """Take note that the peer will send nothing more; the transport closes by itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Take note that the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        if not self._closed.done():
            self._closed.set_result(None)
        try:
            for event in self.association.transport_closed():
                self._user.received(event)
        finally:
            self._user.lost()

    def pause_writing(self) -> None:
        """Take note that the peer does not read as fast as we write."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Take note that the peer has caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # What the user calls

    def peer_certificate(self) -> Mapping[str, Any]:
        """Return the peer's verified certificate, as `ssl.SSLSocket.getpeercert` does."""
        found = self._transport.get_extra_info("peercert") if self._transport is not None else None
        return found or {}

    def flush(self) -> None:
        """Write what the association has to say, in one write, and close where it is over."""
        transport = self._transport
        if transport is None:
            return
        output = self.association.take_output()
        if output and not transport.is_closing():
            data = output[0] if len(output) == 1 else b"".join(output)
            transport.write(data)
            self._watch.written(len(data), transport.get_write_buffer_size(), self._loop.time())
        self._watch.artim(self._loop.time())
        if self.association.close_transport:
            self.close_soon()

    def flush_half(self) -> None:
        """Write the first half of what the association has to say, and never the rest.

        A PACS that hangs does so; what is said later is behind a PDU without an end.
        """
        data = b"".join(self.association.take_output())
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data[: len(data) // 2])

    async def drain(self) -> None:
        """Wait until the peer has read enough of what was written, or the connection is gone."""
        if self._writable is not None:
            # Who stops waiting must not cancel what the next one waits for.
            await asyncio.shield(self._writable)

    def pause_reading(self) -> None:
        """Read nothing more until `resume_reading`: the peer's sends will wait."""
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = False
            self._watch.reading(False, self._loop.time())
            self._listen()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._reading and self._transport is not None:
            self._reading = True
            self._watch.reading(True, self._loop.time())
            self._listen()

    def abort(self) -> None:
        """Abort the association, and close the connection once that is written."""
        association = self.association
        if association.state in (State.AWAITING_ASSOCIATE_RQ, State.IDLE):
            self.close()
            return
        if association.state is not State.AWAITING_CLOSE:
            association.abort()
        self.flush()
        self.resume_reading()

    def close_soon(self) -> None:
        """Close the connection when all that was written has left; soon in any case."""
        transport = self._transport
        if transport is not None and not transport.is_closing():  # TLS does not bear a second time
            transport.close()

    def close(self) -> None:
        """Close the connection at once, without a word."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Close the connection at once, as a machine that goes down does: the peer sees a reset."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the peer may be gone already
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        self.close()

    def _keep_deadlines(self) -> None:
        transport = self._transport
        if transport is None or self.is_closed:
            return
        verdict = self._watch.overdue(
            self._loop.time(),
            unsent=transport.get_write_buffer_size(),
            closing=transport.is_closing(),
            working=self._busy or not self._listening,
        )
        if verdict is not None and verdict.reason is not None:
            self.abort()
            self._user.received(Aborted(None, verdict.reason))
        elif verdict is not None:
            self.association.artim_expired()
            self.close()
        least = min(self._deadlines.negotiation, self._deadlines.message, self._deadlines.idle)
        self._timer = self._loop.call_later(min(_TICK, least / 4), self._keep_deadlines)
