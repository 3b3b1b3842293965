"""What was told, what waits and what failed: for who looks at it, or wants it told again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.tables.outbox.deliveries import DeliveryState, EventDelivery
from schema.tables.outbox.events import RecordedEvent
from schema.tables.statements import among, shared_now


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySummary:
    """An event that a hook is told, was told, or was not; as the columns of the two tables.

    Attributes
    ----------
    id
        Of the delivery.
    uuid
        Of the event.
    """

    id: int
    hook: str
    state: str
    attempts: int
    next_on: datetime | None
    started_on: datetime | None
    done_on: datetime | None
    node: str | None
    code: int | None
    reason: str | None
    seconds: float | None
    output: str | None
    uuid: str
    kind: str
    created_on: datetime
    data: Mapping[str, Any]


@either
async def recent_deliveries(
    session: AsyncSession,
    *,
    hook: str | None = None,
    state: str | None = None,
    limit: int = 20,
) -> list[DeliverySummary]:
    """Return what was and is told, the latest first.

    Parameters
    ----------
    hook, state
        Only to this hook; only what is `waiting`, `running`, `done` or `failed`.
    """
    query = _summaries()
    if hook is not None:
        query = query.where(EventDelivery.hook == hook)
    if state is not None:
        query = query.where(EventDelivery.state == state)
    return await _read(session, query.order_by(EventDelivery.id.desc()).limit(limit))


@either
async def get_deliveries(
    session: AsyncSession, deliveries: Collection[int]
) -> list[DeliverySummary]:
    """Return these deliveries, those of them that there are."""
    query = _summaries().where(among(session, EventDelivery.id, sorted(deliveries)))
    return await _read(session, query.order_by(EventDelivery.id))


@either
async def tell_again(session: AsyncSession, deliveries: Collection[int] | None = None) -> list[int]:
    """Have events told again, at once and as if they had never been; return which.

    What a node is at goes on.

    Parameters
    ----------
    deliveries
        None: all that were given up.
    """
    query = update(EventDelivery).where(EventDelivery.state != DeliveryState.RUNNING.value)
    if deliveries is None:
        query = query.where(EventDelivery.state == DeliveryState.FAILED.value)
    else:
        query = query.where(among(session, EventDelivery.id, sorted(deliveries)))
    now = await shared_now(session)
    again = await session.scalars(
        query.values(state=DeliveryState.WAITING.value, attempts=0, next_on=now, done_on=None)
        .returning(EventDelivery.id)
        .execution_options(synchronize_session=False)
    )
    return sorted(again.all())


def _summaries() -> Select[Any]:
    of_delivery = (
        "id",
        "hook",
        "state",
        "attempts",
        "next_on",
        "started_on",
        "done_on",
        "node",
        "code",
        "reason",
        "seconds",
        "output",
    )
    of_event = ("uuid", "kind", "created_on", "data")
    return select(
        *(getattr(EventDelivery, name) for name in of_delivery),
        *(getattr(RecordedEvent, name) for name in of_event),
    ).join(RecordedEvent, RecordedEvent.id == EventDelivery.event_id)


async def _read(session: AsyncSession, query: Select[Any]) -> list[DeliverySummary]:
    found = []
    for row in (await session.execute(query)).mappings():
        one = DeliverySummary(**{**row, "data": row["data"] or {}})
        found.append(one)
    return found
