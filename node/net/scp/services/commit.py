"""Storage Commitment, answered (PS3.4 J.3): N-ACTION takes the request, the report comes later.

The handler has written the request down when it answers Success; it reports when it knows, over
this association while that is open (J.3.3), or over one of its own.
"""

import asyncio
import logging

from node.dicom.commitment import CommitmentReport, InvalidCommitment, write_report
from node.dicom.status import Status
from node.net.dimse.commitments import decoded_request, report_command, why_no_request
from node.net.dimse.inbox import Message
from node.net.messages import CommitHandler, CommitRequest
from node.net.scp.session import Session
from node.net.transport.failures import log_failure
from node.upperlayer import CommandField, response_to

log = logging.getLogger(__name__)


async def answer_commit(handler: CommitHandler | None, session: Session, message: Message) -> None:
    """Answer an N-ACTION; what is no request for storage commitment is refused."""
    command, comment = message.command, ""
    status: int | None = why_no_request(command)
    takes = session.agreement.takes(message.context_id, command.requested_sop_class_uid)
    if handler is None or not takes:
        status = Status.NO_SUCH_CLASS
    elif status is None:
        try:
            syntax = session.agreement.transfer_syntax(message.context_id)
            request = await decoded_request(message.dataset or b"", syntax)
            status = await handler(
                CommitRequest(
                    caller=session.caller,
                    request=request,
                    line=AssociationLine(session, message.context_id),
                )
            )
        except InvalidCommitment as error:
            log.warning("N-ACTION from %s: %s", session.caller.aetitle, error)
            status, comment = Status.INVALID_ARGUMENT, str(error)
        except Exception as error:  # noqa: BLE001 - a handler never raises
            log_failure("storage commitment", error)
            status, comment = Status.PROCESSING_FAILURE, "an error of the node's own"
    await session.respond(message.context_id, response_to(command, status, comment=comment))


class AssociationLine:
    """The association over which commitment was asked for; see `node.net.messages.ReportLine`.

    Parameters
    ----------
    context_id
        The presentation context of the N-ACTION.
    """

    def __init__(self, session: Session, context_id: int) -> None:
        self._session = session
        self._context_id = context_id

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self._session.inbox.ended is None

    async def ends_within(self, seconds: float) -> bool:
        """Wait for its end, so long; return whether it has come."""
        return await self._session.ends_within(seconds)

    async def report(self, report: CommitmentReport) -> int | None:
        """Report over it, and return the status of the answer; None when there was none."""
        syntax = self._session.agreement.transfer_syntax(self._context_id)
        dataset = await asyncio.to_thread(write_report, report, syntax)
        command = report_command(self._session.next_message_id(), report)
        response = await self._session.request(self._context_id, command, dataset)
        if response is None or response.field != CommandField.N_EVENT_REPORT_RSP:
            return None
        return response.status
