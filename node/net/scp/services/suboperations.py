"""The sub-operations of a C-MOVE or a C-GET: their counts, and the responses that tell them."""

import logging
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.net.categories import describe, is_success_or_warning
from node.net.dimse.identifiers import write_identifier
from node.net.dimse.inbox import Message
from node.net.scp.session import Session
from node.upperlayer import Command, response_to

log = logging.getLogger(__name__)

_LONGEST_VALUE = 0xFFFE
"""Bytes of a UI value whose length has 16 bits."""


@dataclass(slots=True, kw_only=True)
class Counts:
    """How many sub-operations there are of each outcome (PS3.4 C.4.2.1.6 to C.4.2.1.9).

    Attributes
    ----------
    failed_uids
        The SOP Instance UIDs of those that failed.
    reason
        Why the first of them did, for people; empty where nobody knows.
    """

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)
    reason: str = ""

    def count(self, uid: str, status: int | None, reason: str = "") -> None:
        """Take note of a C-STORE's status; None when there was no answer to it, for a reason."""
        self.remaining -= 1
        if status == Status.SUCCESS:
            self.completed += 1
        elif status is not None and is_success_or_warning(status):
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(uid)
            if not self.reason:
                self.reason = reason or ("" if status is None else describe(status))

    def final_status(self) -> Status:
        """Return the status when all are done (PS3.4 C.4.2.1.5, C.4.3.1.4)."""
        if self.failed and not self.completed and not self.warning:
            return Status.UNABLE_TO_PERFORM_SUBOPERATIONS
        if self.failed or self.warning:
            return Status.SUBOPERATIONS_WITH_FAILURES
        return Status.SUCCESS

    def response(self, request: Command) -> Command:
        """Return the pending response that tells how far it is."""
        return response_to(
            request,
            Status.PENDING,
            remaining=self.remaining,
            completed=self.completed,
            failed=self.failed,
            warning=self.warning,
        )


def last_response(
    session: Session, message: Message, status: int, counts: Counts | None, comment: str = ""
) -> tuple[Command, bytes | None]:
    """Return the last response to a request, and its identifier: what failed, where something did.

    Parameters
    ----------
    counts
        None where nothing was begun.
    comment
        What else there is to say.
    """
    dataset: bytes | None = None
    if counts is not None and counts.failed_uids:
        identifier = Dataset()
        identifier.FailedSOPInstanceUIDList = _as_many_as_fit(counts.failed_uids)
        dataset = write_identifier(
            identifier, session.agreement.transfer_syntax(message.context_id)
        )
    if counts is not None and counts.failed and not comment:
        comment = f"{counts.failed} failed: {counts.reason}" if counts.reason else ""
    response = response_to(
        message.command,
        status,
        dataset=dataset is not None,
        comment=comment,
        remaining=counts.remaining if counts and status == Status.CANCEL else None,
        completed=counts.completed if counts else None,
        failed=counts.failed if counts else None,
        warning=counts.warning if counts else None,
    )
    if counts is not None:
        log.info(
            "Retrieval of %s ends with %s: %d sent, %d with a warning, %d failed, %d left%s",
            session.caller.aetitle,
            describe(status),
            counts.completed + counts.warning,
            counts.warning,
            counts.failed,
            counts.remaining,
            f" ({comment})" if comment else "",
        )
    return response, dataset


def _as_many_as_fit(uids: list[str]) -> list[str]:
    """Return the first UIDs, as many as one value can have in explicit VR (PS3.5 7.1.2)."""
    size = 0
    for number, uid in enumerate(uids):
        size += len(uid) + 1
        if size > _LONGEST_VALUE:
            return uids[:number]
    return uids
