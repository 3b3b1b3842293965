"""The sources of a study: which PACSs have answered it, and what each of them says it has."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Integer, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.header.values import clean_text
from schema.tables.columns import utcnow
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among, insert_new, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer:
    """What one PACS says of a study that it has; the attributes are columns of `study_sources`."""

    peer: str
    last_seen_on: datetime
    expected_images: int | None


async def record_source(
    session: AsyncSession, findings: Mapping[str, StudyFind], *, peer: str
) -> None:
    """Record that a PACS has answered studies, all of which have their rows already.

    Parameters
    ----------
    findings
        What it says, by Study Instance UID; a count that it leaves out stays as it was.
    peer
        Its configured name.
    """
    table = table_of(StudySource)
    wanted = among(session, StudyFind.study_uid, sorted(findings))
    query = select(StudyFind.study_uid, StudyFind.id).where(wanted).order_by(StudyFind.study_uid)
    keys = [(uid, key) for uid, key in await session.execute(query)]
    now = utcnow()
    rows = [
        {
            "study_find_id": key,
            "peer": clean_text(peer),
            "found_on": now,
            "last_seen_on": now,
            "expected_series": findings[uid].expected_series,
            "expected_images": findings[uid].expected_images,
        }
        for uid, key in keys
    ]
    added = await insert_new(
        session, table, rows, key=["study_find_id", "peer"], returning=["study_find_id"]
    )
    new = {key for (key,) in added}
    seen = [
        {
            "study": row["study_find_id"],
            "series": row["expected_series"],
            "images": row["expected_images"],
        }
        for row in rows
        if row["study_find_id"] not in new
    ]
    if not seen:
        return
    again = (
        update(table)
        .where(table.c.study_find_id == bindparam("study"), table.c.peer == clean_text(peer))
        .values(
            last_seen_on=now,
            expected_series=func.coalesce(
                bindparam("series", type_=Integer), table.c.expected_series
            ),
            expected_images=func.coalesce(
                bindparam("images", type_=Integer), table.c.expected_images
            ),
        )
    )
    connection = await session.connection()
    await connection.execute(again, seen)


async def get_sources(
    session: AsyncSession, study_uids: Collection[str]
) -> dict[str, list[SourceAnswer]]:
    """Return the PACSs that have answered studies, by Study Instance UID, each list by name."""
    query = (
        select(
            StudyFind.study_uid,
            StudySource.peer,
            StudySource.last_seen_on,
            StudySource.expected_images,
        )
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
        .order_by(StudyFind.study_uid, StudySource.peer)
    )
    sources: dict[str, list[SourceAnswer]] = {}
    for uid, peer, last_seen_on, images in await session.execute(query):
        answer = SourceAnswer(peer=peer, last_seen_on=last_seen_on, expected_images=images)
        sources.setdefault(uid, []).append(answer)
    return sources
