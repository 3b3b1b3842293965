"""Where a study stands at each of its sources: what is verified to be here, what is still open.

A study that several PACSs have is complete when all that each of them has is here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, and_, bindparam, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.header.values import clean_text, key_of
from schema.tables.models import HELD, PARTIAL, PENDING, RETRIEVED, Image, StudyFind
from schema.tables.sources import StudySource, reopened_source
from schema.tables.statements import among, table_of

_SOME_IS_HERE = (
    select(Image.id)
    .where(
        Image.study_uid == StudyFind.study_uid,
        or_(Image.filepath.is_not(None), Image.size.is_(None)),
    )
    .exists()
)

DOUBTED = case((StudyFind.held_on.is_not(None), HELD), (_SOME_IS_HERE, PARTIAL), else_=PENDING)
"""The state of a study of which not all is here any more: as `doubt` has it of its sources."""

TOLD = func.coalesce(
    func.nullif(StudySource.expected_images, 0),
    case((StudySource.counted_short.is_(None), StudySource.counted_images)),
)
"""How many images a PACS has of a study, by its own word or counted; NULL when nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStanding:
    """Where a study stands at one PACS.

    Attributes
    ----------
    verified
        Whether all that the PACS has of it is here, and what is missing is at another one.
    shared
        Whether other PACSs have it as well, or had it.
    known
        Whether the PACS has ever answered it.
    told
        How many images the PACS has, by its own word or counted; None when nobody knows.
    images, series
        Its own numbers; None where it gives none.
    held
        Whether an operator does not want it to be asked for here.
    """

    verified: bool
    shared: bool
    known: bool
    told: int | None
    images: int | None
    series: int | None
    held: bool = False


async def source_standings(
    session: AsyncSession, study_uids: Collection[str], *, peer: str
) -> dict[str, SourceStanding]:
    """Return where studies stand at a PACS, by UID; it need not have answered them."""
    query = (
        select(
            StudyFind.study_uid,
            StudySource.peer,
            StudySource.verified_on,
            StudySource.gone_on,
            TOLD.label("told"),
            StudySource.expected_images,
            StudySource.expected_series,
            StudySource.state,
        )
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
    )
    own_name = key_of(clean_text(peer))
    own: dict[str, Any] = {}
    shared: set[str] = set()
    open_elsewhere: set[str] = set()
    for row in await session.execute(query):
        if row.peer == own_name:
            own[row.study_uid] = row
            continue
        shared.add(row.study_uid)
        if row.verified_on is None and row.gone_on is None:
            open_elsewhere.add(row.study_uid)
    return {
        uid: SourceStanding(
            verified=uid in own and own[uid].verified_on is not None and uid in open_elsewhere,
            shared=uid in shared,
            known=uid in own,
            told=own[uid].told if uid in own else None,
            images=own[uid].expected_images if uid in own else None,
            series=own[uid].expected_series if uid in own else None,
            held=uid in own and own[uid].state == HELD,
        )
        for uid in study_uids
    }


async def verified(
    session: AsyncSession, study_uids: Collection[str], *, peer: str | None, on: datetime
) -> set[str]:
    """Note that all that a PACS has of studies is here; return those of which it was the last.

    Parameters
    ----------
    peer
        None means that of all of them.
    """
    wanted = among(session, StudyFind.study_uid, sorted(study_uids))
    of_studies = StudySource.study_find_id.in_(select(StudyFind.id).where(wanted))
    there = update(StudySource).where(of_studies, StudySource.verified_on.is_(None))
    if peer is not None:
        there = there.where(StudySource.peer == key_of(clean_text(peer)))
    await session.execute(
        there.values(verified_on=on, next_attempt_on=None, state=RETRIEVED).execution_options(
            synchronize_session=False
        )
    )
    left = (
        select(StudyFind.study_uid)
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(wanted, StudySource.verified_on.is_(None), StudySource.gone_on.is_(None))
    )
    return set(study_uids) - set(await session.scalars(left))


async def doubt(session: AsyncSession, study_uids: Collection[str]) -> None:
    """Note that of studies not all is here any more: any of their PACSs may be asked again."""
    of_them = select(StudyFind.id).where(among(session, StudyFind.study_uid, sorted(study_uids)))
    doubted = StudySource.study_find_id.in_(of_them)
    begun = StudySource.study_find_id.in_(of_them.where(_SOME_IS_HERE))
    for condition, values in (
        (doubted, reopened_source()),
        (and_(doubted, begun, StudySource.state == PENDING), {"state": PARTIAL}),
    ):
        await session.execute(
            update(StudySource)
            .where(condition)
            .values(**values)
            .execution_options(synchronize_session=False)
        )


async def attempted(
    session: AsyncSession, dues: Mapping[str, datetime | None], *, peer: str
) -> None:
    """Note when to ask a PACS for studies again, and draw from all when to ask any.

    Parameters
    ----------
    dues
        When, by Study Instance UID; None means at any time. The rows of the studies are the
        caller's already, as everybody's who writes their sources.
    """
    own_name = key_of(clean_text(peer))
    query = (
        select(
            StudyFind.id.label("study"),
            StudyFind.study_uid,
            StudySource.id,
            StudySource.peer,
            StudySource.next_attempt_on,
            StudySource.verified_on,
            StudySource.gone_on,
            StudySource.expected_images,
        )
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(among(session, StudyFind.study_uid, sorted(dues)))
        .order_by(StudyFind.id)
    )
    sources: dict[str, list[Any]] = {}
    for row in await session.execute(query):
        sources.setdefault(row.study_uid, []).append(row)
    own_dues: list[dict[str, Any]] = []
    of_studies: list[dict[str, Any]] = []
    for uid, rows in sources.items():
        own = next((row for row in rows if row.peer == own_name), None)
        if own is None:
            continue
        others = [row for row in rows if row is not own and row.gone_on is None]
        waits = [row.next_attempt_on for row in others if row.verified_on is None]
        if own.verified_on is None:
            waits.append(dues[uid])
        due = None if None in waits else min((one for one in waits if one), default=None)
        least = max((row.expected_images or 0 for row in others), default=0)
        own_dues.append({"row": own.id, "due": dues[uid]})
        of_studies.append({"row": own.study, "due": due, "least": least})
    if not own_dues:
        return
    source, study = table_of(StudySource), table_of(StudyFind)
    connection = await session.connection()
    await connection.execute(
        update(source)
        .where(source.c.id == bindparam("row"))
        .values(next_attempt_on=bindparam("due")),
        own_dues,
    )
    least = bindparam("least", type_=Integer)
    await connection.execute(
        update(study)
        .where(study.c.id == bindparam("row"))
        .values(
            next_attempt_on=bindparam("due"),
            expected_images=case(
                (study.c.expected_images < least, least), else_=study.c.expected_images
            ),
        ),
        of_studies,
    )
