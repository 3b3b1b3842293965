"""What attempts at PACSs have brought of studies, of what is here by now."""

from collections.abc import Collection

from sqlalchemy import func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from schema.tables.ledger import MoveAttempt, RepeatedArrival
from schema.tables.models import RETRIEVED, Image
from schema.tables.statements import among


async def brought_from(
    session: AsyncSession, study_uids: Collection[str]
) -> dict[tuple[str, str], int]:
    """Return how many images that are here came by attempts, by Study Instance UID and PACS.

    An image that several PACSs have sent counts for each of them.
    """
    if not study_uids:
        return {}
    of_them = (
        among(session, Image.study_uid, sorted(study_uids)),
        or_(Image.filepath.is_not(None), Image.size.is_(None)),
    )
    first = (
        select(Image.study_uid, MoveAttempt.peer, Image.id)
        .join(MoveAttempt, MoveAttempt.id == Image.attempt_id)
        .where(*of_them)
    )
    again = (
        select(Image.study_uid, MoveAttempt.peer, Image.id)
        .join(RepeatedArrival, RepeatedArrival.image_id == Image.id)
        .join(MoveAttempt, MoveAttempt.id == RepeatedArrival.attempt_id)
        .where(*of_them)
    )
    each = union(first, again).subquery()
    query = select(each.c.study_uid, each.c.peer, func.count()).group_by(
        each.c.study_uid, each.c.peer
    )
    return {(uid, peer): count for uid, peer, count in await session.execute(query)}


async def images_afterwards(session: AsyncSession, study_ids: Collection[int]) -> dict[int, int]:
    """Return how many images of studies there were when they were whole at a PACS last, by key.

    Of several PACSs it is the largest number.
    """
    if not study_ids:
        return {}
    last = (
        select(func.max(MoveAttempt.id))
        .where(
            among(session, MoveAttempt.study_find_id, sorted(study_ids)),
            MoveAttempt.outcome == RETRIEVED,
        )
        .group_by(MoveAttempt.study_find_id, MoveAttempt.peer)
    )
    query = (
        select(MoveAttempt.study_find_id, func.max(MoveAttempt.images))
        .where(MoveAttempt.id.in_(last), MoveAttempt.images.is_not(None))
        .group_by(MoveAttempt.study_find_id)
    )
    return {key: images or 0 for key, images in await session.execute(query)}
