"""What became of what was to be fetched."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from node.errors import NodeError
from node.ops.fetching.wish import Selected


class Fetched(StrEnum):
    """What an object is that came, beside what was in the folder."""

    NEW = "new"
    THERE = "there"
    """It was there already, and was not asked for."""

    SAME = "same"
    """It came, and was there already, byte for byte."""

    APART = "apart"
    """Another one of its name was there, and stays: it has a name of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedImage:
    """An object that is in the folder.

    Attributes
    ----------
    series_uid
        Series Instance UID, as its dataset has it; "" where that cannot be read.
    remark
        What is odd about it; "" mostly.
    beside
        Whether another file has its name, so that it lies beside that one.
    """

    placed: Fetched
    path: Path
    series_uid: str = ""
    remark: str = ""
    beside: bool = False


@dataclass(slots=True, kw_only=True)
class StudyFetch:
    """A study: it grows while images come.

    Attributes
    ----------
    selected
        What is wanted of it.
    methods
        The ways by which it was asked for, in their order.
    images
        What is in the folder, by SOP Instance UID.
    failed
        Why others are not, as far as that is known.
    unasked
        How many objects came that nobody wanted, and that were not taken.
    bytes
        Of the files that came.
    errors
        What went wrong by each way, in their order.
    broken
        Files in the places of its images that are no whole DICOM files; they stay.
    settled
        Whether the last way that was gone reported success.
    """

    selected: Selected
    methods: list[str] = field(default_factory=list)
    images: dict[str, FetchedImage] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    unasked: int = 0
    bytes: int = 0
    errors: list[NodeError] = field(default_factory=list)
    settled: bool = False
    broken: set[Path] = field(default_factory=set)

    @property
    def have(self) -> frozenset[str]:
        """The SOP Instance UIDs of what is in the folder."""
        return frozenset(self.images)

    @property
    def missing(self) -> list[str]:
        """The SOP Instance UIDs of what did not come, as far as anybody knows."""
        known = self.selected.expected or frozenset()
        return sorted((known | frozenset(self.failed)) - self.have)

    @property
    def expects(self) -> bool:
        """Whether the peer says that it has any of what is wanted, or has sent any."""
        selected = self.selected
        known = selected.listed or (not selected.series and selected.told_images)
        return bool(known or self.images)

    @property
    def whole(self) -> bool:
        """Whether all came: of what was listed, else of what the peer had to send.

        Never where the peer's own numbers say that there is more. A list that fell short of these
        proves nothing, even where they are reached: then the peer has to report success as well.
        """
        if self.missing or not self.images or self.short:
            return False
        listing = self.selected.listing
        is_known = bool(self.selected.expected) and (
            bool(self.selected.images) or (listing is not None and not listing.short)
        )
        return is_known or self.settled

    @property
    def short(self) -> str:
        """Why this is not all, by the peer's own numbers: `Selected.short`."""
        return self.selected.short(Counter(one.series_uid for one in self.images.values()))

    def count(self, placed: Fetched) -> int:
        """Return how many images are this."""
        return sum(one.placed is placed for one in self.images.values())


@dataclass(slots=True, kw_only=True)
class FetchReport:
    """All studies; it grows.

    Attributes
    ----------
    found
        Whether it is known which studies there are to fetch.
    error
        What ended it before all were asked for.
    """

    studies: list[StudyFetch] = field(default_factory=list)
    found: bool = False
    error: NodeError | None = None

    @property
    def whole(self) -> bool:
        """Whether all that was wanted is in the folder."""
        return (
            self.found
            and self.error is None
            and bool(self.studies)
            and all(study.whole for study in self.studies)
        )

    @property
    def trouble(self) -> NodeError | None:
        """The first thing that went wrong and cost something; None where nothing did."""
        if self.error is not None:
            return self.error
        lacking = (study for study in self.studies if not study.whole)
        return next((error for study in lacking for error in study.errors), None)
