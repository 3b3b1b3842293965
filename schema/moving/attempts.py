"""Attempts as rows: begun when a study is claimed, and ended with what became of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_or_none
from schema.moving.evidence import StudyVerdict
from schema.moving.listing import Listing
from schema.moving.patience import FailureKind
from schema.moving.senders import peer_key
from schema.standing.states import StudyEvent, StudyState, after
from schema.standing.whole import redraw_states
from schema.tables.columns import utcnow
from schema.tables.ledger import MoveAttempt
from schema.tables.models import Image, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among, table_of

if TYPE_CHECKING:
    from schema.record import ImageRecord

KEPT = 1000
"""SOP Instance UIDs that an attempt keeps of what failed, and of what is missing."""

WHOLE_STUDY = "STUDY"
"""The level of an attempt that asked for all of a study."""

INTERRUPTED = "interrupted"
"""The outcome of an attempt that has come to no verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptAnswer:
    """What a PACS has answered to an attempt; the attributes are columns of `move_attempts`."""

    started_on: datetime | None = None
    level: str | None = None
    requested: int | None = None
    requests: int | None = None
    status: int | None = None
    comment: str | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    remaining: int | None = None
    failed_uids: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAttempt:
    """An attempt that is at its end, and is to be judged.

    Attributes
    ----------
    attempt_id
        As `begin_attempts` has returned it.
    kind
        How it has gone.
    message, impersonal
        What went wrong, in words; "" when nothing did. And the same without the PACS's own words.
    before
        How many images of the study were here when it began.
    listing, listed_on
        What the PACS listed of it, and when (naive UTC).
    """

    attempt_id: int
    study_uid: str
    answered: AttemptAnswer = AttemptAnswer()
    kind: FailureKind = FailureKind.NONE
    message: str = ""
    impersonal: str = ""
    before: int = 0
    listing: Listing | None = None
    listed_on: datetime | None = None


async def begin_attempts(
    session: AsyncSession,
    study_uids: Collection[str],
    *,
    peer: str,
    cycle_id: int | None,
    node: str,
    method: str = "C-MOVE",
) -> dict[str, int]:
    """Begin attempts to move studies from a PACS; return their keys, by Study Instance UID.

    Those that nobody has found are passed over.
    """
    name = peer_key(peer)
    query = (
        select(StudyFind.id, StudyFind.study_uid)
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
        .order_by(StudyFind.study_uid)
        .with_for_update(key_share=True)
    )
    uids = dict((await session.execute(query)).all())
    if not uids:
        return {}
    await _set_states(session, uids, StudyEvent.CLAIMED, peer=name)
    await session.execute(
        update(StudyFind)
        .where(among(session, StudyFind.id, sorted(uids)), StudyFind.retrieved_on.is_(None))
        .values(state=StudyState.MOVING.value)
        .execution_options(synchronize_session=False)
    )
    now = utcnow()
    connection = await session.connection()
    table = table_of(MoveAttempt)
    begun = await connection.execute(
        insert(table).returning(table.c.study_find_id, table.c.id),
        [
            {
                "study_find_id": key,
                "peer": name,
                "cycle_id": cycle_id,
                "node": node,
                "method": method,
                "claimed_on": now,
            }
            for key in uids
        ],
    )
    return {uids[study]: key for study, key in begun}


async def note_answers(session: AsyncSession, answers: Mapping[int, datetime]) -> None:
    """Note that PACSs have answered attempts, which began then: what is on its way is waited for.

    Parameters
    ----------
    answers
        By the attempt's key.
    """
    if not answers:
        return
    table = table_of(MoveAttempt)
    connection = await session.connection()
    await connection.execute(
        update(table).where(table.c.id == bindparam("row")).values(started_on=bindparam("since")),
        [{"row": key, "since": since} for key, since in sorted(answers.items())],
    )
    of_them = select(StudySource.id).join(
        MoveAttempt,
        (MoveAttempt.study_find_id == StudySource.study_find_id)
        & (MoveAttempt.peer == StudySource.peer),
    )
    await session.execute(
        update(StudySource)
        .where(
            StudySource.id.in_(of_them.where(among(session, MoveAttempt.id, sorted(answers)))),
            StudySource.state == StudyState.MOVING.value,
        )
        .values(state=after(StudyState.MOVING, StudyEvent.ANSWERED).value)
        .execution_options(synchronize_session=False)
    )


async def end_attempts(
    session: AsyncSession, ended: Sequence[tuple[EndedAttempt, StudyVerdict, Mapping[str, Any]]]
) -> None:
    """End attempts with their verdicts.

    Parameters
    ----------
    ended
        Each with further columns.
    """
    if not ended:
        return
    now = utcnow()
    rows = []
    for one, verdict, more in ended:
        row = {field.name: getattr(one.answered, field.name) for field in fields(AttemptAnswer)}
        row |= {
            "comment": clean_or_none(one.answered.comment),
            "failed_uids": _some(one.answered.failed_uids),
            "refused": _some(one.answered.refused),
            "failure": one.kind.value,
            "message": clean_or_none(
                "; ".join(filter(None, (verdict.reason, one.message))) or None
            ),
            "expected": verdict.expected,
            "missing": _some(sorted(verdict.missing)),
            "evidence": None if verdict.basis is None else verdict.basis.value,
            "ended_on": now,
            **more,
        }
        rows.append({"row": one.attempt_id} | {f"new_{name}": row[name] for name in row})
    table = table_of(MoveAttempt)
    names = [name.removeprefix("new_") for name in rows[0] if name != "row"]
    values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    connection = await session.connection()
    await connection.execute(
        update(table).where(table.c.id == bindparam("row")).values(values), rows
    )


@either
async def interrupt_attempts(
    session: AsyncSession, *, attempt_ids: Collection[int] = (), cycle_ids: Collection[int] = ()
) -> int:
    """End attempts that will come to no verdict, and let their studies be asked for again.

    What has come for them is counted all the same: it was moved.

    Parameters
    ----------
    attempt_ids, cycle_ids
        These, or those of these cycles that have not ended.

    Returns
    -------
    int
        How many there were.
    """
    these = among(session, MoveAttempt.id, sorted(attempt_ids))
    if cycle_ids:
        these = among(session, MoveAttempt.cycle_id, sorted(cycle_ids))
    done = await session.execute(
        update(MoveAttempt)
        .where(these, MoveAttempt.ended_on.is_(None))
        .values(ended_on=utcnow(), outcome=INTERRUPTED)
        .returning(MoveAttempt.study_find_id, MoveAttempt.peer, MoveAttempt.id)
        .execution_options(synchronize_session=False)
    )
    studies: dict[str, set[int]] = {}
    ended: dict[int, int] = {}
    for study, peer, attempt in done.all():
        studies.setdefault(peer, set()).add(study)
        ended[attempt] = study
    await _count_came(session, ended)
    for peer, keys in sorted(studies.items()):
        await _set_states(session, keys, StudyEvent.LET_GO, peer=peer)
    keys = set().union(*studies.values()) if studies else set()
    await redraw_states(session, keys)
    return len(keys)


async def _count_came(session: AsyncSession, studies: Mapping[int, int]) -> None:
    """Note what has come for attempts without a verdict: the studies, by the attempts' keys."""
    if not studies:
        return
    of_them = select(StudyFind.study_uid).where(
        among(session, StudyFind.id, sorted(set(studies.values())))
    )
    uids = sorted(await session.scalars(of_them))  # by their index, however many images there are
    query = (
        select(
            Image.attempt_id,
            func.count(),
            func.coalesce(func.sum(Image.size), 0),
            func.min(Image.received_on),
        )
        .where(
            among(session, Image.study_uid, uids), among(session, Image.attempt_id, sorted(studies))
        )
        .group_by(Image.attempt_id)
        .order_by(Image.attempt_id)
    )
    for attempt, images, size, first in (await session.execute(query)).all():
        if attempt is not None:
            await _add_came(session, attempt, images=images, size=int(size or 0), first=first)


async def count_late(session: AsyncSession, records: "Iterable[ImageRecord]") -> None:
    """Count new images for attempts that have ended without a verdict before these were indexed."""
    late: dict[int, list[ImageRecord]] = {}
    for record in records:
        if record.attempt_id is not None:
            late.setdefault(record.attempt_id, []).append(record)
    if not late:
        return
    query = select(MoveAttempt.id).where(
        among(session, MoveAttempt.id, sorted(late)), MoveAttempt.outcome == INTERRUPTED
    )
    for attempt in await session.scalars(query):
        images = late[attempt]
        size = sum(one.size or 0 for one in images)
        first = min((one.received_on for one in images if one.received_on), default=None)
        await _add_came(session, attempt, images=len(images), size=size, first=first)


async def _add_came(
    session: AsyncSession, attempt: int, *, images: int, size: int, first: datetime | None
) -> None:
    """Add what has come to an attempt that has ended without a verdict: so its PACS was asked."""
    asked = case((MoveAttempt.ended_on > first, first), else_=MoveAttempt.ended_on)
    await session.execute(
        update(MoveAttempt)
        .where(MoveAttempt.id == attempt, MoveAttempt.outcome == INTERRUPTED)
        .values(
            arrived=func.coalesce(MoveAttempt.arrived, 0) + images,
            arrived_bytes=func.coalesce(MoveAttempt.arrived_bytes, 0) + size,
            started_on=func.coalesce(MoveAttempt.started_on, asked),
        )
        .execution_options(synchronize_session=False)
    )


async def _set_states(
    session: AsyncSession, study_ids: Collection[int], event: StudyEvent, *, peer: str
) -> None:
    """Let something happen to studies at a PACS."""
    becoming: dict[StudyState, list[StudyState]] = {}
    for state in StudyState:
        if (follows := after(state, event)) is not state:
            becoming.setdefault(follows, []).append(state)
    for follows, states in becoming.items():
        await session.execute(
            update(StudySource)
            .where(
                among(session, StudySource.study_find_id, sorted(study_ids)),
                StudySource.peer == peer,
                StudySource.state.in_([state.value for state in states]),
            )
            .values(state=follows.value)
            .execution_options(synchronize_session=False)
        )


def _some(values: Sequence[str]) -> list[str] | None:
    return [*values[:KEPT]] or None
