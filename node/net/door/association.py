"""The library's association as handlers see it, where the transport and the messages are ours."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association as LibraryAssociation
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.service_class import QueryRetrieveServiceClass
from pynetdicom.sop_class import uid_to_service_class

from node.net.dimse.inbox import Ended, Message
from node.net.door.destinations import Destinations
from node.net.door.messenger import Messenger
from node.net.door.negotiation import ExactAgreement
from node.net.door.primitives import primitive_of
from node.net.door.stored import quick
from node.net.scp.session import Session
from node.net.transport.failures import log_failure
from node.upperlayer import Command, LocalMistake

log = logging.getLogger(__name__)

_CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
"""Whose service stands for any class's that is stored without restriction."""

Handlers = Mapping[evt.EventType, Any]


class Ending:
    """Where the library asks how the association has ended: in place of its ACSE provider.

    Parameters
    ----------
    session
        Of the association; None while there is none.
    """

    def __init__(self, session: Session | None = None) -> None:
        self._session = session

    def is_aborted(self, abort_type: str = "both") -> bool:  # noqa: ARG002 - the library's own
        """Tell whether nothing can be said any more."""
        return self._session is not None and self._session.inbox.ended is not None

    def is_release_requested(self) -> bool:
        """Tell whether the peer has asked for the release; our session answers it."""
        return self._session is not None and self._session.inbox.release_wanted


class ServedAssociation(LibraryAssociation):
    """An association that we have accepted: what handlers have as `event.assoc`.

    It is a thread in name only, and never started.

    Parameters
    ----------
    ae
        Whose server it is of.
    loop
        In which it is served.
    handlers
        By event, as the library keeps them.
    """

    def __init__(
        self, ae: ApplicationEntity, loop: asyncio.AbstractEventLoop, handlers: Handlers
    ) -> None:
        self._session: Session | None = None
        self._messenger: Messenger | None = None
        self._established = False
        self._loop = loop
        super().__init__(ae, "acceptor")
        self._handlers = {
            event: list(bound) if isinstance(bound, list) else bound
            for event, bound in handlers.items()
        }
        self.acse = Ending()  # type: ignore[assignment] # what is asked of it here
        self._is_paused = True

    def get_handlers(self, event: evt.EventType) -> evt.HandlerArgType:
        """Return the handlers of an event, as the library calls them."""
        found = super().get_handlers(event)
        if event is evt.EVT_C_STORE and isinstance(found, tuple):
            return quick(found[0]), found[1]
        return found

    def _bind_defaults(self) -> None:
        """Bind nothing: the server's handlers are all there are."""

    @property
    def is_established(self) -> bool:
        """Whether something can be said over it."""
        session = self._session
        return self._established and (session is None or session.inbox.ended is None)

    @is_established.setter
    def is_established(self, established: bool) -> None:
        self._established = established

    # In the loop

    def begin(self, session: Session, agreement: ExactAgreement) -> None:
        """Take note that it is accepted."""
        messenger = Messenger(session, self._loop)
        messenger.dimse_timeout = self.dimse_timeout
        self._session = session
        self._messenger = messenger
        self._accepted_cx = agreement.accepted
        self._rejected_cx = agreement.rejected
        self.dimse = messenger  # type: ignore[assignment] # what is asked of it here
        self.acse = Ending(session)  # type: ignore[assignment]
        self._established = True

    async def flush(self) -> None:
        """Send what goes when a handler has ended."""
        if self._messenger is not None:
            await self._messenger.flush()

    def end(self, *, released: bool) -> evt.NotificationEvent | None:
        """Take note of its end; return its event, None where a handler's own end was told."""
        self._established = False
        if self.is_released or self._sent_abort:
            return None
        self.is_released, self.is_aborted = released, not released
        return evt.EVT_RELEASED if released else evt.EVT_ABORTED

    # In a thread

    def tell(self, event: evt.NotificationEvent, **attributes: object) -> None:
        """Call the handlers of a notification; what they raise is logged by the library."""
        if self.get_handlers(event):
            evt.trigger(self, event, attributes)

    def serve(self, context_id: int, command: Command, dataset: BytesIO | None) -> None:
        """Have a request answered by the library's service class, which asks the handler.

        As the library's own `_serve_request`, but for who it asks for associations of a C-MOVE.
        """
        try:
            request = primitive_of(context_id, command, dataset)
        except ValueError as error:
            log_failure("association", error)
            self.abort()
            return
        if not request.is_valid_request:
            log.warning("A request without all that it needs is not answered")
            return
        context = self._accepted_cx.get(context_id)
        if context is None:  # the upper layer has seen to that
            self.abort()
            return
        uid = str(request.AffectedSOPClassUID)
        if _config.UNRESTRICTED_STORAGE_SERVICE and isinstance(request, C_STORE):
            uid = _CT_IMAGE_STORAGE
        service = uid_to_service_class(uid)
        destinations = Destinations(self.ae, self._loop)
        if issubclass(service, QueryRetrieveServiceClass):
            service = type(service.__name__, (service,), {"ae": destinations})
        self.dimse.cancel_req = {}
        try:
            service(self).SCP(request, context)
        except Exception as error:  # noqa: BLE001 - as the library has it
            log_failure("association", error)
            self.abort()
        finally:
            destinations.close()

    # What handlers may call

    def _abort_blocking(self, block: bool = True) -> None:  # noqa: ARG002
        if self._sent_abort or self.is_released:
            return
        self._sent_abort = self.is_aborted = True
        self._established = False
        if self._session is not None:
            self._in_loop(self._session.give_up, "its handler has aborted it")
        self.tell(evt.EVT_ABORTED)

    def release(self) -> None:
        """Release the association, and wait until it is (PS3.8 7.2)."""
        session = self._session
        if session is None or not self.is_established:
            return
        self._established = False
        releasing = self._release(session)
        try:
            asyncio.run_coroutine_threadsafe(releasing, self._loop).result()
        except RuntimeError:
            releasing.close()
        self.is_released = True
        self.tell(evt.EVT_RELEASED)

    def kill(self) -> None:
        """End it without a word, as far as a handler may."""
        self._abort_blocking()

    async def _release(self, session: Session) -> None:
        try:
            session.connection.association.release()
        except LocalMistake:
            return  # it is ending already
        session.connection.flush()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.acse_timeout):
                while not isinstance(found := await session.inbox.get(), Ended):
                    if isinstance(found, Message) and found.sink is not None:
                        found.sink.discard()

    def _in_loop(self, call: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the loop has ended before the handler
            self._loop.call_soon_threadsafe(call, *args)
