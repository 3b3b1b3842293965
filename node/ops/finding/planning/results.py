"""What a plan has come to: the windows that are gaps, and those that are proven."""

from collections.abc import Sequence

from node.ops.finding.planning.tree import Node


def smallest_gaps(nodes: Sequence[Node]) -> list[Node]:
    """Return the smallest windows of which it is not known what the peer has."""
    found: list[Node] = []
    waiting = [node for node in reversed(nodes) if node.parent is None]
    while waiting:
        node = waiting.pop()
        if _is_proven(node):
            continue
        parts = [child for child in node.children if not _is_proven(child)]
        nothing = node.is_zero and len(parts) == len(node.children)
        nothing = nothing and all(child.is_zero for child in parts)
        if parts and not nothing and node.children[0].by in {"dates", "times"}:
            waiting.extend(reversed(parts))
        else:
            found.append(node)
    return found


def widest_proven(nodes: Sequence[Node]) -> list[Node]:
    """Return the widest ranges of dates of which it is known what the peer has."""
    return [
        node
        for node in nodes
        if node.of_dates and _is_proven(node) and not (node.parent and _is_proven(node.parent))
    ]


def _is_proven(node: Node) -> bool:
    return node.standing is not None and node.standing.covered_on is not None
