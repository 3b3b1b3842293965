"""What each PACS says of a study, and which find has brought it first."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.explaining.story import Changed, FoundBy, ListedImages, SourceStory
from schema.hierarchy.sources import get_source_changes
from schema.moving.listing import Listing
from schema.project.inquiries import named_in
from schema.tables.ledger import Cycle, FindWindow
from schema.tables.models import StudyFind
from schema.tables.sources import SourceListing, StudySource
from schema.tables.statements import among

_TELLING = frozenset(
    ("expected_images", "expected_series", "modalities", "study_date", "study_time")
)
"""Fields of which both values are told; those of others say who the patient is."""

_LATER = timedelta(minutes=1)
"""By how much a study may be recorded after the last sign of life of its find."""

_FINDS = 10
"""Finds that may have found a study, at most: those of single studies run beside one of dates."""


async def read_sources(
    session: AsyncSession, study_uid: str
) -> tuple[list[SourceStory], dict[str, Listing]]:
    """Return what each PACS says of a study, by name; and the lists of those that list it."""
    query = (
        select(StudySource, SourceListing)
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .outerjoin(SourceListing, SourceListing.source_id == StudySource.id)
        .where(StudyFind.study_uid == study_uid)
    )
    changes = defaultdict(list)
    for one in (await get_source_changes(session, [study_uid])).get(study_uid, ()):
        changes[one.peer].append(_changed(one.seen_on, one.field, one.was, one.became))
    stories: list[SourceStory] = []
    listings: dict[str, Listing] = {}
    for source, kept in (await session.execute(query)).all():
        if (listing := _listing(kept)) is not None:
            listings[source.peer] = listing
        listed = _listed(listing, kept)
        found_by = await _found_by(session, study_uid, source)
        stories.append(_story(source, listed, found_by, changes[source.peer]))
    return sorted(stories, key=lambda one: one.peer), listings


def _listing(kept: SourceListing | None) -> Listing | None:
    return None if kept is None else Listing.of_document(kept.listing)


def _listed(listing: Listing | None, kept: SourceListing) -> ListedImages | None:
    if listing is None:
        return None
    return ListedImages(
        listed_on=kept.listed_on,
        images=len(listing.images),
        short=listing.short,
        vouched=listing.vouched,
    )


def _story(
    source: StudySource,
    listed: ListedImages | None,
    found_by: FoundBy | None,
    changes: Iterable[Changed],
) -> SourceStory:
    counted = source.expected_images is None and source.counted_images is not None
    return SourceStory(
        peer=source.peer,
        state=source.state,
        found_on=source.found_on,
        found_by=found_by,
        last_seen_on=source.last_seen_on,
        gone_on=source.gone_on,
        verified_on=source.verified_on,
        evidence=source.evidence,
        evidence_images=source.evidence_images,
        images=source.counted_images if counted else source.expected_images,
        series=source.expected_series,
        counted_on=source.counted_on if counted else None,
        counted_short=source.counted_short if counted else None,
        attempts=source.attempts,
        vain_attempts=source.vain_attempts,
        next_attempt_on=source.next_attempt_on,
        given_up_on=source.given_up_on,
        last_error=source.last_error,
        held_on=source.held_on,
        held_reason=source.held_reason,
        policy=source.policy,
        listed=listed,
        changes=tuple(changes),
    )


def _changed(seen_on: datetime, field: str, was: str | None, became: str | None) -> Changed:
    if field not in _TELLING:
        was = became = None
    return Changed(seen_on=seen_on, field=field, was=was, became=became)


async def _found_by(session: AsyncSession, uid: str, source: StudySource) -> FoundBy | None:
    """Return the question that has brought a study: the last before it was recorded."""
    ended = or_(Cycle.finished_on.is_(None), Cycle.finished_on >= source.found_on - _LATER)
    finds = (
        select(Cycle.id)
        .where(
            Cycle.kind == "find",
            Cycle.peer == source.peer,
            Cycle.started_on <= source.found_on,
            ended,
        )
        .order_by(Cycle.id.desc())
        .limit(_FINDS)
    )
    window = FindWindow
    query = (
        select(window.cycle_id, window.asked_on, window.query, window.start_date, window.end_date)
        .where(
            among(session, window.cycle_id, list(await session.scalars(finds))),
            window.asked_on <= source.found_on,
        )
        .order_by(window.asked_on.desc(), window.id.desc())
    )
    names = {("StudyInstanceUID", uid), ("AccessionNumber", source.accession_number or "")}
    day = None if source.study_date is None else source.study_date.date()
    for row in await session.execute(query):
        by = next((key for key, value in named_in(row.query) if (key, value) in names), None)
        if by is not None or _is_about(row, day):
            return FoundBy(
                cycle_id=row.cycle_id,
                asked_on=row.asked_on,
                first=row.start_date,
                last=row.end_date,
                by=by,
            )
    return None


def _is_about(row: Any, day: date | None) -> bool:  # noqa: ANN401 - a row
    """Tell whether a question was about a date."""
    if any(key in (row.query or {}) for key in ("StudyInstanceUID", "AccessionNumber")):
        return False
    if day is None:
        return row.start_date is None and row.end_date is None
    return (row.start_date or date.min) <= day <= (row.end_date or date.max)
