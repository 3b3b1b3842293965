"""Memory that a crowd of connections has left behind, given back to the system.

The C library keeps what is freed, for later: after a thousand TLS handshakes some 90 MB that the
node may not need for weeks. Repeated crowds add nothing to it, but others on the machine miss it.
"""

import asyncio
import ctypes

_MANY = 64
"""Connections at once that are a crowd; the everyday few give nothing back."""

_AFTER = 5.0
"""Seconds from the end of a crowd: what comes again at once finds its memory there."""


class Ebb:
    """Is told how many connections there are, and gives memory back when a crowd has gone."""

    def __init__(self) -> None:
        self._now = 0
        self._most = 0
        self._timer: asyncio.TimerHandle | None = None

    def level(self, connections: int) -> None:
        """Take note of how many connections there are now."""
        self._now = connections
        self._most = max(self._most, connections)
        if self._most >= _MANY and connections <= self._most // 2 and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_AFTER, self._give_back)

    def close(self) -> None:
        """Give nothing back any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _give_back(self) -> None:
        self._timer = None
        self._most = self._now
        asyncio.get_running_loop().run_in_executor(None, give_back)  # it takes some 30 ms


def give_back() -> None:
    """Return what is free to the system, where the C library can do that (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
