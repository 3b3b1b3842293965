"""Listening sockets, and what comes in at them.

Connections are taken here rather than by asyncio's server, so that each can be judged before
anything is made for it, and so that a process without free descriptors neither spins nor fills
its log.
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable

from node.errors import ListenError
from node.net.transport.holder import holder_of

log = logging.getLogger(__name__)

_BACKLOG = 1024
"""Connections that may wait to be accepted: with a few, bursts fail."""

_AT_ONCE = 64
"""Connections that are accepted before others have their turn."""

_PAUSE = 0.5
"""Seconds without accepting, where the system has no descriptors or memory left."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Taken = Callable[[socket.socket, str], None]
"""Is given a connection that came in, not blocking, and the address it came from."""


def plain_address(address: str) -> str:
    """Return a network address as people write it: IPv4 as such, and without a zone."""
    return address.removeprefix("::ffff:").partition("%")[0]


class Listener:
    """Listens at all addresses of a host name.

    Parameters
    ----------
    taken
        See `Taken`; it must not raise.
    """

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._sockets: list[socket.socket] = []
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._short = False

    async def open(self, host: str, port: int) -> int:
        """Begin to listen, and return the port: a free one where 0 is asked for.

        Raises
        ------
        ListenError
            When the address is taken, not ours, or not allowed.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, _, _, _, address in dict.fromkeys(found):
                where = (address[0], port, *address[2:])
                port = self._bind(family, where)
        except OSError as error:
            self.close()
            known = error.errno is not None and error.errno > 0
            reason = os.strerror(error.errno) if known else error.strerror or str(error)  # type: ignore[arg-type]
            if error.errno == errno.EADDRINUSE and (holder := holder_of(port)):
                reason = f"{reason} by {holder}"
            raise ListenError(f"cannot listen at {host} port {port}: {reason}") from error
        for listening in self._sockets:
            loop.add_reader(listening, self._accept, listening)
        return port

    def close(self) -> None:
        """Listen no longer; connections that wait to be accepted are refused by the system."""
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()
        for listening in self._sockets:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        self._sockets.clear()

    def _bind(self, family: int, address: tuple[object, ...]) -> int:
        listening = socket.socket(family, socket.SOCK_STREAM)
        self._sockets.append(listening)
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        return int(listening.getsockname()[1])

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(listening, error)
                    return
                continue  # that connection is gone already
            self._short = False
            connection.setblocking(False)
            self._taken(connection, plain_address(str(address[0])))

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """Leave connections waiting for a while: the socket stays readable all the time."""
        if not self._short:
            log.warning("Cannot accept connections for the moment: %s", error.strerror)
        self._short = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        self._pauses[listening] = loop.call_later(_PAUSE, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        del self._pauses[listening]
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)
