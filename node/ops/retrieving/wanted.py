"""What is to be brought here of a study: all of it, some series, or some images."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class RetrieveLevel(StrEnum):
    """The level of a retrieval in the Study Root model (PS3.4 C.6.2.1)."""

    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


Level = RetrieveLevel
"""Its short name; the simulator has a `Level` of its own, with patients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for.

    Attributes
    ----------
    study_uid
        Study Instance UID.
    series
        None for the whole study; else these series of it, by Series Instance UID, each with the
        SOP Instance UIDs that are wanted, none of them for the whole series.
    sop_classes
        The SOP classes of what is wanted, as far as they are known: a C-GET proposes contexts for
        them.
    count
        How many images these are, as far as is known: where fewer come over a C-GET, although the
        peer reports success, it is asked for the others in further contexts.
    """

    study_uid: str
    series: Mapping[str, tuple[str, ...]] | None = None
    sop_classes: frozenset[str] = frozenset()
    count: int | None = None

    @property
    def level(self) -> RetrieveLevel:
        """The deepest level that is needed."""
        if self.series is None:
            return RetrieveLevel.STUDY
        return RetrieveLevel.IMAGE if any(self.series.values()) else RetrieveLevel.SERIES
