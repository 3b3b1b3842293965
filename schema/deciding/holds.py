"""Studies are held, released and asked for again, in the tables.

A hold is a row's `held_on`: while it is set, whatever would make the study `pending` makes it
`held` (docs/moving.md has the transitions). One that names no PACS is for those that find the study
later, too.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_or_none
from schema.hierarchy.sources import lock_studies
from schema.moving.senders import peer_key
from schema.moving.states import StudyEvent, StudyState, after
from schema.moving.whole import redraw_states
from schema.tables.columns import utcnow
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was decided, of how many studies.

    Attributes
    ----------
    changed
        Studies of which something is otherwise than before.
    unchanged
        The others, by the state in which they are.
    """

    changed: int = 0
    unchanged: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Decided") -> "Decided":
        unchanged = Counter(self.unchanged)
        unchanged.update(other.unchanged)
        return Decided(changed=self.changed + other.changed, unchanged=dict(unchanged))


@either
async def hold_studies(
    session: AsyncSession,
    study_uids: Collection[str],
    *,
    peer: str | None = None,
    reason: str | None = None,
) -> Decided:
    """Do not ask for studies any more, until they are released or moved by name.

    What is on its way goes on. What is complete is left as it is.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    peer
        Only at this PACS; None means at any, also at those that find it later.
    reason
        Why, in words.
    """
    values = {"held_on": utcnow(), "held_reason": clean_or_none(reason)}
    return await _decide(
        session,
        study_uids,
        peer=peer,
        event=StudyEvent.HOLD,
        where=StudySource.verified_on.is_(None),
        values=values,
        of_study=None if peer else {**values, "state": StudyState.HELD.value},
    )


@either
async def release_studies(
    session: AsyncSession, study_uids: Collection[str], *, peer: str | None = None
) -> Decided:
    """Let studies that are held be asked for again; parameters as those of `hold_studies`."""
    values = {"held_on": None, "held_reason": None}
    return await _decide(
        session,
        study_uids,
        peer=peer,
        event=StudyEvent.RELEASE,
        where=or_(StudySource.held_on.is_not(None), StudySource.state == StudyState.HELD.value),
        values=values,
        of_study=None if peer else values,
    )


@either
async def retry_studies(
    session: AsyncSession, study_uids: Collection[str], *, peer: str | None = None
) -> Decided:
    """Let studies be asked for at once that wait, have failed or were given up.

    What is held stays so; what is complete, gone or on its way is left as it is.
    """
    values = {"next_attempt_on": None, "given_up_on": None, "attempts": 0, "vain_attempts": 0}
    waiting = (StudyState.PENDING, StudyState.PARTIAL, StudyState.EMPTY, StudyState.FAILED)
    return await _decide(
        session,
        study_uids,
        peer=peer,
        event=StudyEvent.REOPENED,
        where=StudySource.verified_on.is_(None)
        & StudySource.gone_on.is_(None)
        & StudySource.state.in_([state.value for state in waiting]),
        values=values,
        of_study={"next_attempt_on": None},
    )


async def _decide(
    session: AsyncSession,
    study_uids: Collection[str],
    *,
    peer: str | None,
    event: StudyEvent,
    where: ColumnElement[bool],
    values: Mapping[str, Any],
    of_study: Mapping[str, Any] | None,
) -> Decided:
    """Let something happen to the sources of studies, where that makes a difference.

    Parameters
    ----------
    where
        Which sources.
    values, of_study
        Columns of these, and of the studies; None: of the studies nothing.
    """
    rows = {row.id: row for row in await lock_studies(session, study_uids)}
    sources = update(StudySource).where(
        among(session, StudySource.study_find_id, sorted(rows)), where
    )
    if peer is not None:
        sources = sources.where(StudySource.peer == peer_key(peer))
    changed = set(
        await session.scalars(
            sources.values(**values, state=_following(event))
            .returning(StudySource.study_find_id)
            .execution_options(synchronize_session=False)
        )
    )
    if of_study is not None:
        open_ones = [key for key, row in rows.items() if row.retrieved_on is None]
        known = select(StudySource.id).where(StudySource.study_find_id == StudyFind.id)
        studies = update(StudyFind).where(
            among(session, StudyFind.id, open_ones),
            or_(~known.exists(), among(session, StudyFind.id, sorted(changed))),
        )
        changed |= set(
            await session.scalars(
                studies.values(**of_study, updated_on=utcnow())
                .returning(StudyFind.id)
                .execution_options(synchronize_session=False)
            )
        )
    await redraw_states(session, changed)
    left = Counter(row.state for key, row in rows.items() if key not in changed)
    return Decided(changed=len(changed), unchanged=dict(left))


def _following(event: StudyEvent) -> ColumnElement[str]:
    """Return the state that follows, as an expression."""
    follows: Sequence[tuple[ColumnElement[bool], str]] = [
        (StudySource.state == state.value, after(state, event).value)
        for state in StudyState
        if after(state, event) is not state
    ]
    return case(*follows, else_=StudySource.state)
