"""What others report of what we have asked them to commit to is written down."""

import logging
from collections import defaultdict

from node.dicom.commitment import CommitmentReport
from node.dicom.status import Status
from node.net.messages import ReportRequest
from schema import Database, SchemaError
from schema.committing.asking import ReportedOutcomes, keep_report

log = logging.getLogger(__name__)


class ReportKeeper:
    """Takes reports: `take` is `Services.report`.

    Parameters
    ----------
    database
        Where our requests are, whichever process has made them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, request: ReportRequest) -> int:
        """Take a report that came over an association that its sender has opened."""
        return await self.keep(request.report, *request.caller.peers)

    async def keep(self, report: CommitmentReport, *peers: str) -> int:
        """Write a report down; return the status of the N-EVENT-REPORT.

        Success is said when it is committed to the database. A Transaction UID that we have not
        used, or not with these peers, is an invalid argument value (PS3.7 C.5.10).

        Parameters
        ----------
        peers
            Who reports, as the configuration calls it.
        """
        committed: defaultdict[str, set[str]] = defaultdict(set)
        for one in report.committed:
            committed[one.sop_instance_uid].add(one.sop_class_uid)
        failures = {
            one.sop_instance_uid: int(reason or Status.PROCESSING_FAILURE)
            for one, reason in report.failed
        }
        if report.contradicts_itself:
            log.warning(
                "%s reports that it does not commit to all, and names nothing that it does not:"
                " none of it is taken for committed",
                " or ".join(peers) or "Somebody",
            )
        try:
            known = await self._database.run(
                keep_report,
                transaction_uid=report.transaction_uid,
                peers=peers,
                said=ReportedOutcomes(
                    committed=committed,
                    failed=failures,
                    contradictory=report.contradicts_itself,
                ),
            )
        except SchemaError as error:
            log.warning("A report of storage commitment is not taken: %s", error)
            return Status.PROCESSING_FAILURE
        if not known:
            log.warning(
                "%s reports on a storage commitment that it was not asked for",
                " or ".join(peers) or "Nobody that is known",
            )
            return Status.INVALID_ARGUMENT
        return Status.SUCCESS
