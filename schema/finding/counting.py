"""How many images a PACS has of a study, where its answer at study level does not say it; pure.

Its series are asked for, and where these have no count either, their images. Such an answer may be
cut off like any other, with Success. So it is held against the level above: the series against the
study's own number of series, the images of a series against its own number of images. What falls
short is no count: there are at least as many.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schema.text.words import counted

COUNTED = ("counted_on", "counted_by", "counted_series", "counted_images", "counted_short")
"""The columns of `study_sources` that a count fills."""


class CountedBy(StrEnum):
    """At which level images were counted."""

    SERIES = "series"
    """By each series' Number of Series Related Instances (0020,1209)."""
    IMAGE = "image"
    """One by one, at least those of some series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCount:
    """How many images a PACS has of a study, as it was counted.

    Attributes
    ----------
    short
        Why these are not all, for the name of the PACS before it; empty when nothing says so.
    """

    images: int
    series: int
    by: CountedBy
    short: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """What is known of how many images a PACS has of a study.

    Attributes
    ----------
    told, series
        The PACS's own numbers of images and of series; None where it gives none.
    count, counted_on
        What was counted, and when; None when nothing was.
    changed_on
        When the PACS said something else of the study for the last time.
    """

    told: int | None
    series: int | None
    count: StudyCount | None = None
    counted_on: datetime | None = None
    changed_on: datetime | None = None

    def is_fresh(self, since: datetime) -> bool:
        """Tell whether nothing has to be counted: not before a moment, and not for a change."""
        if self.told is not None:
            return True
        if self.count is None or self.counted_on is None or self.counted_on < since:
            return False
        if self.changed_on is not None and self.changed_on >= self.counted_on:
            return False
        return bool(self.count.short) or self.count.series >= (self.series or 0)


def counted_up(
    series: Mapping[str, int | None],
    listed: Mapping[str, int] | None = None,
    *,
    told: int | None,
) -> StudyCount:
    """Return what answers at series and image level come to.

    Parameters
    ----------
    series
        Each series' own number of images, by its UID; None where it gives none.
    listed
        How many images were listed of those series that were asked for theirs.
    told
        The study's own number of series; None when the PACS gives none.
    """
    listed = listed or {}
    images, without, lacking = 0, 0, 0
    for uid, own in series.items():
        there = listed.get(uid)
        images += max(own or 0, there or 0)
        without += own is None and not there
        lacking += own is not None and there is not None and there < own
    short = ""
    if not series:
        short = "names no series of the study"
    elif told is not None and len(series) < told:
        short = f"names {len(series)} of the study's {told} series"
    elif without:
        short = f"names no image of {without} of the study's {len(series)} series"
    elif lacking:
        short = f"lists fewer images of {counted(lacking, 'series')} than it counts"
    return StudyCount(
        images=images,
        series=len(series),
        by=CountedBy.IMAGE if listed else CountedBy.SERIES,
        short=short,
    )
