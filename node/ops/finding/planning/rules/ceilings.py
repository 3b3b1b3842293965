"""What a number of studies is worth: whether a peer may have stopped there."""

from node.dicom.profile import CapKind
from node.ops.finding.planning.knowledge import FEWEST_REPEATED, Knowledge
from node.ops.finding.planning.rules.ruling import PROVEN, Ruled, Ruling
from node.ops.finding.planning.tree import Heard, Node, WindowOutcome
from schema.text.words import counted

_ROUND = 50
"""Ceilings are multiples of this, or powers of two from 64 on."""


def under_the_cap(node: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    """Hold an answer against the cap, where it is known."""
    if known.cap is None:
        return None
    if known.limitless or max(answer.size, answer.answers) < known.cap:
        doubtful = known.fickle or is_next_to_the_cap(answer, known)
        if known.cap == known.profile.cap:  # which may be that of another day
            doubtful = node.lacks or repeats(answer, known)
            if not known.limitless and (node.days or 0) > 1 and answer.size != node.expected:
                doubtful = doubtful or is_at_the_top(answer, known)
        return None if doubtful else PROVEN
    says_so = known.profile.cap_kind in {CapKind.EMPTY, CapKind.REFUSED, CapKind.ANNOUNCED}
    if says_so and answer.size == known.cap == known.profile.cap:
        return PROVEN
    return Ruled.SPLIT, f"{counted(answer.size, 'study')}, and it answers no more than {known.cap}"


def smaller_than_another(node: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    """Believe what is smaller than another answer."""
    if answer.at_most == 1:
        return PROVEN
    if known.fickle:
        return PROVEN if _is_half_of_a_whole(node) else None
    if is_next_to_the_cap(answer, known):
        return None
    smaller = answer.at_most < known.largest and answer.answers < known.most
    return PROVEN if smaller else None


def _is_half_of_a_whole(node: Node) -> bool:
    """Tell whether a window and the others of its parent brought as much as the parent."""
    whole = node.parent
    return (
        whole is not None
        and bool(whole.size)
        and node in whole.children
        and all(part.answer is not None and part.answer.answered for part in whole.children)
        and sum(part.size for part in whole.children) == whole.size
    )


def like_a_ceiling(_: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    """Doubt a number at which a peer may have stopped."""
    if looks_like_a_ceiling(answer, known):
        return Ruled.SPLIT, f"{counted(answer.size, 'study')} may be the most that it answers"
    return None


def looks_like_a_ceiling(answer: Heard, known: Knowledge) -> bool:
    """Tell whether a number of studies is one at which a peer may have stopped."""
    return (
        _is_round(answer.size)
        or _is_round(answer.answers)
        or (answer.at_most >= FEWEST_REPEATED and known.repeated[answer.at_most] > 1)
    )


def is_at_the_top(answer: Heard, known: Knowledge) -> bool:
    """Tell whether no answer had more studies, and nothing shows that as many are all."""
    return max(FEWEST_REPEATED, known.largest, known.whole + 1) <= answer.at_most


def repeats(answer: Heard, known: Knowledge) -> bool:
    """Tell whether the most studies came for several windows."""
    return is_at_the_top(answer, known) and known.repeated[answer.at_most] > 1


def is_next_to_the_cap(answer: Heard, known: Knowledge) -> bool:
    """Tell whether an answer is the largest below a cap that has been met once only."""
    if known.confirmed or known.profile.cap == known.cap or not known.cap:
        return False
    if known.repeated[known.cap] > 1:
        return False
    below = (size for size in known.repeated if size < (known.cap or 0))
    return answer.size >= FEWEST_REPEATED and answer.size == max(below, default=0)


def would_be_the_cap(node: Node, known: Knowledge) -> bool:
    """Tell whether a window shows a cap that was not known, if there is more than it brought."""
    answer = node.answer
    if answer is None or answer.outcome is not WindowOutcome.COMPLETE:
        return False
    return node.size == known.largest and not 0 < (known.cap or 0) <= node.size


def _is_round(count: int) -> bool:
    return count >= _ROUND and (count % _ROUND == 0 or (count >= 64 and count & (count - 1) == 0))
