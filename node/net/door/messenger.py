"""Messages between the threads of handlers and the event loop that has the association.

It stands where the library has its DIMSE service provider: its service classes, and the services
that a handler asks for itself, send primitives and wait for others by it.
"""

import asyncio
import concurrent.futures
import threading
from collections import deque
from io import BytesIO
from typing import Any

from pynetdicom.dimse_primitives import C_ECHO, C_STORE

from node.net.dimse.inbox import Ended, Message
from node.net.door.primitives import command_of, primitive_of
from node.net.scp.session import Session
from node.net.transport.failures import log_failure
from node.upperlayer import Command
from node.upperlayer.events import ReleaseRequested

_MOST_UNSENT = 16
"""Messages that wait to be sent: a thread that says more waits until the peer has read."""

_LOOK = 0.5
"""Seconds after which a thread that waits looks whether there is still anybody to wait for."""

Outgoing = tuple[int, Command, bytes | None]


class Cancels:
    """The C-CANCELs that have come (PS3.7 9.3.2.3), each of which the library takes once.

    Parameters
    ----------
    session
        Whose inbox has them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._taken: set[int] = set()

    def keys(self) -> "Cancels":
        """Return the Message IDs of the requests that are cancelled: itself."""
        return self

    def __contains__(self, message_id: int) -> bool:
        return message_id not in self._taken and self._session.inbox.is_cancelled(message_id)

    def __delitem__(self, message_id: int) -> None:
        self._taken.add(message_id)


class Messenger:
    """Sends and awaits messages of one association, for a thread.

    Parameters
    ----------
    session
        Of the association.
    loop
        In which it is served.

    Attributes
    ----------
    dimse_timeout
        Seconds to wait for a response; None waits as long as it takes.
    """

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        self.dimse_timeout: float | None = None
        self._session = session
        self._loop = loop
        self._cancels = Cancels(session)
        self._last: list[Outgoing] = []
        self._outgoing: deque[Outgoing] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._room = threading.Semaphore(_MOST_UNSENT)

    @property
    def is_over(self) -> bool:
        """Whether the association has ended."""
        return self._session.inbox.ended is not None

    @property
    def cancel_req(self) -> Cancels:
        """What the library looks for cancels in."""
        return self._cancels

    @cancel_req.setter
    def cancel_req(self, _: object) -> None:
        """Forget which were taken: a request of the same number may come."""
        self._cancels = Cancels(self._session)

    # In a thread

    def send_msg(self, primitive: Any, context_id: int) -> None:  # noqa: ANN401
        """Send a primitive; wait while the peer does not read what was sent before.

        Raises
        ------
        NotImplementedError
            A service that is none of DIMSE-C.
        """
        message = (context_id, *command_of(primitive))
        if self.is_over:
            return
        if isinstance(primitive, C_STORE | C_ECHO) and message[1].is_response:
            self._last.append(message)  # goes with the word that the handler has ended
            return
        while not self._room.acquire(timeout=_LOOK):
            if self._has_ended():
                return
        try:
            self._loop.call_soon_threadsafe(self._send_soon, message)
        except RuntimeError:  # the loop has ended before the handler
            self._room.release()

    def get_msg(self, block: bool = False) -> tuple[int | None, Any]:
        """Wait for the peer's response, and return its context and its primitive; else Nones.

        Parameters
        ----------
        block
            The library's own; nobody asks who does not wait.
        """
        if not block or self.is_over:
            return None, None
        asking = self._next_response()
        try:
            answer = asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        except (RuntimeError, concurrent.futures.CancelledError):
            asking.close()  # the loop has ended before the handler
            return None, None
        if answer is None:
            return None, None
        dataset = BytesIO(answer.dataset) if answer.dataset is not None else None
        try:
            return answer.context_id, primitive_of(answer.context_id, answer.command, dataset)
        except ValueError as error:
            log_failure("association", error)
            return None, None

    def _has_ended(self) -> bool:
        return self.is_over or self._loop.is_closed()

    # In the loop

    async def flush(self) -> None:
        """Send what was to go when the handler has ended, behind all else that it has said."""
        if self._sending is not None:
            await asyncio.wait([self._sending])
        last, self._last = self._last, []
        for message in last:
            await self._session.respond(*message)

    async def _next_response(self) -> Message | None:
        try:
            async with asyncio.timeout(self.dimse_timeout):
                found = await self._session.inbox.get()
        except TimeoutError:
            return None
        if isinstance(found, Ended | ReleaseRequested):
            return None
        if found.sink is not None:
            found.sink.discard()
        return found

    def _send_soon(self, message: Outgoing) -> None:
        self._outgoing.append(message)
        if self._sending is None:
            self._sending = self._loop.create_task(
                self._send_all(), name="send what a handler says"
            )

    async def _send_all(self) -> None:
        try:
            while self._outgoing:
                message = self._outgoing.popleft()
                try:
                    await self._session.respond(*message)
                finally:
                    self._room.release()
        except Exception as error:  # noqa: BLE001 - the last one to see it
            log_failure("association", error)
            self._session.give_up("a mistake of ours")
        finally:
            self._sending = None
