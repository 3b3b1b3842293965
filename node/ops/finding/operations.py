"""How many questions a peer answers over one association: as its profile says, or as it shows.

A peer that takes only so many refuses the next one, ends the association, or says nothing. Whether
that is the reason, the same question over a new association tells.
"""

from collections import Counter

_VAIN = 2
"""Questions in a row that a new association did not help, after which none is tried any more."""

_SURE = 2
"""Times that it helped after the same number of questions, from when on that is the limit."""


class OperationLimit:
    """Counts the questions over one association, and knows when another is needed.

    Parameters
    ----------
    most
        How many the peer takes; 0 is any number, None is not known.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most or 0
        self._open = most is None
        self._used = 0
        self._answered = 0
        self._vain = 0
        self._helped: Counter[int] = Counter()

    @property
    def used_up(self) -> bool:
        """Whether the next question needs a new association."""
        return 0 < self._most <= self._used

    @property
    def may_be_the_reason(self) -> bool:
        """Whether the last question may have been one too many: if so, ask it once more, anew."""
        return self._open and self._used > 1

    def begin(self) -> None:
        """Note that there is a new association."""
        self._used = 0

    def put(self) -> None:
        """Note that a question is put."""
        self._used += 1

    def answered(self) -> None:
        """Note that the last question was answered."""
        self._answered = max(self._answered, self._used)

    def tried_anew(self, used: int, *, helped: bool) -> None:
        """Note what came of the last question over a new association.

        Parameters
        ----------
        used
            Which question it was over the association before, from 1.
        """
        self._vain = 0 if helped else self._vain + 1
        if helped:
            self._helped[used - 1] += 1
        if self._vain == _VAIN or len(self._helped) > 1 or self._answered >= used:
            self._open = False  # it refuses for another reason
        elif self._helped[used - 1] == _SURE:
            self._most, self._open = used - 1, False

    @property
    def used(self) -> int:
        """How many questions were put over this association."""
        return self._used
