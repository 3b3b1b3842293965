"""What is to be fetched: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node.config.peer.settings import RetrieveWay
from node.errors import UsageError
from node.ops.retrieving.wanted import Wanted
from schema.moving.listing import ListedSeries, Listing
from schema.text.words import counted


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

    def check(self, *, archive: Path | None = None) -> None:
        """Raise `UsageError` where a retrieval of it would lack a unique key (PS3.4 C.4.2.2.1).

        Also where its files would lie in the archive, which the index would know nothing of.

        Parameters
        ----------
        archive
            The node's storage directory, which the folder is not to be in.
        """
        if archive is not None and self.folder.resolve().is_relative_to(archive.resolve()):
            raise UsageError(
                f"--output {self.folder} is in this node's archive (storage.directory, {archive}), "
                "which is left alone: name another folder; `dicom-node move` brings studies into "
                "the archive"
            )
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
    told_images, told_series
        The study's own numbers (0020,1208) and (0020,1206); None where the peer gives none.
    answered
        Whether the peer has answered what it has.
    """

    study_uid: str
    series: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    listing: Listing | None = None
    told_images: int | None = None
    told_series: int | None = None
    answered: bool = True
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

    @property
    def unlisted(self) -> frozenset[str]:
        """The images that are named, and that the peer does not list beside others of the study."""
        if self.listing is None:
            return frozenset()
        return self.images.difference(*self.listed.values())

    @property
    def is_unheard_of(self) -> bool:
        """Whether nothing can be asked for: no image that is named is in a list of all of them."""
        if self.listing is None or self.listing.short or self.series:
            return False
        return bool(self.images) and self.unlisted == self.images

    def takes(self, study_uid: str, series_uid: str, image_uid: str) -> bool:
        """Tell whether an object is wanted; a UID that is empty is not known, and is no reason."""
        return (
            study_uid in {"", self.study_uid}
            and (not self.series or series_uid in self.series | {""})
            and (not self.images or image_uid in self.images)
        )

    def short(self, have: Mapping[str, int]) -> str:
        """Return why there is more than what is here, by the peer's own numbers; "" where not.

        A list that falls short of these says only what there is at least. Images that are named are
        their own list.

        Parameters
        ----------
        have
            How many images of each series are here, by Series Instance UID; "" is not known.

        Returns
        -------
        str
            For the name of the peer before it.
        """
        if self.images:
            return ""
        every = self.listing.series if self.listing is not None else {}
        if unseen := [uid for uid in self.series - every.keys() if not have.get(uid)]:
            return f"lists no image of {counted(len(unseen), 'series')}, and sent none of it"
        return self._fewer(have, every) or ("" if self.series else self._untold(have, every))

    def _fewer(self, have: Mapping[str, int], every: Mapping[str, ListedSeries]) -> str:
        """Return of which series fewer images are here than the peer counts; one has some."""
        fewer = []
        for uid in sorted(self.series & every.keys() if self.series else every):
            own = every[uid].count
            if have.get(uid, 0) < (least := 1 if own is None else own):
                fewer.append(f"counts {counted(least, 'image')} of the series {uid}")
        more = f", and more of {counted(len(fewer) - 1, 'other series')}" if fewer[1:] else ""
        return f"{fewer[0]}{more}: not all are here" if fewer else ""

    def _untold(self, have: Mapping[str, int], every: Mapping[str, ListedSeries]) -> str:
        """Return what the study's own numbers have beyond what is here."""
        here, known = sum(have.values()), {uid for uid in have if uid} | every.keys()
        if here < (self.told_images or 0):
            return f"counts {counted(self.told_images or 0, 'image')} of the study: {here} are here"
        if len(known) < (self.told_series or 0):
            return f"counts {self.told_series} series of the study: {len(known)} are known"
        return ""

    def left(self, have: frozenset[str]) -> Wanted:
        """Return what to ask for, where these images are here.

        Where the peer's list is known to be short, or all of it is here, all is asked for that may
        be behind it.

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
            if not self.images:
                if self.listing.short or not series:
                    series = dict.fromkeys(sorted(self.series), ())
                series |= dict.fromkeys(sorted(self.series - self.listed.keys()), ())
            if not self.images and not self.series and (not have or not series):
                series = None
        elif self.images:
            if len(self.series) != 1:
                raise UsageError(
                    f"the peer does not list of which series of the study {self.study_uid} the "
                    "images are: name it with --series"
                )
            (uid,) = self.series
            series = {uid: tuple(sorted(self.images - have))}
        elif self.series:
            series = dict.fromkeys(sorted(self.series), ())
        count = None if self.expected is None else len(self.expected - have)
        if series is None and self.told_images:
            count = max(self.told_images, count or 0)
        return Wanted(
            study_uid=self.study_uid,
            series=series,
            sop_classes=frozenset() if self.listing is None else self.listing.sop_classes,
            count=count,
        )
