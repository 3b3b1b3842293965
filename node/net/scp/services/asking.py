"""What C-FIND, C-MOVE and C-GET begin with: the identifier is read, and the handler is asked."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.net.dimse.identifiers import InvalidIdentifier, decoded_identifier
from node.net.dimse.inbox import Message
from node.net.messages import IdentifierMismatch, QueryModel, RetrievalRefused
from node.net.scp.session import Session
from node.net.transport.failures import log_failure

log = logging.getLogger(__name__)

H = TypeVar("H")
T = TypeVar("T")


class Unanswerable(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """A request that is answered with nothing but a status.

    Attributes
    ----------
    status
        Of the response.
    comment
        Its Error Comment (0000,0902), for people.
    """

    def __init__(self, status: int, comment: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.comment = comment


async def ask(
    operation: str,
    session: Session,
    message: Message,
    *,
    models: Mapping[str, QueryModel],
    handler: H | None,
    use: Callable[[H, QueryModel, Dataset], Awaitable[T]],
) -> T:
    """Ask a handler about a request's identifier, and return what comes of it.

    Parameters
    ----------
    operation
        Its name, for the log.
    models
        The information model of each SOP class that has the operation.
    handler
        Who knows the answer; None where the service is not offered.
    use
        Asks the handler about an identifier in a model.

    Raises
    ------
    Unanswerable
        The service is not offered, or not in this context; the identifier cannot be decoded, or
        breaks the rules of its model; or the handler failed.
    """
    sop_class = message.command.affected_sop_class_uid
    model = models.get(sop_class or "")
    if (
        handler is None
        or model is None
        or not session.agreement.takes(message.context_id, sop_class)
    ):
        raise Unanswerable(Status.SOP_CLASS_NOT_SUPPORTED)
    syntax = session.agreement.transfer_syntax(message.context_id)
    try:
        identifier = await decoded_identifier(message.dataset or b"", syntax)
        return await use(handler, model, identifier)
    except (InvalidIdentifier, IdentifierMismatch) as error:
        mismatch = isinstance(error, IdentifierMismatch)
        # Whatever else is said of it may have a value in it, hence a patient's.
        what = error if mismatch else "its identifier cannot be read"
        log.warning("C-%s from %s: %s", operation.upper(), session.caller.aetitle, what)
        log.debug("C-%s: %s", operation.upper(), error)
        status = Status.DATASET_MISMATCH if mismatch else Status.UNABLE_TO_PROCESS
        raise Unanswerable(status, str(error)) from error
    except RetrievalRefused as refused:
        log.warning("C-%s from %s: %s", operation.upper(), session.caller.aetitle, refused.comment)
        raise Unanswerable(refused.status, refused.comment) from refused
    except Exception as error:  # a handler never raises
        log_failure(operation, error)
        raise Unanswerable(Status.UNABLE_TO_PROCESS, "an error of the node's own") from error
