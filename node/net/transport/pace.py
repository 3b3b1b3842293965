"""Whether bytes go on moving while they should: what a deadline alone does not tell.

A peer that sends, or reads, a byte now and then keeps every deadline and a connection for ever.
"""

from dataclasses import dataclass

_WINDOW = 30.0
"""Seconds over which a rate is measured."""

MINIMUM_RATE = 1024.0
"""Bytes a second below which a message is a trickle."""


@dataclass(slots=True)
class Pace:
    """Bytes in one direction, from `start` to `stop`; times are the event loop's."""

    _since: float | None = None
    _last: float = 0.0
    _bytes: int = 0

    @property
    def running(self) -> bool:
        """Whether bytes should move."""
        return self._since is not None

    def start(self, now: float) -> None:
        """Take note that bytes should move from now on; nothing changes when they do already."""
        if self._since is None:
            self._since = self._last = now
            self._bytes = 0

    def move(self, count: int, now: float) -> None:
        """Take note of bytes that have moved."""
        self._last = now
        self._bytes += count

    def stop(self) -> None:
        """Take note that none need to move."""
        self._since = None

    def too_slow(self, now: float, patience: float) -> str | None:
        """Say how it is too slow; None when it is not.

        Parameters
        ----------
        patience
            Seconds that may pass without any byte.
        """
        if self._since is None:
            return None
        if now - self._last > patience:
            return f"not a byte moved for {patience:g} s"
        taken = now - self._since
        if taken < min(_WINDOW, patience):
            return None
        if 0 < self._bytes < taken * MINIMUM_RATE:
            return f"less than {MINIMUM_RATE:g} bytes a second moved"
        if self._bytes:
            self._since, self._bytes = now, 0
        return None
