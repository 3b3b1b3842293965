"""A TCP proxy before a server, which loses connections at the worst moment."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.support.processes import LOOPBACK


class Proxy:
    """Hands on what comes for a port of this machine, until it is told not to.

    Attributes
    ----------
    port
        Where it listens.
    cut
        How many connections it has cut.
    """

    def __init__(self, target: int, *, patience: float = 0.0) -> None:
        """Have a port before that of a server; `patience` is in seconds, until that listens."""
        self._target = target
        self._patience = patience
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listening.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closing = False
        self._needle: bytes | None = None
        self._after = b""
        self._delivered = False
        self._silent = threading.Event()
        self._cutting: set[socket.socket] = set()
        self.cut = 0

    def cut_at(self, needle: bytes, *, delivered: bool, after: bytes = b"") -> None:
        """Cut the next connection on which a client sends `needle`, and has sent `after` before.

        With `delivered` the server gets it, and the client does not get the answer.
        """
        self._after, self._needle, self._delivered = after, needle, delivered

    def fall_silent(self) -> None:
        """Hand nothing on any more, as a network does that has come apart."""
        self._silent.set()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            self._start(self._from_client, client, server)
            self._start(self._from_server, server, client)

    def _connect(self) -> socket.socket:
        until = time.monotonic() + self._patience
        while True:
            try:
                return socket.create_connection((LOOPBACK, self._target))
            except ConnectionRefusedError:
                if self._closing or time.monotonic() > until:
                    raise
                time.sleep(0.005)

    def _start(self, target: object, *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _from_client(self, client: socket.socket, server: socket.socket) -> None:
        said = b""
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self._silent.is_set():
                    continue
                needle, after = self._needle, self._after
                if after and after in data:
                    said = after
                if needle is not None and needle in data and (not after or said == after):
                    self._needle = None
                    self.cut += 1
                    if not self._delivered:
                        break
                    self._cutting.add(server)
                server.sendall(data)
        self._end(client, server)

    def _from_server(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if server in self._cutting:  # the answer to what was delivered last
                    break
                if not self._silent.is_set():
                    client.sendall(data)
        self._end(client, server)

    def _end(self, *ends: socket.socket) -> None:
        for one in ends:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._end(self._listening)
        self._listening.close()
        with self._lock:
            sockets = set(self._sockets)
        self._end(*sockets)
        for thread in self._threads:
            thread.join(10)
        for one in sockets:
            one.close()
