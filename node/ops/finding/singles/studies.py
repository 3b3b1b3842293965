"""Find single studies: by their UIDs, in lists where the peer understands them, or otherwise."""

from collections.abc import Sequence

from node.dicom.query import StudyQuery
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.ops.cycles import RunningCycle
from node.ops.finding.asking import Questioned, Questioner
from node.ops.finding.gone import note_gone
from node.ops.finding.inquiry import Inquiry, WindowWatcher
from node.ops.finding.planning.tree import WindowOutcome
from node.ops.finding.report import FindReport
from node.ops.finding.singles.planning import Plan, Reply, by_key, in_lists
from node.ops.stalls import TimeLimits
from schema import Database
from schema.cycles import add_window


async def find_listed(
    database: Database,
    peer: Peer | WebPeer,
    queries: Sequence[StudyQuery],
    *,
    node: str,
    limits: TimeLimits,
    project_id: int | None = None,
    keywords: Sequence[str] = (),
    watch: WindowWatcher = lambda _: None,
) -> FindReport:
    """Query a peer for the studies whose UIDs the queries name, over one association.

    Parameters as `node.ops.finding.find.find`.
    """
    asker = Questioner(database, peer, limits, project_id=project_id, keywords=keywords)
    plan = _chained([in_lists(query) for query in queries])
    return await _follow(Inquiry(asker, node, watch), plan)


async def find_by_key(
    database: Database,
    peer: Peer | WebPeer,
    *,
    study_uids: Sequence[str],
    accession_numbers: Sequence[str],
    node: str,
    limits: TimeLimits,
    keywords: Sequence[str] = (),
    watch: WindowWatcher = lambda _: None,
) -> FindReport:
    """Query a peer for single studies, over one association, and record those that it has.

    UIDs are asked for in lists, accession numbers one by one; otherwise as `find_listed`.
    """
    asker = Questioner(database, peer, limits, keywords=keywords)
    return await _follow(Inquiry(asker, node, watch), by_key(study_uids, accession_numbers))


async def _follow(inquiry: Inquiry, plan: Plan) -> FindReport:
    async def work(record: RunningCycle) -> None:
        query = next(plan, None)
        while query is not None:
            await record.may_go_on(inquiry.asker.line.close)
            reply = await _put(inquiry, query, record)
            try:
                query = plan.send(reply)
            except StopIteration:
                break
        inquiry.raise_if_vain()

    return await inquiry.run(work)


async def _put(inquiry: Inquiry, query: StudyQuery, record: RunningCycle) -> Reply:
    """Put a question, once more when it failed; record the answer."""
    asked = await inquiry.ask(query)
    failed = asked.answer.outcome is WindowOutcome.FAILED
    if failed and asked.answer.retry and not inquiry.is_lost:
        asked = await inquiry.ask(query)
    inquiry.note(asked)
    await _record(inquiry.asker, record, query, asked)
    if asked.answer.outcome is WindowOutcome.COMPLETE:
        inquiry.gone += await note_gone(
            inquiry.asker.database,
            inquiry.asker.peer.name,
            query,
            answered=asked.tally.study_uids,
            asked_on=asked.answer.asked_on,
        )
    return Reply(
        complete=asked.answer.outcome is WindowOutcome.COMPLETE,
        refused=asked.answer.outcome is WindowOutcome.REFUSED,
        study_uids=frozenset(asked.tally.study_uids),
    )


async def _record(
    asker: Questioner, record: RunningCycle, query: StudyQuery, asked: Questioned
) -> None:
    async with asker.database.begin() as session:
        await add_window(
            session,
            cycle_id=record.id,
            peer=asker.peer.name,
            query=query.keys(),
            start_date=query.window.start,
            end_date=query.window.end,
            outcome=asked.result.outcome,
            matches=asked.result.found,
            message=asked.result.message or None,
        )


def _chained(plans: Sequence[Plan]) -> Plan:
    for plan in plans:
        yield from plan
