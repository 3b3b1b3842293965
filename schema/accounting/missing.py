"""What is missing of studies that are not complete: which images, or how many at least."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.choosing.policy import ALL, Policy
from schema.explaining.lost import ListingPeer, listed_nowhere
from schema.moving.listing import Listing
from schema.tables.models import UNWANTED, Image
from schema.tables.sources import SourceListing, StudySource
from schema.tables.statements import among


async def missing_of(
    session: AsyncSession,
    rows: Sequence[Any],
    here: Mapping[str, int],
    policies: Mapping[str, Policy],
) -> dict[int, tuple[int | None, tuple[str, ...]]]:
    """Return how many images are missing of studies, None where nobody knows, and which.

    Parameters
    ----------
    here
        How many are here, by Study Instance UID.
    policies
        What is wanted from each PACS, by its name: what is not, is not missing.
    """
    if not rows:
        return {}
    query = (
        select(
            StudySource.study_find_id,
            StudySource.peer,
            StudySource.expected_images,
            StudySource.counted_images,
            SourceListing.listing,
        )
        .outerjoin(SourceListing, SourceListing.source_id == StudySource.id)
        .where(
            among(session, StudySource.study_find_id, sorted(row.id for row in rows)),
            StudySource.gone_on.is_(None),
            StudySource.verified_on.is_(None),
            StudySource.state != UNWANTED,
        )
    )
    told: dict[int, list[int]] = {}
    listed: dict[int, set[str]] = {}
    parts: set[int] = set()
    for study, peer, expected, counted, document in await session.execute(query):
        if document is not None:
            listing = Listing.of_document(document)
            part = listing.part(policies.get(peer, ALL))
            listed.setdefault(study, set()).update(part.images)
            if part is not listing:  # numbers are of all that there is
                parts.add(study)
                continue
            told.setdefault(study, []).append(listing.least)
        if expected or counted:
            told.setdefault(study, []).append(expected or counted or 0)
    uids = {row.id: row.study_uid for row in rows}
    have = await _held(session, [uids[key] for key in listed])
    missing: dict[int, tuple[int | None, tuple[str, ...]]] = {}
    for row in rows:
        names = tuple(sorted(listed.get(row.id, set()) - have.get(row.study_uid, set())))
        counts = told.get(row.id, [])
        if row.id in parts:
            counts = [*counts, 0]
        elif row.expected_images:
            counts = [*counts, row.expected_images]
        least = max((count - here[row.study_uid] for count in counts), default=None)
        missing[row.id] = (None if least is None else max(least, len(names), 0), names)
    return missing


async def lost_of(
    session: AsyncSession, uids: Mapping[int, str]
) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the images of studies whose files are gone, and those of them that no PACS can bring.

    As `listed_nowhere` has it; of a study that no PACS has answered nobody can tell.

    Parameters
    ----------
    uids
        The Study Instance UIDs, by the keys of `studies_find`.
    """
    if not uids:
        return {}
    query = select(Image.study_uid, Image.image_uid).where(
        among(session, Image.study_uid, sorted(uids.values())),
        Image.filepath.is_(None),
        Image.size.is_not(None),
    )
    lost: dict[str, list[str]] = {}
    for study, image in await session.execute(query):
        lost.setdefault(study or "", []).append(image)
    listers: dict[int, list[ListingPeer]] = {}
    asked = (
        select(
            StudySource.study_find_id,
            StudySource.state,
            StudySource.gone_on,
            StudySource.verified_on,
            func.coalesce(StudySource.expected_images, StudySource.counted_images),
            SourceListing.listing,
        )
        .outerjoin(SourceListing, SourceListing.source_id == StudySource.id)
        .where(among(session, StudySource.study_find_id, sorted(uids)))
    )
    for key, state, gone, verified, told, document in await session.execute(asked):
        there = listers.setdefault(key, [])
        if gone is None:
            there.append(
                ListingPeer(
                    state=state,
                    verified=verified is not None,
                    told=told,
                    listing=None if document is None else Listing.of_document(document),
                )
            )
    found: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for key, uid in uids.items():
        images = tuple(sorted(lost.get(uid, ())))
        nowhere = listed_nowhere(images, listers[key]) if key in listers else ()
        found[key] = images, nowhere
    return found


async def _held(session: AsyncSession, uids: Collection[str]) -> dict[str, set[str]]:
    """Return the SOP Instance UIDs that are here of studies, by Study Instance UID."""
    if not uids:
        return {}
    query = select(Image.study_uid, Image.image_uid).where(
        among(session, Image.study_uid, sorted(uids)),
        or_(Image.filepath.is_not(None), Image.size.is_(None)),
    )
    have: dict[str, set[str]] = {}
    for study, image in await session.execute(query):
        have.setdefault(study or "", set()).add(image)
    return have
