"""The windows of finds, as `find_windows` keeps them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from schema.engine.either import either
from schema.header.values import clean_or_none
from schema.tables.columns import day_of, utcnow
from schema.tables.ledger import CANCELLED, INTERRUPTED, Cycle, FindWindow
from schema.tables.statements import table_of

_FRESH = timedelta(hours=24)
"""How old an answer may be that a find goes on with."""

_NAMED = "StudyInstanceUID"

_REMEMBERED = timedelta(days=90)
"""For how long it is held against a PACS that it said nothing where it had something."""

_LOOKED_AT = 2000
"""Windows of earlier finds that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Days that are proven, both ends included.

    Attributes
    ----------
    covered_on
        As of when, naive UTC.
    matches
        How many studies came; None when only a part of the window's days is meant.
    whole
        Whether these are all; else its parts have proven it.
    """

    start: date
    end: date
    covered_on: datetime
    matches: int | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedWindow:
    """A window that was answered; the attributes are columns of `find_windows`."""

    id: int
    cycle_id: int | None
    query: Mapping[str, str] | None
    axes: Mapping[str, str] | None
    start_date: date | None
    end_date: date | None
    start_time: time | None
    end_time: time | None
    undated: bool
    outcome: str
    matches: int | None
    outside: int | None
    lacking: Mapping[str, int] | None
    answers: int | None
    status: int | None
    message: str | None
    asked_on: datetime
    covered_on: datetime | None


_ASKED = tuple(FindWindow.__table__.c[field.name] for field in fields(AskedWindow))


@either
async def settle_window(
    session: AsyncSession,
    id: int,  # noqa: A002
    *,
    outcome: str,
    covered_on: datetime | None,
    message: str | None,
) -> None:
    """Say what is known of a window by now."""
    await session.execute(
        update(FindWindow)
        .where(FindWindow.id == id)
        .values(
            outcome=outcome,
            covered_on=covered_on,
            message=clean_or_none(message),
        )
        .execution_options(synchronize_session=False)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledWindow:
    """What is known of a window in the end, by the key of its row."""

    id: int
    outcome: str
    covered_on: datetime | None
    message: str | None


@either
async def settle_windows(session: AsyncSession, settled: Iterable[SettledWindow]) -> None:
    """Say what is known of windows now that their find has come to its end."""
    rows = [
        {
            "row": one.id,
            "new_outcome": one.outcome,
            "new_covered_on": one.covered_on,
            "new_message": clean_or_none(one.message),
        }
        for one in settled
    ]
    if not rows:
        return
    table = table_of(FindWindow)
    names = ("outcome", "covered_on", "message")
    values: dict[str, Any] = {
        name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names
    }
    connection = await session.connection()
    await connection.execute(
        update(table).where(table.c.id == bindparam("row")).values(**values), rows
    )


@either
async def interrupted_windows(session: AsyncSession, peer: str, *, but: int) -> list[AskedWindow]:
    """Return the answered windows of the finds at a PACS that have not come to their end.

    Those of the last 24 hours, back to the last find of dates that ended by itself; the oldest come
    first.

    Parameters
    ----------
    but
        The cycle that asks.
    """
    cycles = await session.execute(
        select(Cycle.id, Cycle.outcome, Cycle.asked.is_not(None))
        .where(
            Cycle.kind == "find",
            Cycle.peer == peer,
            Cycle.id != but,
            Cycle.started_on >= utcnow() - _FRESH,
        )
        .order_by(Cycle.id.desc())
    )
    dead = []
    for identity, outcome, is_of_dates in cycles:
        if outcome in {INTERRUPTED, CANCELLED}:
            dead.append(identity)
        elif is_of_dates:  # what single studies were asked for meanwhile is nothing to it
            break
    if not dead:
        return []
    rows = await session.execute(
        select(*_ASKED)
        .where(
            FindWindow.cycle_id.in_(dead),
            FindWindow.status.is_not(None),
            FindWindow.outcome.in_(("complete", "truncated", "suspect", "failed")),
        )
        .order_by(FindWindow.id)
    )
    found = [AskedWindow(**row) for row in rows.mappings()]
    # failed, and answered to the end all the same, is what brought answers without a UID
    return [row for row in found if row.outcome != "failed" or (row.lacking or {}).get(_NAMED)]


async def windows_of_cycle(
    session: AsyncSession,
    id: int,  # noqa: A002
    *,
    limit: int,
) -> tuple[list[FindWindow], int]:
    """Return what a find asked, first what is not proven, and how many windows there are in all."""
    of_cycle = FindWindow.cycle_id == id
    query = (
        select(FindWindow)
        .where(of_cycle)
        .order_by(FindWindow.covered_on.is_not(None), FindWindow.id)
        .limit(limit)
    )
    count = select(func.count()).select_from(FindWindow).where(of_cycle)
    return list(await session.scalars(query)), (await session.scalars(count)).one()


@either
async def proven_spans(
    session: AsyncSession, peer: str, query: Mapping[str, Any] | None
) -> list[Span]:
    """Return the days of which it is known what a PACS has, the newest proof first.

    Days that were still to come then are none of them.

    Parameters
    ----------
    query
        The matching keys that were asked for, no others.
    """
    wanted = dict(query or {})
    statement = (
        select(FindWindow)
        .where(
            FindWindow.peer == peer,
            FindWindow.covered_on.is_not(None),
            FindWindow.start_date.is_not(None),
            FindWindow.end_date.is_not(None),
            FindWindow.start_time.is_(None),
            FindWindow.undated.is_(False),
        )
        .order_by(FindWindow.covered_on.desc(), FindWindow.id)
    )
    return [
        Span(
            start=row.start_date,
            end=end,
            covered_on=row.covered_on,
            matches=row.matches,
            whole=row.outcome == "complete",
        )
        for row in await session.scalars(statement)
        if row.start_date and row.end_date and row.covered_on
        if not row.axes and (row.query or {}) == wanted
        if row.start_date <= (end := min(row.end_date, day_of(row.covered_on)))
    ]


@either
async def widest_answered(session: AsyncSession, peer: str) -> int:
    """Return the most days of a window for which a PACS has lately answered a study, or 0."""
    return max(
        (
            (window.end_date - window.start_date).days + 1
            for window in await _of_dates_alone(session, peer)
            if window.outcome == "complete" and window.covered_on is not None and window.matches
        ),
        default=0,
    )


@either
async def largest_answered(session: AsyncSession, peer: str) -> int:
    """Return the most studies of a window that a PACS has lately answered, or 0."""
    return max((one.matches for one in await _of_dates_alone(session, peer)), default=0)


@either
async def cut_at(session: AsyncSession, peer: str) -> int | None:
    """Return the most studies of an answer that a PACS has lately cut off; None without any.

    A window for which more came when it was asked for again had not been cut off.
    """
    cut, later = 0, dict[tuple[date, date], int]()
    for one in await _of_dates_alone(session, peer):  # the newest first
        window = one.start_date, one.end_date
        if one.outcome == "truncated" and one.matches >= later.get(window, 0):
            cut = max(cut, one.matches)
        later[window] = max(one.matches, later.get(window, 0))
    return cut or None


@either
async def was_silent(session: AsyncSession, peer: str) -> bool:
    """Tell whether a PACS has lately answered nothing, and studies to a part of the same.

    It has not where the same, or more than that, brought studies when it was asked for later: then
    a study had come meanwhile, or the PACS answers more than it did.
    """
    part = aliased(FindWindow)
    found = await session.execute(
        select(*_ASKED)
        .join(part, FindWindow.id == part.parent_id)
        .where(
            part.peer == peer,
            part.matches > 0,
            FindWindow.status == 0,
            FindWindow.answers == 0,
            FindWindow.asked_on >= utcnow() - _REMEMBERED,
        )
        .order_by(FindWindow.id.desc())
        .limit(_LOOKED_AT)
    )
    nothing = [AskedWindow(**row) for row in found.mappings()]
    if not nothing:
        return False
    later = await session.execute(
        select(*_ASKED)
        .where(
            FindWindow.peer == peer,
            FindWindow.axes.is_(None),
            FindWindow.matches > 0,
            FindWindow.id > nothing[-1].id,
        )
        .order_by(FindWindow.id.desc())
    )
    brought = [AskedWindow(**row) for row in later.mappings()]
    return any(not any(_holds(more, one) for more in brought) for one in nothing)


def _holds(more: AskedWindow, one: AskedWindow) -> bool:
    """Tell whether a later question was about all that an earlier one was about."""
    if more.id < one.id or (more.query or {}) != (one.query or {}) or more.undated or one.undated:
        return False
    times = (more.start_time, more.end_time)
    if times not in {(None, None), (one.start_time, one.end_time)}:
        return False
    first, last = more.start_date or date.min, more.end_date or date.max
    return first <= (one.start_date or date.min) and (one.end_date or date.max) <= last


async def _of_dates_alone(session: AsyncSession, peer: str) -> list[Any]:
    """Return the newest windows that are ranges of dates, and nothing else.

    What a PACS answers to a question with a key says nothing about one without: it has not too
    much of one patient.
    """
    rows = await session.execute(
        select(
            FindWindow.query,
            FindWindow.start_date,
            FindWindow.end_date,
            FindWindow.outcome,
            FindWindow.matches,
            FindWindow.covered_on,
        )
        .where(
            FindWindow.peer == peer,
            FindWindow.axes.is_(None),
            FindWindow.matches.is_not(None),
            FindWindow.start_date.is_not(None),
            FindWindow.end_date.is_not(None),
            FindWindow.start_time.is_(None),
        )
        .order_by(FindWindow.id.desc())
        .limit(_LOOKED_AT)
    )
    return [row for row in rows if not row.query]
