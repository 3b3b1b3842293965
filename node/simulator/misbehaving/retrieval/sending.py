"""The C-STOREs of a retrieval: over associations to a destination, or back to who asked."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

from node.errors import AssociationLost, NodeError
from node.net.dimse.sendable import opened_sendable
from node.net.messages import Conducted, Instance, InstanceInMemory, Peer
from node.net.scu.requestor import Originator, ServiceUser, associate

_LOSSES = 4
"""Associations in a row that are lost, before what is left has failed."""

_FOR_EVER = 1e6
"""Seconds that a PACS waits which hangs in the middle of a message."""


class Route(Protocol):
    """Where images go."""

    async def store(self, instance: Instance, *, half: bool = False) -> int | None:
        """Store an image; return the status, or None when there is none.

        Parameters
        ----------
        half
            Whether it is broken off in the middle of a PDU; what comes then is nothing.

        Raises
        ------
        NodeError
            There is no association to the destination, and no hope of one.
        """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Back:
    """To who asks, over the association of its C-GET."""

    def __init__(self, conducted: Conducted) -> None:
        self._conducted = conducted

    async def store(self, instance: Instance, *, half: bool = False) -> int | None:
        """See `Route.store`."""
        return await self._conducted.store(instance, half=half)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Destination:
    """To the destination of a C-MOVE, over an association that is opened with the first image.

    Parameters
    ----------
    pairs
        SOP class and transfer syntax of what will be sent.
    originator
        What is said of the C-MOVE.
    for_ever
        Whether it waits for ever for an answer.
    """

    def __init__(
        self,
        peer: Peer,
        pairs: list[tuple[str, str]],
        originator: Originator | None,
        *,
        for_ever: bool = False,
    ) -> None:
        self._peer = peer
        self._pairs = pairs
        self._originator = originator
        self._patience = _FOR_EVER if for_ever else None
        self._stack = AsyncExitStack()
        self._association: ServiceUser | None = None
        self._losses = 0

    async def store(self, instance: Instance, *, half: bool = False) -> int | None:
        """See `Route.store`; after one that is lost, the next image has another association."""
        if self._association is not None and self._association.is_over:
            await self._close()
        if self._association is None:
            self._association = await self._stack.enter_async_context(
                associate(self._peer, storage=self._pairs, response_timeout=self._patience)
            )
        try:
            status = await self._association.store(instance, originator=self._originator, half=half)
        except AssociationLost:
            self._losses += 1
            await self._close()
            if self._losses == _LOSSES:
                raise
            return None
        except NodeError:
            return None
        self._losses = 0
        return status

    async def _close(self) -> None:
        self._association = None
        try:
            await self._stack.aclose()
        except AssociationLost:
            pass
        finally:
            self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            await self._close()
        else:
            await self._stack.__aexit__(exc_type, exc, traceback)


async def in_another_series(instance: Instance, series_uid: str) -> InstanceInMemory:
    """Return an image as one of a series that has another UID, of the same length."""
    other = series_uid[:-1] + ("1" if series_uid[-1:] != "1" else "2")
    parts = []
    async with opened_sendable(instance) as sendable:
        last = False
        while not last:
            part, last = await sendable.part()
            parts.append(part)
    dataset = b"".join(parts).replace(series_uid.encode(), other.encode())
    return InstanceInMemory(
        dataset=lambda: dataset,
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
    )
