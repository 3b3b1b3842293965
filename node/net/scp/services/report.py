"""A report of Storage Commitment, answered (PS3.4 J.3.3): another node says what it keeps for us.

We are the SCU of the class then, though the other one has opened the association.
"""

import logging

from node.dicom.commitment import InvalidCommitment
from node.dicom.status import Status
from node.net.dimse.commitments import decoded_report, why_no_report
from node.net.dimse.inbox import Message
from node.net.messages import ReportHandler, ReportRequest
from node.net.scp.session import Session
from node.net.transport.failures import log_failure
from node.upperlayer import response_to

log = logging.getLogger(__name__)


async def answer_report(handler: ReportHandler | None, session: Session, message: Message) -> None:
    """Answer an N-EVENT-REPORT; what is no report of storage commitment is refused."""
    command, comment = message.command, ""
    status: int | None = why_no_report(command)
    if handler is None or not session.agreement.commits(message.context_id):
        status = Status.NO_SUCH_CLASS
    elif status is None:
        try:
            syntax = session.agreement.transfer_syntax(message.context_id)
            report = await decoded_report(command, message.dataset or b"", syntax)
            status = await handler(ReportRequest(caller=session.caller, report=report))
        except InvalidCommitment as error:
            log.warning("N-EVENT-REPORT from %s: %s", session.caller.aetitle, error)
            status, comment = Status.INVALID_ARGUMENT, str(error)
        except Exception as error:  # noqa: BLE001 - a handler never raises
            log_failure("a report of storage commitment", error)
            status, comment = Status.PROCESSING_FAILURE, "an error of the node's own"
    await session.respond(message.context_id, response_to(command, status, comment=comment))
