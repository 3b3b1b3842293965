"""How long a peer takes to answer when we ask it for nothing else; pure."""

import statistics
from collections import deque
from dataclasses import dataclass

FACTOR = 1.25
"""An answer is slow that takes so many times as long as is usual ..."""

SLACK = 0.004
"""... and so many seconds longer at least: less nobody notices, and it may be our own delay ..."""

_SPREAD = 1.1
"""... and so many times as long as all but one in twenty have taken: some PACSs always vary."""

_KEPT = 32
"""Answers that what is usual is taken from: their median, so that single ones do not matter."""

_FIRST = 8
"""As many are taken as they come; from then on ..."""

_EVERY = 10.0
"""... one in so many seconds: what is usual changes within minutes, not within seconds."""

ENOUGH = 3
"""Fewer answers than these say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an answer is held against, in seconds.

    Attributes
    ----------
    usual
        What it takes when nothing else is asked for.
    slow
        From how long on it is slow.
    """

    usual: float
    slow: float

    def slowness(self, seconds: float, slack: float = 0.0) -> float:
        """Return 1 for what is just slow, 2 for what is delayed by twice as much, and so on.

        Parameters
        ----------
        slack
            Seconds above what is usual that are not slow in any case.
        """
        return (seconds - self.usual) / max(self.slow - self.usual, slack)


class Usual:
    """What is usual of one kind of question."""

    def __init__(self) -> None:
        self._kept: deque[float] = deque(maxlen=_KEPT)
        self._taken_at = float("-inf")
        self._bounds: Bounds | None = None

    @property
    def bounds(self) -> Bounds | None:
        """What an answer is held against; None while too few are known."""
        return self._bounds

    def take(self, at: float, seconds: float) -> None:
        """Take note of an answer that came while nothing else was asked for.

        Parameters
        ----------
        at
            When, in seconds from any moment on.
        """
        if len(self._kept) >= _FIRST and at - self._taken_at < _EVERY:
            return
        self._kept.append(seconds)
        self._taken_at = at
        if len(self._kept) < ENOUGH:
            return
        usual = statistics.median(self._kept)
        rare = sorted(self._kept)[int(0.95 * (len(self._kept) - 1))]
        slow = max(usual * FACTOR, usual + SLACK, rare * _SPREAD)
        self._bounds = Bounds(usual=usual, slow=slow)
