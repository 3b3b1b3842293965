"""C-GET, answered (PS3.4 C.4.3): the images go back over the association that asks for them."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.errors import NodeError
from node.net.dimse.contexts import GET_MODELS
from node.net.dimse.inbox import Message
from node.net.dimse.sendable import Sendable, SendableBytes, opened_sendable
from node.net.messages import Conduct, GetHandler, GetRequest, Instance, QueryModel
from node.net.scp.services.asking import Unanswerable, ask
from node.net.scp.services.suboperations import Counts, conducted, last_response
from node.net.scp.session import Session
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET

log = logging.getLogger(__name__)


async def answer_get(handler: GetHandler | None, session: Session, message: Message) -> None:
    """Answer a C-GET: store each planned file at the peer, and say how far it is after each."""

    async def choose(
        get: GetHandler, model: QueryModel, identifier: Dataset
    ) -> Sequence[Instance] | Conduct:
        return await get(GetRequest(caller=session.caller, model=model, identifier=identifier))

    counts: Counts | None = None
    comment = ""
    try:
        instances = await ask(
            "get", session, message, models=GET_MODELS, handler=handler, use=choose
        )
    except Unanswerable as answer:
        status, comment = answer.status, answer.comment
    else:
        if callable(instances):
            await conducted(instances, session, message, partial(_stored, session, message.command))
            return
        counts = Counts(remaining=len(instances))
        status = await _get(session, message, instances, counts)
    last = last_response(session, message, status, counts, comment)
    await session.respond(message.context_id, *last)


async def _get(
    session: Session, message: Message, instances: Sequence[Instance], counts: Counts
) -> Status:
    """Store what is chosen at the peer, and count it; return the final status."""
    command = message.command
    for instance in instances:
        if session.inbox.is_cancelled(command.message_id) or session.inbox.ended is not None:
            return Status.CANCEL
        counts.count(instance.sop_instance_uid, await _stored(session, command, instance))
        await session.respond(message.context_id, counts.response(command))
    return counts.final_status()


async def _stored(
    session: Session, request: Command, instance: Instance, *, half: bool = False
) -> int | None:
    """Store an instance at the peer; return the status, or None when it could not be sent.

    Parameters
    ----------
    half
        See `node.net.messages.Conducted.store`.
    """
    try:
        async with opened_sendable(instance) as sendable:
            context_id = session.agreement.context_to_send(
                sendable.sop_class_uid, sendable.transfer_syntax_uid
            )
            if context_id is None:
                log.warning(
                    "%s does not take %s in %s: an image of its C-GET is not sent",
                    session.caller.aetitle,
                    sendable.sop_class_uid,
                    sendable.transfer_syntax_uid,
                )
                return None
            message_id = session.next_message_id()
            command = Command(
                field=CommandField.C_STORE_RQ,
                message_id=message_id,
                affected_sop_class_uid=sendable.sop_class_uid,
                affected_sop_instance_uid=sendable.sop_instance_uid,
                priority=request.priority or 0,
                dataset_type=DATASET,
            )
            if half:
                session.connection.association.send(context_id, command)
                session.connection.association.send_part(
                    context_id, (await sendable.part())[0], last=True
                )
                session.connection.flush_half()
                return None
            try:
                await _send(session, context_id, command, sendable)
            except NodeError:
                session.give_up("an object could not be sent to its end")
                raise
    except NodeError as error:
        log.warning("Cannot send an image to %s: %s", session.caller.aetitle, error)
        return None
    return await _status(session, message_id)


async def _send(
    session: Session, context_id: int, command: Command, sendable: Sendable | SendableBytes
) -> None:
    connection = session.connection
    connection.association.send(context_id, command)
    last = False
    while not last:
        part, last = await sendable.part()
        if session.inbox.ended is not None:
            return
        connection.association.send_part(context_id, part, last=last)
        connection.flush()
        await connection.drain()


async def _status(session: Session, message_id: int) -> int | None:
    """Wait for the response to a C-STORE of ours; None when the association is over instead."""
    try:
        async with asyncio.timeout(session.patience):
            answer = await session.inbox.get()
    except TimeoutError:
        session.give_up(f"no answer to an image of its C-GET for {session.patience:g} s")
        return None
    if session.inbox.ended is not None:
        return None
    if (
        not isinstance(answer, Message)
        or answer.command.field != CommandField.C_STORE_RSP
        or answer.command.responding_to not in (message_id, None)
        or answer.command.status is None
    ):
        if isinstance(answer, Message) and answer.sink is not None:
            answer.sink.discard()
        session.give_up("it did not answer an image of its C-GET")
        return None
    return answer.command.status
