"""C-MOVE, answered (PS3.4 C.4.2): the images go to the destination, over associations of ours."""

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.net.dimse.contexts import MOVE_MODELS
from node.net.dimse.inbox import Message
from node.net.messages import Conduct, MoveHandler, MovePlan, MoveRequest, Peer, QueryModel
from node.net.scp.services.asking import Unanswerable, ask
from node.net.scp.services.conducting import conducted
from node.net.scp.services.delivering import ImageDelivery
from node.net.scp.services.suboperations import Counts, last_response
from node.net.scp.services.underway import Underway
from node.net.scp.session import Session
from node.net.scu.requestor import Originator


async def answer_move(handler: MoveHandler | None, session: Session, message: Message) -> None:
    """Answer a C-MOVE: send each planned object, and say how far it is after each."""

    async def plan(move: MoveHandler, model: QueryModel, identifier: Dataset) -> MovePlan | Conduct:
        return await move(
            MoveRequest(
                caller=session.caller,
                model=model,
                identifier=identifier,
                destination=message.command.move_destination or "",
                relational=session.agreement.relational(message.context_id),
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
            called = f"no destination is called {message.command.move_destination}"
            comment = planned.comment or called
        else:
            counts = Counts(remaining=len(planned.instances))
            status = await _move(session, message, planned, planned.target, counts)
    last = last_response(session, message, status, counts, comment)
    await session.respond(message.context_id, *last)


async def _move(
    session: Session, message: Message, plan: MovePlan, target: Peer, counts: Counts
) -> Status:
    """Send what is planned, and count it; return the final status."""
    underway = Underway(session, message, counts, pause=plan.means.pause, inside=False)
    originator = Originator(session.caller.aetitle, message.command.message_id or 0)
    delivery = ImageDelivery(target, plan.means, underway, originator)
    if plan.instances:
        await underway.do(delivery.run(plan.instances))
    return Status.CANCEL if counts.remaining else counts.final_status()
