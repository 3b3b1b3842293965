"""How long to wait before something that has failed is tried again."""

from dataclasses import dataclass

_MOST_DOUBLINGS = 64
"""By then the longest wait is reached, whatever the first one is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits that double with each failure, up to the longest one.

    Attributes
    ----------
    first, longest
        Seconds.
    """

    first: float
    longest: float

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after the nth failure in a row, counted from 1."""
        return min(self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), self.longest)
