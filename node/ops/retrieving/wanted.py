"""What is to be brought here of a study: all of it, some series, or some images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from schema.moves import MoveState
from schema.moving.evidence import Here, unlisted
from schema.moving.listing import Listing


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


def what_is_missing(
    study_uid: str, listing: Listing | None, part: Listing | None, here: Here, state: MoveState
) -> Wanted | None:
    """Return what to ask for; None where nothing is missing, as far as anybody knows.

    Where some of it is here, only what is missing is asked for, unless that was in vain: some
    peers answer only for whole studies.

    Parameters
    ----------
    listing, part
        What the peer lists, and what of that is wanted; None: it lists nothing.
    here
        What is here.
    state
        Where the study stands.
    """
    told, unsent = state.told, state.unsent - here.images
    everything = Wanted(study_uid=study_uid, count=told)
    if listing is None or part is None or part.short:
        enough = part is None and told and len(here.sent) >= told and not unsent
        return None if enough else everything
    missing = part.without(here.images)
    if not missing:
        again = unlisted(part, here) or (unsent and part is listing)
        return everything if again else None
    if part is not listing:  # what is not wanted is never asked for
        missing = listing.naming(missing, part)
    elif state.in_vain or not part.images & here.images:
        return replace(everything, sop_classes=part.sop_classes, count=len(part.images))
    return Wanted(
        study_uid=study_uid,
        series=missing,
        sop_classes=part.sop_classes,
        count=len(part.images - here.images),
    )
