"""The DIMSE services over an association that we requested (PS3.7 section 9)."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from node.dicom.status import Status
from node.errors import PeerFailure, PeerRefused
from node.net.categories import is_pending
from node.net.dimse.contexts import Service, StorageContext
from node.net.dimse.identifiers import (
    EncodedIdentifier,
    InvalidIdentifier,
    decoded_identifier,
    is_match,
    write_identifier,
)
from node.net.dimse.inbox import Message
from node.net.dimse.sendable import opened_sendable
from node.net.messages import (
    Implementation,
    Instance,
    MoveProgress,
    Originator,
    Peer,
    SentParts,
    StoreHandler,
)
from node.net.scu.exchange import Exchange
from node.net.scu.extension import QueryExtension
from node.net.scu.progress import failure_of, progress_of
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET

log = logging.getLogger(__name__)

_MEDIUM = 0


class ServiceUser:
    """We, over an association that we requested; valid only inside the block of `associate`.

    One operation at a time. Every method raises `AssociationLost` when the association ends,
    or the peer stays silent longer than its time-out, before the operation's last response.

    Parameters
    ----------
    exchange
        Of an association that is open.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._link = exchange.link
        accepted = sorted(exchange.link.accepted.items(), reverse=True)
        self._contexts = {pair: context_id for context_id, pair in accepted}
        self._warned = False

    @property
    def peer(self) -> Peer:
        """Whom we are associated with."""
        return self._link.peer

    @property
    def is_over(self) -> bool:
        """Whether the association has ended, or is ending."""
        return self._link.is_over

    @property
    def implementation(self) -> Implementation:
        """What the peer says that it is."""
        return self._link.implementation

    @property
    def accepted_storage(self) -> set[StorageContext]:
        """The SOP class and transfer syntax pairs that the peer takes."""
        return set(self._link.accepted.values())

    def agreed(self, service: Service, proposed: QueryExtension) -> QueryExtension:
        """Return what the peer has agreed to of what was proposed for a query (PS3.4 C.5.1.1)."""
        return QueryExtension.agreed(proposed, self._link.extended.get(service.value, b""))

    def takes(self, sop_class_uid: str, transfer_syntax_uid: str) -> bool:
        """Tell whether the peer takes objects of a SOP class in a transfer syntax."""
        return (sop_class_uid, transfer_syntax_uid) in self._contexts

    def require(self, services: Sequence[Service]) -> None:
        """Raise `PeerRefused` unless the peer accepted a context for each service."""
        accepted = {abstract for abstract, _ in self._link.accepted.values()}
        refused = [str(service) for service in services if service.value not in accepted]
        if refused:
            raise PeerRefused(
                f"{self.peer.name} ({self.peer.aetitle}) does not offer {' or '.join(refused)} "
                f"to {self.peer.calling_aetitle}"
            )

    async def echo(self) -> None:
        """C-ECHO (PS3.7 9.1.5). Raises `PeerFailure` on any status but Success."""
        context_id = self._context(Service.ECHO)
        command = Command(
            field=CommandField.C_ECHO_RQ,
            message_id=self._exchange.begin(),
            affected_sop_class_uid=Service.ECHO.value,
        )
        self._exchange.send(context_id, command)
        response = await self._exchange.response(CommandField.C_ECHO_RSP, "C-ECHO")
        if response.command.status != Status.SUCCESS:
            raise failure_of(self.peer, "C-ECHO", response.command)

    async def find(
        self, identifier: Dataset, *, service: Service = Service.FIND
    ) -> AsyncGenerator[Dataset, None]:
        """C-FIND in the Study Root model (PS3.4 C.4.1): yields each identifier that matches.

        Parameters
        ----------
        service
            `PATIENT_FIND` for one in the Patient Root model, `REPOSITORY` for a Repository Query
            (PS3.4 C.6.4).

        Raises
        ------
        PeerFailure
            The last status was a failure, or a match could not be decoded. What was yielded
            before is then an incomplete answer.
        """
        undecodable = 0
        async with aclosing(self.matches(identifier, service=service)) as matches:
            async for encoded in matches:
                try:
                    match = await decoded_identifier(encoded.data, encoded.transfer_syntax)
                except InvalidIdentifier:
                    undecodable += 1
                else:
                    yield match
                    await asyncio.sleep(0)  # matches that have come already are not waited for
        if undecodable:
            raise PeerFailure(
                f"{self.peer.name}: {undecodable} matches of the C-FIND could not be decoded",
                status=Status.UNABLE_TO_PROCESS,
            )

    async def matches(
        self, identifier: Dataset, *, service: Service = Service.FIND
    ) -> AsyncGenerator[EncodedIdentifier, None]:
        """C-FIND as `find`, but yields each identifier as it came: decoding takes most of the time.

        A match that comes with the last response, against PS3.4 C.4.1.3.1, is yielded as well.

        Raises
        ------
        PeerFailure
            The last status was a failure. What was yielded before is then an incomplete answer.
        """
        _, syntax = self._link.accepted[self._context(service)]
        status: int | None = None
        operation = self._ask(service, CommandField.C_FIND_RQ, identifier)
        async with aclosing(operation):
            async for response in operation:
                status = response.command.status
                if not is_pending(status):
                    break
                yield EncodedIdentifier(response.dataset or b"", syntax)
        if status == Status.CANCEL and self._exchange.was_cancelled:
            return
        if status != Status.SUCCESS:
            raise failure_of(self.peer, "C-FIND", response.command)
        if response.dataset and await is_match(response.dataset, syntax, identifier):
            if not self._warned:
                log.warning("%s sends a match with the last response to a C-FIND", self.peer.name)
            self._warned = True
            yield EncodedIdentifier(response.dataset, syntax)

    async def move(
        self, identifier: Dataset, destination: str
    ) -> AsyncGenerator[MoveProgress, None]:
        """C-MOVE in the Study Root model (PS3.4 C.4.2): yields every response, the last included.

        The last status is the peer's opinion, not evidence; look into the index for that.

        Parameters
        ----------
        identifier
            Query/Retrieve Level and the unique keys of what to send.
        destination
            The AE title that the peer is to send to; the peer must know it.
        """
        _, syntax = self._link.accepted[self._context(Service.MOVE)]
        operation = self._ask(Service.MOVE, CommandField.C_MOVE_RQ, identifier, destination)
        async with aclosing(operation):
            async for response in operation:
                yield progress_of(response, syntax)

    async def get(
        self, identifier: Dataset, store: StoreHandler
    ) -> AsyncGenerator[MoveProgress, None]:
        """C-GET in the Study Root model (PS3.4 C.4.3): yields every response, the last included.

        The images come over this association, in the contexts that `associate` was told to
        `receive`; their C-STOREs are answered with what `store` makes of them.

        Parameters
        ----------
        identifier
            Query/Retrieve Level and the unique keys of what to send.
        store
            Takes each image.
        """
        _, syntax = self._link.accepted[self._context(Service.GET)]
        operation = self._ask(Service.GET, CommandField.C_GET_RQ, identifier)
        self._exchange.store = store
        try:
            async with aclosing(operation):
                async for response in operation:
                    yield progress_of(response, syntax)
        finally:
            self._exchange.store = None

    async def cancel(self) -> None:
        """Ask the peer to end the running find, move or get (C-CANCEL, PS3.7 9.3.2.3).

        The iteration goes on until the peer's last response, which peers may take their time
        with. Nothing happens when no operation is running.
        """
        await self._exchange.cancel()

    async def cancelled(self) -> None:
        """Wait for the last response to what was left early, hence cancelled: it may never come."""
        await self._exchange.cancelled()

    async def store(
        self,
        source: Path | Instance,
        *,
        originator: Originator | None = None,
        half: bool = False,
    ) -> int:
        """C-STORE a DICOM file, its dataset's bytes as they are (PS3.7 9.1.1).

        Parameters
        ----------
        source
            The file, or an object in memory.
        originator
            Of the C-MOVE to which this belongs.
        half
            Whether only the first half is written, as by a PACS that hangs: for `node.simulator`.

        Returns
        -------
        int
            The status of the response (PS3.4 B.2.3).

        Raises
        ------
        PeerRefused
            The peer did not accept the file's SOP class in the file's transfer syntax, or the file
            does not name them.
        StorageError
            The file cannot be read; when some of it has been sent, the association is aborted.
        """
        async with opened_sendable(source) as sendable:
            return await self.store_opened(sendable, originator=originator, half=half)

    async def store_opened(
        self, sendable: SentParts, *, originator: Originator | None = None, half: bool = False
    ) -> int:
        """C-STORE what is ready to be sent; see `store`."""
        context_id = self._storage_context(sendable)
        command = Command(
            field=CommandField.C_STORE_RQ,
            message_id=self._exchange.begin(),
            affected_sop_class_uid=sendable.sop_class_uid,
            affected_sop_instance_uid=sendable.sop_instance_uid,
            priority=_MEDIUM,
            dataset_type=DATASET,
            move_originator=originator.aetitle if originator else None,
            move_originator_message_id=originator.message_id if originator else None,
        )
        try:
            self._exchange.send(context_id, command, more=True)
            if half:
                self._link.association.send_part(context_id, (await sendable.part())[0], last=True)
                self._link.connection.flush_half()
            else:
                await self._send_file(context_id, sendable)
        except BaseException:
            self._link.abort("an object could not be sent to its end")
            raise
        response = await self._exchange.response(CommandField.C_STORE_RSP, "C-STORE")
        return int(response.command.status or 0)

    # The parts of an operation

    def _ask(
        self,
        service: Service,
        field: CommandField,
        identifier: Dataset,
        destination: str | None = None,
    ) -> AsyncGenerator[Message, None]:
        """Return the responses to a request, the last included: see `Exchange.responses`."""
        context_id = self._context(service)
        _, syntax = self._link.accepted[context_id]
        dataset = self._encoded(identifier, syntax)
        command = Command(
            field=field,
            message_id=self._exchange.begin(),
            affected_sop_class_uid=service.value,
            priority=_MEDIUM,
            move_destination=destination,
            dataset_type=DATASET,
        )
        return self._exchange.responses(context_id, command, dataset, service.operation)

    async def _send_file(self, context_id: int, sendable: SentParts) -> None:
        last = False
        while not last:
            part, last = await sendable.part()
            await self._exchange.send_part(context_id, part, last=last)

    def _context(self, service: Service) -> int:
        for context_id, (abstract_syntax, _) in self._link.accepted.items():
            if abstract_syntax == service.value:
                return context_id
        raise PeerRefused(f"{self.peer.name} does not offer {service}")

    def _storage_context(self, sendable: SentParts) -> int:
        wanted = sendable.sop_class_uid, sendable.transfer_syntax_uid
        if wanted in self._contexts:
            return self._contexts[wanted]
        raise PeerRefused(
            f"{self.peer.name} cannot take {sendable.name}: no presentation context for "
            f"{UID(wanted[0]).name} in {UID(wanted[1]).name} was accepted"
        )

    def _encoded(self, identifier: Dataset, syntax: str) -> bytes:
        try:
            return write_identifier(identifier, syntax)
        except InvalidIdentifier as error:
            raise PeerRefused(f"{self.peer.name}: {error}") from error
