"""What falls with a window that seemed to be proven, when the peer turns out to have more."""

from collections.abc import Sequence
from datetime import date

from node.dicom.query import Window
from node.ops.finding.planning.tree import Node

_ALIKE = "the peer has more than another answer brought that seemed to be whole like this one"


def deny(nodes: Sequence[Node], day: date | None, reason: str) -> list[Node]:
    """Deny the windows of a date, and those that were believed for the same reason; return them.

    Where nothing came, and there is something, nothing proves nothing any more; where so many came,
    and there are more, an answer of as many may have been cut off as well.

    Parameters
    ----------
    day
        None for the studies without a date.
    reason
        What the peer was seen to have there.
    """
    held = [node for node in nodes if not node.query.keys() and _holds(node, day)]
    for node in held:
        node.denied = reason
    sizes = [node.size for node in held if not node.children and _answered(node)]
    alike = [
        node
        for node in nodes
        if node.all_day and not node.denied and not node.children and _answered(node)
        if any(node.size >= size if size else node.is_zero for size in sizes)
    ]
    alike += [above for node in alike for above in node.above() if not above.denied]
    for node in alike:
        node.denied = node.denied or _ALIKE
    return [*held, *alike]


def _holds(node: Node, day: date | None) -> bool:
    window = node.query.window
    if day is None:
        return window == Window()
    return node.all_day and window.contains(day)


def _answered(node: Node) -> bool:
    return node.answer is not None and node.answer.answered
