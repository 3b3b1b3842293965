"""What a find is to cover, as its cycle's row keeps it; and what one that broke off never asked.

A find that came to its end has asked for all of it, or says why it did not. Of one that was
cancelled, killed or failed the rest was wanted, and nobody has asked: as long as no question is
about these dates, they are a gap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.coverage.gaps import NOT_ASKED
from schema.coverage.proof import DateQuestion, DateStretch
from schema.tables.columns import day_of
from schema.tables.ledger import CANCELLED, INTERRUPTED, PAUSED, RUNNING, Cycle

_DAY = timedelta(days=1)

_BROKEN_OFF = {
    RUNNING: "is running, and has not asked for it yet",
    PAUSED: "is paused, and has not asked for it yet",
    CANCELLED: "was cancelled before it got there",
    INTERRUPTED: "was interrupted before it got there",
    "failed": "failed before it got there",
}
"""What is said of a find that has not come to its end, by the outcome of its cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedDates:
    """What a find is to cover with the same further keys.

    Attributes
    ----------
    keys
        Matching keys, by DICOM keyword; empty where there are none.
    dates
        Ranges of study dates, both ends included; None is open.
    undated
        Whether the studies without a date as well.
    """

    keys: Mapping[str, str]
    dates: tuple[tuple[date | None, date | None], ...] = ()
    undated: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as `cycles.asked` has it."""
        dates = [[end and end.isoformat() for end in ends] for ends in self.dates]
        return {"keys": dict(self.keys), "dates": dates, "undated": self.undated}

    def left(
        self, done: Sequence[DateStretch], *, until: date
    ) -> tuple[tuple[date | None, date], ...]:
        """Return which of its dates are in none of these, which are in their order.

        Parameters
        ----------
        until
            No later ones.
        """
        found = []
        for start, end in self.dates:
            begin, last = start, min(end or until, until)
            for one in done:
                first, to = one.first or date.min, one.last or date.max
                if to < (begin or date.min) or first > last:
                    continue
                if first > (begin or date.min):
                    found.append((begin, first - _DAY))
                if to >= last:
                    begin, last = last, date.min
                    break
                begin = to + _DAY
            if (begin or date.min) <= last:
                found.append((begin, last))
        return tuple(found)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` has written."""
        return cls(
            keys=dict(document["keys"]),
            dates=tuple((_date(first), _date(last)) for first, last in document["dates"]),
            undated=bool(document["undated"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreached:
    """What a find that has not come to its end was to cover, with the same further keys.

    Attributes
    ----------
    dates, undated
        As questions that were not put: a question that was speaks before them.
    """

    peer: str
    keys: Mapping[str, str]
    dates: tuple[DateQuestion, ...]
    undated: DateQuestion | None


def asked_of(document: Sequence[Mapping[str, Any]] | None) -> tuple[AskedDates, ...] | None:
    """Read `cycles.asked`; None where it is not known."""
    return None if document is None else tuple(map(AskedDates.of, document))


async def get_unreached(
    session: AsyncSession, *, peer: str | None = None, as_of: datetime | None = None
) -> list[Unreached]:
    """Return what unended finds were to cover; parameters as `get_coverage`.

    Dates that were still to come when a find began are left out.
    """
    query = select(Cycle.id, Cycle.peer, Cycle.asked, Cycle.started_on, Cycle.outcome).where(
        Cycle.kind == "find", Cycle.asked.is_not(None), Cycle.outcome.in_(_BROKEN_OFF)
    )
    if peer is not None:
        query = query.where(Cycle.peer == peer)
    if as_of is not None:
        query = query.where(Cycle.started_on <= as_of)
    return [
        Unreached(
            peer=cycle.peer or "",
            keys=asked.keys,
            dates=tuple(
                _not_put(cycle, first, min(last or today, today))
                for first, last in asked.dates
                if (first or date.min) <= today
            ),
            undated=_not_put(cycle, None, None) if asked.undated else None,
        )
        for cycle in await session.execute(query.order_by(Cycle.id))
        for today in (day_of(cycle.started_on),)
        for asked in asked_of(cycle.asked) or ()
    ]


def _not_put(cycle: Row[Any], first: date | None, last: date | None) -> DateQuestion:
    return DateQuestion(
        id=0,
        cycle_id=cycle.id,
        start=first,
        end=last,
        asked_on=cycle.started_on,
        ended=False,
        outcome=NOT_ASKED,
        message=f"asked for by find {cycle.id}, which {_BROKEN_OFF[cycle.outcome]}",
    )


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
