"""Where a study stands at each of its sources: what is verified to be here, what is still open.

A study that several PACSs have is complete when all that each of them has is here.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.header.values import clean_text, key_of
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStanding:
    """Where a study stands at one PACS.

    Attributes
    ----------
    verified
        Whether all that the PACS has of it is here, and what is missing is at another one.
    shared
        Whether other PACSs have it as well, or had it.
    said
        How many images the PACS says it has; None when it does not say.
    """

    verified: bool
    shared: bool
    said: int | None


async def source_standing(session: AsyncSession, study_uid: str, *, peer: str) -> SourceStanding:
    """Return where a study stands at a PACS, which need not have answered it."""
    query = (
        select(
            StudySource.peer,
            StudySource.verified_on,
            StudySource.gone_on,
            StudySource.expected_images,
        )
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(StudyFind.study_uid == study_uid)
    )
    sources = {row.peer: row for row in await session.execute(query)}
    own = sources.pop(key_of(clean_text(peer)), None)
    return SourceStanding(
        verified=own is not None
        and own.verified_on is not None
        and any(one.verified_on is None and one.gone_on is None for one in sources.values()),
        shared=bool(sources),
        said=None if own is None else own.expected_images,
    )


async def verified(
    session: AsyncSession, study_uid: str, *, peer: str | None, on: datetime
) -> bool:
    """Note that all that a PACS has of a study is here; tell whether that was the last one.

    Parameters
    ----------
    peer
        None means that of all of them.
    """
    of_study = StudySource.study_find_id.in_(
        select(StudyFind.id).where(StudyFind.study_uid == study_uid)
    )
    there = update(StudySource).where(of_study, StudySource.verified_on.is_(None))
    if peer is not None:
        there = there.where(StudySource.peer == peer)
    await session.execute(
        there.values(verified_on=on, next_attempt_on=None).execution_options(
            synchronize_session=False
        )
    )
    left = select(func.count()).where(
        of_study, StudySource.verified_on.is_(None), StudySource.gone_on.is_(None)
    )
    return not await session.scalar(left)


async def doubt(session: AsyncSession, study_uids: Collection[str]) -> None:
    """Note that of studies not all is here any more: any of their PACSs may be asked again."""
    of_them = select(StudyFind.id).where(among(session, StudyFind.study_uid, sorted(study_uids)))
    await session.execute(
        update(StudySource)
        .where(StudySource.study_find_id.in_(of_them))
        .values(verified_on=None, next_attempt_on=None)
        .execution_options(synchronize_session=False)
    )


async def attempted(
    session: AsyncSession, study_uid: str, *, peer: str, next_attempt_on: datetime | None
) -> None:
    """Note when to ask a PACS for a study again, and draw from all when to ask any."""
    query = select(StudySource).join(StudyFind, StudyFind.id == StudySource.study_find_id)
    query = query.where(StudyFind.study_uid == study_uid)
    sources = list(await session.scalars(query.execution_options(populate_existing=True)))
    own = next((one for one in sources if one.peer == key_of(clean_text(peer))), None)
    if own is None:
        return
    own.next_attempt_on = next_attempt_on
    await session.flush()
    others = [one for one in sources if one is not own and one.gone_on is None]
    waits = [one.next_attempt_on for one in (own, *others) if one.verified_on is None]
    due = None if None in waits else min((one for one in waits if one is not None), default=None)
    least = max((one.expected_images or 0 for one in others), default=0)
    values = {StudyFind.next_attempt_on: due}
    await session.execute(
        update(StudyFind)
        .where(StudyFind.study_uid == study_uid)
        .values(values)
        .execution_options(synchronize_session=False)
    )
    await session.execute(
        update(StudyFind)
        .where(StudyFind.study_uid == study_uid, StudyFind.expected_images < least)
        .values(expected_images=least)
        .execution_options(synchronize_session=False)
    )
