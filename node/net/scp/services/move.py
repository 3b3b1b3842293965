"""C-MOVE, answered (PS3.4 C.4.2): the images go to the destination, over an association of ours."""

import logging
from collections import deque

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.errors import AssociationLost, NodeError
from node.net.dimse.contexts import MAXIMUM_CONTEXTS, MOVE_MODELS
from node.net.dimse.inbox import Message
from node.net.messages import (
    Conduct,
    Instance,
    MoveHandler,
    MovePlan,
    MoveRequest,
    Peer,
    QueryModel,
)
from node.net.scp.services.asking import Unanswerable, ask
from node.net.scp.services.suboperations import Counts, conducted, last_response
from node.net.scp.session import Session
from node.net.scu.requestor import Originator, ServiceUser, associate

log = logging.getLogger(__name__)

_LOSSES = 4
"""Associations in a row that are lost, before what is left has failed."""


async def answer_move(handler: MoveHandler | None, session: Session, message: Message) -> None:
    """Answer a C-MOVE: send each planned file, and say how far it is after each."""

    async def plan(move: MoveHandler, model: QueryModel, identifier: Dataset) -> MovePlan | Conduct:
        destination = message.command.move_destination or ""
        return await move(
            MoveRequest(
                caller=session.caller, model=model, identifier=identifier, destination=destination
            )
        )

    counts: Counts | None = None
    comment = ""
    try:
        planned = await ask("move", session, message, models=MOVE_MODELS, handler=handler, use=plan)
    except Unanswerable as answer:
        status, comment = answer.status, answer.comment
    else:
        if not isinstance(planned, MovePlan):
            await conducted(planned, session, message)
            return
        if planned.target is None:
            status = Status.MOVE_DESTINATION_UNKNOWN
            comment = f"no destination is called {message.command.move_destination}"
        else:
            counts = Counts(remaining=len(planned.instances))
            status = await _move(session, message, planned, planned.target, counts)
    last = last_response(session, message, status, counts, comment)
    await session.respond(message.context_id, *last)


async def _move(
    session: Session, message: Message, plan: MovePlan, target: Peer, counts: Counts
) -> Status:
    """Send what is planned, and count it; return the final status."""
    try:
        cancelled = await _send_all(session, message, plan, target, counts)
    except NodeError as error:
        log.warning("C-MOVE to %s: %s", target.name, error)
        for instance in plan.instances[len(plan.instances) - counts.remaining :]:
            counts.count(instance.sop_instance_uid, None)
        cancelled = False
    return Status.CANCEL if cancelled else counts.final_status()


async def _send_all(
    session: Session, message: Message, plan: MovePlan, target: Peer, counts: Counts
) -> bool:
    """Send what is planned; tell whether the peer cancelled it.

    An image during which the association is lost has failed; the rest goes over another one.
    """
    command = message.command
    pairs = list(dict.fromkeys((i.sop_class_uid, i.transfer_syntax_uid) for i in plan.instances))
    originator = Originator(session.caller.aetitle, command.message_id or 0)
    left = deque(plan.instances)

    def cancelled() -> bool:
        return session.inbox.is_cancelled(command.message_id) or session.inbox.ended is not None

    async def tell(status: int | None) -> None:
        counts.count(left.popleft().sop_instance_uid, status)
        await session.respond(message.context_id, counts.response(command))

    losses = 0
    while left:
        if cancelled():
            return True
        try:
            async with associate(target, storage=pairs[:MAXIMUM_CONTEXTS]) as association:
                while left and not cancelled():
                    await tell(await _stored(association, left[0], originator))
                    losses = 0
                    if association.is_over:  # we have aborted it: a file ended too early
                        break
        except AssociationLost as error:
            losses += 1
            if losses == _LOSSES:
                raise
            log.warning("Cannot send an image to %s: %s", target.name, error)
            if left:
                await tell(None)
    return False


async def _stored(
    association: ServiceUser, instance: Instance, originator: Originator
) -> int | None:
    """Store an image at the destination; return the status, or None when it could not be sent.

    Raises
    ------
    AssociationLost
        It ended before the answer.
    """
    try:
        return await association.store(instance, originator=originator)
    except AssociationLost:
        raise
    except NodeError as error:
        log.warning("Cannot send an image to %s: %s", association.peer.name, error)
        return None
