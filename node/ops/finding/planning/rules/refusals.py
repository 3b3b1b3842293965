"""Whether a peer refuses all that it is asked: its answers of one find, held together. Pure.

One that refuses what is wide answers a day; one that refuses a question twice answers it then. So
refusals mean nothing until one question was refused as often as it is put, nothing was answered
before, and a question that no peer can find too much, asked as often, is refused in the same way.
To end the association in the place of an answer is such a way.
"""

from datetime import date

from node.dicom.query import StudyQuery, Window
from node.ops.finding.planning.rules.judging import ATTEMPTS
from node.ops.finding.planning.tree import WindowOutcome

_DAY = date(1971, 3, 7)
"""A day of which there are hardly any studies, should a peer not look at UIDs."""

TRIAL = StudyQuery(
    window=Window(start=_DAY, end=_DAY), study_uids=("2.25.57360519640018329465026185371094",)
)
"""A question for a study that is nowhere, on one day: the least that one can ask for."""


_ENDED = "it ended the association"


class Refusals:
    """What a peer has refused so far, and how.

    Attributes
    ----------
    trials
        How often the trial was put.
    """

    def __init__(self) -> None:
        self.trials = 0
        self._ways: set[int | str | None] = set()
        self._last: StudyQuery | None = None
        self._times = 0

    @property
    def are_telling(self) -> bool:
        """Whether the trial is to be put."""
        alike = len(self._ways) == 1 and None not in self._ways
        return alike and self._times >= ATTEMPTS

    @property
    def are_all(self) -> bool:
        """Whether the peer is known to refuse everything."""
        return self.are_telling and self.trials == ATTEMPTS

    def hear(
        self,
        query: StudyQuery,
        outcome: WindowOutcome,
        *,
        status: int | None,
        comment: str,
        ended: bool = False,
    ) -> None:
        """Take notice of what a question came to.

        Parameters
        ----------
        status, comment
            With which it was refused; over HTTP the status is None, and the comment begins with
            that of HTTP, where the peer has refused, and not answered what nobody can use.
        ended
            Whether the peer has ended the association, and answered nothing; HTTP has none.
        """
        way: int | str | None = _ENDED if ended else None
        if outcome is WindowOutcome.REFUSED:
            way = comment if status is None and comment.startswith("HTTP ") else status
        self._ways.add(way)
        if query == TRIAL:
            self.trials += 1
        else:
            self._times = self._times + 1 if query == self._last else 1
            self._last = query
