"""What an answer is worth: whether it proves that all studies of its window are known.

The rules rest on one assumption: what a peer does when more studies match than it likes to answer,
it does at the same number throughout a find. Then

- an answer that is smaller than another answer of the same peer is whole;
- the largest answers prove nothing by themselves: they are whole when their parts bring no more;
- nothing is the right answer where a wider window, that the window is a part of, brought something.
"""

from enum import Enum, auto

from node.dicom.profile import CapKind
from node.ops.finding.planning.knowledge import Knowledge
from node.ops.finding.planning.tree import Heard, Node, WindowOutcome, WindowState

Ruling = tuple["Ruled", str]
"""What to do about a window, and why."""

ATTEMPTS = 3
"""How often a window is asked that is refused, or is not answered to the end."""

_FEWEST = 5
"""Studies in the largest answer of a find from which on it is not believed unproven."""

_SHORTEST = 180
"""Minutes of a window that is not split for bringing nothing."""


_BARREN = 8
"""Windows without an answer whose parts have none, after which no more of them are split."""

_BARREN_AT_FIRST = 64
"""The same, as long as nothing has come at all."""

_BARREN_AT_ALL = 16
"""The same, of a peer that is not known to say nothing when it has too much."""

TIMELESS = 3
"""Days of whose times none brings anything, after which no other day is asked for by times."""

_SPOILED = 16
"""Windows with answers that cannot be used, after which no more are split to see whose they are."""

_SHORT = 31
"""Days of a find that is asked day by day when nothing came."""


class Ruled(Enum):
    """What to do about a window that has been asked."""

    PROVEN = auto()
    """Nothing: its studies are known."""
    SPLIT = auto()
    """Ask for its parts."""
    DOUBT = auto()
    """Ask for its parts, unless a larger answer shows in time that it is whole."""
    AGAIN = auto()
    """Ask the same once more."""
    GAP = auto()
    """Nothing: its studies are not known, and cannot be."""


_PROVEN: Ruling = (Ruled.PROVEN, "")


def judge(node: Node, known: Knowledge) -> Ruling:
    """Judge a window that has no parts; return why as well, unless it is proven."""
    answer = node.answer
    if answer is None:
        return Ruled.GAP, "not asked"
    if not answer.answered:
        return _judge_failure(node, answer, known)
    judgement, why = _judge_answer(node, answer, known)
    if node.stuck and judgement in {Ruled.SPLIT, Ruled.DOUBT}:
        return Ruled.GAP, why
    return judgement, why


def stand(node: Node, known: Knowledge) -> WindowState:
    """Say what is known of a window, from the standing of its parts and its own answer."""
    answer = node.answer
    judgement, why = judge(node, known)
    if answer is not None and judgement is Ruled.PROVEN:
        if any(one.short for one in node.above()):
            return WindowState(
                outcome=WindowOutcome.SUSPECT,
                message="the range that it is a part of brought more studies than its parts",
            )
        return WindowState(outcome=WindowOutcome.COMPLETE, covered_on=answer.asked_on)
    if node.children:
        return _stand_on_parts(node, known, why)
    if answer is None or not answer.answered:
        outcome = WindowOutcome.FAILED if answer is None else answer.outcome
        return WindowState(outcome=outcome, message=why)
    return WindowState(outcome=_outcome(node, answer, known), message=why)


def falls_short(node: Node, known: Knowledge) -> bool:
    """Tell whether the parts of a window brought fewer studies than the window itself."""
    return _parts(node, known) < _own(node, known)


def exceeds(node: Node, known: Knowledge) -> bool:
    """Tell whether the parts of a window brought more studies than the window itself."""
    return _parts(node, known) > _own(node, known)


def _stand_on_parts(node: Node, known: Knowledge, why: str) -> WindowState:
    answer = node.answer
    outcome = WindowOutcome.SUSPECT if answer is None else answer.outcome
    if answer is not None and answer.answered:
        outcome = _outcome(node, answer, known)
        if exceeds(node, known):
            outcome = WindowOutcome.TRUNCATED if answer.answers else WindowOutcome.SUSPECT
    by = node.children[0].by
    moments = [child.standing.covered_on for child in node.children if child.standing is not None]
    proven = [moment for moment in moments if moment is not None]
    if by not in {"dates", "times"}:
        return WindowState(
            outcome=outcome,
            message=f"{why}; asked in parts by {by}, which no study without one is among",
        )
    if len(proven) < len(node.children):
        return WindowState(outcome=outcome, message=f"{why}; parts of it are not known")
    if falls_short(node, known):
        if by == "times" and _is_weak(node, answer, known):
            return WindowState(outcome=WindowOutcome.COMPLETE, covered_on=min(proven))
        return WindowState(
            outcome=WindowOutcome.SUSPECT,
            message=f"its parts by {by} bring {_parts(node, known)} of the "
            f"{_own(node, known)} studies that it brought itself",
        )
    if by == "times" and known.untimed:
        return WindowState(
            outcome=outcome,
            message=f"{why}; asked in parts by times, and the peer has studies without a time",
        )
    said_all = answer is not None and answer.outcome is WindowOutcome.COMPLETE
    if said_all and not exceeds(node, known):
        outcome = WindowOutcome.COMPLETE
    return WindowState(outcome=outcome, covered_on=min(proven))


def _judge_failure(node: Node, answer: Heard, known: Knowledge) -> Ruling:
    if answer.lost:
        return Ruled.GAP, answer.message
    means_it = known.refuses and not known.transient and node.days is not None
    attempts = ATTEMPTS
    if means_it and answer.outcome is WindowOutcome.REFUSED:
        attempts = 2 if node.stuck else 1
    if answer.retry and node.attempts < attempts:
        return Ruled.AGAIN, answer.message
    if node.stuck or (answer.outcome is WindowOutcome.FAILED and (node.days or 0) <= 1):
        return Ruled.GAP, answer.message
    if answer.spoiled and known.spoiled > _SPOILED:
        return Ruled.GAP, answer.message
    return Ruled.SPLIT, answer.message


def _judge_answer(node: Node, answer: Heard, known: Knowledge) -> Ruling:
    """Judge an answer by the first rule that has something to say."""
    for rule in _RULES:
        verdict = rule(node, answer, known)
        if verdict is not None:
            return verdict
    return Ruled.DOUBT, f"{answer.size} studies may be the most that it answers"


def _without_a_date(node: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    """Hold a question that names no date against the studies that are known to have one."""
    if not node.query.window.undated or node.parent is not None:
        return None
    if known.profile.universal is False or (
        not answer.answers and known.profile.universal is not True
    ):
        return Ruled.GAP, "the peer does not answer a question without a date"
    if answer.size < known.dated and not (known.cap and answer.size >= known.cap):
        return Ruled.GAP, (
            f"a question without a date brought {answer.size} studies, and not the "
            f"{known.dated} that have one"
        )
    return None


def _announced(_: Node, answer: Heard, __: Knowledge) -> Ruling | None:
    if answer.outcome is WindowOutcome.TRUNCATED:
        return Ruled.SPLIT, f"it has more than the {answer.answers} that it answered"
    return None


def _ignored(node: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    if node.query.window.undated or node.by not in known.ignored:
        return None
    whole = known.cap is not None and (
        known.limitless or max(answer.size, answer.answers) < known.cap
    )
    if whole and answer.answers and known.shows_dates:
        return _PROVEN  # it has answered everything that it has
    return Ruled.GAP, (
        f"the peer ignores {node.by}: whether the {answer.size} studies that it always answers "
        "are all is not known"
    )


def _beside_the_question(_: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    if answer.outside > answer.matches and not known.limitless:
        return Ruled.GAP, "most of what came was not asked for"
    return None


def _under_the_cap(_: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    if known.cap is None:
        return None
    if known.limitless or max(answer.size, answer.answers) < known.cap:
        return _PROVEN
    says_so = known.profile.cap_kind in {CapKind.EMPTY, CapKind.REFUSED, CapKind.ANNOUNCED}
    if says_so and answer.size == known.cap == known.profile.cap:
        return _PROVEN
    return Ruled.SPLIT, f"{answer.size} studies, and it answers no more than {known.cap}"


def _smaller_than_another(_: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    smaller = answer.size < known.largest and answer.answers < known.most
    return _PROVEN if smaller or answer.size == 1 else None


def _like_a_ceiling(_: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    if known.looks_like_a_ceiling(answer):
        return Ruled.SPLIT, f"{answer.size} studies may be the most that it answers"
    return None


def _beyond_doubt(node: Node, answer: Heard, _: Knowledge) -> Ruling | None:
    # one patient's studies, an open range: there are no parts to ask for
    open_range = node.days is None and node.by == "dates"
    return _PROVEN if open_range or (node.stuck and answer.size < _FEWEST) else None


def _judge_zero(node: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    if answer.answers:
        return None
    if node.by == "times" and not known.timed and not known.empty:
        return Ruled.GAP, "no range of times has brought anything"
    if node.days is None or any(one.size for one in node.above()) or _takes_any_range(known):
        return _PROVEN
    if node.expected and node.days > 1 and _is_next(node):
        return Ruled.SPLIT, f"nothing came, where {node.expected} studies were before"
    return (
        _judge_empty(node, node.days, known) if known.empty else _judge_wide(node, node.days, known)
    )


def _takes_any_range(known: Knowledge) -> bool:
    profile = known.profile
    return not known.empty and (
        known.limitless or (profile.cap_kind is not None and profile.widest is not None)
    )


def _judge_empty(node: Node, days: int, known: Knowledge) -> Ruling:
    """Judge nothing from a peer that says so when it has too much."""
    window = node.query.window
    minutes = 1440 * days
    if window.first is not None and window.last is not None:
        minutes = (window.last.hour - window.first.hour) * 60 + 60
        if not known.timed and known.timeless >= TIMELESS:
            return Ruled.GAP, "no range of times has brought anything"
    unseen = not known.peak and _is_next(node) and known.barren < _BARREN_AT_FIRST
    likely = 4 * known.peak * days > known.largest and known.barren < _BARREN
    wide = 0 < known.widest < days
    split = minutes > _SHORTEST and (unseen or likely or wide)
    return (
        Ruled.SPLIT if split else Ruled.GAP,
        "nothing came, which the peer also says when it has too many",
    )


def _judge_wide(node: Node, days: int, known: Knowledge) -> Ruling:
    """Judge nothing from a peer that may say so when a range is too wide."""
    widest = known.profile.widest
    why = "nothing came for any window, so that it may be more than it answers"
    if days > 1 and _is_next(node) and known.barren < _BARREN_AT_ALL:
        return Ruled.SPLIT, why
    if not known.widest and widest is None and known.span > _SHORT:
        return Ruled.GAP, why
    if days <= max(1, known.widest) or widest == 0 or days <= (widest or 0):
        return _PROVEN
    return Ruled.DOUBT, f"nothing came, and no range of {days} days has brought anything"


_RULES = (
    _announced,
    _without_a_date,
    _ignored,
    _beside_the_question,
    _judge_zero,
    _under_the_cap,
    _smaller_than_another,
    _like_a_ceiling,
    _beyond_doubt,
)
"""What is asked of an answer, in this order."""


def _is_next(node: Node) -> bool:
    """Tell whether it is the one of two halves that brought nothing which is halved again."""
    return node.last or node.parent is None or not node.parent.is_zero


def _is_weak(node: Node, answer: Heard | None, known: Knowledge) -> bool:
    """Tell whether nothing but its being the largest speaks against an answer."""
    return (
        answer is not None
        and answer.outcome is WindowOutcome.COMPLETE
        and known.cap is None
        and not known.looks_like_a_ceiling(answer)
        and answer.size < _FEWEST
        and node.all_day
    )


def _outcome(node: Node, answer: Heard, known: Knowledge) -> WindowOutcome:
    if answer.outcome is WindowOutcome.TRUNCATED:
        return WindowOutcome.TRUNCATED
    if (
        known.cap
        and max(answer.size, answer.answers) >= known.cap
        and (node.by not in known.ignored)
    ):
        return WindowOutcome.TRUNCATED
    return WindowOutcome.SUSPECT


def _own(node: Node, known: Knowledge) -> int:
    answer = node.answer
    if answer is None:
        return 0
    return answer.matches - (answer.undated if known.shows_dates else 0)


def _parts(node: Node, known: Knowledge) -> int:
    return sum(
        max(_own(child, known), _parts(child, known) if child.children else 0)
        for child in node.children
    )
