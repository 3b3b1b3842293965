"""What PACSs list of studies, kept: of each source the list that counts."""

from collections.abc import Collection, Mapping
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


async def keep_listings(
    session: AsyncSession, new: Mapping[str, tuple[Listing, datetime]], *, peer: str
) -> dict[str, Listing]:
    """Keep what a PACS lists of studies, unless what is kept is better; return which counts.

    Parameters
    ----------
    new
        The list, and when it was asked for (naive UTC), by Study Instance UID. Those that the PACS
        has never answered count, and are not kept. The rows of the studies are the caller's.
    """
    if not new:
        return {}
    query = (
        select(StudyFind.study_uid, StudySource.id)
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(among(session, StudyFind.study_uid, sorted(new)), StudySource.peer == peer_key(peer))
    )
    sources = dict((await session.execute(query)).all())
    kept = await get_listings(session, new, peer=peer)
    counts = {uid: better(kept.get(uid), listing) for uid, (listing, _) in new.items()}
    rows = [
        {
            "source_id": source,
            "listed_on": new[uid][1],
            "images": len(counts[uid].images),
            "short": bool(counts[uid].short),
            "vouched": counts[uid].vouched,
            "listing": counts[uid].document(),
        }
        for uid, source in sorted(sources.items())
        if counts[uid] is new[uid][0]
    ]
    if rows:
        insert = postgresql.insert if is_postgresql(session) else sqlite.insert
        statement = insert(table_of(SourceListing))
        renewed = {name: statement.excluded[name] for name in rows[0] if name != "source_id"}
        connection = await session.connection()
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["source_id"], set_=renewed), rows
        )
    return counts


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
