"""What is due is given to one who tells it, and what became of that is taken down.

Who has taken a delivery has it for a while: when nothing is heard of it by then, its process has
died, and it is another's. So an event is told at least once, and by one at a time. All moments are
of the clock that the nodes share (`schema.tables.statements.shared_now`).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.header.values import clean_or_none
from schema.tables.columns import CLOCKS_DIFFER
from schema.tables.outbox.deliveries import DeliveryState, EventDelivery
from schema.tables.outbox.events import RecordedEvent
from schema.tables.statements import among, shared_now

_AT_ONCE = 1000
"""Rows that are deleted in one statement."""

_STRANGE = timedelta(days=30)
"""How long what waits for a hook that is not in the configuration is kept: it may be another
node's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Who tells: a node's AE title, its process, and which of that number; as in `cycles`."""

    node: str
    pid: int
    process: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """An event that is to be told to a hook.

    Attributes
    ----------
    attempts
        How often it was tried, this one included.
    data
        Of the event.
    created_on, claimed_on
        When the event was recorded, and when it was taken to be told: naive UTC.
    """

    id: int
    hook: str
    attempts: int
    uuid: str
    kind: str
    created_on: datetime
    claimed_on: datetime
    data: Mapping[str, Any]


async def due_hooks(session: AsyncSession, hooks: Collection[str]) -> dict[str, int]:
    """Return for which of these hooks something is due now, and how much."""
    query = (
        select(EventDelivery.hook, func.count())
        .where(*_due(session, hooks, await shared_now(session)))
        .group_by(EventDelivery.hook)
    )
    return dict((await session.execute(query)).all())


async def claim_deliveries(
    session: AsyncSession, hook: str, *, most: int, worker: Teller, lease: float
) -> list[DueDelivery]:
    """Take what is due for a hook: what others have taken is passed over.

    Parameters
    ----------
    most
        How many at most.
    lease
        Seconds after which it is another's, when nothing is heard of it.
    """
    now = await shared_now(session)
    chosen = await session.scalars(
        select(EventDelivery.id)
        .where(*_due(session, [hook], now))
        .order_by(EventDelivery.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    keys = list(chosen)
    if not keys:
        return []
    await session.execute(
        update(EventDelivery)
        .where(among(session, EventDelivery.id, keys))
        .values(
            state=DeliveryState.RUNNING.value,
            attempts=EventDelivery.attempts + 1,
            next_on=now + timedelta(seconds=lease),
            started_on=now,
            node=worker.node,
            pid=worker.pid,
            process=worker.process,
        )
        .execution_options(synchronize_session=False)
    )
    query = (
        select(
            EventDelivery.id,
            EventDelivery.hook,
            EventDelivery.attempts,
            RecordedEvent.uuid,
            RecordedEvent.kind,
            RecordedEvent.created_on,
            RecordedEvent.data,
        )
        .join(RecordedEvent, RecordedEvent.id == EventDelivery.event_id)
        .where(among(session, EventDelivery.id, keys))
        .order_by(RecordedEvent.id)
    )
    return [
        DueDelivery(**{**row, "claimed_on": now, "data": row["data"] or {}})
        for row in (await session.execute(query)).mappings()
    ]


async def settle_delivery(
    session: AsyncSession,
    one: DueDelivery,
    *,
    worker: Teller,
    again_in: float | None,
    reason: str = "",
    code: int | None = None,
    output: str = "",
    seconds: float | None = None,
) -> bool:
    """Take down what became of a delivery, unless it is another's by now.

    Parameters
    ----------
    reason
        Why it was not taken; empty when it was.
    again_in
        Seconds after which it is told again; None: it was taken, or is given up.
    code, output, seconds
        See `EventDelivery`.

    Returns
    -------
    bool
        Whether it was still ours.
    """
    state = DeliveryState.WAITING
    if again_in is None:
        state = DeliveryState.FAILED if reason else DeliveryState.DONE
    now = await shared_now(session)
    settled = await session.scalars(
        update(EventDelivery)
        .where(
            EventDelivery.id == one.id,
            EventDelivery.attempts == one.attempts,
            EventDelivery.node == worker.node,
            EventDelivery.pid == worker.pid,
            EventDelivery.done_on.is_(None),
        )
        .values(
            state=state.value,
            next_on=now + timedelta(seconds=again_in or 0),
            done_on=now if again_in is None else None,
            reason=clean_or_none(reason),
            code=code,
            output=clean_or_none(output),
            seconds=seconds,
        )
        .returning(EventDelivery.id)
        .execution_options(synchronize_session=False)
    )
    return bool(settled.all())


async def release_deliveries(
    session: AsyncSession, node: str, *, alive: Callable[[int, str | None], bool | None]
) -> int:
    """Let go of what processes of a node had taken that have died; return how many there were.

    Parameters
    ----------
    alive
        Tells whether a process runs; None: nobody can say, and its time has to run out.
    """
    running = select(EventDelivery.id, EventDelivery.pid, EventDelivery.process).where(
        EventDelivery.done_on.is_(None),
        EventDelivery.state == DeliveryState.RUNNING.value,
        EventDelivery.node == node,
    )
    dead = [
        key
        for key, pid, process in await session.execute(running)
        if pid is None or alive(pid, process) is False
    ]
    await _let_go(session, dead)
    return len(dead)


async def give_back(session: AsyncSession, deliveries: Collection[int]) -> None:
    """Let go of deliveries that were broken off: they are told again, by whoever is there next."""
    await _let_go(session, deliveries)


async def _let_go(session: AsyncSession, deliveries: Collection[int]) -> None:
    if not deliveries:
        return
    await session.execute(
        update(EventDelivery)
        .where(
            among(session, EventDelivery.id, sorted(deliveries)),
            EventDelivery.done_on.is_(None),
        )
        .values(state=DeliveryState.WAITING.value, next_on=await shared_now(session))
        .execution_options(synchronize_session=False)
    )


async def expire_deliveries(session: AsyncSession, keep: Mapping[str, float]) -> int:
    """Delete what was taken or given up long ago, and the events that nobody waits for any more.

    What waits for a hook that is not in the configuration is deleted after thirty days.

    Parameters
    ----------
    keep
        For how many seconds, by hook.

    Returns
    -------
    int
        How many deliveries were deleted.
    """
    now, count = await shared_now(session), 0
    old: list[ColumnElement[bool]] = [
        (EventDelivery.hook == hook) & (EventDelivery.done_on < now - timedelta(seconds=kept))
        for hook, kept in sorted(keep.items())
    ]
    strange = select(EventDelivery.id).join(
        RecordedEvent, RecordedEvent.id == EventDelivery.event_id
    )
    old.append(
        EventDelivery.id.in_(
            strange.where(
                EventDelivery.hook.not_in(sorted(keep)),
                RecordedEvent.created_on < now - _STRANGE,
            )
        )
    )
    for condition in old:
        keys = select(EventDelivery.id).where(condition).limit(_AT_ONCE)
        gone = await session.scalars(
            delete(EventDelivery)
            .where(EventDelivery.id.in_(keys.scalar_subquery()))
            .returning(EventDelivery.event_id)
            .execution_options(synchronize_session=False)
        )
        events = gone.all()
        count += len(events)
        waited_for = exists().where(EventDelivery.event_id == RecordedEvent.id)
        await session.execute(
            delete(RecordedEvent)
            .where(among(session, RecordedEvent.id, sorted(set(events))), ~waited_for)
            .execution_options(synchronize_session=False)
        )
    return count


def _due(session: AsyncSession, hooks: Collection[str], now: datetime) -> tuple[Any, ...]:
    # what waits since a moment to come, the clock has been set back since
    since = func.coalesce(EventDelivery.started_on, EventDelivery.next_on)
    waits = EventDelivery.state == DeliveryState.WAITING.value
    return (
        among(session, EventDelivery.hook, sorted(hooks)),
        EventDelivery.done_on.is_(None),
        or_(EventDelivery.next_on <= now, and_(waits, since > now + CLOCKS_DIFFER)),
    )
