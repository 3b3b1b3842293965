"""Find single studies: those that options or a project name."""

from collections.abc import Sequence
from dataclasses import replace

from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.ops.cycling.running import RunningCycle
from node.ops.finding.answers.brought import Questioned
from node.ops.finding.asking import Questioner
from node.ops.finding.inquiry import Inquiry, WindowWatcher
from node.ops.finding.planning.tree import WindowOutcome
from node.ops.finding.report import FindReport, WindowResult
from node.ops.finding.singles.ambiguity import ambiguous
from node.ops.finding.singles.asking import note_absent, planner_for, resolve, result_of
from node.ops.finding.singles.planning import LEFT_OUT, SinglesPlanner
from node.ops.finding.singles.resolved import Presence, Resolutions
from node.ops.stalls import TimeLimits
from schema import Database
from schema.finding.asking import add_window
from schema.finding.known import ISSUER
from schema.finding.windows import settle_window
from schema.project.entries import add_known_studies

_AT_ONCE = 100
"""Studies that are asked for before it is settled what it means that others did not come."""

_UNSETTLED = "nothing came for what the peer is known to have"


async def find_studies(
    database: Database,
    peer: Peer | WebPeer,
    queries: Sequence[StudyQuery],
    *,
    node: str,
    limits: TimeLimits,
    profile: PeerProfile,
    project_id: int | None = None,
    keywords: Sequence[str] = (),
    watch: WindowWatcher = lambda _: None,
) -> FindReport:
    """Query a peer for single studies, over one association, and record those that it has.

    Each question is a row of `find_windows`. It says `complete` of none that came only where the
    question proves that there is none.

    Parameters
    ----------
    queries
        What for; one that names several UIDs is a question for each.
    project_id
        The key of a project to which the studies that are found are added.
    watch
        Called with each study as it is known what became of it.

    Others as `node.ops.finding.find.find`.
    """
    if any(query.accession_number for query in queries):
        keywords = (*keywords, ISSUER)  # one number may be that of several patients
    asker = Questioner(database, peer, limits, keywords=keywords)
    inquiry = Inquiry(asker, node, watch)
    planner = await planner_for(database, peer.name, profile)
    singles = [
        single
        for query in queries
        for single in ([replace(query, study_uids=(uid,)) for uid in query.study_uids] or [query])
    ]
    return await inquiry.run(
        lambda record: _ask_all(inquiry, planner, singles, record, project_id=project_id)
    )


async def _ask_all(
    inquiry: Inquiry,
    planner: SinglesPlanner,
    singles: Sequence[StudyQuery],
    record: RunningCycle,
    *,
    project_id: int | None,
) -> None:
    gaps: list[WindowResult] = []
    found: set[str] = set()
    for first in range(0, len(singles), _AT_ONCE):
        rows = _Rows(inquiry, record)
        resolved = await resolve(
            inquiry, planner, singles[first : first + _AT_ONCE], record, hear=rows.hear
        )
        await note_absent(inquiry, resolved)
        await rows.settle(resolved)
        results = [result_of(query, one) for query, one in resolved.items()]
        gaps += [one for one in results if one.outcome != WindowOutcome.COMPLETE]
        inquiry.gaps = tuple(gaps)
        inquiry.absent += tuple(
            query for query, one in resolved.items() if one.presence is Presence.ABSENT
        )
        inquiry.ambiguous |= await ambiguous(inquiry, resolved)
        uids = {uid for one in resolved.values() for uid in one.study_uids}
        if project_id is not None and uids:
            async with inquiry.asker.database.begin() as session:
                await add_known_studies(session, project_id, uids)
        found |= uids
        inquiry.found = len(found)
    inquiry.raise_if_vain()


class _Rows:
    """The rows of the questions for some studies."""

    def __init__(self, inquiry: Inquiry, record: RunningCycle) -> None:
        self._database = inquiry.asker.database
        self._peer = inquiry.asker.peer.name
        self._record = record
        self._open: dict[StudyQuery, int] = {}

    async def hear(self, query: StudyQuery, asked: Questioned, resolved: Resolutions) -> None:
        """Record a question; nothing as its answer is suspect until more is known of the peer."""
        result = asked.result
        if len(query.study_uids) < 2 and query in resolved:
            settled = result_of(query, resolved[query])
            result = replace(result, outcome=settled.outcome, message=settled.message)
        elif result.outcome == WindowOutcome.COMPLETE:
            left_out = max(1, len(query.study_uids)) - len(asked.tally.study_uids)
            if left_out > 0:
                message = _UNSETTLED
                if len(query.study_uids) > 1:
                    what = f"{left_out} of {len(query.study_uids)} studies did not come"
                    message = f"{what}, which a list does not prove to be missing"
                result = replace(result, outcome=WindowOutcome.SUSPECT, message=message)
        async with self._database.begin() as session:
            row = await add_window(
                session,
                cycle_id=self._record.id,
                peer=self._peer,
                query=query.keys(),
                start_date=query.window.start,
                end_date=query.window.end,
                outcome=result.outcome,
                matches=asked.tally.matches,
                message=result.message or None,
                asked_on=asked.answer.asked_on,
            )
        if query in resolved and resolved[query].presence is Presence.UNPROVEN:
            self._open[query] = row

    async def settle(self, resolved: Resolutions) -> None:
        """Record what is known by now of those that were suspect."""
        async with self._database.begin() as session:
            for query, row in self._open.items():
                one = resolved[query]
                absent = one.presence is Presence.ABSENT
                await settle_window(
                    session,
                    row,
                    outcome=WindowOutcome.COMPLETE if absent else WindowOutcome.SUSPECT,
                    covered_on=None,
                    message=None if absent else one.message or LEFT_OUT,
                )
