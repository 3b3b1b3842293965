"""The count of one study, and the list of its images: asked for, and kept as what a peer says."""

from dataclasses import dataclass
from datetime import datetime

from node.ops.counting.inquiring import ImageInquiry
from schema import Database, record_found, utcnow
from schema.finding.counting import CountedBy, SourceCount, StudyCount
from schema.hierarchy.counted import get_counts, record_counts
from schema.moving.listing import Listing, listing_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldCounts:
    """A peer's own numbers of a study; None where it gives none.

    Attributes
    ----------
    known
        Whether it has ever answered the study: else nothing of it is kept.
    """

    images: int | None
    series: int | None
    known: bool = True


async def known_count(database: Database, peer: str, study_uid: str) -> SourceCount | None:
    """Return what is known of how many images a peer has of a study; None where it has none."""
    async with database.session() as session:
        return (await get_counts(session, [study_uid], peer=peer)).get(study_uid)


async def count_study(
    database: Database, inquiry: ImageInquiry, study_uid: str
) -> StudyCount | None:
    """Ask how many images a peer has of a study, and keep it.

    Returns
    -------
    StudyCount or None
        None when the peer does not answer such questions.

    Raises
    ------
    PeerUnreachable, PeerRefused
        No association.
    """
    known = await known_count(database, inquiry.peer.name, study_uid)
    asked_on = utcnow()
    count = await inquiry.count(study_uid, series=None if known is None else known.series)
    if count is not None:
        await _keep(database, inquiry.peer.name, study_uid, count, on=asked_on)
    return count


async def list_study(
    database: Database, inquiry: ImageInquiry, study_uid: str, told: ToldCounts
) -> Listing | None:
    """Ask which images a peer has of a study.

    Where the list is not what the peer has said of the study, it is asked for the study again: that
    may be older than the list. Where it gives no number of images, their count is kept.

    Parameters
    ----------
    told
        What it has said of the study so far.

    Returns
    -------
    Listing or None
        None when the peer lists no images; then its series are counted, where it gives no number.

    Raises
    ------
    PeerUnreachable, PeerRefused
        No association.
    """
    asked_on = utcnow()
    listing = await inquiry.list(study_uid, images=told.images, series=told.series)
    if listing is None:
        if told.known and told.images is None:
            await count_study(database, inquiry, study_uid)
        return None
    if told.known and _disagrees(listing, told):
        answer = await inquiry.study(study_uid)
        if answer is not None:
            await database.run(record_found, [answer], peer=inquiry.peer.name)
            if (by_now := await known_count(database, inquiry.peer.name, study_uid)) is not None:
                told = ToldCounts(images=by_now.told, series=by_now.series)
                listing = listing_of(
                    listing.series, told_images=told.images, told_series=told.series
                )
    if told.known and told.images is None:
        count = StudyCount(
            images=len(listing.images),
            series=len(listing.series),
            by=CountedBy.IMAGE,
            short=listing.short,
        )
        await _keep(database, inquiry.peer.name, study_uid, count, on=asked_on)
    return listing


def _disagrees(listing: Listing, told: ToldCounts) -> bool:
    """Tell whether a list has another number of images or series than the peer has said."""
    there = len(listing.images), len(listing.series)
    said = told.images or there[0], told.series or there[1]
    return there != said


async def _keep(
    database: Database, peer: str, study_uid: str, count: StudyCount, *, on: datetime
) -> None:
    await database.run(record_counts, {study_uid: count}, peer=peer, on=on)
