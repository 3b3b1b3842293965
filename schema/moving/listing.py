"""What a PACS lists of a study, by identity, and whether that may be all of it; pure.

An answer may be cut off with Success like any other. So a list is held against the PACS's own
numbers, at all levels: what falls short is *short*, and says only what there is at least. A list
that those numbers confirm is *vouched* for.

Which of two lists of one source counts (`better`):

    kept before ╲ new   short            whole                         vouched
    ──────────────────────────────────────────────────────────────────────────────────────
    none                new              new                           new
    short               the longer one   new                           new
    whole               kept             new, unless it lacks some     new
                                         of what was listed before
    vouched             kept             new, unless it lacks some     new
                                         of what was listed before

So a list is replaced by better evidence, or by newer evidence that is as good; a shorter answer
than before needs the PACS's own numbers with it, to be believed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from schema.choosing.policy import Policy
from schema.finding.counting import counted_up
from schema.text.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSeries:
    """A series, as a PACS lists it.

    Attributes
    ----------
    images
        SOP Class UIDs by SOP Instance UID; "" where the PACS does not say it.
    modality
        "" where the PACS does not say it.
    count
        Its own Number of Series Related Instances (0020,1209); None where it gives none.
    description
        Series Description (0008,103E); "" where the PACS does not say it.
    """

    images: Mapping[str, str]
    modality: str = ""
    count: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The images of a study that a PACS lists.

    Attributes
    ----------
    series
        By Series Instance UID.
    short
        Why these are not all, for the name of the PACS before it; "" when nothing says so.
    vouched
        Whether the PACS's own numbers say that these are all.
    """

    series: Mapping[str, ListedSeries]
    short: str = ""
    vouched: bool = False
    images: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        uids = frozenset(uid for one in self.series.values() for uid in one.images)
        object.__setattr__(self, "images", uids)

    @property
    def least(self) -> int:
        """How many images there are at least: those listed, or more where a series counts more."""
        return sum(max(one.count or 0, len(one.images)) for one in self.series.values())

    def held_against(self, told: int | None) -> "Listing":
        """Return it as it is where the PACS has a number of images by now; None: it has none."""
        if self.short or not told or len(self.images) >= told:
            return self
        short = f"lists {len(self.images)} of the study's {counted(told, 'image')}"
        return replace(self, short=short, vouched=False)

    @property
    def sop_classes(self) -> frozenset[str]:
        """The SOP Class UIDs that the PACS names."""
        every = (name for one in self.series.values() for name in one.images.values())
        return frozenset(name for name in every if name)

    def without(self, have: frozenset[str]) -> dict[str, tuple[str, ...]]:
        """Return what is missing, where these images are here.

        Returns
        -------
        dict[str, tuple[str, ...]]
            SOP Instance UIDs by Series Instance UID; () where nothing of a series is here.
        """
        missing: dict[str, tuple[str, ...]] = {}
        for uid, series in self.series.items():
            left = tuple(image for image in series.images if image not in have)
            if left:
                missing[uid] = () if len(left) == len(series.images) else left
        return missing

    def part(self, policy: Policy) -> "Listing":
        """Return what of it is wanted: itself where that is all, or where it is short.

        Of a part, whatever else the PACS has is not wanted: so nothing lacks in it.
        """
        if self.short or not policy:
            return self
        series = {
            uid: replace(
                one,
                images={key: name for key, name in one.images.items() if policy.wants_image(name)},
            )
            for uid, one in self.series.items()
            if policy.wants_series(modality=one.modality, description=one.description)
        }
        part = Listing(series={uid: one for uid, one in series.items() if one.images}, vouched=True)
        return self if part.images == self.images else part

    def naming(
        self, missing: Mapping[str, tuple[str, ...]], of: "Listing"
    ) -> dict[str, tuple[str, ...]]:
        """Return what is missing of a part, with single images where it is not all of a series.

        Parameters
        ----------
        missing
            As `without` has returned it for the part.
        of
            The part.
        """
        return {
            uid: images
            if images or len(of.series[uid].images) == len(self.series[uid].images)
            else tuple(of.series[uid].images)
            for uid, images in missing.items()
        }

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "short": self.short,
            "vouched": self.vouched,
            "series": {
                uid: {
                    "modality": one.modality,
                    "count": one.count,
                    "description": one.description,
                    "images": dict(one.images),
                }
                for uid, one in self.series.items()
            },
        }

    @classmethod
    def of_document(cls, document: Any) -> Self:  # noqa: ANN401 - JSON
        """Return what `document` has returned."""
        return cls(
            short=document["short"],
            vouched=document["vouched"],
            series={uid: ListedSeries(**one) for uid, one in document["series"].items()},
        )


def listing_of(
    series: Mapping[str, ListedSeries], *, told_images: int | None, told_series: int | None
) -> Listing:
    """Hold what was listed against the PACS's own numbers.

    Parameters
    ----------
    told_images, told_series
        The study's own numbers of images and of series; None where the PACS gives none.
    """
    counts = {uid: one.count for uid, one in series.items()}
    listed = {uid: len(one.images) for uid, one in series.items()}
    short = counted_up(counts, listed, told=told_series).short
    listing = Listing(series=series, short=short).held_against(told_images)
    by_series = told_series is not None and None not in counts.values()
    confirmed = len(listing.images) == told_images if told_images else by_series
    return replace(listing, vouched=not listing.short and confirmed)


def better(kept: Listing | None, new: Listing) -> Listing:
    """Return which of two lists of one source counts from now on: see the table above."""
    if kept is None or new.vouched or (kept.short and not new.short):
        return new
    if new.short:
        return new if kept.short and len(new.images) >= len(kept.images) else kept
    return new if kept.images <= new.images else kept


def pieces(uids: tuple[str, ...], most: int) -> Iterator[tuple[str, ...]]:
    """Cut a list of UIDs into lists of so many."""
    for start in range(0, len(uids), most):
        yield uids[start : start + most]
