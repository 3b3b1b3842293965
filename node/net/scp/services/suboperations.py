"""The sub-operations of a C-MOVE or a C-GET: their counts, and the responses that tell them."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.net.categories import is_success_or_warning
from node.net.dimse.identifiers import write_identifier
from node.net.dimse.inbox import Message
from node.net.messages import Conduct, Instance, MoveProgress
from node.net.scp.session import Session
from node.upperlayer import Command, response_to


@dataclass(slots=True, kw_only=True)
class Counts:
    """How many sub-operations there are of each outcome (PS3.4 C.4.2.1.6 to C.4.2.1.9).

    Attributes
    ----------
    failed_uids
        The SOP Instance UIDs of those that failed.
    """

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)

    def count(self, uid: str, status: int | None) -> None:
        """Take note of a C-STORE's status; None when there was no answer to it."""
        self.remaining -= 1
        if status == Status.SUCCESS:
            self.completed += 1
        elif status is not None and is_success_or_warning(status):
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(uid)

    def final_status(self) -> Status:
        """Return the status when all are done (PS3.4 C.4.2.1.5, C.4.3.1.4)."""
        if self.failed and not self.completed and not self.warning:
            return Status.UNABLE_TO_PERFORM_SUBOPERATIONS
        if self.failed or self.warning:
            return Status.SUBOPERATIONS_WITH_FAILURES
        return Status.SUCCESS

    def response(self, request: Command) -> Command:
        """Return the pending response that tells how far it is."""
        return response_to(
            request,
            Status.PENDING,
            remaining=self.remaining,
            completed=self.completed,
            failed=self.failed,
            warning=self.warning,
        )


def last_response(
    session: Session, message: Message, status: int, counts: Counts | None, comment: str = ""
) -> tuple[Command, bytes | None]:
    """Return the last response to a request, and its identifier: what failed, where something did.

    Parameters
    ----------
    counts
        None where nothing was begun.
    comment
        What else there is to say.
    """
    dataset: bytes | None = None
    if counts is not None and counts.failed_uids:
        identifier = Dataset()
        identifier.FailedSOPInstanceUIDList = counts.failed_uids
        dataset = write_identifier(
            identifier, session.agreement.transfer_syntax(message.context_id)
        )
    response = response_to(
        message.command,
        status,
        dataset=dataset is not None,
        comment=comment,
        remaining=counts.remaining if counts and status == Status.CANCEL else None,
        completed=counts.completed if counts else None,
        failed=counts.failed if counts else None,
        warning=counts.warning if counts else None,
    )
    return response, dataset


class Store(Protocol):
    """Stores an object at the requestor of a C-GET; see `node.net.messages.Conducted.store`."""

    def __call__(self, instance: Instance, *, half: bool = False) -> Awaitable[int | None]:
        """Store it."""


async def conducted(
    conduct: Conduct, session: Session, message: Message, store: Store | None = None
) -> None:
    """Let a handler answer a request itself.

    Parameters
    ----------
    store
        Of a C-GET.
    """
    by_hand = _ByHand(session, message, store)
    try:
        await conduct(by_hand)
    finally:
        by_hand.over = True


class _ByHand:
    """See `node.net.messages.Conducted`; once it is `over`, nothing is sent any more."""

    def __init__(self, session: Session, message: Message, store: Store | None) -> None:
        self.over = False
        self.message_id = message.command.message_id or 0
        self._session = session
        self._message = message
        self._store = store

    @property
    def is_cancelled(self) -> bool:
        return self._session.inbox.is_cancelled(self._message.command.message_id)

    @property
    def is_left(self) -> bool:
        inbox = self._session.inbox
        return self.over or inbox.ended is not None or inbox.release_wanted

    async def respond(
        self, response: MoveProgress, identifier: Sequence[str] | None = None
    ) -> None:
        if self.over:
            return
        context_id, dataset = self._message.context_id, None
        if identifier is not None:
            failed = Dataset()
            failed.FailedSOPInstanceUIDList = list(identifier)
            dataset = write_identifier(failed, self._session.agreement.transfer_syntax(context_id))
        command = response_to(
            self._message.command,
            response.status,
            dataset=dataset is not None,
            comment=response.comment,
            remaining=response.remaining,
            completed=response.completed,
            failed=response.failed,
            warning=response.warning,
        )
        self.over = not response.pending
        await self._session.respond(context_id, command, dataset)

    async def store(self, instance: Instance, *, half: bool = False) -> int | None:
        if self._store is None or self.over:
            return None
        return await self._store(instance, half=half)

    def abort(self, reason: str) -> None:
        if not self.over:
            self._session.give_up(reason)
