"""C-FIND, answered (PS3.4 C.4.1): a pending response for each match, then the final one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.net.dimse.contexts import ASKED_MODELS
from node.net.dimse.identifiers import write_identifier
from node.net.dimse.inbox import Message
from node.net.messages import EndOfAnswers, FindHandler, FindRequest, QueryModel
from node.net.scp.services.asking import Unanswerable, ask
from node.net.scp.session import Session
from node.upperlayer import response_to


async def answer_find(handler: FindHandler | None, session: Session, message: Message) -> None:
    """Answer a C-FIND with what the handler yields."""

    async def tell(find: FindHandler, model: QueryModel, identifier: Dataset) -> EndOfAnswers:
        request = FindRequest(
            caller=session.caller,
            model=model,
            identifier=identifier,
            transfer_syntax_uid=session.agreement.transfer_syntax(message.context_id),
            relational=session.agreement.relational(message.context_id),
            combined=session.agreement.combined(message.context_id),
        )
        try:
            return EndOfAnswers(await _tell_matches(find, request, session, message))
        except EndOfAnswers as end:
            return end

    try:
        end = await ask("find", session, message, models=ASKED_MODELS, handler=handler, use=tell)
    except Unanswerable as answer:
        end = EndOfAnswers(answer.status, answer.comment)
    if end.status is None:
        session.give_up("the answers to a C-FIND were broken off")
        return
    response = response_to(message.command, end.status, comment=end.comment)
    await session.respond(message.context_id, response)


async def _tell_matches(
    find: FindHandler, request: FindRequest, session: Session, message: Message
) -> Status:
    """Send a response for each match until a C-CANCEL comes; return the final status.

    The handler may be waiting for a database then: it is not waited for.
    """
    telling = asyncio.create_task(_tell_all(find, request, session, message), name="answer a query")
    cancel = asyncio.create_task(session.inbox.wait_cancelled(message.command.message_id))
    try:
        await asyncio.wait({telling, cancel}, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            telling.result()
            return Status.SUCCESS
        return Status.CANCEL
    finally:
        cancel.cancel()
        telling.cancel()
        await asyncio.wait({telling, cancel})


async def _tell_all(
    find: FindHandler, request: FindRequest, session: Session, message: Message
) -> None:
    response = response_to(message.command, Status.PENDING, dataset=True)
    matches = find(request)
    try:
        async for match in matches:
            if isinstance(match, Dataset):
                encoded: Sequence[bytes] = [write_identifier(match, request.transfer_syntax_uid)]
            else:
                encoded = [match] if isinstance(match, bytes) else match
            await session.respond_each(message.context_id, response, encoded)
            await asyncio.sleep(0)  # a handler that never waits would let nobody else have a turn
    finally:
        if isinstance(matches, AsyncGenerator):
            await matches.aclose()
