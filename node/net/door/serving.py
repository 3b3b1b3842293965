"""`serve`: a `pynetdicom.AE` with its handlers, on this node's transport."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation
from pynetdicom.utils import set_ae

from node.errors import ListenError
from node.net.door.association import ServedAssociation
from node.net.door.crew import Crew
from node.net.door.events import Bound, refuse_options
from node.net.door.hall import Hall
from node.net.door.tls import Given
from node.net.scp.acceptor import Acceptor
from node.net.transport.failures import log_failure

log = logging.getLogger(__name__)

_HANDSHAKE = 30.0
"""Seconds for TLS, where the entity has no ACSE time-out."""

_TO_END = 5.0
"""Seconds that handlers have when a server is shut down; one that runs on is left behind."""

_TO_PART = 1.0
"""Seconds for peers to close the connections of associations that they have released."""

_LOOK = 0.01
"""Seconds between looks whether they have ended."""


def serve(  # noqa: PLR0917 - as the library has it
    ae: ApplicationEntity,
    address: tuple[str, int] | tuple[str, int, int, int],
    block: bool = True,
    ssl_context: ssl.SSLContext | None = None,
    evt_handlers: Iterable[Any] | None = None,
    ae_title: str | None = None,
    contexts: Sequence[PresentationContext] | None = None,
) -> "Server | None":
    """Serve an application entity, as `AE.start_server` does, with the same arguments.

    Handlers run in threads, no more of them than the entity's `maximum_associations`; the network
    is an event loop in a thread of its own, which no handler holds up. What the entity says is read
    now: contexts, limits and time-outs.

    Parameters
    ----------
    ae
        Its title, supported contexts, limits and time-outs.
    address
        Host and port to listen at; port 0 takes a free one, see `Server.server_address`.
    block
        Whether to return only when the server is shut down, or with Ctrl-C.
    ssl_context
        TLS is spoken with it, and nothing else.
    evt_handlers
        `(event, handler)` or `(event, handler, [arguments])`; `docs/serving.md` has the events.
    ae_title
        In place of the entity's.
    contexts
        In place of those that the entity supports.

    Returns
    -------
    Server or None
        None where it has blocked.

    Raises
    ------
    UnsupportedHere
        An event, or an option of pynetdicom, that is not supported, by its name.
    ValueError
        No contexts are supported, or a context or the title is none.
    OSError
        It cannot listen at the address.
    """
    server = Server(
        ae,
        address,
        ssl_context=ssl_context,
        evt_handlers=evt_handlers,
        ae_title=ae_title,
        contexts=contexts,
    )
    server.start()
    if not block:
        return server
    try:
        server.wait()
    except KeyboardInterrupt:
        server.shutdown()
    return None


class Server:
    """An application entity that is served; what it takes is `serve`'s.

    Attributes
    ----------
    ae
        The entity.
    ae_title, contexts
        Under which title it is served, and what it supports.
    server_address
        Host and port it listens at.
    """

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int] | tuple[str, int, int, int],
        *,
        ssl_context: ssl.SSLContext | None = None,
        evt_handlers: Iterable[Any] | None = None,
        ae_title: str | None = None,
        contexts: Sequence[PresentationContext] | None = None,
    ) -> None:
        refuse_options()
        self.ae = ae
        self.ae_title = str(set_ae(ae_title or ae.ae_title, "ae_title", False, False))
        self.contexts = _checked(contexts or ae.supported_contexts)
        self.server_address: tuple[str, int] = (address[0] or "0.0.0.0", address[1])  # noqa: S104
        self._bound = Bound(evt_handlers or ())
        self._tls = Given(ssl_context, ae.acse_timeout or _HANDSHAKE) if ssl_context else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hall: Hall | None = None
        self._crew: Crew | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, name=f"serve {self.ae_title}", daemon=True
        )

    def start(self) -> None:
        """Begin to listen; connections are served from the moment this returns.

        Raises
        ------
        OSError
            It cannot listen at its address.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        servers: list[Any] = self.ae._servers  # noqa: SLF001 - `AE.shutdown` asks them
        servers.append(self)

    def wait(self) -> None:
        """Wait until it is shut down."""
        while self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def shutdown(self) -> None:
        """Listen no longer, abort what associations there are, and wait for their handlers.

        A handler that takes longer than five seconds runs on by itself; what it says goes nowhere.
        Called by a handler it does not wait.
        """
        servers: list[Any] = self.ae._servers  # noqa: SLF001
        if self in servers:
            servers.remove(self)
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None and self._thread.is_alive():
            try:
                loop.call_soon_threadsafe(stopping.set)
            except RuntimeError:
                log.debug("the loop has ended already")
        if self._crew is None or not self._crew.has(threading.current_thread()):
            self._thread.join()

    def server_close(self) -> None:
        """Shut it down."""
        self.shutdown()

    @property
    def active_associations(self) -> list[ServedAssociation]:
        """Those that are open."""
        return self._hall.associations if self._hall is not None else []

    def bind(
        self,
        event: evt.EventType,
        handler: Callable[..., Any],
        args: list[Any] | None = None,
    ) -> None:
        """Bind a handler, for the associations that there are and those to come.

        Raises
        ------
        UnsupportedHere
            The event is not supported.
        """
        self._bound.bind(event, handler, args)
        for association in self.active_associations:
            association.bind(event, handler, args)

    def unbind(self, event: evt.EventType, handler: Callable[..., Any]) -> None:
        """Bind a handler no longer."""
        self._bound.unbind(event, handler)
        for association in self.active_associations:
            association.unbind(event, handler)

    def get_events(self) -> list[evt.EventType]:
        """Return the events that handlers are bound to, by their names."""
        return sorted(self._bound.by_event, key=lambda event: event.name)

    def get_handlers(self, event: evt.EventType) -> Any:  # noqa: ANN401
        """Return the handlers of an event, as the library keeps them."""
        return self._bound.by_event.get(event, [])

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised where it was started
            self._failure = error
            if self._ready.is_set():
                log_failure("server", error)
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        crew = self._crew = Crew(self.ae.maximum_associations, self._thread.name)
        hall = Hall(self.ae, self.ae_title, self.contexts, lambda: self._bound.by_event, crew)
        host, port = self.server_address
        acceptor = Acceptor(
            self.ae,
            host=host,
            port=port,
            title=self.ae_title,
            services=hall.practice(),
            tls=self._tls,
            onlooker=hall,
        )
        try:
            await acceptor.start()
        except ListenError as error:
            raise OSError(getattr(error.__cause__, "errno", None), str(error)) from error
        self._hall = hall
        self.server_address = (host, acceptor.port)
        hall.address = await asyncio.to_thread(AddressInformation, host, acceptor.port)
        self._ready.set()
        try:
            await self._stopping.wait()
        finally:
            await _until(lambda: not hall.is_parting, _TO_PART)
            await acceptor.stop()
            if not await _until(lambda: hall.is_quiet, _TO_END):
                log.warning("Handlers are still running; what they say goes nowhere")
            crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is so; tell whether it came to be so in time."""
    ends = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > ends:
            return False
        await asyncio.sleep(_LOOK)
    return True


def _checked(contexts: Sequence[PresentationContext]) -> list[PresentationContext]:
    if not contexts and not _config.UNRESTRICTED_STORAGE_SERVICE:
        raise ValueError("No supported Presentation Contexts have been defined")
    inconsistent = [
        str(one.abstract_syntax)
        for one in contexts
        if (one.scu_role is None) != (one.scp_role is None)
    ]
    if inconsistent:
        raise ValueError(
            "these contexts have only one of scu_role and scp_role, where both or none are to be"
            f" given: {', '.join(inconsistent)}"
        )
    return list(contexts)
