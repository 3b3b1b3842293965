"""Whether a peer answers the studies of the last day of a range of dates.

A peer that compares moments, and takes the end of a range for its midnight, leaves them out of each
range, and answers them when it is asked for that day alone. Most answers show that it is not so, as
they have a study of their last day. Where none does, the peer is asked.
"""

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import timedelta

from node.dicom.query import Window
from node.ops.finding.planning.questions import Questions
from node.ops.finding.planning.rules.judging import judge
from node.ops.finding.planning.rules.ruling import Ruled
from node.ops.finding.planning.tree import Ask, Heard, Node, Steps, WindowOutcome

_DAY = timedelta(days=1)


class Ends:
    """Looks at the last day of a range, once in a find.

    Parameters
    ----------
    questions
        The questions of the find.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._known = questions.known
        self._looked = False

    def look(self) -> Steps:
        """Ask for a day with studies as the last one of two; where it is left out, by itself."""
        if self._is_settled:
            return
        tried = self._smallest(_is_later_than_its_first_day)
        if tried is None and (asked_before := self._smallest(_is_recalled)) is not None:
            yield from self._put(asked_before, asked_before.query.window)
            tried = self._smallest(_is_later_than_its_first_day)
        day = None if tried is None or tried.answer is None else tried.answer.latest
        if tried is None or day is None or self._is_settled:
            return
        self._looked = True
        two = yield from self._put(tried, Window(start=day - _DAY, end=day))
        answer = two.answer
        whole = answer is not None and answer.outcome is WindowOutcome.COMPLETE
        if self._known.shows_last or answer is None or answer.outside or not whole:
            return
        alone = yield from self._put(tried, Window(start=day, end=day))
        if alone.answer is not None and alone.answer.latest == day:
            self._known.is_leaving_out_last()
            for node in self._questions.nodes:
                node.short = False  # what its parts lack is the day between them

    @property
    def _is_settled(self) -> bool:
        known = self._known
        in_vain = "dates" in known.ignored or self._questions.lost
        seen_before = known.before > 1  # a find that has proven a range has looked at its end
        return self._looked or known.shows_last or in_vain or seen_before

    def _put(self, like: Node, window: Window) -> Generator[Ask, Heard, Node]:
        """Ask for some of the dates of a window; as many studies as it had are no ceiling."""
        query = replace(like.query, window=window)
        node = self._questions.add(query, like, "dates", aside=True)
        yield from self._questions.put(node)
        return node

    def _smallest(self, tells: Callable[[Heard, Window], bool]) -> Node | None:
        """Return the window of dates with the fewest studies that is whole and tells something."""
        return min(
            (
                node
                for node in self._questions.nodes
                if node.of_dates and (node.days or 0) > 1 and not node.children
                if node.answer is not None and tells(node.answer, node.query.window)
                if judge(node, self._known)[0] is Ruled.PROVEN
            ),
            key=lambda node: node.size,
            default=None,
        )


def _is_later_than_its_first_day(answer: Heard, window: Window) -> bool:
    return answer.latest is not None and window.start is not None and answer.latest > window.start


def _is_recalled(answer: Heard, _: Window) -> bool:
    """Tell whether it has dates that are not known, as an interrupted find had asked."""
    return answer.latest is None and answer.matches > answer.undated
