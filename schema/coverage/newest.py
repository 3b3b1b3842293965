"""Of each window that a PACS was asked about the newest question, selected from the ledger.

A question says nothing of dates that were still to come when it was put: what the PACS has of a day
is known when the day has come.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import aliased

from schema.coverage.proof import DateQuestion, SettledDates
from schema.tables.columns import day_of, latest
from schema.tables.ledger import ENDED, Cycle, FindWindow

OF_SINGLE_STUDIES = ("StudyInstanceUID", "AccessionNumber")
"""Keys by which single studies are asked for: nothing follows for their dates."""

SETTLED = timedelta(days=2)
"""How long after the beginning of a date its studies are expected to be in the PACS."""


def newest_questions(
    peer: str | None, as_of: datetime | None, about: tuple[date, date] | None = None
) -> Select[Any]:
    """Select of each window its newest question; of parts of a day only what is not proven.

    Parameters
    ----------
    peer
        Only of this PACS.
    as_of
        By the questions that were put until then, naive UTC; by all when None, but for what was
        written by a clock that is ahead.
    about
        Only questions about any of these dates, both ends included, or about studies without one.

    Returns
    -------
    Select
        PACS, keys, whether it is about the studies without a date; then what `question_of` reads.
    """
    window = FindWindow
    wanted: list[ColumnElement[bool]] = [window.peer.is_not(None), window.level == "STUDY"]
    wanted += [window.query[key].as_string().is_(None) for key in OF_SINGLE_STUDIES]
    if peer is not None:
        wanted.append(window.peer == peer)
    if about is not None:
        wanted.append(or_(window.start_date.is_(None), window.start_date <= about[1]))
        wanted.append(or_(window.end_date.is_(None), window.end_date >= about[0]))
    covered: ColumnElement[datetime | None] = window.covered_on.expression
    later = _proven_later(as_of) if as_of is not None else None
    if as_of is not None and later is not None:
        wanted.append(window.asked_on <= as_of)
        covered = case((and_(covered <= as_of, later.c.id.is_(None)), covered))
    else:
        now = latest()
        wanted.append(window.asked_on <= now)
        covered = case((covered <= now, covered))
    box = (
        window.peer,
        window.query,
        window.start_date,
        window.end_date,
        window.undated,
        window.start_time,
        window.end_time,
        window.axes,
    )
    # of a find that has not ended it is not known yet what it proves: then the one before speaks
    unended = and_(window.outcome == "complete", window.covered_on.is_(None))
    order = (unended, window.asked_on.desc(), window.id.desc())
    # what was found before a find had ended is what it found; of one that broke off, before the one
    # that went on with it
    broken_off = and_(Cycle.asked.is_not(None), Cycle.outcome.not_in(ENDED))
    ends = _next_ends(peer).subquery()
    sealed = case(
        (Cycle.id.is_(None), window.asked_on), (broken_off, ends.c.on), else_=Cycle.finished_on
    )
    known_on = case((covered.is_not(None), sealed))
    settled = case((sealed.is_not(None), covered))
    ranked_rows = select(
        window.peer,
        window.query,
        window.undated,
        window.id,
        window.start_date,
        window.end_date,
        window.start_time,
        window.end_time,
        window.axes,
        window.asked_on,
        covered.label("covered"),
        func.max(covered).over(partition_by=box).label("proven"),
        func.min(settled).over(partition_by=box).label("first_settled"),
        func.max(settled).over(partition_by=box).label("last_settled"),
        func.min(known_on).over(partition_by=box).label("first_known"),
        func.max(known_on).over(partition_by=box).label("last_known"),
        or_(Cycle.id.is_(None), Cycle.outcome.in_(ENDED)).label("ended"),
        window.outcome,
        window.status,
        window.comment,
        window.message,
        func.row_number().over(partition_by=box, order_by=order).label("nth"),
    )
    ranked_rows = (
        ranked_rows.outerjoin(Cycle, Cycle.id == window.cycle_id)
        .outerjoin(ends, ends.c.id == window.cycle_id)
        .where(*wanted)
    )
    if later is not None:
        ranked_rows = ranked_rows.outerjoin(later, later.c.id == window.id)
    ranked = ranked_rows.subquery()
    split = _split(as_of).subquery()
    whole = and_(
        ranked.c.start_time.is_(None), ranked.c.end_time.is_(None), ranked.c.axes.is_(None)
    )
    # further keys bring what they can of a window, and prove nothing: it is the window that is open
    open_part = and_(ranked.c.covered.is_(None), split.c.id.is_(None), ranked.c.axes.is_(None))
    return (
        select(*(column for column in ranked.c if column.key != "nth"))
        # joined, and not looked for in a list, which PostgreSQL may read once for each row
        .outerjoin(split, split.c.id == ranked.c.id)
        .where(ranked.c.nth == 1, or_(whole, open_part))
    )


def _next_ends(peer: str | None) -> Select[int, Any]:
    """Select of each find of dates when one behind it came to its end, at the same PACS."""
    end = func.min(case((Cycle.outcome.in_(ENDED), Cycle.finished_on)))
    behind = end.over(partition_by=Cycle.peer, order_by=Cycle.id, rows=(1, None))
    wanted = [Cycle.kind == "find", Cycle.asked.is_not(None)]
    if peer is not None:
        wanted.append(Cycle.peer == peer)
    return select(Cycle.id, behind.label("on")).where(*wanted)


def _split(as_of: datetime | None) -> Select[Any]:
    """Select which windows have parts by dates or times, those that were asked until then."""
    window = FindWindow
    of_part = and_(window.parent_id.is_not(None), window.axes.is_(None))
    parents = select(window.parent_id.label("id")).where(of_part).distinct()
    return parents if as_of is None else parents.where(window.asked_on <= as_of)


def _proven_later(as_of: datetime) -> CTE:
    """Select what was split into something that was asked after a moment."""
    window, above = FindWindow, aliased(FindWindow)
    parents = (
        select(window.parent_id.label("id"))
        .where(window.asked_on > as_of, window.parent_id.is_not(None))
        .cte("proven_later", recursive=True)
    )
    return parents.union(
        select(above.parent_id).where(above.id == parents.c.id, above.parent_id.is_not(None))
    )


def question_of(values: Sequence[Any]) -> DateQuestion:
    """Read a question from the rest of a row of `newest_questions`."""
    id_, start, end, start_time, end_time, axes, asked_on, covered, proven, *more = values
    first, last, first_known, last_known, ended, outcome, status, comment, message = more
    end = None if end is None else min(end, day_of(asked_on))
    return DateQuestion(
        id=id_,
        start=start,
        end=end,
        start_time=start_time,
        end_time=end_time,
        axes=axes,
        asked_on=asked_on,
        covered_on=covered,
        proven_on=proven,
        settled=_settled(end, (first, first_known), (last, last_known)),
        ended=bool(ended),
        outcome=outcome,
        status=status,
        comment=comment,
        message=message,
    )


def _settled(
    end: date | None, *finds: tuple[datetime | None, datetime | None]
) -> tuple[SettledDates, ...]:
    """Return which dates of a window were proven once all their studies were to be there.

    Parameters
    ----------
    end
        The last date of the window.
    finds
        As of when finds proved it, and when they had ended.
    """
    return tuple(
        SettledDates(until=min(end or date.max, (proof - SETTLED).date()), on=known)
        for proof, known in finds
        if proof is not None and known is not None
    )
