"""Whether days that brought nothing bring something when less is asked of them.

A peer that says nothing when it has too much shows it where a range brings nothing and its parts
bring studies. One that answers single days alone has no such ranges, and where none of its days
has many studies, no key was seen to choose a few (`inside.Samples`). So some of its days without
any are asked for again, for the studies of one modality or of half a day: first those where the
same day of the weeks around has the most.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

from node.config.values import Axis
from node.dicom.query import StudyQuery
from node.ops.finding.planning.cutting import MINUTES, Stretch
from node.ops.finding.planning.questions import Questions
from node.ops.finding.planning.rules.emptiness import is_believed_for_want_of_a_key
from node.ops.finding.planning.rules.judging import takes_times
from node.ops.finding.planning.sampling import SAMPLED
from node.ops.finding.planning.tree import Ask, Heard, Node, Steps

_DAYS = 7
"""Days that were asked for by themselves, for which one question is spent."""

_FEWEST = 2
"""Questions that show something: one that finds a key, and one about a day without studies."""

_WEEKS = 4
"""Weeks before and after a day, by which it is expected to have studies."""


class Narrowing:
    """Asks for fewer of the studies of days that brought nothing, once in a find.

    Parameters
    ----------
    questions
        The questions of the find.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._known = questions.known
        self._looked = False
        self._left = 0

    def look(self) -> Steps:
        """Ask for as many of the days as are worth it, until one brings studies."""
        if self._looked or self._questions.lost or self._known.widest != 1:
            return
        self._looked = True
        dates = (one for one in self._questions.nodes if one.of_dates and not one.aside)
        days = [one for one in dates if one.days == 1]
        empty = [one for one in days if is_believed_for_want_of_a_key(one, self._known)]
        self._left = math.ceil(len(days) / _DAYS)
        if not empty or self._left < _FEWEST:
            return
        narrow = yield from self._find_key(max(days, key=lambda one: one.size))
        if narrow is None:
            return
        starts = ((one.query.window.start, one.size) for one in days)
        sizes = {day.toordinal(): size for day, size in starts if day is not None}
        empty.sort(key=lambda one: -_around(one.query.window.start, sizes))
        for one in empty[: max(1, self._left)]:
            few = yield from self._ask(one, narrow)
            one.hidden = few is not None and few.matches > 0 and one.is_zero
            if self._known.empty or self._questions.lost:
                self._questions.touched.append(one)
                return

    def _find_key(self, most: Node) -> Generator[Ask, Heard, "_Narrow | None"]:
        """Return what brings some studies of a day, by a key that does not bring all of them."""
        for keys in self._keys(most):
            brings, chooses = None, False
            for narrow in keys:
                if not self._left:
                    return None
                few = yield from self._ask(most, narrow)
                if few is None or few.outside:
                    break
                brings = narrow if few.size and brings is None else brings
                chooses = chooses or few.size < most.size
                if brings is not None and chooses:
                    return brings
        return None

    def _keys(self, most: Node) -> Iterator[Sequence["_Narrow"]]:
        """Yield the keys that may be tried: the modality, and where that fails half a day."""
        keyword = Axis.MODALITIES.value
        asked = most.query.keys().keys()  # a modality that the whole find is about chooses nothing
        if keyword not in self._known.ignored and keyword not in asked:
            yield [partial(_of_modality, modality) for modality in SAMPLED]
        if takes_times(most, self._known):
            yield [partial(_of_half, number) for number in range(2)]

    def _ask(self, day: Node, narrow: "_Narrow") -> Generator[Ask, Heard, Heard | None]:
        self._left -= 1
        query = narrow(day.query)
        by = Axis.MODALITIES.value if query.window.first is None else "times"
        few = yield from self._questions.put_aside(query, day, by)
        return few


_Narrow = Callable[[StudyQuery], StudyQuery]
"""Returns the question about a day as one for fewer of its studies."""


def _of_modality(modality: str, query: StudyQuery) -> StudyQuery:
    return replace(query, modality=modality)


def _of_half(number: int, query: StudyQuery) -> StudyQuery:
    half = MINUTES // 2
    line = Stretch(query=query, by="times", first=0, last=MINUTES - 1)
    return line.part(number * half, (number + 1) * half - 1)


def _around(day: date | None, sizes: dict[int, int]) -> int:
    """Return how many studies the same day of the week has in the weeks before and after.

    Parameters
    ----------
    sizes
        Of days by their ordinals: the calendar ends somewhere.
    """
    if day is None:
        return 0
    number = day.toordinal()
    days = (number + 7 * week for week in range(-_WEEKS, _WEEKS + 1) if week)
    return sum(sizes.get(day, 0) for day in days)
