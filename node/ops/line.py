"""The way to a peer for several operations, made again when it is lost: an association, mostly."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Protocol, Self

from pydicom.dataset import Dataset

from node.errors import AssociationLost
from node.net.dimse.contexts import Service, StorageContext
from node.net.dimse.identifiers import EncodedIdentifier
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.net.scu.requestor import ServiceUser, associate


class Questionable(Protocol):
    """Who answers questions for studies."""

    def matches(self, identifier: Dataset, /) -> AsyncGenerator[EncodedIdentifier | Dataset, None]:
        """Yield each identifier that matches; see `ServiceUser.find` for what is raised."""


class Answering(Questionable, Protocol):
    """Who answers questions for studies, their series and their images."""

    def find(self, identifier: Dataset, /) -> AsyncGenerator[Dataset, None]:
        """Yield each identifier that matches, decoded; see `ServiceUser.find`."""


class QueryLine(Protocol):
    """A way to a peer to ask it for studies over."""

    @property
    def operation(self) -> str:
        """What is asked over it, such as C-FIND."""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as we know."""

    async def get(self) -> Questionable:
        """Return whom to ask; connected anew where the connection was lost."""

    async def abort(self) -> None:
        """Give up the connection and what is being asked, where there is one."""

    async def close(self) -> None:
        """End the connection, where there is one."""


class LevelsLine(QueryLine, Protocol):
    """A way to a peer to ask it over what it has, at each level."""

    async def get(self) -> Answering:
        """See `QueryLine.get`."""


def query_line(peer: Peer | WebPeer, *, echo: bool = False) -> LevelsLine:
    """Return the way to ask a peer what it has: C-FIND, or QIDO-RS where it is a service.

    Parameters
    ----------
    echo
        Whether C-ECHOs go over the same association, where the peer accepts that.
    """
    if isinstance(peer, Peer):
        return Line(peer, Service.FIND, also=(Service.ECHO,) if echo else ())
    # The HTTP library takes 0.2 s to load, which nobody waits for who asks by C-FIND.
    from node.net.qido.line import WebLine  # noqa: PLC0415

    return WebLine(peer)


class Line:
    """One association to a peer, made when it is needed and again when it was lost.

    A context manager: at its end the association is released, or aborted after an error, since
    a release would wait for the answer that was given up.

    Parameters
    ----------
    service
        What it is for.
    also
        What else, where the peer accepts that.
    receive
        What a C-GET over it may bring; see `associate`.
    response_timeout
        Seconds to wait for the next response, in place of the peer's DIMSE time-out.
    """

    def __init__(
        self,
        peer: Peer,
        service: Service,
        *,
        also: Sequence[Service] = (),
        receive: Sequence[StorageContext] = (),
        response_timeout: float | None = None,
    ) -> None:
        self._peer = peer
        self._service = service
        self._also = also
        self._receive = receive
        self._response_timeout = response_timeout
        self._stack = AsyncExitStack()
        self._association: ServiceUser | None = None

    @property
    def operation(self) -> str:
        """What is asked over it, such as C-FIND."""
        return self._service.operation

    @property
    def is_open(self) -> bool:
        """Whether there is an association, as far as we know."""
        return self._association is not None and not self._association.is_over

    async def get(self) -> ServiceUser:
        """Return the association; a new one where there is none, or where the peer has ended it.

        Raises
        ------
        PeerUnreachable, PeerRefused
            See `associate`.
        """
        if self._association is not None and self._association.is_over:
            await self.close()
        if self._association is None:
            self._association = await self._stack.enter_async_context(
                associate(
                    self._peer,
                    self._service,
                    also=self._also,
                    receive=self._receive,
                    response_timeout=self._response_timeout,
                )
            )
        return self._association

    async def give_up(self, patience: float) -> None:
        """Abort the association, once the peer has ended what was cancelled.

        Parameters
        ----------
        patience
            Seconds that it has for that.
        """
        try:
            if self._association is not None and self.is_open:
                with suppress(TimeoutError, AssociationLost):
                    async with asyncio.timeout(patience):
                        await self._association.cancelled()
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Abort the association, where there is one."""
        await self._end(AssociationLost("given up"))

    async def close(self) -> None:
        """Release the association, where there is one."""
        await self._end(None)

    async def _end(self, error: Exception | None) -> None:
        stack, self._stack, self._association = self._stack, AsyncExitStack(), None
        await stack.__aexit__(type(error) if error else None, error, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await (self.close() if error is None else self.abort())
