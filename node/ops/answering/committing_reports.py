"""How a report on a storage commitment gets to who has asked (PS3.4 J.3.3).

Over the association that asked, while it is open; else over one of our own, to the address that the
configuration has of the peer, under the AE title that asked.
"""

from dataclasses import replace

from node.config import Config
from node.dicom.commitment import CommitmentReport, Reference
from node.errors import NodeError
from node.net.categories import describe, is_success_or_warning
from node.net.messages import ReportLine
from node.net.scu.commitment import associate_to_commit
from node.ops.answering.committing_askers import asking_peer
from node.ops.peers import peer_of
from schema import Database
from schema.committing.claiming import ClaimedCommitment
from schema.committing.outcomes import COMMITTED, items_after

_GRACE = 0.2
"""Seconds in which who has asked may release: many do at once, and wait for our association."""


async def report_of(database: Database, one: ClaimedCommitment) -> CommitmentReport:
    """Return the report on a request of which all is known."""
    committed: list[Reference] = []
    failed: list[tuple[Reference, int]] = []
    after = -1
    while True:
        async with database.session() as session:
            page = await items_after(session, one.id, after)
        if not page:
            break
        after = page[-1].number
        for item in page:
            reference = Reference(item.sop_class_uid, item.sop_instance_uid)
            if item.outcome == COMMITTED:
                committed.append(reference)
            elif item.outcome is not None:
                failed.append((reference, item.outcome))
    return CommitmentReport(transaction_uid=one.transaction_uid, committed=committed, failed=failed)


async def deliver(
    config: Config, one: ClaimedCommitment, report: CommitmentReport, line: ReportLine | None
) -> str:
    """Report to who has asked; return why that was not taken, empty when it was.

    Parameters
    ----------
    line
        The association that asked, where this process has accepted it.
    """
    status: int | None = None
    if line is not None and not await line.ends_within(_GRACE):
        status = await line.report(report)
    if status is not None:
        return _refusal(one, status)
    settings = asking_peer(config, one.aetitle, one.peer)
    if settings is None:
        return f"no peer of the configuration may ask for storage commitment as {one.aetitle}"
    try:
        peer = replace(peer_of(settings), aetitle=one.aetitle)
        async with associate_to_commit(peer, as_provider=True) as association:
            status = await association.report(report)
    except NodeError as error:
        return str(error)
    return _refusal(one, status)


def _refusal(one: ClaimedCommitment, status: int) -> str:
    if is_success_or_warning(status):
        return ""
    return f"{one.aetitle} answered the N-EVENT-REPORT with {describe(status)}"
