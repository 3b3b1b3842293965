"""Studies are held, released and asked for again, in the tables.

A hold is a row's `held_on`: while it is set, whatever would make the study `pending` makes it
`held` (docs/moving.md has the transitions). One that names no PACS is of the study as well, for
those that find it later, and of all its sources: also of those that are verified, for when they are
opened again.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_or_none
from schema.hierarchy.sources import lock_studies
from schema.moving.senders import peer_key
from schema.standing.states import StudyEvent, StudyState, after
from schema.standing.whole import redraw_states
from schema.tables.columns import utcnow
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource, is_asked_for
from schema.tables.statements import among

_WAITING = (
    StudyState.PENDING,
    StudyState.PARTIAL,
    StudyState.EMPTY,
    StudyState.FAILED,
    StudyState.UNWANTED,
)
"""The states of what is asked for again when somebody wants that."""

_AS_NEW: Mapping[str, Any] = {
    "next_attempt_on": None,
    "given_up_on": None,
    "attempts": 0,
    "vain_attempts": 0,
}
"""The columns of a source whose attempts count from the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was decided, of how many studies.

    Attributes
    ----------
    changed
        Studies of which something is otherwise than before.
    unchanged
        The others, by the state in which they are.
    when_released
        Studies that were to be asked for again, and are held: they are due when they are released.
    """

    changed: int = 0
    unchanged: Mapping[str, int] = field(default_factory=dict)
    when_released: int = 0

    def __add__(self, other: "Decided") -> "Decided":
        unchanged = Counter(self.unchanged)
        unchanged.update(other.unchanged)
        return Decided(
            changed=self.changed + other.changed,
            unchanged=dict(unchanged),
            when_released=self.when_released + other.when_released,
        )


@either
async def hold_studies(
    session: AsyncSession,
    study_uids: Collection[str],
    *,
    peer: str | None = None,
    reason: str | None = None,
) -> Decided:
    """Do not ask for studies any more, until they are released or moved by name.

    What is on its way goes on. What is complete is left as it is. What is held already has been
    held since it was, for another reason where one is given.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    peer
        Only at this PACS; None means at any, also at those that find it later.
    reason
        Why, in words.
    """
    why, now = clean_or_none(reason), utcnow()
    because = {} if why is None else {"held_reason": why}
    rows = await _locked(session, study_uids)
    keys = {key for key, row in rows.items() if row.retrieved_on is None}
    free = [state.value for state in StudyState if after(state, StudyEvent.HOLD) is not state]
    changed = await _set_sources(
        session,
        keys,
        or_(
            StudySource.held_on.is_(None),
            StudySource.state.in_(free),
            *([] if why is None else [StudySource.held_reason.is_distinct_from(why)]),
        ),
        {"held_on": func.coalesce(StudySource.held_on, now), **because},
        peer=peer,
        event=StudyEvent.HOLD,
    )
    if peer is None:
        changed |= await _set_studies(
            session,
            keys,
            or_(
                StudyFind.held_on.is_(None),
                *([] if why is None else [StudyFind.held_reason.is_distinct_from(why)]),
            ),
            {"held_on": func.coalesce(StudyFind.held_on, now), **because},
        )
    return await _decided(session, rows, changed)


@either
async def release_studies(
    session: AsyncSession, study_uids: Collection[str], *, peer: str | None = None
) -> Decided:
    """Let studies that are held be asked for again at once, as if they never had been.

    Also those that are complete by now: so that nothing is held that is found of them later. At
    one PACS, the last that was held, the hold of the study itself ends as well.

    The parameters are those of `hold_studies`.
    """
    none = {"held_on": None, "held_reason": None}
    rows = await _locked(session, study_uids)
    held = or_(StudySource.held_on.is_not(None), StudySource.state == StudyState.HELD.value)
    changed = await _set_sources(
        session, rows, held, {**none, **_AS_NEW}, peer=peer, event=StudyEvent.RELEASE
    )
    of_study: ColumnElement[bool] = StudyFind.held_on.is_not(None)
    if peer is not None:
        left = select(StudySource.id).where(StudySource.study_find_id == StudyFind.id, held)
        of_study &= ~left.exists()
    freed = await _set_studies(session, rows if peer is None else changed, of_study, none)
    due = StudyFind.next_attempt_on.is_not(None)
    await _set_studies(session, changed, due, {"next_attempt_on": None})
    return await _decided(session, rows, changed | freed)


@either
async def retry_studies(
    session: AsyncSession, study_uids: Collection[str], *, peer: str | None = None
) -> Decided:
    """Let studies be asked for at once that wait, have failed, were given up or are unwanted.

    What is held stays so, and is due when it is released; what is complete, gone or on its way is
    left as it is. What is unwanted is judged again by whoever asks for it.
    """
    rows = await _locked(session, study_uids)
    keys = {key for key, row in rows.items() if row.retrieved_on is None}
    there = StudySource.verified_on.is_(None) & StudySource.gone_on.is_(None)
    waiting = StudySource.state.in_([state.value for state in _WAITING])
    unwanted = StudySource.state == StudyState.UNWANTED.value
    judged = {
        "policy": case((unwanted, None), else_=StudySource.policy),
        "last_error": case((unwanted, None), else_=StudySource.last_error),
    }
    changed = await _set_sources(
        session, keys, there & waiting, {**_AS_NEW, **judged}, peer=peer, event=StudyEvent.REOPENED
    )
    held = await _set_sources(
        session, keys, there & (StudySource.state == StudyState.HELD.value), _AS_NEW, peer=peer
    )
    known = select(StudySource.id).where(StudySource.study_find_id == StudyFind.id)
    alone = set(
        await session.scalars(
            select(StudyFind.id).where(among(session, StudyFind.id, sorted(keys)), ~known.exists())
        )
    )
    held |= {key for key in alone if rows[key].held_on is not None}
    changed |= alone - held
    await _set_studies(session, changed, true(), {"next_attempt_on": None})
    return await _decided(session, rows, changed, held=held)


async def _locked(session: AsyncSession, study_uids: Collection[str]) -> Mapping[int, Any]:
    return {row.id: row for row in await lock_studies(session, study_uids)}


async def _set_sources(
    session: AsyncSession,
    keys: Collection[int],
    where: ColumnElement[bool],
    values: Mapping[str, Any],
    *,
    peer: str | None,
    event: StudyEvent | None = None,
) -> set[int]:
    """Write sources of studies, to which something happens; return the keys of the studies."""
    sources = update(StudySource).where(
        among(session, StudySource.study_find_id, sorted(keys)), where
    )
    if peer is not None:
        sources = sources.where(StudySource.peer == peer_key(peer))
    following = {} if event is None else {"state": _following(event)}
    done = await session.scalars(
        sources.values(**values, **following)
        .returning(StudySource.study_find_id)
        .execution_options(synchronize_session=False)
    )
    return set(done)


async def _set_studies(
    session: AsyncSession,
    keys: Collection[int],
    where: ColumnElement[bool],
    values: Mapping[str, Any],
) -> set[int]:
    """Write studies; return the keys of those that were."""
    done = await session.scalars(
        update(StudyFind)
        .where(among(session, StudyFind.id, sorted(keys)), where)
        .values(**values, updated_on=utcnow())
        .returning(StudyFind.id)
        .execution_options(synchronize_session=False)
    )
    return set(done)


async def _decided(
    session: AsyncSession,
    rows: Mapping[int, Any],
    changed: Collection[int],
    *,
    held: Collection[int] = (),
) -> Decided:
    """Draw the states of what has changed, and count."""
    await redraw_states(session, changed)
    waiting = {*held} - {*changed}
    left = [row.state for key, row in rows.items() if key not in {*changed, *waiting}]
    return Decided(changed=len(changed), unchanged=dict(Counter(left)), when_released=len(waiting))


def _following(event: StudyEvent) -> ColumnElement[str]:
    """Return the state that follows, as an expression.

    What would be `pending` is claimed already where an attempt is under way.
    """
    follows: Sequence[tuple[ColumnElement[bool], ColumnElement[str] | str]] = [
        (StudySource.state == state.value, _unless_asked_for(then))
        for state in StudyState
        if (then := after(state, event)) is not state or then is StudyState.PENDING
    ]
    return case(*follows, else_=StudySource.state)


def _unless_asked_for(state: StudyState) -> ColumnElement[str] | str:
    if state is not StudyState.PENDING:
        return state.value
    return case((is_asked_for(), after(state, StudyEvent.CLAIMED).value), else_=state.value)
