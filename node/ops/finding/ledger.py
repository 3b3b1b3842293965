"""The ledger of one find: each window is a row as soon as it was answered.

What proves a window may be shaken by a later answer of the same find. So it is proof only once the
find has come to its end: what was asked by one that was killed proves nothing until it has gone on.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from node.dicom.query import StudyQuery, Window
from node.dicom.status import Status
from node.ops.finding.answers.brought import Questioned
from node.ops.finding.planning.tree import Heard, Node, WindowOutcome, WindowState
from schema import AsyncSession, Database
from schema.finding.asking import add_window
from schema.finding.windows import (
    AskedWindow,
    SettledWindow,
    interrupted_windows,
    settle_window,
    settle_windows,
)

NOT_ENDED = "the find that asked has not come to its end, and goes on when begun again within a day"

_UNANSWERED = frozenset((WindowOutcome.FAILED, WindowOutcome.REFUSED))
"""A row that says so stays as it is when the window is asked once more."""

_TIMED = "StudyTime"
_DATED = "StudyDate"
_NAMED = "StudyInstanceUID"

Standings = dict[Node, WindowState | None]
"""What was known of some windows when one of them was answered."""


class WindowLedger:
    """Records windows, and knows those of a find that did not come to its end.

    Attributes
    ----------
    since
        When the first of the finds began that this one goes on with, as far as it has taken over
        answers of them (naive UTC); None when it has not.
    cycles, windows
        What there is to go on with: the cycles of interrupted finds, and how many windows they had
        asked.
    recalled
        How many of these were taken over.
    """

    def __init__(self, database: Database, peer: str, cycle_id: int) -> None:
        self._database = database
        self._peer = peer
        self._cycle_id = cycle_id
        self._rows: dict[int, int] = {}
        self._earlier: dict[int, list[int]] = defaultdict(list)
        self._said: dict[int, tuple[str, str | None]] = {}
        self._known: dict[tuple[Any, ...], deque[AskedWindow]] = {}
        self._began: dict[int | None, datetime] = {}
        self.since: datetime | None = None
        self.cycles: tuple[int, ...] = ()
        self.windows = self.recalled = 0

    async def resume(self) -> None:
        """Read what an interrupted find had answered."""
        async with self._database.session() as session:
            rows = await interrupted_windows(session, self._peer, but=self._cycle_id)
        for row in rows:
            self._known.setdefault(_identity_of_row(row), deque()).append(row)
            began = self._began.setdefault(row.cycle_id, row.asked_on)
            self._began[row.cycle_id] = min(began, row.asked_on)
        self.cycles = tuple(sorted(cycle for cycle in self._began if cycle is not None))
        self.windows = len(rows)

    def largest(self, base: StudyQuery) -> AskedWindow | None:
        """Return the window of whole days with the most studies that there is to go on with.

        Parameters
        ----------
        base
            What it is to be a part of.
        """
        first, last, keys = base.window.start, base.window.end, base.keys()
        parts = (
            row
            for several in self._known.values()
            for row in several
            if row.matches and not row.axes and row.start_time is None and (row.query or {}) == keys
            if row.start_date is not None and row.end_date is not None
            if (first is None or row.start_date >= first) and (last is None or row.end_date <= last)
        )
        return max(parts, key=lambda row: row.matches or 0, default=None)

    def forget(self) -> None:
        """Go on with nothing: what was answered is asked anew."""
        self._known.clear()
        self.cycles, self.windows = (), 0

    def recall(self, node: Node) -> Heard | None:
        """Return the answer to a window that an interrupted find had; its row is this one's.

        One that it had asked for again has as many answers, in their order.
        """
        rows = self._known.get(_identity(node.query))
        if not rows:
            return None
        row = rows.popleft()
        self.recalled += 1
        self._has_row(node, row.id)
        self._said[node.key] = row.outcome, row.message
        began = self._began[row.cycle_id]
        self.since = began if self.since is None else min(self.since, began)
        lacking = row.lacking or {}
        return Heard(
            outcome=WindowOutcome.TRUNCATED
            if row.status == Status.RESPONSE_LIMIT
            else WindowOutcome.COMPLETE,
            asked_on=row.asked_on,
            matches=row.matches or 0,
            outside=row.outside or 0,
            answers=row.answers or 0,
            undated=lacking.get(_DATED, 0),
            untimed=lacking.get(_TIMED, 0),
            nameless=lacking.get(_NAMED, 0),
        )

    async def record(
        self, session: AsyncSession, node: Node, asked: Questioned, standings: Standings
    ) -> int:
        """Record the answer to a window, and what was known then of the others; return its row.

        Parameters
        ----------
        session
            The caller's; it is the caller who commits, and says so by `note`.
        standings
            Of the window, and of those of which another thing is known since it was answered.
        """
        await self._settle(session, self._news(standings, but=node))
        return await self._add(session, node, standings[node], asked)

    def note(self, node: Node, row: int, standings: Standings) -> None:
        """Take notice of what was recorded."""
        news = self._news(standings, but=node)
        self._has_row(node, row)
        self._note({node: standings[node], **news})

    async def record_recalled(self, node: Node, standings: Standings) -> None:
        """Record what is known after an answer that is a row already."""
        news = self._news(standings)
        if news:  # after most of thousands there are none
            async with self._database.begin() as session:
                await self._settle(session, news)
            self._note({node: standings[node], **news})

    def _news(self, standings: Standings, *, but: Node | None = None) -> Standings:
        """Return those of which the rows say something else than is known."""
        return {
            one: new
            for one, new in standings.items()
            if one is not but
            and one.key in self._rows
            and new is not None
            and self._said.get(one.key) != _said_of(new)
        }

    def _note(self, standings: Standings) -> None:
        self._said.update({one.key: _said_of(new) for one, new in standings.items()})

    async def _settle(self, session: AsyncSession, standings: Standings) -> None:
        for one, new in standings.items():
            outcome, message = _said_of(new)
            await settle_window(
                session, self._rows[one.key], outcome=outcome, covered_on=None, message=message
            )

    def _has_row(self, node: Node, row: int) -> None:
        """Take notice of the row of an answer; one that was answered before is settled with it."""
        if self._said.get(node.key, ("", None))[0] not in {"", *_UNANSWERED}:
            self._earlier[node.key].append(self._rows[node.key])
        self._rows[node.key] = row

    async def settle(self, nodes: Iterable[Node]) -> None:
        """Record what is known in the end: from now on it is proof."""
        async with self._database.begin() as session:
            await settle_windows(
                session,
                [
                    SettledWindow(
                        id=row,
                        outcome=one.standing.outcome,
                        covered_on=one.standing.covered_on,
                        message=one.standing.message or None,
                    )
                    for one in nodes
                    if one.standing is not None and one.key in self._rows
                    for row in (*self._earlier.get(one.key, ()), self._rows[one.key])
                ],
            )

    async def _add(
        self,
        session: AsyncSession,
        node: Node,
        standing: WindowState | None,
        asked: Questioned,
    ) -> int:
        base = node.top.query
        answer, tally, window = asked.answer, asked.tally, node.query.window
        lacking = {_NAMED: answer.nameless, _DATED: answer.undated, _TIMED: answer.untimed}
        facts = {
            "parent_id": None if node.parent is None else self._rows.get(node.parent.key),
            "axes": _axes(node.query, base) or None,
            "start_time": window.first,
            "end_time": window.last,
            "undated": window.undated,
            "outside": answer.outside,
            "lacking": {key: count for key, count in lacking.items() if count} or None,
            "answers": answer.answers,
            "new": tally.kept.new,
            "seconds": asked.seconds,
            "status": tally.status,
        }
        return await add_window(
            session,
            cycle_id=self._cycle_id,
            peer=self._peer,
            query=base.keys(),
            start_date=window.start,
            end_date=window.end,
            outcome=answer.outcome if standing is None else standing.outcome,
            matches=answer.matches,
            message=(answer.message or None) if standing is None else _message(standing),
            comment=tally.comment or None,
            # what is asked once more after its parts is no newer than they are, which speak for it
            asked_on=node.asked_on or answer.asked_on,
            facts=facts,
        )


def _said_of(standing: WindowState | None) -> tuple[str, str | None]:
    """Return what is known of a window, as its row says it before the find has ended."""
    return ("", None) if standing is None else (standing.outcome, _message(standing))


def _message(standing: WindowState) -> str | None:
    return standing.message or (NOT_ENDED if standing.covered_on is not None else None)


def _axes(query: StudyQuery, base: StudyQuery) -> dict[str, str]:
    given = base.keys()
    return {key: value for key, value in query.keys().items() if given.get(key) != value}


def _identity(query: StudyQuery) -> tuple[Any, ...]:
    window = query.window
    return (window, *sorted(query.keys().items()))


def _identity_of_row(row: AskedWindow) -> tuple[Any, ...]:
    window = Window(
        start=row.start_date,
        end=row.end_date,
        first=row.start_time,
        last=row.end_time,
        undated=row.undated,
    )
    return (window, *sorted({**(row.query or {}), **(row.axes or {})}.items()))
