"""What PACSs list of studies, kept: of each source the list that counts."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from schema.moving.listing import Listing, better
from schema.moving.senders import peer_key
from schema.tables.models import StudyFind
from schema.tables.sources import SourceListing, StudySource
from schema.tables.statements import among, is_postgresql, table_of


async def get_listings(
    session: AsyncSession, study_uids: Collection[str], *, peer: str
) -> dict[str, Listing]:
    """Return what a PACS lists of studies, by Study Instance UID, where that is known."""
    query = (
        select(StudyFind.study_uid, SourceListing.listing)
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .join(SourceListing, SourceListing.source_id == StudySource.id)
        .where(
            among(session, StudyFind.study_uid, sorted(study_uids)),
            StudySource.peer == peer_key(peer),
        )
    )
    return {
        uid: Listing.of_document(document)
        for uid, document in await session.execute(query)
        if document is not None
    }


async def keep_listing(
    session: AsyncSession, study_uid: str, new: Listing, *, peer: str, on: datetime
) -> Listing:
    """Keep what a PACS lists of a study, unless what is kept is better; return which one counts.

    Parameters
    ----------
    on
        When it was asked (naive UTC).
    """
    query = (
        select(StudySource.id)
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(StudyFind.study_uid == study_uid, StudySource.peer == peer_key(peer))
        .with_for_update(key_share=True, of=StudySource)
    )
    source = (await session.scalars(query)).one_or_none()
    if source is None:
        return new
    kept = (await get_listings(session, [study_uid], peer=peer)).get(study_uid)
    if better(kept, new) is not new:
        assert kept is not None, "there is nothing better than the only one"  # noqa: S101
        return kept
    values = {
        "source_id": source,
        "listed_on": on,
        "images": len(new.images),
        "short": bool(new.short),
        "vouched": new.vouched,
        "listing": new.document(),
    }
    table = table_of(SourceListing)
    insert = postgresql.insert if is_postgresql(session) else sqlite.insert
    statement = insert(table).values(values)
    renewed = {name: statement.excluded[name] for name in values if name != "source_id"}
    await session.execute(
        statement.on_conflict_do_update(index_elements=["source_id"], set_=renewed)
    )
    return new


async def forget_listings(session: AsyncSession, study_ids: Collection[int]) -> None:
    """Forget what all PACSs list of studies, by their keys: it is to be asked for again."""
    of_them = select(StudySource.id).where(
        among(session, StudySource.study_find_id, sorted(study_ids))
    )
    await session.execute(
        delete(SourceListing)
        .where(SourceListing.source_id.in_(of_them))
        .execution_options(synchronize_session=False)
    )
