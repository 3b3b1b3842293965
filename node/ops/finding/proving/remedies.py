"""What can be done about a gap: whether to ask again is of use, and else what is. Pure."""

from enum import StrEnum

from node.ops.finding.ledger import NOT_ENDED
from node.ops.finding.planning.controls.silence import HAS_CEASED
from node.ops.finding.planning.rules.judging import BROUGHT_ITSELF, BROUGHT_MORE, IN_PARTS
from node.ops.finding.planning.tree import NAMES_NONE, WindowOutcome
from schema.coverage.gaps import NOT_ASKED, Gap

_PASSING = (NOT_ENDED, HAS_CEASED, BROUGHT_ITSELF, BROUGHT_MORE)
"""What is in reasons that may be others when the same is asked again."""


class Remedy(StrEnum):
    """What closes a gap."""

    AGAIN = "ask again"
    """It was refused, not answered or not asked, its find has not come to its end, or studies came
    and went meanwhile."""
    LIMIT = "limit"
    """The peer has more there than it answers, and nothing splits it any further."""
    PROBE = "probe"
    """Nothing shows whether the answer is whole: it is to be known how the peer answers."""
    NAMES = "names"
    """Answers name no study."""
    UNDATED = "undated"
    """The peer is not to be asked for studies without a date."""


def remedy_of(gap: Gap) -> Remedy:
    """Return what can close a gap; of what its window depends on, it is the first thing to do."""
    reason = gap.message or ""
    if NAMES_NONE in reason:
        return Remedy.NAMES
    unanswered = {WindowOutcome.REFUSED, WindowOutcome.FAILED, NOT_ASKED}
    if not gap.ended or gap.outcome in unanswered or any(one in reason for one in _PASSING):
        return Remedy.AGAIN
    if gap.outcome == WindowOutcome.TRUNCATED:
        return Remedy.LIMIT
    if gap.undated:
        return Remedy.UNDATED
    return Remedy.LIMIT if IN_PARTS in reason else Remedy.PROBE
