"""How many images each PACS has of studies, where it does not say so: what was counted, and kept.

A count is kept with its age, and is good until then or until the PACS says something else of the
study. What falls short (`schema.finding.counting`) is kept as well, but nothing is drawn from it.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.finding.counting import COUNTED, CountedBy, SourceCount, StudyCount
from schema.finding.drawing import SourceAnswer, draw, has_grown
from schema.header.values import clean_text, key_of
from schema.hierarchy.sources import SourceRow, lock_studies, sources_of
from schema.inventory import count_images
from schema.standing.whole import redraw_states
from schema.tables.models import StudyFind
from schema.tables.sources import StudyChange, StudySource, reopened_source, reopened_study
from schema.tables.statements import among, table_of


async def get_counts(
    session: AsyncSession, study_uids: Collection[str], *, peer: str
) -> dict[str, SourceCount]:
    """Return what is known of the numbers of images that a PACS has, by Study Instance UID.

    Those that it has not answered are left out.
    """
    changed = (
        select(func.max(StudyChange.seen_on))
        .where(
            StudyChange.study_find_id == StudySource.study_find_id,
            StudyChange.peer == StudySource.peer,
        )
        .scalar_subquery()
    )
    query = (
        select(
            StudyFind.study_uid,
            StudySource.expected_images,
            StudySource.expected_series,
            *(getattr(StudySource, name) for name in COUNTED),
            changed.label("changed_on"),
        )
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(
            among(session, StudyFind.study_uid, sorted(study_uids)),
            StudySource.peer == key_of(clean_text(peer)),
        )
    )
    return {
        row.study_uid: SourceCount(
            told=row.expected_images,
            series=row.expected_series,
            count=_count_of(row),
            counted_on=row.counted_on,
            changed_on=row.changed_on,
        )
        for row in await session.execute(query)
    }


def _count_of(row: Any) -> StudyCount | None:  # noqa: ANN401 - a row of the query above
    if row.counted_on is None:
        return None
    return StudyCount(
        images=row.counted_images or 0,
        series=row.counted_series or 0,
        by=CountedBy(row.counted_by),
        short=row.counted_short or "",
    )


async def get_uncounted(
    session: AsyncSession, *, peer: str, since: datetime, after: int = 0, limit: int
) -> list[tuple[int, str]]:
    """Return studies that a PACS has without a number of images, or with one that is too old.

    Parameters
    ----------
    since
        Counts from before are too old (naive UTC).
    after
        The key of the last one that was returned.
    limit
        At most so many.

    Returns
    -------
    list[tuple[int, str]]
        Keys and Study Instance UIDs, in the order of the keys.
    """
    changed = select(StudyChange.id).where(
        StudyChange.study_find_id == StudySource.study_find_id,
        StudyChange.peer == StudySource.peer,
        StudyChange.seen_on >= StudySource.counted_on,
    )
    whole = StudySource.counted_short.is_(None)
    query = (
        select(StudyFind.id, StudyFind.study_uid)
        .join(StudySource, StudyFind.id == StudySource.study_find_id)
        .where(
            StudyFind.id > after,
            StudySource.peer == key_of(clean_text(peer)),
            StudySource.gone_on.is_(None),
            StudySource.expected_images.is_(None),
            or_(
                StudySource.counted_on.is_(None),
                StudySource.counted_on < since,
                whole & (StudySource.counted_series < StudySource.expected_series),
                changed.exists(),
            ),
        )
        .order_by(StudyFind.id)
        .limit(limit)
    )
    return [(key, uid) for key, uid in await session.execute(query)]


async def record_counts(
    session: AsyncSession, counts: Mapping[str, StudyCount], *, peer: str, on: datetime
) -> set[str]:
    """Keep how many images a PACS was counted to have of studies, and draw these anew.

    A study of which there is more than before is to be moved again.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    counts
        By Study Instance UID; those that the PACS has not answered are passed over.
    on
        When they were counted (naive UTC).

    Returns
    -------
    set[str]
        The Study Instance UIDs of those that have grown.
    """
    name = key_of(clean_text(peer))
    rows = {row.id: row for row in await lock_studies(session, counts)}
    sources = await sources_of(session, rows)
    here = await count_images(session, [row.study_uid for row in rows.values()])
    written: list[dict[str, Any]] = []
    drawn: list[dict[str, Any]] = []
    grown: dict[int, int] = {}
    for key, row in rows.items():
        own = next((one for one in sources.get(key, ()) if one.answer.peer == name), None)
        if own is None:
            continue
        count = counts[row.study_uid]
        values = _values_of(count, on)
        written.append({"row": own.id, **{f"new_{column}": values[column] for column in COUNTED}})
        others = [one.answer for one in sources[key] if one is not own]
        became = replace(own.answer, **values)
        images = draw([*others, became], here=here[row.study_uid])["expected_images"]
        drawn.append({"row": key, "images": row.expected_images if images is None else images})
        known = max(row.expected_images or 0, here[row.study_uid])
        if _more(own, became, known=known, alone=not others):
            grown[key] = own.id
    if written:
        await _write(session, written, drawn)
    if grown:
        await _reopen(session, grown)
    return {rows[key].study_uid for key in grown}


def _values_of(count: StudyCount, on: datetime) -> dict[str, Any]:
    return {
        "counted_on": on,
        "counted_by": count.by.value,
        "counted_series": count.series,
        "counted_images": count.images,
        "counted_short": count.short or None,
    }


def _more(own: SourceRow, became: SourceAnswer, *, known: int, alone: bool) -> bool:
    """Tell whether there is more than was known, of what is verified to be here."""
    if own.answer.verified_on is None or became.images is None:
        return False
    facts = {"expected_images": became.images, "expected_series": None}
    return has_grown(own.answer, facts, known=known, alone=alone)


async def _write(
    session: AsyncSession, counted: list[dict[str, Any]], drawn: list[dict[str, Any]]
) -> None:
    source, study = table_of(StudySource), table_of(StudyFind)
    connection = await session.connection()
    await connection.execute(
        update(source)
        .where(source.c.id == bindparam("row"))
        .values({name: bindparam(f"new_{name}") for name in COUNTED}),
        counted,
    )
    await connection.execute(
        update(study)
        .where(study.c.id == bindparam("row"))
        .values(expected_images=bindparam("images")),
        drawn,
    )


async def _reopen(session: AsyncSession, grown: Mapping[int, int]) -> None:
    """Let studies, by their keys and those of their sources, be moved again."""
    source, study = table_of(StudySource), table_of(StudyFind)
    connection = await session.connection()
    await connection.execute(
        update(source)
        .where(among(session, StudySource.id, sorted(grown.values())))
        .values(**reopened_source())
    )
    await connection.execute(
        update(study)
        .where(among(session, StudyFind.id, sorted(grown)), study.c.retrieved_on.is_not(None))
        .values(**reopened_study())
    )
    await redraw_states(session, grown)
