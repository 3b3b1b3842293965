"""What is to be fetched: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node.config.peer.settings import RetrieveWay
from node.errors import UsageError
from node.ops.retrieving.wanted import Wanted
from schema.moving.listing import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchWish:
    """What is asked for, and where it is to be.

    Attributes
    ----------
    studies, series, images
        UIDs; series and images restrict the one study that is named then.
    patient_ids
        In place of studies: all of these patients, as the peer lists them.
    folder
        Made when it is missing.
    by_study
        Whether files lie in a folder for each study and series; else all in one.
    way
        How they are retrieved; AUTO is each way that the peer has, until they are here.
    aetitle, port
        For C-MOVE: under which title, and at which port, we take what is sent; None is the node's.
    """

    folder: Path
    studies: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    patient_ids: tuple[str, ...] = ()
    by_study: bool = False
    way: RetrieveWay = RetrieveWay.AUTO
    aetitle: str | None = None
    port: int | None = None

    def check(self) -> None:
        """Raise `UsageError` where a retrieval of it would lack a unique key (PS3.4 C.4.2.2.1)."""
        if not self.studies and not self.patient_ids:
            named = "--image" if self.images else "--series" if self.series else ""
            raise UsageError(
                f"{named} goes with the --study that it is in"
                if named
                else "say what to fetch: --study UID, or --patient-id ID for all of a patient"
            )
        if self.studies and self.patient_ids:
            raise UsageError("--patient-id names all studies of a patient: leave out --study")
        if self.way not in {RetrieveWay.AUTO, RetrieveWay.MOVE} and (self.aetitle or self.port):
            raise UsageError("--aetitle and --port are for C-MOVE: --retrieve move, or auto")
        if (self.series or self.images) and len(self.studies) != 1:
            raise UsageError("--series and --image go with the one --study that they are in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What is wanted of one study.

    Attributes
    ----------
    series, images
        UIDs; none where all are.
    listing
        What the peer lists of the study; None where it does not.
    """

    study_uid: str
    series: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    listing: Listing | None = None
    listed: Mapping[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        every = self.listing.series if self.listing is not None else {}
        listed = {
            uid: frozenset(image for image in one.images if not self.images or image in self.images)
            for uid, one in every.items()
            if not self.series or uid in self.series
        }
        object.__setattr__(self, "listed", {uid: left for uid, left in listed.items() if left})

    @property
    def expected(self) -> frozenset[str] | None:
        """The SOP Instance UIDs that are to come; None where nobody knows."""
        if self.images:
            return self.images
        if self.listing is None:
            return None
        return frozenset().union(*self.listed.values())

    def takes(self, study_uid: str, series_uid: str, image_uid: str) -> bool:
        """Tell whether an object is wanted; a UID that is empty is not known, and is no reason."""
        return (
            study_uid in {"", self.study_uid}
            and (not self.series or series_uid in self.series | {""})
            and (not self.images or image_uid in self.images)
        )

    def left(self, have: frozenset[str]) -> Wanted:
        """Return what to ask for, where these images are here.

        Raises
        ------
        UsageError
            Single images are wanted, and nobody knows of which series they are.
        """
        series: dict[str, tuple[str, ...]] | None = None
        if self.listing is not None and self.listed:
            series = {
                uid: tuple(sorted(images - have)) if self.images or images & have else ()
                for uid, images in self.listed.items()
                if images - have
            }
            if not self.series and not self.images and not have:
                series = None
        elif self.images:
            if len(self.series) != 1:
                raise UsageError(
                    "the peer does not say of which series the images are: name it with --series"
                )
            (uid,) = self.series
            series = {uid: tuple(sorted(self.images - have))}
        elif self.series:
            series = dict.fromkeys(sorted(self.series), ())
        count = None if self.expected is None else len(self.expected - have)
        return Wanted(
            study_uid=self.study_uid,
            series=series,
            sop_classes=frozenset() if self.listing is None else self.listing.sop_classes,
            count=count,
        )
