"""What single questions are answered with, and what they come to. Pure: values."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from node.dicom.query import StudyQuery


class Presence(StrEnum):
    """What is known of a study after it was asked for."""

    FOUND = "found"
    ABSENT = "absent"
    """The peer has no such study."""
    UNPROVEN = "unproven"
    """Nothing came, which proves nothing."""
    CUT = "cut"
    """Studies came, as many as the peer answers at most: there may be more."""
    REFUSED = "refused"
    """The peer has answered with a failure."""
    FAILED = "failed"
    """There was no answer to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one question: whether the peer answered it, and with which studies.

    Attributes
    ----------
    outside
        How many studies came that were not asked for.
    asked_on
        When the question began, naive UTC.
    """

    complete: bool
    refused: bool = False
    study_uids: frozenset[str] = frozenset()
    outside: int = 0
    message: str = ""
    asked_on: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What one question for single studies came to, in the end.

    Attributes
    ----------
    study_uids
        Of those that came.
    message
        Why it is neither found nor absent.
    asked_on
        When the last question for it began, naive UTC; None when none was put.
    """

    presence: Presence
    study_uids: tuple[str, ...] = ()
    message: str = ""
    asked_on: datetime | None = None


Resolutions = dict[StudyQuery, Resolved]
Plan = Generator[StudyQuery, Reply, None]
"""Questions to put one after the other; each may depend on the replies before."""
