"""Where a C-MOVE's images go: associations that we request, for the library's service class.

It asks an application entity to associate, and the association to store datasets. Here both are
ours: `node.net.scu` over the event loop's transport.
"""

import asyncio
import concurrent.futures
import copy
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association as LibraryAssociation
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation

from node.errors import NodeError
from node.net.dimse.contexts import StorageContext
from node.net.door.tls import given_to_request
from node.net.entity import peer_timeouts
from node.net.messages import InstanceInMemory, Peer
from node.net.scu.requestor import Originator, ServiceUser, associate_as

log = logging.getLogger(__name__)

_Opened = tuple[ServiceUser, Mapping[int, StorageContext]]


class Destinations:
    """In place of the entity that a service class would ask for an association.

    Parameters
    ----------
    ae
        The entity.
    loop
        In which associations are served.
    """

    def __init__(self, ae: ApplicationEntity, loop: asyncio.AbstractEventLoop) -> None:
        self._ae = ae
        self._loop = loop
        self._open: list[StoringAssociation] = []

    @property
    def ae_title(self) -> str:
        """The entity's title."""
        return self._ae.ae_title

    def associate(  # noqa: PLR0917 - as the library has it
        self,
        addr: object,
        port: object,
        contexts: list[PresentationContext] | None = None,
        ae_title: str = "ANY-SCP",
        max_pdu: int | None = None,
        tls_args: tuple[Any, str] | None = None,
        **others: object,
    ) -> "StoringAssociation":
        """Associate with a destination, as `pynetdicom.AE.associate` does.

        Raises
        ------
        NotImplementedError
            An argument beside these: they are not supported.
        TypeError
            An address that is none.
        ValueError
            A title that is no AE title (PS3.5 6.2).
        OSError
            An address that cannot be resolved; one at which nobody answers is no error.
        RuntimeError
            No contexts are requested.
        """
        if unknown := sorted(name for name, value in others.items() if value):
            raise NotImplementedError(f"{', '.join(unknown)} of a destination is not supported")
        if not isinstance(addr, str) or not isinstance(port, int):
            raise TypeError("a destination is (address: str, port: int) or (address, port, kwargs)")
        there = AddressInformation.from_addr_port(addr, port)  # resolved in the handler's thread
        found = StoringAssociation(self._ae, self._loop)
        found.acceptor.address_info = there
        found.acceptor.ae_title = ae_title  # the library says whether it is one
        ae_title = found.acceptor.ae_title
        entity = copy.copy(self._ae)
        if contexts:
            entity.requested_contexts = contexts
        if not entity.requested_contexts:
            raise RuntimeError("no requested contexts: add those of what is to be sent to the AE")
        if max_pdu is not None:
            entity.maximum_pdu_size = max_pdu
        peer = Peer(
            name=ae_title,
            aetitle=ae_title,
            host=addr,
            port=port,
            calling_aetitle=entity.ae_title,
            timeouts=peer_timeouts(entity),
            tls=given_to_request(*tls_args) if tls_args is not None else None,
        )
        self._open.append(found)
        found.open(entity, peer)
        return found

    def close(self) -> None:
        """Release what a service class has left open."""
        for association in self._open:
            association.release()


class _NoSocket:
    def close(self) -> None:
        """Do nothing: there was none."""


class StoringAssociation(LibraryAssociation):
    """An association that we have requested, to store at its acceptor.

    The library chooses the context and encodes the dataset; the rest is `node.net.scu`'s.

    Parameters
    ----------
    ae
        Who requests it.
    loop
        In which it is served.
    """

    def __init__(self, ae: ApplicationEntity, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(ae, "requestor")
        self._loop = loop
        self._user: ServiceUser | None = None
        self._ending = asyncio.Event()
        self._held: concurrent.futures.Future[None] | None = None
        self._is_paused = True
        self.dimse = _Storing(self)  # type: ignore[assignment] # what is asked of it here
        self.dul.socket = _NoSocket()  # type: ignore[assignment]

    def _bind_defaults(self) -> None:
        """Bind nothing."""

    def open(self, entity: ApplicationEntity, peer: Peer) -> None:
        """Request it; it `is_established` where that was accepted."""
        opened: concurrent.futures.Future[_Opened] = concurrent.futures.Future()
        holding = self._hold(entity, peer, opened)
        try:
            self._held = asyncio.run_coroutine_threadsafe(holding, self._loop)
        except RuntimeError:
            holding.close()
            return
        try:
            self._user, accepted = opened.result()
        except NodeError as error:
            log.warning("%s", error)
            return
        except concurrent.futures.CancelledError:
            return
        for context_id, (abstract, syntax) in accepted.items():
            context = build_context(abstract, syntax)
            context.context_id = context_id
            context._as_scu = True  # noqa: SLF001 - what its own negotiation does
            context.result = 0
            self._accepted_cx[context_id] = context
        self.is_established = True

    def store(self, context_id: int, request: C_STORE) -> int | None:
        """Store an object; return its status, None where there was no answer."""
        user, context = self._user, self._accepted_cx[context_id]
        data = request.DataSet.getvalue() if request.DataSet is not None else b""
        originator = None
        if request.MoveOriginatorApplicationEntityTitle:
            originator = Originator(
                str(request.MoveOriginatorApplicationEntityTitle),
                request.MoveOriginatorMessageID or 0,
            )
        assert user is not None  # noqa: S101 - it is established
        storing = user.store(
            InstanceInMemory(
                dataset=lambda: data,
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                transfer_syntax_uid=str(context.transfer_syntax[0]),
            ),
            originator=originator,
        )
        try:
            return asyncio.run_coroutine_threadsafe(storing, self._loop).result()
        except NodeError as error:
            log.warning("%s", error)
        except (RuntimeError, concurrent.futures.CancelledError):
            storing.close()  # the loop has ended before the handler
        return None

    def release(self) -> None:
        """Release it, and wait until it is."""
        self.is_established = False
        held, self._held = self._held, None
        if held is None:
            return
        with suppress(RuntimeError, NodeError, concurrent.futures.CancelledError):
            self._loop.call_soon_threadsafe(self._ending.set)
            held.result()

    def _abort_blocking(self, block: bool = True) -> None:  # noqa: ARG002
        self.is_established = False
        if self._held is not None:
            self._held.cancel()

    def kill(self) -> None:
        """End it without a word."""
        self._abort_blocking()

    async def _hold(
        self,
        entity: ApplicationEntity,
        peer: Peer,
        opened: "concurrent.futures.Future[_Opened]",
    ) -> None:
        try:
            async with associate_as(entity, peer) as found:
                opened.set_result(found)
                await self._ending.wait()
        except NodeError as error:
            if not opened.done():
                opened.set_exception(error)
        finally:
            if not opened.done():
                opened.cancel()


class _Storing:
    """In place of the library's DIMSE service provider: a request is sent when it is awaited."""

    def __init__(self, association: StoringAssociation) -> None:
        self._association = association
        self._asked: tuple[int, C_STORE] | None = None

    def send_msg(self, primitive: C_STORE, context_id: int) -> None:
        """Take what is to be sent."""
        self._asked = context_id, primitive

    def get_msg(self, block: bool = False) -> tuple[int | None, C_STORE | None]:  # noqa: ARG002
        """Send it, and return the response; Nones where there is none."""
        asked, self._asked = self._asked, None
        if asked is None:
            return None, None
        status = self._association.store(*asked)
        if status is None:
            return None, None
        response = C_STORE()
        response.MessageIDBeingRespondedTo = asked[1].MessageID
        response.Status = status
        return asked[0], response
