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
from datetime import date

from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery
from node.ops.finding.planning.controls.ends import Ends
from node.ops.finding.planning.controls.narrowing import Narrowing
from node.ops.finding.planning.controls.silence import Silence
from node.ops.finding.planning.cutting import AXES, Stretch, along, days_of, line_of
from node.ops.finding.planning.denying import deny
from node.ops.finding.planning.expecting import Expectation
from node.ops.finding.planning.inside import Samples
from node.ops.finding.planning.knowledge import Knowledge
from node.ops.finding.planning.known_days import KnownDays
from node.ops.finding.planning.questions import Questions
from node.ops.finding.planning.results import smallest_gaps, widest_proven
from node.ops.finding.planning.rules.ceilings import is_next_to_the_cap, would_be_the_cap
from node.ops.finding.planning.rules.judging import (
    are_in_vain,
    exceeds,
    falls_short,
    is_urgent,
    judge,
    may_have_more,
    stand,
    takes_times,
)
from node.ops.finding.planning.rules.ruling import Ruled
from node.ops.finding.planning.tree import Ask, Heard, Node, Steps, WindowOutcome, WindowState
from node.ops.finding.planning.width import bounded, first_width, next_width, target_of


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
    widest
        The most days of a window of an earlier find at the peer that brought something.
    cut
        The most studies of an answer that an earlier find has seen cut off; 0: none was.
    silent
        Whether an earlier find has seen the peer answer nothing where it has something.
    expected
        The studies of the dates that earlier finds have proven.
    known
        The studies that the peer is known to have.
    """

    def __init__(
        self,
        queries: Sequence[StudyQuery],
        profile: PeerProfile,
        *,
        axes: Sequence[str] = AXES,
        widest: int = 0,
        cut: int = 0,
        silent: bool = False,
        expected: Expectation | None = None,
        known: KnownDays | None = None,
    ) -> None:
        self.known = Knowledge.of(
            profile, before=widest, cut=cut, silent=silent, expected=known or KnownDays()
        )
        self._questions = Questions(self.known)
        self._expected = expected or Expectation()
        self._surprised = False
        self._axes = tuple(axes)
        self._silence = Silence(self._questions)
        self._samples = Samples(self._questions, axes)
        self._ends = Ends(self._questions)
        self._narrowing = Narrowing(self._questions)
        self._version = 0
        self._steps = self._run(queries)
        self._ask = next(self._steps, None)

    @property
    def nodes(self) -> list[Node]:
        """Return the windows, in the order in which they were first asked."""
        return self._questions.nodes

    def next(self) -> Ask | None:
        """Return the next question; None when there is none left."""
        return self._ask

    def take(self, answer: Heard) -> None:
        """Take the answer to the last question."""
        try:
            self._ask = self._steps.send(answer)
        except StopIteration:
            self._ask = None

    def amend(self, node: Node, answer: Heard) -> None:
        """Take notice that the answer to a window, taken already, was worth less than it seemed."""
        node.take(answer)
        self._questions.touched.append(node)

    def changed(self) -> list[Node]:
        """Return the windows whose standing has changed since the last time, parts first."""
        if self.known.version != self._version:
            self._version = self.known.version
            todo = {node.key: node for node in self.nodes}
        else:
            touched = self._questions.touched
            todo = {one.key: one for node in touched for one in (node, *node.above())}
        self._questions.touched.clear()
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
        self._questions.touched += deny(self.nodes, day, reason)

    def gaps(self) -> list[Node]:
        """Return the smallest windows of which it is not known what the peer has."""
        self.changed()
        return smallest_gaps(self.nodes)

    def proven(self) -> list[Node]:
        """Return the widest ranges of dates of which it is known what the peer has."""
        self.changed()
        return widest_proven(self.nodes)

    # What is asked, in which order

    def _run(self, queries: Sequence[StudyQuery]) -> Steps:
        for query in queries:
            line = days_of(query)
            if line is not None:
                yield from self._cover(line, query, None, first_width(line, self.known))
                continue
            by = "undated" if query.window.undated else "dates"
            if query.window.undated:
                self.known.dated = self._dated_like(query)
            yield from self._questions.put(node := self._questions.add(query, None, by))
            # for dates to come no modality is asked on nothing but the doubt that it was cut off
            node.stuck = query.window.start is not None and not self.known.cap
        while not self._questions.lost:
            yield from self._ends.look()
            todo = self._questions.open()
            if not todo:
                yield from self._samples.look_for_any()
                yield from self._silence.look()
                yield from self._narrowing.look()
                todo = self._questions.open()
            if not todo:
                break
            for node in todo:
                if self._questions.is_open(node) and not self._questions.lost:
                    yield from self._pursue(node, node.top.query)

    def _dated_like(self, query: StudyQuery) -> int:
        """Return how many studies with a date are known that a question without one is about."""
        keys = query.keys()
        alike = [one for one in self.nodes if one.days and not one.parent]
        alike = [one for one in alike if one.query.keys() == keys]
        others = 0 if keys else self.known.expected.total - sum(one.expected for one in alike)
        return others + sum(one.counted() for one in alike)

    def _cover(self, line: Stretch, base: StudyQuery, parent: Node | None, width: int) -> Steps:
        """Ask for all of a line, in windows of the width that the answers suggest."""
        at = line.first
        while at <= line.last:
            if parent is None and not self._surprised:
                target, widest = target_of(self.known), max(self.known.widest, self.known.before)
                width = self._expected.width(at, width, target=target, widest=widest)
            width = bounded(line, width, self.known, part=parent is not None)
            left = line.last - at + 1
            vain = self._questions.are_vain or line.by in self.known.ignored
            if vain or left <= width + width // 4:
                width = left  # no crumb is left over; nor does narrower help
                if parent is None:
                    width = min(left, bounded(line, left, self.known, part=False))
            node = self._questions.add(line.part(at, at + width - 1), parent, line.by)
            node.last = at + width > line.last
            yield from self._questions.put(node)
            if self._questions.is_open(node) and is_urgent(node, self.known):
                yield from self._pursue(node, base)
            at += width
            width = next_width(node, width, self.known)
            answered = node.answer is not None and node.answer.answered
            otherwise = bool(node.children) and node.counted() != node.size
            self._surprised = self._surprised or otherwise or not answered

    def _pursue(self, node: Node, base: StudyQuery) -> Steps:
        """Ask what is to be asked about a window that is in doubt."""
        if judge(node, self.known)[0] is Ruled.SAMPLE:
            yield from self._samples.look_inside(node, base)
        if self._questions.is_open(node) and judge(node, self.known)[0] is not Ruled.SAMPLE:
            yield from self._split(node, base)

    def _split(self, node: Node, base: StudyQuery) -> Steps:
        """Ask for the parts of a window; where it has none, it is stuck."""
        if self._questions.are_vain:
            node.stuck = True
            self._questions.touched.append(node)
            return
        line = line_of(node.query, times=takes_times(node, self.known))
        if line is not None and line.by in self.known.ignored:
            node.stuck = True
        elif line is not None and not node.query.keys().keys() - base.keys().keys():
            yield from self._cover(line, base, node, (line.length + 1) // 2)
            self.known.learn_from_parts(node)
            yield from self._compare(node, line)
            if line.by == "times" and node.all_day and any(part.size for part in node.children):
                yield from self._samples.sample(node, base)
        else:
            yield from self._split_along_axes(node, base)
        self._questions.touched.append(node)

    def _compare(self, node: Node, line: Stretch) -> Steps:
        """Hold the parts of a window against what it brought itself."""
        known = self.known
        answer, size = node.answer, node.size
        next_to_the_cap = answer is not None and is_next_to_the_cap(answer, known)
        more = exceeds(node, known)
        shows_a_cap = more and (next_to_the_cap or would_be_the_cap(node, known))
        if (line.by == "dates" and falls_short(node, known)) or shows_a_cap:
            yield from self._silence.ask_again(node)  # a study may have come or gone meanwhile
            answer, more = node.answer, exceeds(node, known)
        if line.by == "dates" and falls_short(node, known):
            node.short = True
            self._questions.touch_below(node)
        if line.by == "times" and more and node.size:
            known.is_cutting_last()
        if known.leaves_out_last and line.by == "dates":
            return  # the parts have days that the window has not
        silent = answer is not None and answer.outcome is WindowOutcome.COMPLETE
        if silent and node.size == known.largest and more:
            if node.size == size:
                known.found_a_cap(size)  # else it was no limit: more have come now
        elif silent and self._is_whole(node):
            known.is_whole(node.size)
        if silent and next_to_the_cap:
            if more:
                known.is_fickle()
            else:
                known.is_confirmed()

    def _is_whole(self, node: Node) -> bool:
        """Tell whether the parts of a window brought as much, none of them all of it."""
        smaller = all(part.size < node.size for part in node.children)
        return smaller and node.counted() == node.size and not self.known.fickle

    def _split_along_axes(self, node: Node, base: StudyQuery) -> Steps:
        """Bring what other keys can bring of a window that dates and times do not split."""
        node.stuck = True
        if judge(node, self.known)[0] is Ruled.AGAIN:
            yield from self._questions.put(node)
        may_be_too_many = self.known.refuses or (node.by == "undated" and self.known.empty)
        if node.answer is None or not (node.answer.answers or may_be_too_many):
            return
        judgement, _ = judge(node, self.known)
        if judgement is Ruled.PROVEN:
            return
        for axis in self._axes:
            parts = yield from self._put_along(axis, node, base)
            if not self._questions.may_use_keys(node):
                return
            if node.query.window.undated and are_in_vain(parts, self.known):
                for child in parts:
                    child.stuck = True  # nor does another key help with so many
                continue
            enough = not may_have_more(node, self.known)
            for child in node.children:
                child.stuck = child.stuck or enough
                if self._questions.is_open(child):
                    yield from self._split_along_axes(child, base)
            brought = (one.size for child in node.children for one in (child, *child.children))
            if node.children and not any(brought):
                self.known.is_fruitless(axis)
            elif node.children:
                return

    def _put_along(
        self, axis: str, node: Node, base: StudyQuery
    ) -> Generator[Ask, Heard, list[Node]]:
        """Ask for the parts of a window by another key; return those that were asked for."""
        parts: list[Node] = []
        for query in () if axis in self.known.ignored else along(axis, node.query, base):
            if not self._questions.may_use_keys(node):
                break
            parts.append(child := self._questions.add(query, node, axis))
            yield from self._questions.put(child)
            in_vain = self._questions.lost or are_in_vain(parts, self.known)
            if axis in self.known.ignored or in_vain:
                break
        return parts
