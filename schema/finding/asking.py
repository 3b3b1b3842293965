"""The questions that a PACS was asked, as rows."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_or_none
from schema.tables.columns import utcnow
from schema.tables.ledger import FindWindow


@either
async def add_window(
    session: AsyncSession,
    *,
    cycle_id: int | None,
    peer: str,
    query: Mapping[str, Any] | None,
    start_date: date | None,
    end_date: date | None,
    outcome: str,
    matches: int | None,
    message: str | None = None,
    comment: str | None = None,
    asked_on: datetime | None = None,
    facts: Mapping[str, Any] | None = None,
) -> int:
    """Record a question that a PACS was asked, with what became of it; return the row's id.

    Parameters
    ----------
    query
        The matching keys of the find.
    start_date, end_date
        The range of study dates, both included; None means unbounded.
    outcome
        complete, truncated, suspect, refused or failed.
    matches
        How many studies of the window the answer held.
    message, comment
        Why it is not complete, in our words and in the PACS's.
    asked_on
        Naive UTC; None means now.
    facts
        Further columns of `FindWindow`, by name.
    """
    window = FindWindow(
        cycle_id=cycle_id,
        peer=peer,
        query=None if query is None else dict(query),
        start_date=start_date,
        end_date=end_date,
        outcome=outcome,
        matches=matches,
        message=clean_or_none(message),
        comment=clean_or_none(comment),
        asked_on=asked_on or utcnow(),
        **(facts or {}),
    )
    session.add(window)
    await session.flush()
    return window.id
