"""What nothing is worth: an answer without any study.

A peer says nothing where there is nothing, where a range is too wide, and where it has too much.
The first is believed when neither of the others can be: as wide a range has brought something in
the same find, and a question for a few of the studies, by another key, brings nothing either.
"""

from node.ops.finding.planning.knowledge import Knowledge
from node.ops.finding.planning.rules.ruling import PROVEN, Ruled, Ruling
from node.ops.finding.planning.tree import Heard, Node
from schema.text.words import counted_are

_SHORTEST = 180
"""Minutes of a window that is not split for bringing nothing."""


_FEW = 10
"""Studies that every PACS answers, unless it was seen to say nothing where it has some."""

_FEWER = 4
"""Studies that each one answers."""

_BARREN = 8
"""Windows without an answer whose parts have none, after which no more of them are split."""

_BARREN_AT_FIRST = 64
"""The same, as long as nothing has come at all."""

_BARREN_AT_ALL = 16
"""The same, of a peer that is not known to say nothing when it has too much."""

_NO_TIMES = "no range of times has brought anything"
_TOO_MANY = "nothing came, which the peer also says when it has too many"

TIMELESS = 3
"""Days of whose times none brings anything, after which no other day is asked for by times."""


def judge_zero(node: Node, answer: Heard, known: Knowledge) -> Ruling | None:
    """Judge an answer of nothing; None where something came."""
    if answer.answers:
        return None
    if node.by == "times" and not known.timed and not known.empty:
        return Ruled.GAP, _NO_TIMES
    if node.days is None:
        return (Ruled.GAP, _TOO_MANY) if node.query.window.undated and known.empty else PROVEN
    if (lacking := _judge_lacking(node, node.days, known)) is not None:
        return lacking
    if any(one.size for one in node.above()) or (
        _takes_any_range(known) and not known.contradicted
    ):
        return PROVEN
    return (
        _judge_empty(node, node.days, known) if known.empty else _judge_wide(node, node.days, known)
    )


def _judge_lacking(node: Node, days: int, known: Knowledge) -> Ruling | None:
    """Judge nothing where studies are known."""
    if node.lacks and days > 1 and known.barren < _BARREN:
        return Ruled.SPLIT, f"nothing came, where {counted_are(node.expected, 'study')} known"
    if not known.largest and any(one.lacks for one in (node, *node.above())):
        return Ruled.GAP, "nothing came for any window, where studies are known"
    return None


def goes_by_earlier_finds(known: Knowledge) -> bool:
    """Tell whether nothing for a whole find is believed of a peer that had answered before."""
    return not known.largest and known.before > 0 and not _takes_any_range(known)


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
            return Ruled.GAP, _NO_TIMES
    wide = 0 < known.widest < days
    hidden = node.hidden or _has_the_rest(node, known)
    if not wide and not hidden:
        if _is_silent(node):
            timed = window.first is None or known.timed
            return PROVEN if timed else (Ruled.GAP, _NO_TIMES)
        if known.widest and known.samples is not False:
            return Ruled.SAMPLE, _TOO_MANY
    unseen = not known.peak and _is_next(node) and known.barren < _BARREN_AT_FIRST
    likely = hidden or 4 * known.peak * days > max(known.largest, _FEWER)
    likely = likely and known.barren < _BARREN
    split = minutes > _SHORTEST and (unseen or likely or wide)
    return (
        Ruled.SPLIT if split else Ruled.GAP,
        _TOO_MANY,
    )


def _is_silent(node: Node) -> bool:
    """Tell whether a few of its studies, or of those of a wider window, were asked for in vain."""
    return any(one.silent and not one.counted() for one in (node, *node.above()))


def _has_the_rest(node: Node, known: Knowledge) -> bool:
    """Tell whether the other parts are too few for their whole to have been too many."""
    whole = node.parent
    if whole is None or not whole.is_zero or not 0 < (whole.days or 0) <= known.widest:
        return False
    return node in whole.children and 0 < whole.counted() <= known.largest


def _judge_wide(node: Node, days: int, known: Knowledge) -> Ruling:
    """Judge nothing from a peer that may say so when a range is too wide, or has too much."""
    widest = known.profile.widest
    vouched = not known.contradicted and (
        widest == 0 or days <= (widest or 0) or days <= known.before
    )
    if not known.widest:
        why = "nothing came for any window, so that it may be more than it answers"
        if days > 1 and _is_next(node) and known.barren < _BARREN_AT_ALL:
            return Ruled.SPLIT, why
        if not vouched and widest is None:
            return Ruled.GAP, why
    if days > max(1, known.widest) and not vouched:
        return Ruled.DOUBT, f"nothing came, and no range of {days} days has brought anything"
    believed = days == 1 and (known.cuts or not node.all_day)
    if believed or _is_silent(node) or not known.widest:
        return PROVEN
    why = "nothing came, which the peer may also say when it has too many"
    if known.samples is not False:
        return Ruled.SAMPLE, why
    # as many as would be too many do not fit, unless they are four times as dense as any others
    fits = days > 1 and 4 * known.peak * days > max(known.largest, _FEW)
    return (Ruled.DOUBT, why) if fits and known.barren < _BARREN_AT_ALL else PROVEN


def is_believed_for_want_of_a_key(node: Node, known: Knowledge) -> bool:
    """Tell whether nothing is believed of a day that may be too much, as no key chooses a few."""
    if not node.is_zero or node.children or known.empty or known.cuts or known.samples is not False:
        return False
    vouched = _takes_any_range(known) and not known.contradicted
    return not (vouched or _is_silent(node) or any(one.size for one in node.above()))


def _is_next(node: Node) -> bool:
    """Tell whether it is the one of two halves that brought nothing which is halved again."""
    return node.last or node.parent is None or not node.parent.is_zero
