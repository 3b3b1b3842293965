"""The sources of a study: which PACSs have it or had it, and what each of them says of it.

Who writes a source has locked the row of its study: so that two who record what two PACSs say of
one study draw its row one after the other, each from all that is there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.finding.counting import COUNTED
from schema.finding.drawing import STUDY_FACTS, SourceAnswer, SourceChange
from schema.finding.facts import FACTS, StudyFacts
from schema.tables.models import GONE, HELD, MOVING, PENDING, RETRIEVED, UNWANTED, StudyFind
from schema.tables.sources import StudyChange, StudySource, is_asked_for, reopened_source
from schema.tables.statements import VARIED, among, insert_new, table_of

_KEPT_CHANGES = 100
"""Changes of one field of a study at one PACS that are kept, the latest: some say one thing and
another in turn."""

HOLD = ("held_on", "held_reason")
"""The columns of what an operator holds."""

_STOOD = ("peer", "found_on", "last_seen_on", "gone_on", "verified_on", "policy", "last_error")
_ANSWER = (*_STOOD, *FACTS, *COUNTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """A row of `study_sources`: its key, and what it says."""

    id: int
    study_find_id: int
    answer: SourceAnswer


async def last_seen(
    session: AsyncSession, study_uids: Collection[str], *, peer: str
) -> dict[str, datetime | None]:
    """Return when a PACS has last answered studies, of those of them that are known by anyone.

    None: it never has, or is known to have the study no more.
    """
    study, source = table_of(StudyFind), table_of(StudySource)
    here = and_(
        source.c.study_find_id == study.c.id, source.c.peer == peer, source.c.gone_on.is_(None)
    )
    query = (
        select(study.c.study_uid, source.c.last_seen_on)
        .select_from(study.outerjoin(source, here))
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
    )
    return dict((await session.execute(query)).all())


async def last_said(
    session: AsyncSession, study_uids: Collection[str], *, peer: str
) -> dict[str, StudyFacts]:
    """Return what a PACS says of those of these studies that it has, by UID."""
    study, source = table_of(StudyFind), table_of(StudySource)
    # an outer join, for SQLite to begin with the studies: it would read all sources of the PACS
    here = and_(source.c.study_find_id == study.c.id, source.c.peer == peer)
    query = (
        select(source.c.id, study.c.study_uid, *(source.c[name] for name in FACTS))
        .select_from(study.outerjoin(source, here))
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
    )
    return {
        uid: StudyFacts(**dict(zip(FACTS, said, strict=True)))
        for key, uid, *said in await session.execute(query)
        if key is not None
    }


async def lock_studies(session: AsyncSession, study_uids: Iterable[str]) -> Sequence[Row[Any]]:
    """Return found studies by UID, in the order of their UIDs, for nobody else to write."""
    table = table_of(StudyFind)
    columns = ("id", "study_uid", "retrieved_on", "state", "peer", "priority", *HOLD, *STUDY_FACTS)
    query = (
        select(*(table.c[name] for name in columns))
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
        .order_by(table.c.study_uid)
        .with_for_update(key_share=True)
    )
    return (await session.execute(query)).all()


async def sources_of(session: AsyncSession, keys: Collection[int]) -> dict[int, list[SourceRow]]:
    """Return the sources of found studies, by the key of these, each list by name."""
    table = table_of(StudySource)
    query = (
        select(table.c.id, table.c.study_find_id, *(table.c[name] for name in _ANSWER))
        .where(among(session, StudySource.study_find_id, sorted(keys)))
        .order_by(table.c.id)
    )
    sources: dict[int, list[SourceRow]] = {}
    for key, study, *values in await session.execute(query):
        answer = SourceAnswer(**dict(zip(_ANSWER, values, strict=True)))
        row = SourceRow(id=key, study_find_id=study, answer=answer)
        sources.setdefault(study, []).append(row)
    # databases sort names by rules of their own
    return {key: sorted(rows, key=lambda row: row.answer.peer) for key, rows in sources.items()}


async def add_sources(
    session: AsyncSession,
    facts: Mapping[int, Mapping[str, Any]],
    verified: Collection[int] = (),
    *,
    peer: str,
    on: datetime,
    priorities: Mapping[int, int] | None = None,
    held: Mapping[int, str | None] | None = None,
) -> None:
    """Record that a PACS has answered found studies for the first time.

    Parameters
    ----------
    facts
        What it says, by the key of the study and by column.
    verified
        The keys of those of which all is here.
    on
        When.
    priorities
        Of the studies that were known; of new ones it is 0.
    held
        Those of them that an operator holds, with the reason: here they are held as well.
    """
    holds = held or {}
    rows = [
        {
            "study_find_id": key,
            "rank": -(priorities or {}).get(key, 0),
            "peer": peer,
            "found_on": on,
            "last_seen_on": on,
            "verified_on": on if key in verified else None,
            "state": RETRIEVED if key in verified else HELD if key in holds else PENDING,
            "held_on": on if key in holds else None,
            "held_reason": holds.get(key),
            **said,
        }
        for key, said in sorted(facts.items())
    ]
    await insert_new(
        session,
        table_of(StudySource),
        rows,
        key=["study_find_id", "peer"],
        returning=["study_find_id"],
        pages=VARIED,
    )


async def refresh_sources(
    session: AsyncSession,
    *,
    seen: Collection[int],
    said: Mapping[int, Mapping[str, Any]],
    grown: Collection[int],
    on: datetime,
) -> None:
    """Record that a PACS has answered studies again.

    Parameters
    ----------
    seen
        The keys of the sources.
    said
        The facts of those of them that say something else than before.
    grown
        Those of them that have more than before: not all of it is known to be here.
    on
        When.
    """
    table = table_of(StudySource)
    connection = await session.connection()
    if seen:
        await connection.execute(
            update(table)
            .where(among(session, StudySource.id, sorted(seen)))
            .values(
                # who saw it before may have a clock that is ahead
                last_seen_on=case((table.c.last_seen_on > on, table.c.last_seen_on), else_=on),
                gone_on=None,
                state=case(
                    (table.c.state != GONE, table.c.state),
                    (table.c.held_on.is_not(None), HELD),
                    (is_asked_for(), MOVING),
                    (table.c.policy.is_not(None), UNWANTED),
                    else_=PENDING,
                ),
            )
        )
    if grown:
        await connection.execute(
            update(table)
            .where(among(session, StudySource.id, sorted(grown)))
            .values(**reopened_source())
        )
    if said:
        values: dict[str, Any] = {
            name: bindparam(f"new_{name}", type_=table.c[name].type) for name in FACTS
        }
        await connection.execute(
            update(table).where(table.c.id == bindparam("row")).values(**values),
            [
                {"row": key, **{f"new_{name}": facts[name] for name in FACTS}}
                for key, facts in sorted(said.items())
            ],
        )


async def add_changes(session: AsyncSession, changed: Mapping[int, Sequence[SourceChange]]) -> None:
    """Keep what was said of found studies, by their keys, until something else is said.

    Of each field at each PACS only the latest changes are kept.
    """
    rows = [
        {
            "study_find_id": key,
            "peer": one.peer,
            "seen_on": one.seen_on,
            "field": one.field,
            "was": one.was,
            "became": one.became,
        }
        for key, several in sorted(changed.items())
        for one in several
    ]
    if not rows:
        return
    table = table_of(StudyChange)
    connection = await session.connection()
    await connection.execute(insert(table), rows)
    of_them = among(session, StudyChange.study_find_id, sorted(changed))
    place = (
        func.row_number()
        .over(
            partition_by=(table.c.study_find_id, table.c.peer, table.c.field),
            order_by=table.c.id.desc(),
        )
        .label("place")
    )
    placed = select(table.c.id, place).where(of_them).subquery()
    too_many = select(placed.c.id).where(placed.c.place > _KEPT_CHANGES)
    await connection.execute(delete(table).where(table.c.id.in_(too_many)))


async def get_sources(
    session: AsyncSession, study_uids: Collection[str]
) -> dict[str, list[SourceAnswer]]:
    """Return the PACSs that have studies or had them, by Study Instance UID, each list by name."""
    wanted = among(session, StudyFind.study_uid, sorted(study_uids))
    query = select(StudyFind.id, StudyFind.study_uid).where(wanted).order_by(StudyFind.study_uid)
    names = dict((await session.execute(query)).all())
    sources = await sources_of(session, names)
    return {
        uid: [row.answer for row in sources[key]] for key, uid in names.items() if key in sources
    }


async def get_source_changes(
    session: AsyncSession, study_uids: Collection[str]
) -> dict[str, list[SourceChange]]:
    """Return what PACSs said of studies before, by Study Instance UID, the oldest first."""
    table = table_of(StudyChange)
    fields = ("peer", "seen_on", "field", "was", "became")
    query = (
        select(StudyFind.study_uid, *(table.c[name] for name in fields))
        .join(StudyFind, StudyFind.id == table.c.study_find_id)
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
        .order_by(table.c.id)
    )
    found: dict[str, list[SourceChange]] = {}
    for uid, *values in await session.execute(query):
        one = SourceChange(**dict(zip(fields, values, strict=True)))
        found.setdefault(uid, []).append(one)
    return found
