"""What an answer is worth: whether it proves that all studies of its window are known.

The rules rest on one assumption: what a peer does when more studies match than it likes to answer,
it does at the same number throughout a find. Then

- an answer that is smaller than another answer of the same find is whole;
- the largest answers prove nothing by themselves: they are whole when their parts bring no more;
- nothing is the right answer where a wider window, that the window is a part of, brought something.

What a profile or an earlier find says is taken as long as nothing denies it. A window that brings
fewer studies than are known, or the largest number for the second time, is judged by the answers of
this find alone; so is every window once the assumption was seen to be wrong (`Knowledge.fickle`).
"""

from collections.abc import Sequence

from node.config.values import Axis
from node.ops.finding.planning.knowledge import LEAVES_OUT_LAST, Knowledge
from node.ops.finding.planning.rules.ceilings import (
    is_at_the_top,
    like_a_ceiling,
    looks_like_a_ceiling,
    smaller_than_another,
    under_the_cap,
)
from node.ops.finding.planning.rules.emptiness import TIMELESS, judge_zero
from node.ops.finding.planning.rules.ruling import PROVEN, Ruled, Ruling
from node.ops.finding.planning.tree import Heard, Node, WindowOutcome, WindowState
from schema.text.words import counted

IN_PARTS = "asked in parts by"
BROUGHT_ITSELF = "studies that it brought itself"
BROUGHT_MORE = "the range that it is a part of brought more studies than its parts"

_FIRST = 4
"""Values of a further key that are in vain, after which no others are tried."""

ATTEMPTS = 3
"""How often a window is asked that is refused, or is not answered to the end."""

_FEWEST = 5
"""Studies in the largest answer of a find from which on it is not believed unproven."""

_SPOILED = 16
"""Windows with answers that name no study, after which no more are split to see whose they are."""


def judge(node: Node, known: Knowledge) -> Ruling:
    """Judge a window that has no parts; return why as well, unless it is proven."""
    answer = node.answer
    if answer is None:
        return Ruled.GAP, "not asked"
    if not answer.answered:
        return _judge_failure(node, answer, known)
    judgement, why = _judge_answer(node, answer, known)
    if judgement is Ruled.PROVEN and answer.nameless:
        judgement, why = _judge_nameless(node, answer, known)
    if node.stuck and judgement in {Ruled.SPLIT, Ruled.DOUBT, Ruled.SAMPLE}:
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
                message=BROUGHT_MORE,
            )
        return WindowState(outcome=WindowOutcome.COMPLETE, covered_on=answer.asked_on)
    if node.children:
        return _stand_on_parts(node, known, why)
    if answer is None or not answer.answered:
        outcome = WindowOutcome.FAILED if answer is None else answer.outcome
        return WindowState(outcome=outcome, message=why)
    return WindowState(outcome=_outcome(node, answer, known), message=why)


def is_urgent(node: Node, known: Knowledge) -> bool:
    """Tell whether a window that is in doubt is settled by no later answer."""
    if node.is_zero and not (node.parent or node.lacks or known.widest):
        return False  # a wider one may bring something
    ruled, _ = judge(node, known)
    return ruled is Ruled.SPLIT or (ruled is Ruled.SAMPLE and known.empty)


def takes_times(node: Node, known: Knowledge) -> bool:
    """Tell whether a day may be asked for by ranges of times."""
    answer = node.answer
    if answer is not None and answer.size and answer.untimed == answer.matches:
        return False
    usable = known.times and "times" not in known.ignored
    return usable and (known.timed or known.timeless < TIMELESS)


def are_in_vain(parts: Sequence[Node], known: Knowledge) -> bool:
    """Tell whether nothing came of the first parts of a window, as of the others.

    All of them were refused; or no date is asked for, and each of them is too much.
    """
    first = parts[:_FIRST]
    return len(first) == _FIRST and all(_is_in_vain(part, known) for part in first)


def _is_in_vain(part: Node, known: Knowledge) -> bool:
    if part.answer is None or not part.answer.answered:
        return True
    too_many = part.is_zero and known.empty
    return part.query.window.undated and (too_many or judge(part, known)[0] is Ruled.SPLIT)


def may_have_more(node: Node, known: Knowledge) -> bool:
    """Tell whether anything says that a window has more than came of its parts by a key."""
    answer = node.answer
    if answer is None or not answer.answered or known.cap is not None:
        return True
    return looks_like_a_ceiling(answer, known) or exceeds(node, known)


def falls_short(node: Node, known: Knowledge) -> bool:
    """Tell whether the parts of a window brought fewer studies than the window itself."""
    return _parts(node, known) < _own(node, known)


def exceeds(node: Node, known: Knowledge) -> bool:
    """Tell whether the parts of a window brought more studies than the window itself."""
    nameless = 0 if node.answer is None else node.answer.nameless
    return _parts(node, known) > _own(node, known) + nameless


def _stand_on_parts(node: Node, known: Knowledge, why: str) -> WindowState:
    answer, by = node.answer, node.children[0].by
    outcome = WindowOutcome.SUSPECT if answer is None else answer.outcome
    if answer is not None and answer.answered:
        outcome = _outcome(node, answer, known)
        if by != Axis.MODALITIES and exceeds(node, known):  # of which a study may have several
            outcome = WindowOutcome.TRUNCATED if answer.answers else WindowOutcome.SUSPECT
    moments = [child.standing.covered_on for child in node.children if child.standing is not None]
    proven = [moment for moment in moments if moment is not None]
    if by not in {"dates", "times"}:
        keys = " and ".join(dict.fromkeys(child.by for child in node.children))
        return WindowState(
            outcome=outcome,
            message=f"{why}; {IN_PARTS} {keys}, which no study without one is among",
        )
    if len(proven) < len(node.children):
        return WindowState(outcome=outcome, message=f"{why}; parts of it are not known")
    if falls_short(node, known):
        if by == "times" and _is_weak(node, answer, known):
            return WindowState(outcome=WindowOutcome.COMPLETE, covered_on=min(proven))
        return WindowState(
            outcome=WindowOutcome.SUSPECT,
            message=f"its parts by {by} bring {_parts(node, known)} of the "
            f"{_own(node, known)} {BROUGHT_ITSELF}",
        )
    if by == "times" and (unreached := _unreached_by_times(node, known, why)):
        return WindowState(outcome=outcome, message=unreached)
    said_all = answer is not None and answer.outcome is WindowOutcome.COMPLETE
    if said_all and not exceeds(node, known) and not known.leaves_out_last:
        outcome = WindowOutcome.COMPLETE
    return WindowState(outcome=outcome, covered_on=min(proven))


def _unreached_by_times(node: Node, known: Knowledge, why: str) -> str:
    """Say why ranges of times may not reach all studies of a day; "" where they do."""
    cap = known.cut if known.cap is None else known.cap
    if 0 < cap <= node.size and not known.cuts_last and not exceeds(node, known):
        return (
            f"its parts by times bring no more than the {cap} studies that the peer answers "
            "at most, as they do when it cuts off before it looks at the times"
        )
    if known.untimed:
        return f"{why}; {IN_PARTS} times, and the peer has studies without a time"
    if node.unsampled:
        return f"{why}; {IN_PARTS} times, and nothing shows whether it has some without"
    return ""


def _judge_failure(node: Node, answer: Heard, known: Knowledge) -> Ruling:
    if answer.lost:
        return Ruled.GAP, answer.message
    of_dates = node.days is not None or node.query.window.undated
    means_it = known.refuses and not known.transient and of_dates
    attempts = ATTEMPTS
    if means_it and answer.outcome is WindowOutcome.REFUSED:
        attempts = 2 if node.stuck else 1
    if answer.retry and node.attempts < attempts:
        return Ruled.AGAIN, answer.message
    if node.stuck or (answer.outcome is WindowOutcome.FAILED and (node.days or 0) <= 1):
        return Ruled.GAP, answer.message
    return Ruled.SPLIT, answer.message


def _judge_nameless(node: Node, answer: Heard, known: Knowledge) -> Ruling:
    """Judge an answer that is whole, of which some name no study: its parts show of which dates."""
    found = (node.days or 0) <= 1 or known.spoiled > _SPOILED
    return Ruled.GAP if found else Ruled.SPLIT, answer.flaw


def _judge_answer(node: Node, answer: Heard, known: Knowledge) -> Ruling:
    """Judge an answer by the first rule that has something to say."""
    for rule in _RULES:
        verdict = rule(node, answer, known)
        if verdict is not None:
            return verdict
    return Ruled.DOUBT, f"{counted(answer.size, 'study')} may be the most that it answers"


def _without_a_date(node: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    """Hold a question that names no date against the studies that are known to have one."""
    if not node.query.window.undated or node.parent is not None:
        return None
    if not answer.answers and known.empty:
        return Ruled.SPLIT, "nothing came, which the peer also says when it has too many"
    if known.profile.universal is False or (
        not answer.answers and known.profile.universal is not True
    ):
        return Ruled.GAP, "the peer does not answer a question without a date"
    if answer.size < known.dated and not (known.cap and answer.size >= known.cap):
        return Ruled.GAP, (
            f"a question without a date brought {counted(answer.size, 'study')}, and not the "
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
        return PROVEN  # it has answered everything that it has
    return Ruled.GAP, (
        f"the peer ignores {node.by}: whether it has more than the "
        f"{counted(answer.size, 'study')} that it always answers is not known"
    )


def _without_its_last_day(node: Node, _: Heard, known: Knowledge) -> Ruling | None:
    window = node.query.window
    if not known.leaves_out_last or not node.all_day or window.start == window.end:
        return None
    return Ruled.GAP if node.days is None else Ruled.SPLIT, LEAVES_OUT_LAST


def _beside_the_question(node: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    if answer.outside <= answer.matches or known.limitless:
        return None
    if node.query.window.undated and known.cap:
        return None  # those with a date are asked for as well: whether they are all is the question
    return Ruled.GAP, "most of what came was not asked for"


def _beyond_doubt(node: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    # one patient's studies, an open range: there are no parts to ask for
    open_range = node.days is None and node.by == "dates"
    if open_range and node.query.window.start is not None and is_at_the_top(answer, known):
        return Ruled.SPLIT, f"{counted(answer.size, 'study')} may be the most that it answers"
    return PROVEN if open_range or (node.stuck and answer.size < _FEWEST) else None


_RULES = (
    _announced,
    _without_a_date,
    _ignored,
    _without_its_last_day,
    _beside_the_question,
    judge_zero,
    under_the_cap,
    smaller_than_another,
    like_a_ceiling,
    _beyond_doubt,
)
"""What is asked of an answer, in this order."""


def _is_weak(node: Node, answer: Heard | None, known: Knowledge) -> bool:
    """Tell whether nothing but its being the largest speaks against an answer."""
    return (
        answer is not None
        and answer.says_all
        and known.cap is None
        and not looks_like_a_ceiling(answer, known)
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
    return WindowOutcome.FAILED if answer.nameless else WindowOutcome.SUSPECT


def _own(node: Node, known: Knowledge) -> int:
    answer = node.answer
    if answer is None:
        return 0
    return answer.matches - (answer.undated if known.shows_dates else 0)


def _parts(node: Node, known: Knowledge) -> int:
    """Return how many studies the parts of a window brought.

    It is reckoned once for all answers until one comes to it or to a part: a year may have
    thousands of parts, and each answer is held against all that it is a part of.
    """
    if node.brought is None or node.brought[0] is not known.shows_dates:
        brought = sum(
            max(_own(child, known), _parts(child, known) if child.children else 0)
            for child in node.children
        )
        node.brought = known.shows_dates, brought
    return node.brought[1]
