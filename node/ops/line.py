"""An association to a peer for several operations, made again when it is lost."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from node.errors import AssociationLost
from node.net.dimse.contexts import Service
from node.net.messages import Peer
from node.net.scu.requestor import ServiceUser, associate


class Line:
    """One association to a peer, made when it is needed and again when it was lost.

    A context manager: at its end the association is released, or aborted after an error, since
    a release would wait for the answer that was given up.

    Parameters
    ----------
    service
        What it is for.
    response_timeout
        Seconds to wait for the next response, in place of the peer's DIMSE time-out.
    """

    def __init__(
        self, peer: Peer, service: Service, *, response_timeout: float | None = None
    ) -> None:
        self._peer = peer
        self._service = service
        self._response_timeout = response_timeout
        self._stack = AsyncExitStack()
        self._association: ServiceUser | None = None

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
                associate(self._peer, self._service, response_timeout=self._response_timeout)
            )
        return self._association

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
