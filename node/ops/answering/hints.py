"""Why a query has found nothing, as far as the query itself says it: for the log."""

from collections.abc import Iterator, Sequence
from datetime import date

from pydicom.datadict import dictionary_VR

from node.dicom.querying.matching import date_range
from node.dicom.querying.question import Question


def why_nothing(question: Question, limits: Sequence[str]) -> str:
    """Return what to append to a line of the log; empty where nothing is known.

    Parameters
    ----------
    limits
        The settings by which less than everything is shown to who asks.
    """
    shown = f" of what {' and '.join(dict.fromkeys(limits))} shows" if limits else ""
    return f"{shown}{''.join(f'; {why}' for why in _never_met(question))}"


def _never_met(question: Question) -> Iterator[str]:
    """Yield the keys that nothing can match; never their values."""
    for keyword in question.keys:
        if dictionary_VR(keyword) != "DA":
            continue
        ranges = [date_range(value) for value in question.values(keyword) if value != "*"]
        if not ranges or not all(one is None or _is_reversed(*one) for one in ranges):
            continue
        none = all(one is None for one in ranges)
        yield f"{keyword} is no date" if none else f"{keyword} ends before it begins"


def _is_reversed(first: date | None, last: date | None) -> bool:
    return first is not None and last is not None and first > last
