"""The state of a study, drawn from where it stands at each of its sources."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, and_, bindparam, case, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.standing.states import StudyState
from schema.tables.ledger import MoveAttempt
from schema.tables.models import PENDING, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among, table_of

_FIRST = (
    StudyState.SETTLING,
    StudyState.MOVING,
    StudyState.HELD,
    StudyState.PARTIAL,
    StudyState.FAILED,
    StudyState.EMPTY,
    StudyState.PENDING,
)
"""Of several sources where something is open, the state that the study has: the first of these."""

_WEAKEST = ("stable", "counted", "listed")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStand:
    """Where a study stands at one source; as the columns of `study_sources`."""

    state: StudyState
    verified: bool
    gone: bool
    due: datetime | None = None
    given_up: bool = False
    evidence: str | None = None
    told: int | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Where a study stands.

    Attributes
    ----------
    complete
        Whether all that its sources have is verified to be here.
    due
        When any of them may be asked; None is at any time, or never.
    evidence
        The weakest that it rests on.
    policy
        Under which it is complete; None where all that there is is here.
    """

    state: StudyState
    complete: bool
    due: datetime | None = None
    evidence: str | None = None
    policy: str | None = None


def whole(sources: Sequence[SourceStand]) -> Whole:
    """Draw where a study stands; its sources are at least one."""
    live = [one for one in sources if not one.gone]
    unwanted = [one for one in live if one.state is StudyState.UNWANTED]
    left = [one for one in live if not one.verified and one not in unwanted]
    verified = [one for one in sources if one.verified]
    if verified and not left:
        evidence = [one.evidence for one in verified if one.evidence]
        weakest = next((one for one in _WEAKEST if one in evidence), None)
        policies = [one.policy for one in (*verified, *unwanted) if one.policy]
        return Whole(
            state=StudyState.RETRIEVED,
            complete=True,
            evidence=weakest,
            policy=policies[0] if policies else None,
        )
    if unwanted and not left:
        return Whole(state=StudyState.UNWANTED, complete=False)
    if not live:
        return Whole(state=StudyState.GONE, complete=False)
    states = {one.state for one in left}
    state = next((one for one in _FIRST if one in states), StudyState.PENDING)
    if state is StudyState.PENDING and verified:
        state = StudyState.PARTIAL
    waiting = [one.due for one in left if not one.given_up]
    due = None if None in waiting else min((one for one in waiting if one), default=None)
    return Whole(state=state, complete=False, due=due)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A study that is to be drawn anew after an attempt.

    Attributes
    ----------
    study
        Its key.
    attempts
        How many more there have been.
    error
        Why it is not whole.
    expected, here
        How many images the PACS that was asked has, where that is known; and how many are here.
    complete, evidence, state, due
        What the attempt came to: what counts where no PACS is known to have the study.
    """

    study: int
    attempts: int
    error: str | None
    expected: int | None
    here: int
    complete: bool
    evidence: str | None
    state: StudyState
    due: datetime | None


async def draw_studies(
    session: AsyncSession, studies: Sequence[Drawn], *, on: datetime
) -> set[int]:
    """Draw studies anew from their sources, after attempts to move them.

    Parameters
    ----------
    on
        Naive UTC. What is retrieved already stays so since when it was.

    Returns
    -------
    set[int]
        The keys of those of which all is here.
    """
    if not studies:
        return set()
    standings = await standings_of(session, [one.study for one in studies])
    rows: list[dict[str, Any]] = []
    for one in sorted(studies, key=lambda one: one.study):
        sources = standings.get(one.study, [])
        drawn = (
            whole(sources)
            if sources
            else Whole(state=one.state, complete=one.complete, due=one.due, evidence=one.evidence)
        )
        expected = one.expected
        if expected is not None and len(sources) > 1:
            said = [source.told or 0 for source in sources if not source.gone]
            expected = max(expected, *said, one.here if drawn.complete else 0)
        rows.append(
            {
                "row": one.study,
                "new_state": drawn.state.value,
                "more": one.attempts,
                "error": None if drawn.complete else one.error,
                "due": drawn.due,
                "images": expected,
                "since": on if drawn.complete else None,
                "basis": drawn.evidence,
                "under": drawn.policy,
            }
        )
    table = table_of(StudyFind)
    images = bindparam("images", type_=table.c.expected_images.type)
    since = bindparam("since", type_=table.c.retrieved_on.type)
    connection = await session.connection()
    await connection.execute(
        update(table)
        .where(table.c.id == bindparam("row"))
        .values(
            state=bindparam("new_state"),
            attempts=table.c.attempts + bindparam("more"),
            last_error=bindparam("error"),
            next_attempt_on=bindparam("due", type_=table.c.next_attempt_on.type),
            expected_images=case((images.is_(None), table.c.expected_images), else_=images),
            retrieved_on=case(
                (since.is_(None), None),
                (table.c.retrieved_on.is_not(None), table.c.retrieved_on),
                else_=since,
            ),
            evidence=bindparam("basis"),
            policy=bindparam("under", type_=table.c.policy.type),
            updated_on=on,
        ),
        rows,
    )
    return {row["row"] for row in rows if row["since"] is not None}


async def redraw_states(session: AsyncSession, study_ids: Collection[int]) -> None:
    """Draw the states of studies anew from their sources, where they are not retrieved."""
    await _write_states(session, await standings_of(session, study_ids), study_ids)


async def redraw_whole(
    session: AsyncSession, study_ids: Collection[int], *, on: datetime
) -> set[int]:
    """Draw anew where studies stand that are not retrieved: their sources alone have changed.

    Parameters
    ----------
    on
        Naive UTC.

    Returns
    -------
    set[int]
        The keys of those of which all is here by now, and was not before.
    """
    if not study_ids:
        return set()
    table = table_of(StudyFind)
    not_here = among(session, StudyFind.id, sorted(study_ids)) & StudyFind.retrieved_on.is_(None)
    query = select(StudyFind.id, StudyFind.state, StudyFind.next_attempt_on).where(not_here)
    stood = {key: (state, due) for key, state, due in await session.execute(query)}
    standings = await standings_of(session, stood)
    drawn = {key: whole(sources) for key, sources in sorted(standings.items())}
    same = {key for key, one in drawn.items() if (one.state.value, one.due) == stood[key]}
    await _write_states(session, standings, stood.keys() - same)
    due = [{"row": key, "due": one.due} for key, one in drawn.items() if key not in same]
    complete = {
        key: {"row": key, "basis": one.evidence, "under": one.policy}
        for key, one in drawn.items()
        if one.complete
    }
    connection = await session.connection()
    these = update(table).where(table.c.id == bindparam("row"))
    if due:
        next_on = bindparam("due", type_=table.c.next_attempt_on.type)
        await connection.execute(these.values(next_attempt_on=next_on), due)
    if complete:
        values: dict[str, Any] = {"retrieved_on": on, "updated_on": on, "last_error": None}
        values["evidence"] = bindparam("basis", type_=table.c.evidence.type)
        values["policy"] = bindparam("under", type_=table.c.policy.type)
        await connection.execute(these.values(**values), list(complete.values()))
    return set(complete)


async def _write_states(
    session: AsyncSession,
    standings: Mapping[int, Sequence[SourceStand]],
    study_ids: Collection[int],
) -> None:
    rows = [
        {
            "row": key,
            "new_state": whole(standings[key]).state.value if key in standings else PENDING,
            "alone": key not in standings,
        }
        for key in sorted(study_ids)
    ]
    if rows:
        table = table_of(StudyFind)
        connection = await session.connection()
        await connection.execute(
            update(table)
            .where(table.c.id == bindparam("row"), table.c.retrieved_on.is_(None))
            .values(
                state=case(
                    (
                        and_(bindparam("alone", type_=Boolean()), table.c.held_on.is_not(None)),
                        StudyState.HELD.value,
                    ),
                    (
                        and_(bindparam("alone", type_=Boolean()), _is_asked_for()),
                        StudyState.MOVING.value,
                    ),
                    else_=bindparam("new_state", type_=table.c.state.type),
                )
            ),
            rows,
        )


def _is_asked_for() -> ColumnElement[bool]:
    attempt = exists().where(
        MoveAttempt.study_find_id == StudyFind.id, MoveAttempt.ended_on.is_(None)
    )
    return attempt.correlate(StudyFind)


async def standings_of(
    session: AsyncSession, study_ids: Collection[int]
) -> dict[int, list[SourceStand]]:
    """Return where studies stand at each of their sources, by their keys."""
    query = select(
        StudySource.study_find_id,
        StudySource.state,
        StudySource.verified_on,
        StudySource.gone_on,
        StudySource.next_attempt_on,
        StudySource.given_up_on,
        StudySource.evidence,
        StudySource.expected_images,
        StudySource.policy,
    ).where(among(session, StudySource.study_find_id, sorted(study_ids)))
    found: dict[int, list[SourceStand]] = {}
    for row in await session.execute(query):
        study, state, verified, gone, due, given_up, evidence, told, policy = row
        found.setdefault(study, []).append(
            SourceStand(
                state=StudyState(state),
                verified=verified is not None,
                gone=gone is not None,
                due=due,
                given_up=given_up is not None,
                evidence=evidence,
                told=told,
                policy=policy,
            )
        )
    return found
