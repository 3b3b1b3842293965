"""The second witness: what no answer of a find brought any more is asked for by its UID.

That a window is proven rests on assumptions about the peer, and a study may have another date by
now. So a study of its dates that did not come is a candidate. It is gone only when the peer, asked
for it by its UID alone, and by its UID with its old date, answers with nothing; and that is
believed only of a peer that has answered questions by UID alone, before and after, for a study that
it has, with exactly that one. A peer may look at recent studies alone where no date is asked for.
So that study is the oldest that it is known to have, or one that is no younger than the candidate.
When it has the candidate under its old date, the assumptions are wrong: then the window is not
proven.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from node.dicom.query import StudyQuery, Window
from node.ops.cycling.running import RunningCycle
from node.ops.finding.answers.brought import Questioned
from node.ops.finding.inquiry import Inquiry
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import WindowOutcome
from node.ops.finding.singles.alike import dated_like
from node.ops.finding.singles.planning import ANSWERS_DATES_ALONE
from schema.finding.asking import add_window
from schema.finding.known import DescribedStudy, oldest_known_at
from schema.finding.profiles import mark_stale
from schema.finding.windows import SettledWindow, settle_windows
from schema.hierarchy.gone import (
    MissedDates,
    MissedStudy,
    Unseen,
    mark_gone,
    missed_days,
    missed_studies,
)

MOST = 100
"""Studies that one find asks for; the others are candidates of the next one."""

_CONTROLS = 3
"""Studies that the peer has by which it is tried: of earlier finds, and of this one."""

_ENOUGH = 3
"""Studies that are there in spite of a proof, or questions without an answer, to ask no more."""

_PLAIN_UID = re.compile(r"[0-9A-Za-z.]{1,64}")
"""What every peer compares in the same way."""

_DAY = timedelta(days=1)

_THERE = "asked for by its UID, it has a study of these dates that it did not answer with them"
_LIKE_THESE = "studies of these dates did not come again, as others that it has"
_UNSETTLED = "nothing came: whether that is an answer is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Absent:
    """A study that nothing came for, and the rows of the questions."""

    study: MissedStudy
    rows: tuple[int, ...]
    asked_on: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Control:
    """A study that the peer answers by its UID alone.

    Attributes
    ----------
    oldest
        Whether it is known to have no older one.
    """

    study: DescribedStudy
    oldest: bool

    def speaks_for(self, study: MissedStudy) -> bool:
        """Tell whether the peer would answer the other one, too, however old it is."""
        its, other = self.study.study_date, study.study_date
        return self.oldest or (its is not None and other is not None and its <= other)


async def confirm_gone(
    inquiry: Inquiry, planner: Planner, record: RunningCycle, unseen: Unseen
) -> None:
    """Ask for the studies that the proven windows did not bring, and note which of them are gone.

    Where the peer has some of them after all, the planner is told.

    Parameters
    ----------
    unseen
        What the find has not seen.
    """
    peer, database = inquiry.asker.peer.name, inquiry.asker.database
    windows = [node.query.window for node in planner.proven() if not node.query.keys()]
    days: Counter[date | None] = Counter()
    candidates: list[MissedStudy] = []
    ranges = _joined(windows)
    async with database.session() as session:
        for start, end in ranges:
            dates = MissedDates(peer=peer, start=start, end=end, unseen=unseen)
            if missed := await missed_days(session, dates):
                days.update(missed)
                candidates += await missed_studies(session, dates, limit=MOST - len(candidates))
        if not days:
            return
    inquiry.asker.project_id = None  # a study that has another date now is none of the find's
    witness = _Witness(inquiry, record)
    await witness.hear(candidates, await _controls(inquiry, ranges[0][0], unseen.since))
    days.subtract(study.study_date for study in witness.settled)
    inquiry.unconfirmed = days.total()
    inquiry.gone += witness.gone
    if witness.leaves_out and planner.known.profile.universal:
        inquiry.contradiction = "universal", ANSWERS_DATES_ALONE
    if not witness.there:
        return
    for day, count in days.items():
        if count:
            planner.contradicted(day, _LIKE_THESE)
    for study in witness.there:
        planner.contradicted(study.study_date, _THERE)
    async with database.begin() as session:
        await mark_stale(session, peer, f"a find was contradicted: {_THERE}")


async def _controls(inquiry: Inquiry, first: date | None, since: datetime) -> list[DescribedStudy]:
    """Return the oldest studies from before a find's dates, and the oldest that it has seen.

    What it has not seen of its own dates is what it asks for.
    """
    peer, earlier = inquiry.asker.peer.name, list[DescribedStudy]()
    async with inquiry.asker.database.session() as session:
        if first is not None:
            earlier = await oldest_known_at(session, peer, limit=_CONTROLS, before=first)
        seen = await oldest_known_at(session, peer, limit=_CONTROLS, start=first, since=since)
    return earlier + seen


class _Witness:
    """Asks a peer for single studies, and believes it where it has shown how it answers.

    Attributes
    ----------
    gone
        How many studies are gone that were not before.
    settled
        Those of which it is known by now whether the peer has them.
    there
        Those of them that it has under the date that they had.
    leaves_out
        Whether it has a study that it answers only together with its date.
    """

    def __init__(self, inquiry: Inquiry, record: RunningCycle) -> None:
        self.gone = 0
        self.settled: list[MissedStudy] = []
        self.there: list[MissedStudy] = []
        self.leaves_out = False
        self._inquiry = inquiry
        self._record = record

    async def hear(
        self, candidates: Sequence[MissedStudy], controls: Sequence[DescribedStudy]
    ) -> None:
        """Ask for studies one by one, until it is in vain, or the proof is shaken.

        Parameters
        ----------
        controls
            Studies that the peer is known to have, the oldest ones first.
        """
        control = await self._control(controls)
        if control is None:
            candidates = candidates[:_CONTROLS]  # that it has one is proof by itself
        absent: list[_Absent] = []
        vain = 0
        for study in candidates:
            if vain == _ENOUGH or len(self.there) == _ENOUGH:
                break
            if _PLAIN_UID.fullmatch(study.study_uid) is None:
                continue
            vain = 0 if await self._try(study, absent) else vain + 1
        believed = [one for one in absent if control is not None and control.speaks_for(one.study)]
        if believed and control is not None and not self.leaves_out:
            asked, _ = await self._ask(_named(control.study))
            if _is_alone(asked, control.study):
                await self._believe(believed)

    async def _try(self, study: MissedStudy, absent: list[_Absent]) -> bool:
        """Ask for a study, and with its date before it is denied; return whether it is of use."""
        query = _named(study)
        asked, row = await self._ask(query)
        if study.study_uid in asked.tally.study_uids:
            self.settled.append(study)
            if _date_of(asked) == study.study_date:
                self.there.append(study)
        elif _is_none(asked):
            began, rows = asked.answer.asked_on, [row]
            if study.study_date is not None:
                asked, row = await self._ask(dated_like(query, study))
                rows.append(row)
            if study.study_uid in asked.tally.study_uids:
                self.leaves_out = True
                self.settled.append(study)
                self.there.append(study)
            elif _is_none(asked):
                absent.append(_Absent(study=study, rows=tuple(rows), asked_on=began))
        return asked.answer.answered and not (asked.tally.outside or asked.answer.nameless)

    async def _control(self, controls: Sequence[DescribedStudy]) -> _Control | None:
        """Return a study that the peer answers when it is asked for it, and nothing else.

        One that comes with its date alone shows that nothing follows where no date is asked for.
        """
        oldest = True
        for number, study in enumerate(controls):
            if _PLAIN_UID.fullmatch(study.study_uid) is None:
                oldest = False
                continue
            query = _named(study)
            asked, _ = await self._ask(query)
            if _is_alone(asked, study):
                return _Control(study=study, oldest=oldest and number < _CONTROLS)
            denied = _is_none(asked)
            if denied:
                asked, _ = await self._ask(dated_like(query, study))
                if study.study_uid in asked.tally.study_uids:
                    self.leaves_out = True
                    return None
            oldest = oldest and denied and _is_none(asked)  # else it may be there
        return None

    async def _ask(self, query: StudyQuery) -> tuple[Questioned, int]:
        """Put a question; return the key of its row as well."""
        inquiry = self._inquiry
        await self._record.may_go_on(inquiry.asker.line.close)
        asked = await inquiry.ask(query)
        inquiry.note(asked)
        none = _is_none(asked)
        async with inquiry.asker.database.begin() as session:
            row = await add_window(
                session,
                cycle_id=self._record.id,
                peer=inquiry.asker.peer.name,
                query=query.keys(),
                start_date=query.window.start,
                end_date=query.window.end,
                outcome=WindowOutcome.SUSPECT if none else asked.result.outcome,
                matches=asked.tally.matches,
                message=_UNSETTLED if none else asked.result.message or None,
                asked_on=asked.answer.asked_on,
            )
        return asked, row

    async def _believe(self, absent: Sequence[_Absent]) -> None:
        asker = self._inquiry.asker
        async with asker.database.begin() as session:
            gone = await mark_gone(
                session,
                peer=asker.peer.name,
                study_uids=[one.study.study_uid for one in absent],
                asked_on=min(one.asked_on for one in absent),
            )
            complete = WindowOutcome.COMPLETE
            await settle_windows(
                session,
                [
                    SettledWindow(id=row, outcome=complete, covered_on=None, message=None)
                    for one in absent
                    for row in one.rows
                ],
            )
        self.gone += len(gone)
        self.settled += [one.study for one in absent]


def _named(study: DescribedStudy | MissedStudy) -> StudyQuery:
    return StudyQuery(study_uids=(study.study_uid,))


def _is_alone(asked: Questioned, study: DescribedStudy) -> bool:
    """Tell whether a question was answered with a study, and with no other."""
    alone = asked.tally.study_uids == {study.study_uid} and not asked.tally.outside
    return alone and asked.answer.says_all


def _is_none(asked: Questioned) -> bool:
    """Tell whether a question was answered with nothing at all."""
    return asked.answer.outcome is WindowOutcome.COMPLETE and not asked.tally.answers


def _date_of(asked: Questioned) -> date | None:
    last = asked.tally.last
    return None if last is None or last.study_date is None else last.study_date.date()


def _joined(windows: Iterable[Window]) -> list[tuple[date | None, date | None]]:
    """Return the ranges of dates that windows come to, those side by side as one."""
    joined: list[tuple[date | None, date | None]] = []
    for window in sorted(windows, key=lambda one: (one.start or date.min, one.end or date.max)):
        start, end = window.start, window.end
        if joined:
            first, last = joined[-1]
            if last is None:
                continue
            if start is None or start == date.min or start - _DAY <= last:
                joined[-1] = (first, None if end is None else max(last, end))
                continue
        joined.append((start, end))
    return joined
