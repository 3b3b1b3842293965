"""Looking into a window by a few of its studies, which are asked for by another key."""

from collections.abc import Iterator, Sequence

from node.config.values import Axis
from node.dicom.query import StudyQuery
from node.ops.finding.planning.cutting import along
from node.ops.finding.planning.questions import Questions
from node.ops.finding.planning.rules.emptiness import goes_by_earlier_finds
from node.ops.finding.planning.rules.judging import judge
from node.ops.finding.planning.rules.ruling import Ruled
from node.ops.finding.planning.sampling import (
    FEWEST_IN_DOUBT,
    FEWEST_SAMPLED,
    NO_SAMPLES,
    SAMPLED,
    SAMPLES,
    Sampler,
    samplers,
)
from node.ops.finding.planning.tree import Node, Steps, WindowOutcome

_TELLING = 4
"""Questions for a few studies of a window that bring nothing, by which one more is not missed."""


class Samples:
    """Asks for a few studies of windows, in one find.

    Parameters
    ----------
    questions
        The questions of the find.
    axes
        The keys by which windows may be split.
    """

    def __init__(self, questions: Questions, axes: Sequence[str]) -> None:
        self._questions = questions
        self._known = questions.known
        self._axes = tuple(axes)
        self._sampler: Sampler | None = None
        self._sampled = self._unsampled = 0
        self._looked = False

    def look_inside(self, node: Node, base: StudyQuery) -> Steps:
        """Ask for a few studies of a window that brought nothing, which may be too many."""
        known = self._known
        if self._sampler is None:
            yield from self._find_sampler(base)
        if self._sampler is None:
            known.is_sampled(possible=False)
            return
        for one in (*reversed(node.above()), node):  # what the widest is without, its parts are too
            settled = not one.is_zero or one.hidden or one.silent
            if one is not node and (settled or (one.days or 0) > known.widest):
                continue
            density = known.peak * (one.days or 1) / max(1, known.largest)
            unanswered = nothing = 0
            for query in self._sampler.of(
                one.query, density=density, largest=known.largest, thorough=known.empty
            ):
                few = yield from self._questions.put_aside(query, one, self._sampler.keyword)
                if few is None and not unanswered and self._has_failed():
                    unanswered += 1  # the others may tell
                    continue
                one.hidden = few is None or few.size > 0
                if one.hidden:
                    break
                nothing += 1
            one.hidden = one.hidden or (unanswered > 0 and nothing < _TELLING)
            one.silent = not one.hidden
            self._questions.touch_below(one)
            break

    def _has_failed(self) -> bool:
        """Tell whether the last question was not answered to the end, rather than refused."""
        answer = self._questions.nodes[-1].answer
        return answer is not None and answer.outcome is WindowOutcome.FAILED

    def _find_sampler(self, base: StudyQuery) -> Steps:
        """Find a key by whose end a window that brought much can be asked for a few."""
        most = max((one for one in self._questions.nodes if one.of_dates), key=lambda one: one.size)
        fewest = FEWEST_SAMPLED if self._known.empty else FEWEST_IN_DOUBT
        able = most.size >= fewest and self._known.shows_dates
        for sampler in samplers(self._axes, base) if able else ():
            if sampler.keyword not in self._known.ignored and not self._questions.lost:
                few = yield from self._questions.put_aside(
                    sampler.first(most.query), most, sampler.keyword
                )
                if few is not None and not few.outside and 0 < few.size <= most.size / 2:
                    self._sampler = sampler
                    return

    def look_for_any(self) -> Steps:
        """Where nothing has come at all, ask for a few studies of the widest window.

        That nothing comes of it proves nothing: no key was seen to choose any.
        """
        known = self._known
        nothing = [one for one in self._questions.nodes if one.of_dates and one.is_zero]
        if self._looked or not goes_by_earlier_finds(known) or not nothing:
            return
        self._looked = True
        widest = max(nothing, key=lambda one: one.days or 0)
        keys = [
            one for one in samplers(self._axes, widest.query) if one.keyword not in known.ignored
        ]
        for query in keys[0].of_many(widest.query) if keys else ():
            few = yield from self._questions.put_aside(query, widest, keys[0].keyword)
            widest.hidden = few is not None and few.matches > 0
            if few is None or few.matches:
                break

    def sample(self, node: Node, base: StudyQuery) -> Steps:
        """Ask for a few studies of a day whatever their times: one without a time is in no part."""
        if self._known.untimed or self._sampled == SAMPLES:
            return
        if self._unsampled < NO_SAMPLES:
            for keyword, query in self._few_of_a_day(node, base):
                if self._questions.lost:
                    break
                few = yield from self._questions.put_aside(query, node, keyword)
                ruled = judge(self._questions.nodes[-1], self._known)[0]
                if few is not None and few.size and ruled is Ruled.PROVEN:
                    self._sampled += 1
                    self._unsampled = 0
                    return
            self._unsampled += 1
        node.unsampled = self._known.empty

    def _few_of_a_day(self, node: Node, base: StudyQuery) -> Iterator[tuple[str, StudyQuery]]:
        """Yield questions for some studies of a day; fewer, where too many are none."""
        keyword = Axis.MODALITIES.value
        if keyword not in self._known.ignored:
            for query in along(keyword, node.query, base):
                if query.modality in SAMPLED:
                    yield keyword, query
        if self._known.empty:
            for sampler in samplers(self._axes, base):
                if sampler.keyword not in self._known.ignored:
                    yield sampler.keyword, sampler.first(node.query)
