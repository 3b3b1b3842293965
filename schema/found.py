"""What the PACSs say they have: recorded once, and refreshed each time they say it again.

Each PACS's word is a row of its own (`schema.hierarchy.sources`); the row of the study is drawn
from all of them (`schema.finding.drawing`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import Row, bindparam, case, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.dcm2model import DicomSource, dcm2study_finding
from schema.engine.either import either
from schema.errors import DatabaseUnavailable, InvalidDicom
from schema.finding.answer import StudyAnswer, read_answer
from schema.finding.drawing import STUDY_FACTS
from schema.finding.facts import facts_of
from schema.finding.weighing import StudyBefore, Weighed, weigh
from schema.header.values import clean_text, key_of
from schema.hierarchy.links import link_received
from schema.hierarchy.sources import (
    SourceRow,
    add_changes,
    add_sources,
    last_said,
    last_seen,
    lock_studies,
    refresh_sources,
    sources_of,
)
from schema.hooking.recording import record_complete
from schema.inventory import count_images
from schema.standing.whole import redraw_whole
from schema.tables.columns import utcnow
from schema.tables.models import EMPTY, FAILED, PARTIAL, PENDING, StudyFind
from schema.tables.sources import reopened_study
from schema.tables.statements import VARIED, among, insert_new, table_of

_NEW_ROW = (
    *STUDY_FACTS,
    "study_uid",
    "found_on",
    "last_seen_on",
    "updated_on",
    "state",
    "attempts",
    "priority",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a C-FIND response came to.

    Attributes
    ----------
    outcome
        `new`, when no PACS has answered the study before; `changed`, when it is not as it was, or
        is back; else `known`.
    again
        Whether who asks has met the study before, and heard something else of it.
    """

    study_uid: str
    outcome: str
    again: bool = False


@either
async def add_found_study(session: AsyncSession, dcm: DicomSource) -> StudyFind | None:
    """Record a study that a C-FIND response describes.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    dcm
        The response's identifier.

    Returns
    -------
    StudyFind | None
        None when the study is known already; it is left as it is.

    Raises
    ------
    InvalidDicom
        When the identifier has no Study Instance UID.
    """
    finding = dcm2study_finding(dcm)
    row = {name: getattr(finding, name) for name in _NEW_ROW} | {"peer": None}
    if not await _insert(session, [row]):
        return None
    await link_received(session, [finding.study_uid])
    return await StudyFind.by_uid(session, finding.study_uid)


@either
async def record_found(
    session: AsyncSession,
    identifiers: Iterable[Dataset | StudyAnswer],
    *,
    peer: str,
    keywords: Sequence[str] = (),
    since: datetime | None = None,
) -> list[Found]:
    """Record the studies of C-FIND responses, and refresh those that are known.

    What other PACSs have said of them is not touched. A study that is complete here, or was given
    up, is to be moved again when it has grown at this PACS, or when this one has not answered it
    before: what it has may be what no other has.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    identifiers
        The responses, read already or not; one without a Study Instance UID is passed over,
        several of one study count as one.
    peer
        The configured name of the PACS that answered.
    keywords
        Further attributes to keep, of those that it was asked for.
    since
        Pass over the studies of which this PACS has said the same since then (naive UTC): one find
        meets many of them several times.

    Returns
    -------
    list[Found]
        One for each distinct study that was not passed over, in the order in which they came.

    Raises
    ------
    DatabaseUnavailable
        As a conflict, when another session deletes rows that this one has just looked up.
    """
    answers = _distinct(identifiers, keywords)
    if not answers:
        return []
    peer = clean_text(peer)
    name = key_of(peer)
    seen = await last_seen(session, answers, peer=name)
    met: set[str] = set()
    if since is not None:
        met = {uid for uid in answers if (on := seen.get(uid)) is not None and on >= since}
        for uid in await _said_before(session, {uid: answers[uid] for uid in met}, peer=name):
            del answers[uid]
    uids = sorted(answers)
    now = utcnow()
    fresh = [_new_row(answers[uid], peer, now) for uid in uids if uid not in seen]
    new = await _insert(session, fresh)
    first = {key: facts_of(answers[uid]) for uid, key in new.items()}
    await add_sources(session, first, peer=name, on=now)
    known = [uid for uid in uids if uid not in new]
    changed = await _refresh(session, {uid: answers[uid] for uid in known}, peer=peer, now=now)
    await link_received(session, uids)
    outcomes = dict.fromkeys(known, "known") | dict.fromkeys(changed, "changed")
    return [
        Found(study_uid=uid, outcome=outcomes.get(uid, "new"), again=uid in met) for uid in answers
    ]


async def _said_before(
    session: AsyncSession, answers: Mapping[str, StudyAnswer], *, peer: str
) -> list[str]:
    """Return which answers say what this PACS has said of their studies already, by UID."""
    if not answers:
        return []
    said = await last_said(session, answers, peer=peer)
    return [
        uid for uid, before in said.items() if facts_of(answers[uid], before) == facts_of(before)
    ]


def _distinct(
    identifiers: Iterable[Dataset | StudyAnswer], keywords: Sequence[str]
) -> dict[str, StudyAnswer]:
    """Return one answer per study: the last, completed by what the earlier ones add."""
    answers: dict[str, StudyAnswer] = {}
    for identifier in identifiers:
        try:
            answer = (
                identifier
                if isinstance(identifier, StudyAnswer)
                else read_answer(identifier, keywords)
            )
        except InvalidDicom:
            continue
        first = answers.get(answer.study_uid)
        if first is not None:
            answer = replace(answer, **facts_of(answer, first))
        answers[answer.study_uid] = answer
    return answers


def _new_row(answer: StudyAnswer, peer: str, now: datetime) -> dict[str, Any]:
    times = dict.fromkeys(("found_on", "last_seen_on", "updated_on"), now)
    said = {name: getattr(answer, name) for name in ("study_uid", *STUDY_FACTS)}
    return {**said, **times, "state": PENDING, "attempts": 0, "priority": 0, "peer": peer}


async def _insert(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Insert the studies that are not there yet; return their keys by UID."""
    returned = await insert_new(
        session,
        table_of(StudyFind),
        rows,
        key=["study_uid"],
        returning=["study_uid", "id"],
        pages=VARIED,
    )
    return {str(uid): int(key) for uid, key in returned}


async def _refresh(
    session: AsyncSession, answers: Mapping[str, StudyAnswer], *, peer: str, now: datetime
) -> list[str]:
    """Bring known studies up to date; return the UIDs of those that changed."""
    if not answers:
        return []
    rows = await lock_studies(session, answers)
    if len(rows) < len(answers):
        raise DatabaseUnavailable("found studies were removed meanwhile", conflict=True)
    sources = await sources_of(session, [row.id for row in rows])
    name = key_of(clean_text(peer))
    counted = [row.study_uid for row in rows if _images_count(row, sources, name)]
    had = await count_images(session, counted)
    weighed: dict[int, Weighed] = {}
    for row in rows:
        study = StudyBefore(
            facts={fact: getattr(row, fact) for fact in STUDY_FACTS},
            complete=row.retrieved_on is not None,
            given_up=row.state in {PARTIAL, EMPTY, FAILED},
            here=had.get(row.study_uid, 0),
            sources=[one.answer for one in sources.get(row.id, ())],
        )
        weighed[row.id] = weigh(study, answers[row.study_uid], peer=name, now=now)
    await _write_sources(session, weighed, sources, rows, peer=name, now=now)
    await add_changes(session, {key: one.changes for key, one in weighed.items()})
    await _write_studies(session, weighed, rows, peer=peer, now=now)
    return [row.study_uid for row in rows if weighed[row.id].changed]


def _images_count(row: Row[Any], sources: Mapping[int, Sequence[SourceRow]], peer: str) -> bool:
    """Tell whether it matters how many images of a study are here."""
    several = {peer, *(one.answer.peer for one in sources.get(row.id, ()))}
    return row.retrieved_on is not None or len(several) > 1


async def _write_sources(
    session: AsyncSession,
    weighed: Mapping[int, Weighed],
    sources: Mapping[int, Sequence[SourceRow]],
    rows: Sequence[Row[Any]],
    *,
    peer: str,
    now: datetime,
) -> None:
    keys = {
        one.study_find_id: one.id
        for several in sources.values()
        for one in several
        if one.answer.peer == peer
    }
    first = {key: one for key, one in weighed.items() if one.first}
    # of a study that is complete, and of which no PACS was known, this one has what is here
    complete = {row.id for row in rows if row.retrieved_on is not None}
    verified = {key for key, one in first.items() if key in complete and not one.reopened}
    await add_sources(
        session,
        {key: one.facts for key, one in first.items()},
        verified,
        peer=peer,
        on=now,
        priorities={row.id: row.priority for row in rows},
        held={row.id: row.held_reason for row in rows if row.held_on is not None},
    )
    await refresh_sources(
        session,
        seen=keys.values(),
        said={keys[key]: one.facts for key, one in weighed.items() if one.otherwise},
        grown=[keys[key] for key, one in weighed.items() if key in keys and one.grown],
        on=now,
    )


async def _write_studies(
    session: AsyncSession,
    weighed: Mapping[int, Weighed],
    rows: Sequence[Row[Any]],
    *,
    peer: str,
    now: datetime,
) -> None:
    table = table_of(StudyFind)
    connection = await session.connection()
    await connection.execute(
        update(table)
        .where(among(session, StudyFind.id, sorted(weighed)))
        .values(peer=peer, last_seen_on=now, updated_on=now)
    )
    by_id = table.c.id == bindparam("row")
    drawn = [
        {"row": row.id, **{f"new_{name}": weighed[row.id].drawn[name] for name in STUDY_FACTS}}
        for row in rows
        if any(weighed[row.id].drawn[name] != getattr(row, name) for name in STUDY_FACTS)
    ]
    if drawn:
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in STUDY_FACTS}
        await connection.execute(update(table).where(by_id).values(**values), drawn)
    reopened = [key for key, one in sorted(weighed.items()) if one.reopened]
    these = among(session, StudyFind.id, reopened)
    if reopened:
        kept = case((table.c.retrieved_on.is_(None), table.c.last_error))  # of another PACS
        values = {**reopened_study(), "last_error": kept}
        await connection.execute(update(table).where(these).values(**values))
    stands = [key for key, one in weighed.items() if one.first or one.grown or one.changed]
    complete = await redraw_whole(session, {*stands, *reopened}, on=now)
    await record_complete(session, [row.study_uid for row in rows if row.id in complete])
    if reopened:
        as_new = update(table).where(these, table.c.state == PENDING).values(last_error=None)
        await connection.execute(as_new)
