"""Asking for a few studies of a window by the last characters of another key.

A peer that says nothing when it has too much says nothing for a window with too many studies, as
for one without any. A question for about every tenth of its studies, and for every hundredth, tells
them apart, where the key was seen to choose some and not all of the studies of another window.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from node.config.values import Axis
from node.dicom.query import StudyQuery

SAMPLED = ("CT", "MR", "CR")
"""Modalities by which a day that was split into times is asked for, to see a study without one."""

NO_SAMPLES = 3
"""Days in a row without any such answer, after which no other day is tried."""

SAMPLES = 50
"""Days with such an answer in which each study has a time, after which no other day is tried."""

FEWEST_SAMPLED = 10
"""Studies of a window on which a key is tried."""

FEWEST_IN_DOUBT = 5
"""The same, where nothing would be believed unless a key shows otherwise."""

_ENDINGS = ("7", "3", "0")
"""Last characters that are tried."""

_BEFORE = "1529"
"""What goes before them, one more for each tenth part."""

_ENOUGH = 50
"""Studies in the largest answer from which on one ending is enough."""

_MANY = 100.0
"""How many times the largest answer a window is taken to have of which nothing is known."""

_ENDINGS_OF_FEW = "73095"
"""Endings that are asked for where the answers are smaller."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """A key of which the last character chooses some studies."""

    keyword: str
    ending: str

    def first(self, query: StudyQuery) -> StudyQuery:
        """Return the question for about every tenth study of a window."""
        return self._ending(query, self.ending)

    def of(
        self, query: StudyQuery, *, density: float, largest: int, thorough: bool = False
    ) -> Iterator[StudyQuery]:
        """Yield questions for fewer and fewer studies of a window.

        Parameters
        ----------
        density
            How many times the largest answer would be there, if each day were like the densest.
        largest
            The studies of the largest answer: the peer answers at least as many.
        thorough
            Whether as many endings are tried of two characters, or more, as of one.
        """
        fewer = [one for one in _ENDINGS_OF_FEW if one != self.ending]
        more = min(len(fewer), math.ceil(_ENOUGH / max(1, largest)) - 1)
        endings = (self.ending, *fewer[:more])
        for ending in endings:
            yield self._ending(query, ending)
        tenths = min(len(_BEFORE), max(1, math.ceil(math.log10(max(1.0, 10 * density)))))
        for count in range(1, tenths + 1):
            for ending in endings if thorough else endings[:1]:
                yield self._ending(query, _BEFORE[-count:] + ending)

    def of_many(self, query: StudyQuery) -> Iterator[StudyQuery]:
        """Yield questions for fewer and fewer studies of a window, however many it has."""
        return self.of(query, density=_MANY, largest=_ENOUGH)

    def _ending(self, query: StudyQuery, characters: str) -> StudyQuery:
        if self.keyword == Axis.PATIENT_ID:
            return replace(query, patient_id=f"*{characters}")
        return replace(query, accession_number=f"*{characters}")


def samplers(axes: Sequence[str], base: StudyQuery) -> Iterator[Sampler]:
    """Yield the keys that may be tried.

    Parameters
    ----------
    axes
        The keys by which windows may be split.
    base
        What the whole find is restricted to: a key of it chooses nothing.
    """
    for keyword in (Axis.PATIENT_ID, Axis.ACCESSION_NUMBER):
        if keyword in axes and keyword.value not in base.keys():  # noqa: SIM118 - a method
            for ending in _ENDINGS:
                yield Sampler(keyword.value, ending)
