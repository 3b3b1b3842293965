"""The requestor's end of an association: opening it, and ending it in good order or not.

What goes over it in between is in `node.net.scu.exchange`, which has a link.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity

from node.errors import AssociationLost, PeerRefused
from node.net.dimse.contexts import STORAGE_COMMITMENT, StorageContext, right_to
from node.net.dimse.inbox import Ended, Inbox, OpenSink
from node.net.entity import deadlines, introduction, proposal
from node.net.messages import Implementation, Peer
from node.net.scu.dialing import dial, rejected, unanswered, where
from node.net.transport.connection import Connection
from node.upperlayer import (
    AssociateRequest,
    Association,
    Command,
    CommandField,
    LocalMistake,
    Role,
    RoleSelection,
    State,
)
from node.upperlayer.events import Accepted, Event, Rejected, ReleaseRequested

log = logging.getLogger(__name__)

_TO_CLOSE = 2.0
"""Seconds for an abort to be written and the connection to close."""


class Link:
    """An association that we request.

    Parameters
    ----------
    entity
        What we are: title, requested contexts and time-outs.
    peer
        Whom to associate with.
    open_sink
        Where objects go that the peer stores over this association.
    roles
        Of SOP classes in which we want to be the SCP (PS3.7 D.3.3.4).
    response_timeout
        Seconds to wait for the next response; the entity's DIMSE time-out when None.
    extended
        Application information of SOP classes, as it is proposed (PS3.7 D.3.3.5).

    Attributes
    ----------
    association
        The sans-IO core.
    connection
        Over which it goes.
    inbox
        What the peer has sent, message by message.
    patience
        Seconds to wait for the next response.
    accepted
        Abstract and transfer syntax of each accepted context, by its ID; empty until `open`.
    implementation
        What the peer says that it is; empty until `open`.
    extended
        The application information that the peer answered, by SOP class; empty until `open`.
    """

    def __init__(
        self,
        entity: ApplicationEntity,
        peer: Peer,
        *,
        open_sink: OpenSink,
        roles: tuple[RoleSelection, ...] = (),
        response_timeout: float | None = None,
        extended: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        limits = deadlines(entity)
        self.peer = peer
        self.patience = response_timeout or limits.message
        self.association = Association(Role.REQUESTOR, maximum_length=entity.maximum_pdu_size)
        limits = replace(limits, idle=max(limits.idle, self.patience))
        self.connection = Connection(self.association, self, limits)
        self.inbox = Inbox(self.connection, open_sink, self._may_be_long)
        self.accepted: Mapping[int, StorageContext] = {}
        self.implementation = Implementation(class_uid="", version_name="")
        self.extended: Mapping[str, bytes] = {}
        self._proposed = extended
        self._entity = entity
        self._roles = roles
        self._answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._opened = False

    async def open(self) -> None:
        """Connect, propose, and wait for the answer.

        Raises
        ------
        PeerUnreachable, PeerRefused
            See `node.net.scu.requestor.associate`.
        ConfigurationError
            The files for TLS cannot be used.
        """
        peer, entity = self.peer, self._entity
        proposed = {context.id: context.abstract_syntax for context in proposal(entity)}
        self.association.request(
            AssociateRequest(
                called_aetitle=peer.aetitle,
                calling_aetitle=entity.ae_title,
                contexts=proposal(entity),
                user=introduction(entity, self._roles, self._proposed),
            )
        )
        await dial(peer, self.connection, patience=entity.connection_timeout)
        try:
            async with asyncio.timeout(entity.acse_timeout):
                answer = await self._answer
        except TimeoutError as error:
            raise unanswered(peer) from error
        if isinstance(answer, Rejected):
            raise rejected(peer, answer.rejection)
        if not isinstance(answer, Accepted):
            raise unanswered(peer)
        self._opened = True
        theirs = answer.accept.user
        self.implementation = Implementation(
            class_uid=theirs.implementation_class_uid,
            version_name=theirs.implementation_version_name,
        )
        self.extended = dict(theirs.extended)
        self.accepted = {
            id_: (proposed[id_], context.transfer_syntax)
            for id_, context in self.association.contexts.items()
        }
        if proposed and not self.accepted:
            refused = ", ".join(UID(uid).name for uid in list(proposed.values())[:3])
            raise PeerRefused(
                f"{where(peer)} accepts none of what we need: {refused}"
                f"{_perhaps(entity.ae_title, proposed.values())}"
            )

    async def release(self, within: float | None = None) -> None:
        """Release the association (PS3.8 7.2).

        Parameters
        ----------
        within
            Seconds that the peer has to answer, where that is less than `acse_timeout`.
        """
        if self.inbox.ended is not None:
            return
        if self.association.state is State.AWAITING_LOCAL_RELEASE_RESPONSE:
            self.association.respond_to_release()  # the peer was quicker
            self.connection.flush()
            self.inbox.end(Ended(released=True))
            return
        try:
            self.association.release()
        except LocalMistake:
            return  # it is ending already
        self.connection.flush()
        try:
            limits = [one for one in (within, self._entity.acse_timeout) if one is not None]
            async with asyncio.timeout(min(limits, default=None)):
                await self._released()
        except TimeoutError:
            log.debug("%s did not answer the release", self.peer.name)

    async def _released(self) -> None:
        """Wait for the end; what comes before it nobody waits for."""
        while not isinstance(message := await self.inbox.get(), Ended):
            if isinstance(message, ReleaseRequested):  # both have asked: PS3.8 9.2.3, AR-9
                self.association.respond_to_release()
                self.connection.flush()
            elif message.sink is not None:
                message.sink.discard()

    async def close(self) -> None:
        """Abort what has not been released, and wait until the connection is gone."""
        connection = self.connection
        try:
            if not connection.is_open:
                return
            if self.inbox.ended is None:
                connection.abort()
            else:
                connection.flush()
            connection.close_soon()
            try:
                async with asyncio.timeout(_TO_CLOSE):
                    await connection.wait_closed()
            except TimeoutError:
                connection.close()
                await connection.wait_closed()
            except asyncio.CancelledError:
                connection.close()
                raise
        finally:
            self.inbox.end(Ended(released=False, reason="we have closed the connection"))
            self.inbox.discard_waiting()

    def abort(self, reason: str) -> None:
        """Abort the association: nothing can be said over it any more."""
        self.connection.abort()
        self.inbox.end(Ended(released=False, reason=reason))

    @property
    def is_over(self) -> bool:
        """Whether the association has ended, or is ending."""
        return self.inbox.ended is not None or not self.association.is_established

    def lost_before(self, operation: str = "") -> AssociationLost:
        """Return the error of an operation that was not answered to its end."""
        ended = self.inbox.ended
        why = ended.reason if ended is not None and ended.reason else "the association has ended"
        before = f" before the {operation} was answered" if operation else ""
        return AssociationLost(f"{self.peer.name}: the association ended{before}: {why}")

    def _may_be_long(self, context_id: int, command: Command) -> bool:
        """Tell whether the dataset of a request may be long: a report on many objects."""
        context = self.accepted.get(context_id)
        reports = command.field == CommandField.N_EVENT_REPORT_RQ
        return reports and context is not None and context[0] == STORAGE_COMMITMENT

    # What the connection tells

    def received(self, event: Event) -> None:
        """Take an event of the upper layer."""
        if not self._opened and not self._answer.done():
            self._answer.set_result(event)
            if isinstance(event, Accepted):
                return
        self.inbox.received(event)

    def lost(self) -> None:
        """Take note that the connection is closed."""
        self.inbox.end(Ended(released=False, reason="the connection was closed"))
        if not self._answer.done():
            self._answer.set_exception(unanswered(self.peer))
            self._answer.exception()  # somebody else may have raised first


def _perhaps(aetitle: str, refused: Iterable[str]) -> str:
    """Return what a refusal may come of: PACSs have lists of who may do what, by AE title."""
    rights = sorted({right for uid in refused if (right := right_to(uid))})
    return f"; perhaps it does not let {aetitle} {' or '.join(rights)}" if rights else ""
