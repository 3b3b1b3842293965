"""What PACSs were asked about a study, as values; pure. Moments are naive UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from schema.project.inquiries import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedOfDate:
    """What a PACS was last asked about a study date, or about the studies without one.

    Attributes
    ----------
    day
        None: about the studies without a date.
    keys
        To what the find was restricted; empty when it was not.
    asked_on
        None when it never was.
    proven_on
        As of when all of its studies are known; None when they are not.
    why_open
        Why not.
    """

    peer: str
    day: date | None
    keys: Mapping[str, str]
    asked_on: datetime | None
    proven_on: datetime | None
    why_open: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedByName:
    """The last time that a PACS was asked for a study by its UID or its accession number.

    Attributes
    ----------
    by
        The DICOM keyword.
    """

    by: str
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAtAll:
    """Which study dates a PACS was asked for so far.

    Attributes
    ----------
    first, last
        None is open, or never asked for any.
    gaps
        How many ranges of them were asked for, and are not proven.
    unasked
        The ranges between that no question was about, each by its first and its last date: they are
        no gaps.
    """

    peer: str
    first: date | None = None
    last: date | None = None
    ever: bool = False
    gaps: int = 0
    unasked: tuple[tuple[date | None, date | None], ...] = ()
