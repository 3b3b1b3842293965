"""Enemies of a node, as a process: `python -m tests.support.attackers PORT SECONDS SILENT LYING
TRICKLING STALLING`.

They connect from an address of their own, and again a second after they have been thrown out.
When the time is up they connect no more, but leave it to the node to close what is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable

from node.net.transport.descriptors import make_room
from tests.support import rawpeer

ENEMY = "127.0.0.66"

Behaviour = Callable[[asyncio.AbstractEventLoop, socket.socket], Awaitable[None]]


async def silent(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Say nothing."""


async def lying(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Announce 4 GB, or as much as is taken, and send none of it."""
    length = 0xFFFFFFFF if sock.fileno() % 2 else 1 << 20
    await loop.sock_sendall(sock, struct.pack(">BxL", 1, length) + b"x" * 1000)


async def trickling(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Ask for an association, two bytes a second."""
    for byte in rawpeer.associate_request(called="NODE", calling="ENEMY"):
        await loop.sock_sendall(sock, bytes((byte,)))
        await asyncio.sleep(0.5)


async def stalling(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Begin a TLS handshake: the first bytes of a ClientHello."""
    await loop.sock_sendall(sock, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")


class Attack:
    """Some seconds of connections."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self.end = time.monotonic() + seconds
        self.connections = 0

    async def attacker(self, behave: Behaviour) -> None:
        """Connect and behave, again and again."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(random.random())
        while time.monotonic() < self.end:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                sock.setblocking(False)
                sock.bind((ENEMY, 0))
                with contextlib.suppress(OSError):
                    await loop.sock_connect(sock, ("127.0.0.1", self.port))
                    self.connections += 1
                    await behave(loop, sock)
                    while await loop.sock_recv(sock, 4096):
                        pass
            await asyncio.sleep(1.0)


async def main(port: int, seconds: float, *counts: int) -> None:
    """Attack, and say how it went."""
    make_room(sum(counts))
    attack = Attack(port, seconds)
    behaviours = zip((silent, lying, trickling, stalling), counts, strict=True)
    tasks = [
        asyncio.create_task(attack.attacker(behave))
        for behave, count in behaviours
        for _ in range(count)
    ]
    print("attacking", flush=True)
    await asyncio.sleep(seconds)
    print(f"made {attack.connections} connections", flush=True)
    await asyncio.wait(tasks)
    print(f"the last was closed after {time.monotonic() - attack.end:.1f} s", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:7])))
