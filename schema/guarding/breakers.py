"""Breakers as rows: one for each PACS, which all nodes share; who opens or closes one tells it."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.guarding.breaking import Breaker, BreakerCause, BreakerState, Tried, after
from schema.header.values import clean_or_none
from schema.hooking.recording import A_DAY, record_alarm
from schema.moving.patience import RetryLimits
from schema.moving.senders import peer_key
from schema.tables.columns import utcnow
from schema.tables.guarding.breakers import PeerBreaker
from schema.tables.statements import insert_new, table_of

_COLUMNS = tuple(field.name for field in fields(Breaker))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A breaker before and after something has happened to it."""

    before: Breaker
    after: Breaker

    @property
    def opened(self) -> bool:
        """Whether studies are not moved any more."""
        return self.before.state is BreakerState.CLOSED and self.after.state is BreakerState.OPEN

    @property
    def closed(self) -> bool:
        """Whether studies are moved again."""
        closed = self.after.state is BreakerState.CLOSED
        return closed and self.before.state is not BreakerState.CLOSED


@either
async def breakers(session: AsyncSession) -> dict[str, Breaker]:
    """Return where the breakers of the PACSs stand that have had one, by configured name."""
    query = select(PeerBreaker.peer, *(getattr(PeerBreaker, name) for name in _COLUMNS))
    return {
        row.peer: _of(row._mapping)  # noqa: SLF001 - public, despite its name
        for row in await session.execute(query.order_by(PeerBreaker.peer))
    }


@either
async def breaker_of(session: AsyncSession, peer: str) -> Breaker:
    """Return where the breaker of a PACS stands."""
    query = select(*(getattr(PeerBreaker, name) for name in _COLUMNS))
    found = await session.execute(query.where(PeerBreaker.peer == peer_key(peer)))
    row = found.mappings().one_or_none()
    return Breaker() if row is None else _of(row)


async def note_tried(
    session: AsyncSession,
    what: Tried,
    *,
    peer: str,
    limits: RetryLimits,
    now: datetime | None = None,
) -> Turned:
    """Record what an attempt says of a PACS; when nothing is moved from it any more, or again.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    limits
        See `after`.
    now
        Naive UTC; None is the clock's.
    """
    now, name = now or utcnow(), peer_key(peer)
    before = await breaker_of(session, peer)
    if after(before, what, limits=limits, now=now) == before:
        return Turned(before=before, after=before)
    table = table_of(PeerBreaker)
    row = {"peer": name, "state": BreakerState.CLOSED.value, "outages": 0, "trips": 0}
    await insert_new(session, table, [row], key=["peer"], returning=["id"])
    query = select(*(getattr(PeerBreaker, one) for one in _COLUMNS))
    locked = query.where(PeerBreaker.peer == name).with_for_update()
    before = _of((await session.execute(locked)).mappings().one())
    turned = Turned(before=before, after=after(before, what, limits=limits, now=now))
    values = {one: getattr(turned.after, one) for one in _COLUMNS}
    await session.execute(
        update(PeerBreaker)
        .where(PeerBreaker.peer == name)
        .values(**values | {"message": clean_or_none(turned.after.message)})
        .execution_options(synchronize_session=False)
    )
    await _tell(session, turned, peer=peer, now=now)
    return turned


async def note_try(session: AsyncSession, peer: str) -> None:
    """Record that a node tries a study at a PACS from which nothing is moved."""
    await session.execute(
        update(PeerBreaker)
        .where(PeerBreaker.peer == peer_key(peer), PeerBreaker.state == BreakerState.OPEN.value)
        .values(state=BreakerState.HALF_OPEN.value)
        .execution_options(synchronize_session=False)
    )


def opening_of(breaker: Breaker) -> str:
    """Return in words why nothing is moved from a PACS; of a configuration what it said itself."""
    said = breaker.message or ""
    since = f"{breaker.opened_on:%Y-%m-%d %H:%M} UTC"
    if breaker.cause is BreakerCause.OUTAGE:
        return f"it could not be reached {breaker.outages} times in a row at {since}: {said}"
    if breaker.cause is BreakerCause.CANARY:
        return f"a study that was moved alone, before the rest, has not come at {since}: {said}"
    return said


async def _tell(session: AsyncSession, turned: Turned, *, peer: str, now: datetime) -> None:
    """Say once that nothing is moved from a PACS any more, and that it is over."""
    if turned.opened:
        message = opening_of(turned.after)
        told = await record_alarm(session, message, peer=peer)
        closed_on = turned.before.closed_on
        if not told and closed_on is not None and closed_on > now - A_DAY:  # it was over
            again = f"{message} (again, on {now:%Y-%m-%d %H:%M:%S} UTC)"
            await record_alarm(session, again, peer=peer)
    elif turned.closed:
        opened_on = turned.before.opened_on or now
        message = (
            "studies are moved from it again; none was by itself since "
            f"{opened_on:%Y-%m-%d %H:%M:%S} UTC: {opening_of(turned.before)}"
        )
        await record_alarm(session, message, peer=peer)


def _of(row: Any) -> Breaker:  # noqa: ANN401 - a mapping of columns
    values = {name: row[name] for name in _COLUMNS}
    values["state"] = BreakerState(values["state"])
    values["cause"] = None if values["cause"] is None else BreakerCause(values["cause"])
    return Breaker(**values)
