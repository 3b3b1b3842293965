"""The count of one study, and the list of its images: asked for, and kept as what a peer says."""

from datetime import datetime

from node.ops.counting.inquiring import ImageInquiry, Listing
from schema import Database, utcnow
from schema.finding.counting import SourceCount, StudyCount
from schema.hierarchy.counted import get_counts, record_counts


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


async def list_study(database: Database, inquiry: ImageInquiry, study_uid: str) -> Listing | None:
    """Ask which images a peer has of a study; how many is kept where it does not say that itself.

    Returns
    -------
    Listing or None
        None when the peer does not answer such questions, or names no image.

    Raises
    ------
    PeerUnreachable, PeerRefused
        No association.
    """
    known = await known_count(database, inquiry.peer.name, study_uid)
    asked_on = utcnow()
    listing = await inquiry.list(study_uid, series=None if known is None else known.series)
    if listing is not None and known is not None and known.told is None:
        await _keep(database, inquiry.peer.name, study_uid, listing.count, on=asked_on)
    return listing


async def _keep(
    database: Database, peer: str, study_uid: str, count: StudyCount, *, on: datetime
) -> None:
    await database.run(record_counts, {study_uid: count}, peer=peer, on=on)
