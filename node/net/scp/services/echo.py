"""C-ECHO, answered (PS3.7 9.1.5): we are here."""

from node.dicom.status import Status
from node.net.dimse.contexts import VERIFICATION
from node.net.dimse.inbox import Message
from node.net.scp.session import Session
from node.upperlayer import response_to


async def answer_echo(session: Session, message: Message) -> None:
    """Answer a C-ECHO with Success, in a context of Verification; in another it is refused."""
    command, context_id = message.command, message.context_id
    verified = command.affected_sop_class_uid == VERIFICATION
    if verified and session.agreement.takes(context_id, VERIFICATION):
        status = Status.SUCCESS
    else:
        status = Status.SOP_CLASS_NOT_SUPPORTED
    await session.respond(context_id, response_to(command, status))
