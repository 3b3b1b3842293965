"""C-FIND and C-MOVE, answered (PS3.4 Annex C.4.1 and C.4.2)."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.errors import NodeError
from node.net.dimse.contexts import FIND_MODELS, MAXIMUM_CONTEXTS, MOVE_MODELS
from node.net.dimse.identifiers import InvalidIdentifier, decoded_identifier, write_identifier
from node.net.dimse.inbox import Message
from node.net.messages import FindRequest, MovePlan, MoveRequest
from node.net.scp.suboperations import Counts, last_response
from node.net.scu.requestor import Originator, ServiceUser, associate
from node.net.transport.failures import log_failure
from node.upperlayer import response_to

if TYPE_CHECKING:
    from node.net.scp.session import Session

log = logging.getLogger(__name__)


async def answer_find(session: "Session", message: Message) -> None:
    """Answer a C-FIND: a pending response for each match, then the final one."""
    status = await _find(session, message)
    await session.respond(message.context_id, response_to(message.command, status))


async def _find(session: "Session", message: Message) -> int:
    model = FIND_MODELS.get(session.agreement.abstract_syntax(message.context_id))
    if session.services.find is None or model is None:
        return Status.SOP_CLASS_NOT_SUPPORTED
    syntax = session.agreement.transfer_syntax(message.context_id)
    matches: AsyncIterator[Dataset] | None = None
    try:
        identifier = await decoded_identifier(message.dataset or b"", syntax)
        request = FindRequest(caller=session.caller, model=model, identifier=identifier)
        matches = session.services.find(request)
        async for match in matches:
            if session.inbox.is_cancelled(message.command.message_id):
                return Status.CANCEL
            response = response_to(message.command, Status.PENDING, dataset=True)
            await session.respond(message.context_id, response, write_identifier(match, syntax))
            await asyncio.sleep(0)  # a handler that never waits would let nobody else have a turn
    except InvalidIdentifier as error:
        log.warning("C-FIND from %s: %s", session.caller.aetitle, error)
        return Status.UNABLE_TO_PROCESS
    except Exception as error:  # noqa: BLE001 - a handler never raises
        log_failure("find", error)
        return Status.UNABLE_TO_PROCESS
    finally:
        if isinstance(matches, AsyncGenerator):
            await matches.aclose()
    return Status.SUCCESS


async def answer_move(session: "Session", message: Message) -> None:
    """Answer a C-MOVE: send each planned file, and say how far it is after each."""
    status, counts = await _move(session, message)
    await session.respond(message.context_id, *last_response(session, message, status, counts))


async def _move(session: "Session", message: Message) -> tuple[int, Counts | None]:
    model = MOVE_MODELS.get(session.agreement.abstract_syntax(message.context_id))
    if session.services.move is None or model is None:
        return Status.SOP_CLASS_NOT_SUPPORTED, None
    try:
        syntax = session.agreement.transfer_syntax(message.context_id)
        plan = await session.services.move(
            MoveRequest(
                caller=session.caller,
                model=model,
                identifier=await decoded_identifier(message.dataset or b"", syntax),
                destination=message.command.move_destination or "",
            )
        )
    except InvalidIdentifier as error:
        log.warning("C-MOVE from %s: %s", session.caller.aetitle, error)
        return Status.UNABLE_TO_PROCESS, None
    except Exception as error:  # noqa: BLE001 - a handler never raises
        log_failure("move", error)
        return Status.UNABLE_TO_PROCESS, None
    if plan.target is None:
        return Status.MOVE_DESTINATION_UNKNOWN, None
    counts = Counts(remaining=len(plan.instances))
    try:
        cancelled = await _send_all(session, message, plan, counts)
    except NodeError as error:
        log.warning("C-MOVE to %s: %s", plan.target.name, error)
        for instance in plan.instances[len(plan.instances) - counts.remaining :]:
            counts.count(instance.sop_instance_uid, None)
        cancelled = False
    return (Status.CANCEL if cancelled else counts.final_status()), counts


async def _send_all(session: "Session", message: Message, plan: MovePlan, counts: Counts) -> bool:
    """Send what is planned; tell whether the peer cancelled it."""
    command = message.command
    pairs = dict.fromkeys((i.sop_class_uid, i.transfer_syntax_uid) for i in plan.instances)
    originator = Originator(session.caller.aetitle, command.message_id or 0)
    assert plan.target is not None, "the caller has looked"  # noqa: S101
    async with AsyncExitStack() as stack:
        association: ServiceUser | None = None
        for instance in plan.instances:
            if session.inbox.is_cancelled(command.message_id) or session.inbox.ended is not None:
                return True
            if association is None:
                association = await stack.enter_async_context(
                    associate(plan.target, storage=list(pairs)[:MAXIMUM_CONTEXTS])
                )
            try:
                status: int | None = await association.store(instance.path, originator=originator)
            except NodeError as error:
                if association.is_over:
                    raise
                log.warning("Cannot send an image to %s: %s", plan.target.name, error)
                status = None
            counts.count(instance.sop_instance_uid, status)
            await session.respond(message.context_id, counts.response(command))
    return False
