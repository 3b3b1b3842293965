"""A study, and several in short, read from the database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.choosing.policy import ALL, Policy
from schema.explaining.attempts import read_attempts
from schema.explaining.holdings import (
    KeptImage,
    how_they_came,
    read_accessions,
    read_images,
    read_projects,
    read_quarantine,
    what_is_missing,
)
from schema.explaining.lost import ListingPeer, listed_nowhere
from schema.explaining.questions import asked_at_all, asked_by_name, asked_of_dates, asked_peers
from schema.explaining.sources import read_sources
from schema.explaining.story import AttemptStory, StudyHead, StudyStory
from schema.moving.listing import Listing
from schema.project.members import NOT_FOUND, RECEIVED
from schema.standing.states import StudyState
from schema.tables.models import Image, Study, StudyFind
from schema.tables.statements import among
from schema.verdicts.broken import NO_POLICIES, broken_verdicts
from schema.verifying.files import files_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRead:
    """A study as it was read.

    Attributes
    ----------
    images
        Those that the index has.
    listings
        By PACS.
    """

    story: StudyStory
    images: Sequence[KeptImage]
    listings: Mapping[str, Listing]


async def read_heads(
    session: AsyncSession,
    study_uids: Collection[str],
    *,
    policies: Mapping[str, Policy] = NO_POLICIES,
) -> list[StudyHead]:
    """Return studies in short, the latest date first; those that nobody knows as `not found`.

    Parameters
    ----------
    policies
        What is wanted from each PACS, by its name.
    """
    uids = sorted(study_uids)
    lost = Image.filepath.is_(None) & Image.size.is_not(None)
    counts = {
        row.study_uid: (row.all - row.lost, row.lost)
        for row in await session.execute(
            select(
                Image.study_uid,
                func.count().label("all"),
                func.sum(case((lost, 1), else_=0)).label("lost"),
            )
            .where(among(session, Image.study_uid, uids))
            .group_by(Image.study_uid)
        )
    }
    received = dict(
        (
            await session.execute(
                select(Study.study_uid, Study.study_date).where(
                    among(session, Study.study_uid, uids)
                )
            )
        ).all()
    )
    found = {
        row.study_uid: row
        for row in await session.scalars(
            select(StudyFind).where(among(session, StudyFind.study_uid, uids))
        )
    }
    broken = await broken_verdicts(session, [row.id for row in found.values()], policies=policies)
    heads = []
    for uid in uids:
        images, gone = counts.get(uid, (0, 0))
        row = found.get(uid)
        day = (row.study_date if row is not None else None) or received.get(uid)
        if row is None:
            state = RECEIVED if uid in received or images else NOT_FOUND
            heads.append(
                StudyHead(
                    study_uid=uid,
                    study_date=day and day.date(),
                    state=state,
                    images=images,
                    lost=gone,
                )
            )
            continue
        heads.append(
            StudyHead(
                study_uid=uid,
                study_date=day and day.date(),
                modalities=row.modalities,
                state=row.state,
                found_on=row.found_on,
                images=images,
                lost=gone,
                expected_images=row.expected_images,
                retrieved_on=row.retrieved_on,
                evidence=row.evidence,
                last_error=row.last_error,
                next_attempt_on=row.next_attempt_on,
                broken=broken.get(row.id),
            )
        )
    return sorted(heads, key=lambda one: (one.study_date or date.min, one.study_uid), reverse=True)


async def read_story(
    session: AsyncSession,
    study_uid: str,
    peers: Sequence[str],
    *,
    policies: Mapping[str, Policy] = NO_POLICIES,
) -> StudyRead:
    """Return all that is known of a study; it need not be known at all.

    Parameters
    ----------
    peers
        The names of the PACSs of the configuration, in its order; others that were ever asked, or
        have it, follow by name.
    policies
        What is wanted from each of them, by its name.
    """
    (head,) = await read_heads(session, [study_uid], policies=policies)
    sources, listings = await read_sources(session, study_uid)
    if head.retrieved_on is None and sources and all(one.gone_on is not None for one in sources):
        head = replace(head, state=StudyState.GONE.value)
    images = await read_images(session, study_uid)
    files = (await files_of(session, [study_uid]))[study_uid]
    attempts = await read_attempts(session, study_uid=study_uid)
    accessions = await read_accessions(session, study_uid)
    others = {*await asked_peers(session), *(one.peer for one in sources)}
    names = [*peers, *sorted(others.difference(peers))]
    known = head.state != NOT_FOUND
    here = {one.image_uid for one in images if not one.lost}
    there = [one for one in sources if one.gone_on is None]
    live = {one.peer for one in there} or set(listings)
    lost = sorted(one.image_uid for one in images if one.lost)
    story = StudyStory(
        study=head,
        sources=tuple(sources),
        dates=await asked_of_dates(session, names, [head.study_date]) if known else (),
        names=await asked_by_name(session, names, study_uid, accessions),
        ever=() if known else await asked_at_all(session, names),
        attempts=tuple(attempts),
        sent=how_they_came(images),
        lost=tuple(lost),
        unlisted=listed_nowhere(
            lost,
            [
                ListingPeer(
                    state=one.state,
                    verified=one.verified_on is not None,
                    told=one.images,
                    listing=listings.get(one.peer),
                )
                for one in there
            ],
        )
        if sources
        else (),
        removed=_removed(attempts, len(images)),
        missing=what_is_missing(
            {
                peer: listing.part(policies.get(peer, ALL))
                for peer, listing in listings.items()
                if peer in live
            },
            here,
        ),
        quarantine=await read_quarantine(session, study_uid=study_uid),
        verification=files.verification,
        verified_on=files.verified_on,
        projects=await read_projects(session, study_uid, accessions),
    )
    return StudyRead(story=story, images=images, listings=listings)


def _removed(attempts: Sequence[AttemptStory], rows: int) -> int:
    """Return how many images were here when an attempt was judged last, and have no row now."""
    counts = (one.images for one in reversed(attempts) if one.images is not None)
    return max(next(chain(counts, (0,))) - rows, 0)
