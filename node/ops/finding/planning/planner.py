"""The planner: which window is asked next, given what came of those before.

    planner = Planner([query], profile)
    while (ask := planner.next()) is not None:
        planner.take(put(ask.query))          # an Heard
        for node in planner.changed(): ...    # node.standing is new

It walks along the dates in windows as wide as the answers allow, cuts what is over the peer's cap,
and in the end cuts what is in doubt. Each decision depends on the answers alone: who gives the same
answers again gets the same questions, so that a find that was killed goes on where it was.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from node.config.values import Axis
from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding.planning.cutting import AXES, Stretch, along, days_of, line_of
from node.ops.finding.planning.denying import deny
from node.ops.finding.planning.expecting import Expectation
from node.ops.finding.planning.judging import (
    TIMELESS,
    Ruled,
    exceeds,
    falls_short,
    judge,
    stand,
)
from node.ops.finding.planning.knowledge import Knowledge
from node.ops.finding.planning.tree import Heard, Node, WindowOutcome, WindowState
from node.ops.finding.planning.width import bounded, first_width, next_width, target_of

_HOPELESS = 16
"""Windows one after the other that are not answered, after which no more are split."""

_AXIS_QUESTIONS = 100
"""Questions that are spent on windows that neither dates nor times split; and one more for each
`_OTHERS` of the others."""

_OTHERS = 8

_REFUSED = 4
"""Values of a further key that are refused, after which no others are tried."""

_SAMPLED = ("CT", "MR")
"""Modalities by which a day that was split into times is asked for, to see a study without one."""

_NO_SAMPLES = 3
"""Days without any such answer, after which no other day is tried."""

_SAMPLES = 50
"""Days with such an answer in which each study has a time, after which no other day is tried."""

Steps = Generator["Ask", Heard, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question to put.

    Attributes
    ----------
    node
        The window.
    attempt
        Counts from 1: before a later one, give the peer time.
    """

    node: Node
    attempt: int = 1

    @property
    def query(self) -> StudyQuery:
        """The question."""
        return self.node.query


class Planner:
    """Plans one find at one peer.

    Parameters
    ----------
    queries
        What is asked for, each over its own range of dates.
    profile
        What is known of the peer.
    axes
        The keys to split by where dates and times do not help, in this order.
    undated
        Whether to ask for the studies without a date as well.
    widest
        The most days of a window of an earlier find at the peer that brought something.
    expected
        The studies that earlier finds have found.
    """

    def __init__(
        self,
        queries: Sequence[StudyQuery],
        profile: PeerProfile,
        *,
        axes: Sequence[str] = AXES,
        undated: bool = False,
        widest: int = 0,
        expected: Expectation | None = None,
    ) -> None:
        span = max((query.window.days or 0 for query in queries), default=0)
        self.known = Knowledge.of(profile, widest=widest, span=span)
        self.nodes: list[Node] = []
        self._expected = expected or Expectation()
        self._surprised = False
        self._axes = tuple(axes)
        self._ask: Ask | None = None
        self._lost = False
        self._unanswered = 0
        self._axis_questions: float = _AXIS_QUESTIONS
        self._sampled = self._unsampled = 0
        self._touched: list[Node] = []
        self._version = 0
        self._steps = self._run(queries, undated=undated)
        self._ask = next(self._steps, None)

    def next(self) -> Ask | None:
        """Return the next question; None when there is none left."""
        return self._ask

    def take(self, answer: Heard) -> None:
        """Take the answer to the last question."""
        try:
            self._ask = self._steps.send(answer)
        except StopIteration:
            self._ask = None

    def changed(self) -> list[Node]:
        """Return the windows whose standing has changed since the last time, parts first."""
        if self.known.version != self._version:
            self._version = self.known.version
            todo = {node.key: node for node in self.nodes}
        else:
            todo = {one.key: one for node in self._touched for one in (node, *node.above())}
        self._touched.clear()
        changed = []
        for key in sorted(todo, reverse=True):  # parts have higher keys than what they are of
            node = todo[key]
            standing = stand(node, self.known)
            if node.denied:
                standing = WindowState(outcome=WindowOutcome.SUSPECT, message=node.denied)
            if standing != node.standing and node.answer is not None:
                node.standing = standing
                changed.append(node)
        return changed

    def contradicted(self, day: date | None, reason: str) -> None:
        """Take notice that the windows of a date are not proven, though they seem to be.

        Parameters
        ----------
        day
            None for the studies without a date.
        reason
            What the peer was seen to have there.
        """
        self._touched += deny(self.nodes, day, reason)

    def gaps(self) -> list[Node]:
        """Return the smallest windows of which it is not known what the peer has."""
        self.changed()
        found: list[Node] = []
        waiting = [node for node in reversed(self.nodes) if node.parent is None]
        while waiting:
            node = waiting.pop()
            if node.standing is None or node.standing.covered_on is not None:
                continue
            parts = [
                child
                for child in node.children
                if child.standing is None or child.standing.covered_on is None
            ]
            nothing = node.is_zero and all(child.is_zero for child in parts)
            if parts and not nothing and node.children[0].by in {"dates", "times"}:
                waiting.extend(reversed(parts))
            else:
                found.append(node)
        return found

    def proven(self) -> list[Node]:
        """Return the widest ranges of dates of which it is known what the peer has."""
        self.changed()

        def is_proven(node: Node | None) -> bool:
            standing = None if node is None else node.standing
            return standing is not None and standing.covered_on is not None

        return [
            node
            for node in self.nodes
            if node.all_day
            and node.by in {"", "dates"}
            and is_proven(node)
            and not is_proven(node.parent)
        ]

    # What is asked, in which order

    def _run(self, queries: Sequence[StudyQuery], *, undated: bool) -> Steps:
        for query in queries:
            line = days_of(query)
            if line is not None:
                yield from self._cover(line, query, None, first_width(line, self.known))
            else:
                by = "undated" if query.window.undated else "dates"
                yield from self._put(self._add(query, None, by))
            if undated:
                whole = replace(query, window=Window(undated=True))
                self.known.dated = sum(node.counted() for node in self.nodes if not node.parent)
                yield from self._put(self._add(whole, None, "undated"))
        while not self._lost:
            todo = [node for node in self.nodes if self._is_open(node)]
            if not todo:
                break
            for node in todo:
                if self._is_open(node) and not self._lost:
                    yield from self._split(node, node.top.query)

    @property
    def _is_vain(self) -> bool:
        """Whether narrower windows are not answered either."""
        return self._lost or self._unanswered >= _HOPELESS

    def _is_open(self, node: Node) -> bool:
        if node.children or node.stuck or node.answer is None:
            return False
        return judge(node, self.known)[0] in {Ruled.SPLIT, Ruled.DOUBT}

    def _cover(self, line: Stretch, base: StudyQuery, parent: Node | None, width: int) -> Steps:
        """Ask for all of a line, in windows of the width that the answers suggest."""
        at = line.first
        while at <= line.last:
            if parent is None and not self._surprised:
                target, widest = target_of(self.known), self.known.widest
                width = self._expected.width(at, width, target=target, widest=widest)
            width = bounded(line, width, self.known, part=parent is not None)
            left = line.last - at + 1
            vain = self._is_vain or line.by in self.known.ignored
            if vain or left <= width + width // 4:
                width = left  # no crumb is left over; nor does narrower help
                if parent is None:
                    width = min(left, bounded(line, left, self.known, part=False))
            node = self._add(line.part(at, at + width - 1), parent, line.by)
            node.last = at + width > line.last
            yield from self._put(node)
            if self._is_open(node) and judge(node, self.known)[0] is Ruled.SPLIT:
                yield from self._split(node, base)
            at += width
            width = next_width(node, width, self.known)
            answered = node.answer is not None and node.answer.answered
            self._surprised = self._surprised or bool(node.children) or not answered

    def _split(self, node: Node, base: StudyQuery) -> Steps:
        """Ask for the parts of a window; where it has none, it is stuck."""
        if self._is_vain:
            node.stuck = True
            self._touched.append(node)
            return
        answer = node.answer
        timeless = answer is not None and bool(answer.size) and answer.untimed == answer.matches
        known = self.known
        times = known.times and "times" not in known.ignored and not timeless
        times = times and (known.timed or known.timeless < TIMELESS)
        line = line_of(node.query, times=times)
        if line is not None and line.by in self.known.ignored:
            node.stuck = True
        elif line is not None and not node.query.keys().keys() - base.keys().keys():
            yield from self._cover(line, base, node, (line.length + 1) // 2)
            self.known.learn_from_parts(node)
            if line.by == "dates" and falls_short(node, self.known):
                node.short = True
                self._touched += [one for one in self.nodes[node.key :] if node in one.above()]
            silent = answer is not None and answer.outcome is WindowOutcome.COMPLETE
            if silent and node.size == self.known.largest and exceeds(node, self.known):
                self.known.found_a_cap(node.size)
            if line.by == "times" and node.all_day and any(part.size for part in node.children):
                yield from self._sample(node, base)
        else:
            yield from self._split_along_axes(node, base)
        self._touched.append(node)

    def _split_along_axes(self, node: Node, base: StudyQuery) -> Steps:
        """Bring what other keys can bring of a window that dates and times do not split."""
        node.stuck = True
        if judge(node, self.known)[0] is Ruled.AGAIN:
            yield from self._put(node)
        if node.answer is None or not (node.answer.answers or self.known.refuses):
            return
        judgement, _ = judge(node, self.known)
        if judgement is Ruled.PROVEN:
            return
        for axis in self._axes:
            for query in () if axis in self.known.ignored else along(axis, node.query, base):
                if self._axis_questions < 1:
                    return
                child = self._add(query, node, axis)
                yield from self._put(child)
                if axis in self.known.ignored or self._lost or _is_refused(node.children):
                    break
            for child in node.children:
                if self._is_open(child):
                    yield from self._split_along_axes(child, base)
            if node.children and not any(child.size for child in node.children):
                self.known.is_fruitless(axis)
            elif node.children:
                return

    def _sample(self, node: Node, base: StudyQuery) -> Steps:
        """Ask for a few studies of a day whatever their times: one without a time is in no part."""
        keyword = Axis.MODALITIES.value
        enough = self._sampled == _SAMPLES or self._unsampled == _NO_SAMPLES
        if enough or self.known.untimed or keyword in self.known.ignored:
            return
        for query in along(keyword, node.query, base):
            if query.modality not in _SAMPLED or self._lost:
                break
            aside = self._add(query, node, keyword, aside=True)
            yield from self._put(aside)
            if aside.size and judge(aside, self.known)[0] is Ruled.PROVEN:
                self._sampled += 1
                return
        self._unsampled += 1

    def _put(self, node: Node) -> Steps:
        """Ask for one window, and again as often as it makes sense."""
        along_axis = node.by not in {"", "dates", "times", "undated"} and not node.aside
        while True:
            node.attempts += 1
            self._axis_questions -= 1 if along_axis else -1 / _OTHERS
            node.answer = yield Ask(node=node, attempt=node.attempts)
            self._lost = self._lost or node.answer.lost
            self._unanswered = 0 if node.answer.answered else self._unanswered
            self.known.learn(node)
            self._touched.append(node)
            if self._lost or judge(node, self.known)[0] is not Ruled.AGAIN:
                break
        part_of_day = node.by not in {"", "dates"} and (self.known.timed or node.by != "times")
        if not node.answer.answered and not part_of_day:
            self._unanswered += 1

    def _add(self, query: StudyQuery, parent: Node | None, by: str, *, aside: bool = False) -> Node:
        """Add a window; one that is asked `aside` is no part of its parent, and never split."""
        node = Node(
            key=len(self.nodes), query=query, parent=parent, by=by, stuck=aside, aside=aside
        )
        line = days_of(query) if node.all_day and not query.keys() else None
        if line is not None:
            node.expected = self._expected.count(line.first, line.last)
        self.nodes.append(node)
        if parent is not None and not aside:
            parent.children.append(node)
        return node


def _is_refused(parts: Sequence[Node]) -> bool:
    """Tell whether the first parts of a window are all refused: so the others would be."""
    first = [part.answer is not None and part.answer.answered for part in parts[:_REFUSED]]
    return len(parts) >= _REFUSED and not any(first)
