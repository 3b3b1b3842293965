"""Putting the questions for single studies as they are planned, to an end with each of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery
from node.dicom.status import Status
from node.ops.cycling.running import RunningCycle
from node.ops.finding.answers.brought import Questioned
from node.ops.finding.gone import note_gone
from node.ops.finding.inquiry import Inquiry
from node.ops.finding.planning.rules.judging import ATTEMPTS
from node.ops.finding.planning.tree import WindowOutcome
from node.ops.finding.report import WindowResult
from node.ops.finding.singles.planning import SinglesPlanner
from node.ops.finding.singles.resolved import Presence, Reply, Resolutions, Resolved
from schema import Database
from schema.finding.known import last_known_at, named_at, oldest_known_at
from schema.finding.windows import cut_at

_KNOWN = 20
"""Studies that a peer is known to have, to try it with."""

_OLDEST = 3
"""Of them, those with the earliest dates: some may be there no more."""

_PAUSE = 1.0
"""Seconds before a question for one study is put again; before the third time, twice as many."""

_IN_VAIN = 3
"""Questions without an answer, one after the other, after which each is put only once."""

_MEANT = frozenset(
    {Status.DATASET_MISMATCH, Status.SOP_CLASS_NOT_SUPPORTED, Status.UNRECOGNIZED_OPERATION}
)
"""What a peer says of a question itself, and would say again."""

OUTCOMES = {
    Presence.FOUND: WindowOutcome.COMPLETE,
    Presence.ABSENT: WindowOutcome.COMPLETE,
    Presence.CUT: WindowOutcome.SUSPECT,
    Presence.UNPROVEN: WindowOutcome.SUSPECT,
    Presence.REFUSED: WindowOutcome.REFUSED,
    Presence.FAILED: WindowOutcome.FAILED,
}
"""As a question is recorded by what is known of its study then."""

Heard = Callable[[StudyQuery, Questioned, Resolutions], Awaitable[None]]
"""Told of each question, what came of it, and what is known by then of all studies."""


async def planner_for(database: Database, peer: str, profile: PeerProfile) -> SinglesPlanner:
    """Return who plans the questions for single studies to a peer, with what is known of it."""
    async with database.session() as session:
        return SinglesPlanner(
            uid_lists=profile.uid_lists,
            known=await last_known_at(session, peer, limit=_KNOWN),
            oldest=await oldest_known_at(session, peer, limit=_OLDEST),
            universal=profile.universal,
            cap=await cut_at(session, peer) if profile.cap is None else profile.cap,
        )


async def resolve(
    inquiry: Inquiry,
    planner: SinglesPlanner,
    queries: Sequence[StudyQuery],
    record: RunningCycle,
    *,
    hear: Heard | None = None,
    pause: float = 0.0,
) -> Resolutions:
    """Ask for studies; return what each question for them came to.

    Parameters
    ----------
    queries
        Each that names UIDs names one.
    hear
        Called with each question that was put, to record it by itself.
    pause
        Seconds between two questions.
    """
    resolved: Resolutions = {}
    told: set[StudyQuery] = set()
    async with inquiry.asker.database.session() as session:
        known = await named_at(
            session,
            inquiry.asker.peer.name,
            study_uids=[uid for query in queries for uid in query.study_uids],
            accession_numbers=[one.accession_number for one in queries if one.accession_number],
        )
    planner.recall(known)
    plan = planner.plan(queries, resolved)
    asking = _Asking(inquiry)
    query = next(plan, None)
    while query is not None:
        await record.may_go_on(inquiry.asker.line.close)
        if inquiry.questions and inquiry.lost is None:
            await asyncio.sleep(pause)
        asked = await asking.put(query)
        try:
            following = plan.send(_reply(asked))
        except StopIteration:
            following = None
        if hear is not None:
            await hear(query, asked, resolved)
        _tell(inquiry, resolved, told, but=Presence.UNPROVEN)
        query = following
    _tell(inquiry, resolved, told)
    inquiry.contradiction = planner.contradiction
    return resolved


def result_of(query: StudyQuery, resolved: Resolved) -> WindowResult:
    """Return what a question came to in the end, as reports have it."""
    return WindowResult(
        query=query,
        outcome=OUTCOMES[resolved.presence],
        found=len(resolved.study_uids),
        message=resolved.message,
    )


class _Asking:
    """Puts questions, those for one study as often as windows, as long as that is of use."""

    def __init__(self, inquiry: Inquiry) -> None:
        self._inquiry = inquiry
        self._in_vain = 0

    async def put(self, query: StudyQuery) -> Questioned:
        """Put a question; again, after a while, when it was refused or failed.

        A list that is refused is not: its parts are asked for.
        """
        inquiry, attempts = self._inquiry, ATTEMPTS if self._in_vain < _IN_VAIN else 1
        asked = await inquiry.ask(query)
        for attempt in range(1, attempts):
            if inquiry.lost is not None or not _is_to_be_put_again(asked):
                break
            inquiry.keep(asked.result)
            await asyncio.sleep(_PAUSE * 2 ** (attempt - 1))
            asked = await inquiry.ask(query)
        self._in_vain = 0 if asked.answer.answered else self._in_vain + 1
        inquiry.keep(asked.result)
        return asked


def _is_to_be_put_again(asked: Questioned) -> bool:
    answer = asked.answer
    if answer.answered or not answer.retry or asked.tally.status in _MEANT:
        return False
    is_list = len(asked.result.query.study_uids) > 1
    return not (is_list and answer.outcome is WindowOutcome.REFUSED)


def _reply(asked: Questioned) -> Reply:
    return Reply(
        complete=asked.answer.says_all,
        refused=asked.answer.outcome is WindowOutcome.REFUSED,
        study_uids=frozenset(asked.tally.study_uids),
        outside=asked.tally.outside,
        message=asked.answer.message or asked.answer.flaw,
        asked_on=asked.answer.asked_on,
    )


def _tell(
    inquiry: Inquiry, resolved: Resolutions, told: set[StudyQuery], *, but: Presence | None = None
) -> None:
    for query, one in resolved.items():
        if query not in told and one.presence is not but:
            told.add(query)
            inquiry.tell(result_of(query, one))


async def note_absent(inquiry: Inquiry, resolved: Resolutions) -> None:
    """Note as gone what the peer has no more."""
    for query, one in resolved.items():
        if one.presence is Presence.ABSENT and one.asked_on is not None:
            inquiry.gone += await note_gone(
                inquiry.asker.database,
                inquiry.asker.peer.name,
                query,
                answered=(),
                asked_on=one.asked_on,
            )
