"""How wide the next window is: as many days, or minutes, as the answers so far suggest."""

from node.ops.finding.planning.cutting import Stretch, narrowed
from node.ops.finding.planning.knowledge import Knowledge
from node.ops.finding.planning.tree import Node

_FIRST = 31
"""Days of the first window at a peer of which nothing is known."""

_UNLIMITED = 366
"""Days of a window at a peer that answers without a limit, unless it is known to take any range."""

_COMFORTABLE = 400
"""Studies that an answer of a peer may have of which nothing is known."""

_FULL = 0.8
"""How much of the cap an answer should have: days differ."""


def first_width(line: Stretch, known: Knowledge) -> int:
    """Return how wide the first window of a line is."""
    ignored = "dates" in known.ignored
    if known.limitless or ignored:
        return line.length if known.profile.widest == 0 or ignored else _UNLIMITED
    return _FIRST


def bounded(line: Stretch, width: int, known: Knowledge, *, part: bool) -> int:
    """Return a width that the peer does not rule out.

    Parameters
    ----------
    part
        Whether the line is a window that is cut: then it is less than that.
    """
    if line.by == "dates" and "dates" not in known.ignored:
        if known.profile.widest:
            width = min(width, known.profile.widest)
        if known.too_wide is not None:
            width = min(width, known.too_wide - 1)
        if known.leaves_out_last:
            width = 1
    if part:
        width = min(width, line.length - 1)
    return max(1, min(width, line.length))


def next_width(node: Node, width: int, known: Knowledge) -> int:
    """Return how wide the next window is, after one of this width."""
    if not node.children:
        answer = node.answer
        if answer is None or not answer.answered:
            return width
        return narrowed(width, size=answer.at_most, target=target_of(known))
    counted = node.counted()
    if counted:
        return min(width, narrowed(width, size=counted, target=target_of(known)))
    return width * 4 if node.is_zero else width


def target_of(known: Knowledge) -> float:
    """Return how many studies an answer should have."""
    if known.limitless:
        return float("inf")
    if known.cap:
        return max(1.0, known.cap * _FULL)
    if known.over is not None:
        return max(1.0, _FULL * (known.largest + max(known.over, known.largest)) / 2)
    return max(_COMFORTABLE, 2.0 * known.largest)
