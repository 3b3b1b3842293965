"""Find what the lines of a list name, batch after batch, however many there are.

The caller keeps what each line came to. Here it is decided what an answer means for a line that is
to name one study; the studies are recorded as by any find, and the questions in few rows: one for
each batch, key and outcome.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from node.config import Config
from node.dicom.query import StudyQuery
from node.errors import NodeError
from node.ops.cycles import RunningCycle
from node.ops.finding.asking import Questioner
from node.ops.finding.inquiry import Inquiry, WindowWatcher
from node.ops.finding.singles.ambiguity import described_by, names_several
from node.ops.finding.singles.asking import OUTCOMES, planner_for, resolve
from node.ops.finding.singles.planning import Presence, Resolutions, Resolved, SinglesPlanner
from node.ops.peers import peer_of
from node.ops.probing.knowledge import effective_profile
from node.ops.stalls import limits_of
from schema import Database
from schema.cycles import add_window
from schema.finding.known import ISSUER, DescribedStudy
from schema.project.inquiries import ACCESSION_NUMBER, STUDY_UID
from schema.text.words import counted


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
        Studies that were not known before, and those that the peer has no more.
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
    watch: WindowWatcher = lambda _: None,
) -> LinesReport:
    """Put the questions of a list to a peer, over one association, and record what it has.

    Parameters
    ----------
    name
        The peer's, in the configuration.
    batches
        The questions, each of which names one UID, or none; taken one batch at a time.
    keep
        Called with what each batch came to before the next one is taken. When the peer goes away,
        or answers nothing any more, the last questions have no answer in there.
    pause
        Seconds between two questions.
    watch
        Called with each question of a line as it is known what it came to.

    Raises
    ------
    PeerUnreachable, PeerRefused
        There was no association from the start.
    """
    asker = Questioner(
        database,
        peer_of(config.peer(name)),
        limits_of(config.find),
        keywords=(*config.find.search_fields, ISSUER),
    )
    inquiry = Inquiry(asker, config.node.aetitle, watch, keeps=False)
    profile = await effective_profile(config, database, name)
    planner = await planner_for(database, name, profile)
    report = LinesReport(peer=name)
    found: set[str] = set()

    async def work(record: RunningCycle) -> None:
        for batch in batches:
            resolved = await resolve(inquiry, planner, batch, record, pause=pause)
            await _record(inquiry, record, resolved)
            asked = _asked(batch, resolved, inquiry.lost, planner)
            described = await described_by(inquiry, resolved.values())
            keep({q: answer_of(q, resolved[q], described, cap=profile.cap) for q in asked})
            found.update(described)
            inquiry.found = len(found)
            if len(asked) < len(batch):
                report.stopped = str(inquiry.lost or resolved[batch[len(asked)]].message)
                break
        inquiry.raise_if_vain()

    await inquiry.run(work)
    report.questions, report.new, report.gone = inquiry.questions, inquiry.new, inquiry.gone
    return report


def answer_of(
    query: StudyQuery,
    resolved: Resolved,
    described: Mapping[str, DescribedStudy],
    *,
    cap: int | None = None,
) -> LineAnswer:
    """Return what a line came to.

    Parameters
    ----------
    described
        The studies that came, as the peer describes them.
    cap
        How many studies the peer answers at most, where that is known.
    """
    uids = resolved.study_uids
    if resolved.presence is Presence.ABSENT:
        return LineAnswer(outcome=LineOutcome.NOT_FOUND)
    if resolved.presence is not Presence.FOUND:
        message = resolved.message or resolved.presence.value
        return LineAnswer(outcome=LineOutcome.FAILED, message=message)
    studies = counted(len(uids), "study")
    if cap and len(uids) >= cap and not query.study_uids:
        message = f"{studies}, and this peer answers {cap} at most: there may be more"
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
