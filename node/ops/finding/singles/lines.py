"""Find what the lines of a list name, batch after batch, however many there are.

The caller keeps what each line came to. Here it is decided what an answer means for a line that is
to name one study; the studies are recorded as by any find, and the questions in few rows: one for
each batch, key and outcome.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from node.config import Config
from node.dicom.query import StudyQuery
from node.errors import CycleCancelled, NodeError
from node.ops.cycling.running import RunningCycle
from node.ops.finding.answers.brought import Questioned
from node.ops.finding.asking import Questioner
from node.ops.finding.inquiry import Inquiry
from node.ops.finding.singles.ambiguity import described_by, names_several
from node.ops.finding.singles.asking import OUTCOMES, note_absent, planner_for, resolve
from node.ops.finding.singles.planning import SinglesPlanner
from node.ops.finding.singles.resolved import Presence, Resolutions, Resolved
from node.ops.peers import peer_to_query
from node.ops.probing.knowledge import knowledge_of, note_contradiction
from node.ops.stalls import limits_of
from schema import Database
from schema.finding.asking import add_window
from schema.finding.known import ISSUER, DescribedStudy
from schema.project.inquiries import ACCESSION_NUMBER, STUDY_UID

_OFTEN = 3.0
"""Seconds after which what is known of a batch is kept, though it has not come to its end."""


class LineOutcome(StrEnum):
    """What became of a line of a list."""

    FOUND = "found"
    NOT_FOUND = "not found"
    """The peer has no such study."""
    AMBIGUOUS = "ambiguous"
    """It is to name one study, or one patient's, and names several."""
    DUPLICATE = "duplicate"
    """A line above asks for the same."""
    FAILED = "failed"
    """It is not known whether the peer has it."""
    REFUSED = "refused"
    """It is no question that can be put."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAnswer:
    """What a line came to, with the studies that it names at the peer."""

    outcome: LineOutcome
    study_uids: tuple[str, ...] = ()
    message: str = ""


@dataclass(slots=True, kw_only=True)
class LinesReport:
    """What a find of a list came to at a peer.

    Attributes
    ----------
    questions
        How many were put.
    new, gone
        Studies that no peer had answered before, and those that this one has no more.
    stopped
        Why not all lines were asked for; None when they were.
    """

    peer: str
    questions: int = 0
    new: int = 0
    gone: int = 0
    stopped: str | None = None


Answers = Mapping[StudyQuery, LineAnswer]


async def find_lines(
    config: Config,
    database: Database,
    name: str,
    batches: Iterable[Sequence[StudyQuery]],
    *,
    keep: Callable[[Answers], None],
    pause: float = 0.0,
    broken_off: Callable[[LinesReport], None] = lambda _: None,
) -> LinesReport:
    """Put the questions of a list to a peer, over one association, and record what it has.

    Parameters
    ----------
    name
        The peer's, in the configuration.
    batches
        The questions, each of which names one UID, or none; taken one batch at a time.
    keep
        Called with what the questions came to, in their order: with all of a batch before the next
        one is taken, with some of it every few seconds. When the peer goes away, or answers nothing
        any more, the last ones have no answer.
    pause
        Seconds between two questions.
    broken_off
        Called with what it had come to by then, before what broke it off is raised.

    Raises
    ------
    PeerUnreachable, PeerRefused
        There was no association from the start.
    """
    asker = Questioner(
        database,
        peer_to_query(config.peer(name)),
        limits_of(config.find),
        keywords=(*config.find.search_fields, ISSUER),
    )
    inquiry = Inquiry(asker, config.node.aetitle, lambda _: None, keeps=False)
    peer_known = await knowledge_of(config, database, name)
    planner = await planner_for(database, name, peer_known.profile)
    report = LinesReport(peer=name)
    found: set[str] = set()

    def sum_up() -> LinesReport:
        report.questions, report.new, report.gone = inquiry.questions, inquiry.new, inquiry.gone
        return report

    async def work(record: RunningCycle) -> None:
        for batch in batches:
            kept = _Kept(inquiry, planner, record, batch, keep=keep, found=found)
            resolved = await resolve(inquiry, planner, batch, record, hear=kept.hear, pause=pause)
            if (unasked := await kept.end(resolved)) is not None:
                report.stopped = str(inquiry.lost or unasked.message)
                break
        inquiry.raise_if_vain()

    try:
        await inquiry.run(work)
    except (asyncio.CancelledError, CycleCancelled):
        report.stopped = "interrupted"
        broken_off(sum_up())
        raise
    await note_contradiction(database, peer_known, inquiry.contradiction)
    return sum_up()


class _Kept:
    """Keeps what a batch of questions came to, in their order, as it is known.

    Parameters
    ----------
    batch
        The questions.
    keep
        Called with what some of them came to.
    found
        The studies that are known by now: those of this batch are added.
    """

    def __init__(
        self,
        inquiry: Inquiry,
        planner: SinglesPlanner,
        record: RunningCycle,
        batch: Sequence[StudyQuery],
        *,
        keep: Callable[[Answers], None],
        found: set[str],
    ) -> None:
        self._inquiry = inquiry
        self._planner = planner
        self._record = record
        self._left = list(batch)
        self._keep = keep
        self._found = found
        self._kept_at = time.monotonic()

    async def hear(self, _: StudyQuery, asked: Questioned, resolved: Resolutions) -> None:
        """Take notice that a question was put: what is settled by now is kept every few seconds."""
        if time.monotonic() - self._kept_at < _OFTEN or not asked.answer.answered:
            return  # of a peer that goes away, the lines that failed are asked for again
        settled = list(takewhile(lambda query: _is_settled(resolved.get(query)), self._left))
        known = _asked(settled, resolved, self._inquiry.lost, self._planner)
        await self._take(known, {query: resolved[query] for query in known})
        self._kept_at = time.monotonic()

    async def end(self, resolved: Resolutions) -> Resolved | None:
        """Keep the rest; return what the first came to that was not asked any more, if any."""
        known = _asked(self._left, resolved, self._inquiry.lost, self._planner)
        await self._take(known, {query: resolved[query] for query in self._left})
        self._inquiry.leave_open(len(self._left))
        return resolved[self._left[0]] if self._left else None

    async def _take(self, known: Sequence[StudyQuery], resolved: Resolutions) -> None:
        inquiry = self._inquiry
        await note_absent(inquiry, resolved)
        await _record(inquiry, self._record, resolved)
        described = await described_by(inquiry, resolved.values())
        answers = {query: answer_of(query, resolved[query], described) for query in known}
        self._keep(answers)
        del self._left[: len(known)]
        inquiry.leave_open(sum(one.outcome is LineOutcome.FAILED for one in answers.values()))
        self._found.update(described)
        inquiry.found = len(self._found)


def _is_settled(resolved: Resolved | None) -> bool:
    """Tell whether no later answer says more of a study."""
    return resolved is not None and resolved.presence is not Presence.UNPROVEN


def answer_of(
    query: StudyQuery,
    resolved: Resolved,
    described: Mapping[str, DescribedStudy],
) -> LineAnswer:
    """Return what a line came to.

    Parameters
    ----------
    described
        The studies that came, as the peer describes them.
    """
    uids = resolved.study_uids
    if resolved.presence is Presence.ABSENT:
        return LineAnswer(outcome=LineOutcome.NOT_FOUND)
    if resolved.presence is not Presence.FOUND:
        message = resolved.message or resolved.presence.value
        return LineAnswer(outcome=LineOutcome.FAILED, study_uids=uids, message=message)
    message = names_several(query, uids, described)
    outcome = LineOutcome.AMBIGUOUS if message else LineOutcome.FOUND
    return LineAnswer(outcome=outcome, study_uids=uids, message=message)


def _asked(
    batch: Sequence[StudyQuery],
    resolved: Resolutions,
    lost: NodeError | None,
    planner: SinglesPlanner,
) -> Sequence[StudyQuery]:
    """Return the questions, in their order, up to the first that was not put any more."""
    for at, query in enumerate(batch):
        one = resolved[query]
        unasked = planner.given_up and one.asked_on is None
        if unasked or (lost is not None and one.presence is Presence.FAILED):
            return batch[:at]
    return batch


async def _record(inquiry: Inquiry, record: RunningCycle, resolved: Resolutions) -> None:
    """Record what was asked for: one row for all that came to the same.

    Questions by other keys than a UID or an accession number alone prove nothing that anybody asks
    the ledger for.
    """
    groups: dict[tuple[str, Presence, str], list[tuple[str, int]]] = {}
    for query, one in resolved.items():
        keys = query.keys()
        if len(keys) == 1 and query.window.days is None and one.asked_on is not None:
            ((key, value),) = keys.items()
            if key in {STUDY_UID, ACCESSION_NUMBER}:
                group = groups.setdefault((key, one.presence, one.message), [])
                group.append((value, len(one.study_uids)))
    if not groups:
        return
    async with inquiry.asker.database.begin() as session:
        for (key, presence, message), named in groups.items():
            await add_window(
                session,
                cycle_id=record.id,
                peer=inquiry.asker.peer.name,
                query={key: "\\".join(value for value, _ in named)},
                start_date=None,
                end_date=None,
                outcome=OUTCOMES[presence],
                matches=sum(count for _, count in named),
                message=message or None,
            )
