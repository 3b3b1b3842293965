"""C-GET, answered (PS3.4 C.4.3): the images go back over the association that asks for them."""

import asyncio
from collections.abc import Sequence
from functools import partial

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.errors import NodeError, PeerRefused
from node.net.dimse.ahead import ReadAhead, ReadObject
from node.net.dimse.contexts import GET_MODELS
from node.net.dimse.inbox import Message
from node.net.dimse.sendable import opened_sendable
from node.net.messages import (
    Conduct,
    GetHandler,
    GetPlan,
    GetRequest,
    Instance,
    QueryModel,
    RetrievalMeans,
    SentParts,
)
from node.net.scp.services.asking import Unanswerable, ask
from node.net.scp.services.conducting import conducted
from node.net.scp.services.preparing import noted, prepared
from node.net.scp.services.suboperations import Counts, last_response
from node.net.scp.services.underway import Underway
from node.net.scp.session import Session
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET


async def answer_get(handler: GetHandler | None, session: Session, message: Message) -> None:
    """Answer a C-GET: store each planned object at the peer, and say how far it is after each."""

    async def choose(
        get: GetHandler, model: QueryModel, identifier: Dataset
    ) -> Sequence[Instance] | GetPlan | Conduct:
        return await get(
            GetRequest(
                caller=session.caller,
                model=model,
                identifier=identifier,
                relational=session.agreement.relational(message.context_id),
            )
        )

    counts: Counts | None = None
    comment = ""
    try:
        chosen = await ask("get", session, message, models=GET_MODELS, handler=handler, use=choose)
    except Unanswerable as answer:
        status, comment = answer.status, answer.comment
    else:
        if callable(chosen):
            by_hand = partial(_stored_by_hand, session, message.command)
            await conducted(chosen, session, message, by_hand)
            return
        plan = chosen if isinstance(chosen, GetPlan) else GetPlan(instances=chosen)
        counts = Counts(remaining=len(plan.instances))
        if plan.instances:
            underway = Underway(session, message, counts, pause=plan.means.pause, inside=True)
            await underway.do(_get(underway, plan))
        status = Status.CANCEL if counts.remaining else counts.final_status()
    last = last_response(session, message, status, counts, comment)
    await session.respond(message.context_id, *last)


async def _get(underway: Underway, plan: GetPlan) -> None:
    """Store what is chosen at the peer, and count it, unless it is cancelled."""
    async with underway.turn(plan.means):
        ahead = ReadAhead(plan.instances)
        try:
            while not (underway.is_cancelled or ahead.is_empty):
                await underway.reclaim()
                if (read := await ahead.next()) is None:
                    return
                status, reasons = None, list[str]()
                with noted(read.instance, plan.means, reasons):
                    status = await _stored(underway, read, plan.means)
                await underway.count(read.instance, status, "".join(reasons[:1]))
        finally:
            await ahead.close()


async def _stored(underway: Underway, read: ReadObject, means: RetrievalMeans) -> int | None:
    """Store an object at the peer; return the status, or None when it did not answer.

    Raises
    ------
    NodeError
        It could not be sent.
    """
    session = underway.session

    def takes(sop_class_uid: str, transfer_syntax_uid: str) -> bool:
        return session.agreement.context_to_send(sop_class_uid, transfer_syntax_uid) is not None

    async with prepared(read, takes, means, session.caller.aetitle) as sent:
        with underway.storing():
            message_id = await _send_whole(session, underway.command, sent)
            return await _status(session, message_id)


async def _send_whole(session: Session, request: Command, sent: SentParts) -> int:
    """Send an object in the context that there is for it; return the message ID."""
    context_id = session.agreement.context_to_send(sent.sop_class_uid, sent.transfer_syntax_uid)
    assert context_id is not None, "that was asked before"  # noqa: S101
    message_id = session.next_message_id()
    try:
        await _send(session, context_id, _command(request, message_id, sent), sent)
    except NodeError:
        session.give_up("an object could not be sent to its end")
        raise
    return message_id


def _command(request: Command, message_id: int, sent: SentParts) -> Command:
    return Command(
        field=CommandField.C_STORE_RQ,
        message_id=message_id,
        affected_sop_class_uid=sent.sop_class_uid,
        affected_sop_instance_uid=sent.sop_instance_uid,
        priority=request.priority or 0,
        dataset_type=DATASET,
    )


async def _stored_by_hand(
    session: Session, request: Command, instance: Instance, *, half: bool = False
) -> int | None:
    """Store an object for `node.net.messages.Conducted.store`; see there."""
    with noted(instance, RetrievalMeans(), []):
        async with opened_sendable(instance) as sent:
            context_id = session.agreement.context_to_send(
                sent.sop_class_uid, sent.transfer_syntax_uid
            )
            if context_id is None:
                raise PeerRefused(f"{session.caller.aetitle} does not take {sent.name}")
            if not half:
                message_id = await _send_whole(session, request, sent)
                return await _status(session, message_id)
            association = session.connection.association
            command = _command(request, session.next_message_id(), sent)
            association.send(context_id, command)
            association.send_part(context_id, (await sent.part())[0], last=True)
            session.connection.flush_half()
    return None


async def _send(session: Session, context_id: int, command: Command, sent: SentParts) -> None:
    connection = session.connection
    connection.association.send(context_id, command)
    last = False
    while not last:
        part, last = await sent.part()
        if session.inbox.ended is not None:
            return
        connection.association.send_part(context_id, part, last=last)
        connection.flush()
        await connection.drain()


async def _status(session: Session, message_id: int) -> int | None:
    """Wait for the response to a C-STORE of ours; None when the association is over instead."""
    try:
        if session.inbox.has_waiting:  # a time-out costs more than all else here
            answer = await session.inbox.get()
        else:
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
