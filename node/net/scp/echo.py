"""C-ECHO, answered (PS3.7 9.1.5): we are here."""

from node.dicom.status import Status
from node.net.dimse.inbox import Message
from node.net.scp.session import Session
from node.upperlayer import response_to


async def answer_echo(session: Session, message: Message) -> None:
    """Answer a C-ECHO with Success, in whatever context it comes."""
    await session.respond(message.context_id, response_to(message.command, Status.SUCCESS))
