"""A C-MOVE or a C-GET of which a handler sends every response itself: see `Conducted`."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from pydicom.dataset import Dataset

from node.net.dimse.identifiers import write_identifier
from node.net.dimse.inbox import Message
from node.net.messages import Conduct, Instance, MoveProgress
from node.net.scp.session import Session
from node.upperlayer import response_to


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
