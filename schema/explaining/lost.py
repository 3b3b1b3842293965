"""Images whose files are gone, and that no PACS can bring again as far as is known; pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from schema.moving.listing import Listing
from schema.standing.states import StudyState


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingPeer:
    """A PACS that has a study, as far as it tells which images these are.

    Attributes
    ----------
    state
        Where the study stands there; the column of `study_sources`.
    verified
        Whether all that it has is verified to be here.
    told
        How many images it has, by its own word or counted; None when nobody knows.
    listing
        None when it lists none, or was not asked.
    """

    state: str
    verified: bool
    told: int | None
    listing: Listing | None

    @property
    def may_have_more(self) -> bool:
        """Whether it is asked for the study, and may bring images that nobody knows it to have."""
        if self.verified or self.state == StudyState.UNWANTED:
            return False
        if self.listing is None or not self.listing.vouched:
            return True
        return (self.told or 0) > len(self.listing.images)


def listed_nowhere(lost: Iterable[str], listers: Iterable[ListingPeer]) -> tuple[str, ...]:
    """Return which images no PACS that has their study lists; none where one may have more.

    Parameters
    ----------
    lost
        SOP Instance UIDs of images whose files are gone.
    listers
        The PACSs that have the study now.
    """
    left = set(lost)
    for one in listers:
        if one.may_have_more:
            return ()
        if one.listing is not None:
            left -= one.listing.images
    return tuple(sorted(left))
