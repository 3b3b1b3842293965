"""A series and an image, read from the database."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.explaining.attempts import read_attempts
from schema.explaining.holdings import read_quarantine
from schema.explaining.parts import ImageRow, ImageStory, ListedPart, Repetition, SeriesStory
from schema.explaining.studies import StudyRead
from schema.moving.listing import Listing
from schema.tables.ledger import MoveAttempt, RepeatedArrival
from schema.tables.models import Image, Series

_COLUMNS = (
    *("id", "sop_class_uid", "transfer_syntax_uid", "modality", "filepath", "sha256", "size"),
    *("received_on", "source", "source_address", "node", "storage_id", "attempt_id"),
    *("parsed_from", "flag"),
)


def is_series_of(read: StudyRead, uid: str) -> bool:
    """Tell whether a UID is a series of a study, here or as a PACS lists it."""
    return any(one.series_uid == uid for one in read.images) or any(
        uid in listing.series for listing in read.listings.values()
    )


async def read_series(session: AsyncSession, series_uid: str, read: StudyRead) -> SeriesStory:
    """Return what of a series is here, and what its study's PACSs list of it."""
    modality = await session.scalar(select(Series.modality).where(Series.series_uid == series_uid))
    of_it = [one for one in read.images if one.series_uid == series_uid]
    here = {one.image_uid for one in of_it if not one.lost}
    listed = []
    for peer, listing in sorted(read.listings.items()):
        series = listing.series.get(series_uid)
        images = frozenset() if series is None else frozenset(series.images)
        if series is not None:
            modality = modality or series.modality or None
        listed.append(_part(read, peer, images, here))
    return SeriesStory(
        series_uid=series_uid,
        study_uid=read.story.study.study_uid,
        modality=modality,
        images=tuple(sorted(here)),
        lost=tuple(sorted(one.image_uid for one in of_it if one.lost)),
        listed=tuple(listed),
    )


async def read_image(session: AsyncSession, image_uid: str, read: StudyRead | None) -> ImageStory:
    """Return all that is known of an image.

    Parameters
    ----------
    read
        Its study; None where that is not known.
    """
    query = select(
        Image.study_uid, Image.series_uid, *(getattr(Image, name) for name in _COLUMNS)
    ).where(Image.image_uid == image_uid)
    found = (await session.execute(query)).one_or_none()
    row, attempt = None, None
    study_uid = None if read is None else read.story.study.study_uid
    series_uid = None if read is None else _listed_series(read.listings, image_uid)
    repeated: tuple[Repetition, ...] = ()
    if found is not None:
        study_uid, series_uid, *values = found
        row = ImageRow(**dict(zip(_COLUMNS, values, strict=True)))
        if row.attempt_id is not None:
            attempt = next(iter(await read_attempts(session, ids=[row.attempt_id])), None)
        again = (
            select(RepeatedArrival.attempt_id, MoveAttempt.peer, RepeatedArrival.arrived_on)
            .join(MoveAttempt, MoveAttempt.id == RepeatedArrival.attempt_id)
            .where(
                RepeatedArrival.image_id == row.id,
                RepeatedArrival.attempt_id.is_distinct_from(row.attempt_id),
            )
            .order_by(RepeatedArrival.attempt_id)
        )
        repeated = tuple(
            Repetition(attempt_id=key, peer=peer, arrived_on=on)
            for key, peer, on in await session.execute(again)
        )
    here = {image_uid} if row is not None and not row.lost else set()
    listings = {} if read is None else read.listings
    return ImageStory(
        image_uid=image_uid,
        study_uid=study_uid,
        series_uid=series_uid,
        row=row,
        attempt=attempt,
        repeated=repeated,
        listed=tuple(
            _part(read, peer, listing.images & {image_uid}, here)
            for peer, listing in sorted(listings.items())
            if read is not None
        ),
        quarantine=await read_quarantine(session, image_uid=image_uid),
    )


def _listed_series(listings: Mapping[str, Listing], image_uid: str) -> str | None:
    return next(
        (
            uid
            for _, listing in sorted(listings.items())
            for uid, series in listing.series.items()
            if image_uid in series.images
        ),
        None,
    )


def _part(read: StudyRead, peer: str, images: frozenset[str], here: set[str]) -> ListedPart:
    source = next(one for one in read.story.sources if one.peer == peer)
    assert source.listed is not None, "it lists the study"  # noqa: S101
    return ListedPart(
        peer=peer,
        listed_on=source.listed.listed_on,
        images=len(images),
        missing=tuple(sorted(images - here)),
        gone_on=source.gone_on,
    )
