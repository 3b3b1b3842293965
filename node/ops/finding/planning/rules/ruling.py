"""What can be done about a window that has been asked."""

from enum import Enum, auto

Ruling = tuple["Ruled", str]
"""What to do about a window, and why."""


class Ruled(Enum):
    """What to do about a window that has been asked."""

    PROVEN = auto()
    """Nothing: its studies are known."""
    SPLIT = auto()
    """Ask for its parts."""
    DOUBT = auto()
    """Ask for its parts, unless a larger answer shows in time that it is whole."""
    SAMPLE = auto()
    """Ask for a few of its studies by another key, or where that cannot be done for its parts."""
    AGAIN = auto()
    """Ask the same once more."""
    GAP = auto()
    """Nothing: its studies are not known, and cannot be."""


PROVEN: Ruling = (Ruled.PROVEN, "")
"""There is nothing to say about it."""
