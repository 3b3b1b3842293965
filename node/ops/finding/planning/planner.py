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
from dataclasses import replace

from node.config.values import Axis
from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery, Window
from node.ops.finding.planning.cutting import AXES, Stretch, along, days_of, line_of
from node.ops.finding.planning.expected import Expected
from node.ops.finding.planning.judging import (
    exceeds,
    falls_short,
    is_urgent,
    judge,
    may_have_more,
    stand,
    takes_times,
)
from node.ops.finding.planning.knowledge import Knowledge
from node.ops.finding.planning.results import smallest_gaps, widest_proven
from node.ops.finding.planning.ruling import Ruled
from node.ops.finding.planning.sampling import (
    FEWEST_SAMPLED,
    NO_SAMPLES,
    SAMPLED,
    SAMPLES,
    Sampler,
    samplers,
)
from node.ops.finding.planning.tree import Ask, Heard, Node, Steps, WindowOutcome
from node.ops.finding.planning.width import bounded, first_width, next_width

_HOPELESS = 16
"""Windows one after the other that are not answered, after which no more are split."""

_AXIS_QUESTIONS = 100
"""Questions that are spent on windows that neither dates nor times split; and one more for each
`_OTHERS` of the others."""

_OTHERS = 4


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
        The studies that the peer is known to have.
    """

    def __init__(
        self,
        queries: Sequence[StudyQuery],
        profile: PeerProfile,
        *,
        axes: Sequence[str] = AXES,
        undated: bool = False,
        widest: int = 0,
        expected: Expected = Expected(),  # noqa: B008 - it is frozen
    ) -> None:
        span = max((query.window.days or 0 for query in queries), default=0)
        self.known = Knowledge.of(profile, before=widest, span=span, expected=expected)
        self.nodes: list[Node] = []
        self._axes = tuple(axes)
        self._ask: Ask | None = None
        self._lost = False
        self._unanswered = 0
        self._axis_questions = _AXIS_QUESTIONS
        self._sampled = self._unsampled = 0
        self._sampler: Sampler | None = None
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
            if standing != node.standing and node.answer is not None:
                node.standing = standing
                changed.append(node)
        return changed

    def gaps(self) -> list[Node]:
        """Return the smallest windows of which it is not known what the peer has."""
        self.changed()
        return smallest_gaps(self.nodes)

    def proven(self) -> list[Node]:
        """Return the widest ranges of dates of which it is known what the peer has."""
        self.changed()
        return widest_proven(self.nodes)

    # What is asked, in which order

    def _run(self, queries: Sequence[StudyQuery], *, undated: bool) -> Steps:
        for query in queries:
            line = days_of(query)
            if line is not None:
                yield from self._cover(line, query, None, first_width(line, self.known))
            else:
                yield from self._put(self._add(query, None, "dates"))
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
                    yield from self._pursue(node, node.top.query)

    @property
    def _is_vain(self) -> bool:
        """Whether narrower windows are not answered either."""
        return self._lost or self._unanswered >= _HOPELESS

    def _is_open(self, node: Node) -> bool:
        if node.children or node.stuck or node.answer is None:
            return False
        return judge(node, self.known)[0] in {Ruled.SPLIT, Ruled.DOUBT, Ruled.SAMPLE}

    def _cover(self, line: Stretch, base: StudyQuery, parent: Node | None, width: int) -> Steps:
        """Ask for all of a line, in windows of the width that the answers suggest."""
        at = line.first
        while at <= line.last:
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
            if self._is_open(node) and is_urgent(node, self.known):
                yield from self._pursue(node, base)
            at += width
            width = next_width(node, width, self.known)

    def _pursue(self, node: Node, base: StudyQuery) -> Steps:
        """Ask what is to be asked about a window that is in doubt."""
        if judge(node, self.known)[0] is Ruled.SAMPLE:
            yield from self._look_inside(node, base)
        if self._is_open(node) and judge(node, self.known)[0] is not Ruled.SAMPLE:
            yield from self._split(node, base)

    def _look_inside(self, node: Node, base: StudyQuery) -> Steps:
        """Ask for a few studies of a window that brought nothing, which may be too many."""
        known = self.known
        if self._sampler is None:
            yield from self._find_sampler(base)
        if self._sampler is None:
            known.is_sampled(possible=False)
            return
        for one in (*reversed(node.above()), node):  # what the widest is without, its parts are too
            if not one.is_zero or one.hidden or one.silent or (one.days or 0) > known.widest:
                continue
            density = known.peak * (one.days or 1) / max(1, known.largest)
            for query in self._sampler.of(one.query, density=density, largest=known.largest):
                few = yield from self._ask_aside(query, one, self._sampler.keyword)
                one.hidden = few is None or few.size > 0
                if one.hidden:
                    break
            one.silent = not one.hidden
            self._touched += [
                two for two in self.nodes[one.key :] if two is one or one in two.above()
            ]
            break

    def _find_sampler(self, base: StudyQuery) -> Steps:
        """Find a key by whose end a window that brought much can be asked for a few."""
        most = max((one for one in self.nodes if one.of_dates), key=lambda one: one.size)
        able = most.size >= FEWEST_SAMPLED and self.known.shows_dates
        for sampler in samplers(self._axes, base) if able else ():
            if sampler.keyword not in self.known.ignored and not self._lost:
                few = yield from self._ask_aside(sampler.first(most.query), most, sampler.keyword)
                if few is not None and not few.outside and 0 < few.size <= most.size / 2:
                    self._sampler = sampler
                    return

    def _ask_aside(
        self, query: StudyQuery, node: Node, by: str
    ) -> Generator[Ask, Heard, Heard | None]:
        """Ask what is no part of a window; return what was answered to the end."""
        yield from self._put(aside := self._add(query, node, by, aside=True))
        return aside.answer if aside.answer is not None and aside.answer.answered else None

    def _split(self, node: Node, base: StudyQuery) -> Steps:
        """Ask for the parts of a window; where it has none, it is stuck."""
        if self._is_vain:
            node.stuck = True
            self._touched.append(node)
            return
        line = line_of(node.query, times=takes_times(node, self.known))
        if line is not None and line.by in self.known.ignored:
            node.stuck = True
        elif line is not None and not node.query.keys().keys() - base.keys().keys():
            yield from self._cover(line, base, node, (line.length + 1) // 2)
            self.known.learn_from_parts(node)
            yield from self._compare(node, line)
            if line.by == "times" and node.all_day and any(part.size for part in node.children):
                yield from self._sample(node, base)
        else:
            yield from self._split_along_axes(node, base)
        self._touched.append(node)

    def _compare(self, node: Node, line: Stretch) -> Steps:
        """Hold the parts of a window against what it brought itself."""
        known = self.known
        answer = node.answer
        next_to_the_cap = answer is not None and known.is_next_to_the_cap(answer)
        more = exceeds(node, known)
        if (line.by == "dates" and falls_short(node, known)) or (next_to_the_cap and more):
            yield from self._put(node)  # a study may have come or gone meanwhile
            more = exceeds(node, known)
        if line.by == "dates" and falls_short(node, known):
            node.short = True
            self._touched += [one for one in self.nodes[node.key :] if node in one.above()]
        if line.by == "times" and more and node.size:
            known.is_cutting_last()
        silent = answer is not None and answer.outcome is WindowOutcome.COMPLETE
        if silent and node.size == known.largest and more:
            known.found_a_cap(node.size)
        if silent and next_to_the_cap:
            if more:
                known.is_fickle()
            else:
                known.is_confirmed()

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
                if not self._axis_questions:
                    return
                self._axis_questions -= 1
                child = self._add(query, node, axis)
                yield from self._put(child)
                if axis in self.known.ignored or self._lost:
                    break
            enough = not may_have_more(node, self.known)
            for child in node.children:
                child.stuck = child.stuck or enough
                if self._is_open(child):
                    yield from self._split_along_axes(child, base)
            if node.children and not any(child.size for child in node.children):
                self.known.is_fruitless(axis)
            elif node.children:
                return

    def _sample(self, node: Node, base: StudyQuery) -> Steps:
        """Ask for a few studies of a day whatever their times: one without a time is in no part."""
        keyword = Axis.MODALITIES.value
        enough = self._sampled == SAMPLES or self._unsampled == NO_SAMPLES
        if enough or self.known.untimed or keyword in self.known.ignored:
            return
        for query in along(keyword, node.query, base):
            if query.modality not in SAMPLED or self._lost:
                break
            few = yield from self._ask_aside(query, node, keyword)
            ruled = judge(self.nodes[-1], self.known)[0]
            if few is not None and few.size and ruled is Ruled.PROVEN:
                self._sampled += 1
                return
        self._unsampled += 1

    def _put(self, node: Node) -> Steps:
        """Ask for one window, and again as often as it makes sense."""
        self._axis_questions += node.by in {"dates", "times"} and not node.key % _OTHERS
        while True:
            node.attempts += 1
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
            key=len(self.nodes),
            query=query,
            parent=parent,
            by=by,
            stuck=aside,
            expected=self.known.expected.at_least(query),
        )
        self.nodes.append(node)
        if parent is not None and not aside:
            parent.children.append(node)
        return node
