"""C-STORE, answered (PS3.7 9.1.1, PS3.4 Annex B): the dataset goes into a sink as it comes.

The sink is opened when the command is there (`open_sink`), and asked for the status when the
dataset is whole (`answer_store`).
"""

from node.dicom.status import Status
from node.net.dimse.contexts import is_storage
from node.net.dimse.inbox import Message
from node.net.dimse.sinks import Refused
from node.net.messages import StoreHandler, StoreRequest, StoreSink
from node.net.scp.session import Session
from node.upperlayer import Command, response_to


def open_sink(
    handler: StoreHandler | None, session: Session, context_id: int, command: Command
) -> StoreSink:
    """Begin to take an object; one in a context that is not there for its class is refused."""
    sop_class = command.affected_sop_class_uid or ""
    if (
        handler is None
        or not is_storage(sop_class)
        or not session.agreement.takes(context_id, sop_class)
    ):
        return Refused(Status.SOP_CLASS_NOT_SUPPORTED)
    return handler(
        StoreRequest(
            caller=session.caller,
            sop_class_uid=sop_class,
            sop_instance_uid=command.affected_sop_instance_uid or "",
            transfer_syntax_uid=session.agreement.transfer_syntax(context_id),
            originator=(command.move_originator or "").strip(),
        )
    )


async def answer_store(session: Session, message: Message) -> None:
    """Answer a C-STORE with what its sink says; without a dataset it is no operation."""
    if message.sink is None:
        await session.refuse(message)
        return
    status = await message.sink.finish()
    await session.respond(message.context_id, response_to(message.command, status))
