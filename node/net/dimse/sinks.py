"""The two simplest sinks: one keeps the whole dataset in memory, one keeps nothing."""

from collections.abc import Awaitable, Callable

from node.net.messages import StoreHandler, StoreRequest


class _Whole:
    def __init__(
        self, request: StoreRequest, handle: Callable[[StoreRequest, bytes], Awaitable[int]]
    ) -> None:
        self._request = request
        self._handle = handle
        self._parts: list[bytes] = []

    @property
    def full(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    async def drained(self) -> None:
        return

    async def finish(self) -> int:
        return await self._handle(self._request, b"".join(self._parts))

    def discard(self) -> None:
        self._parts.clear()


def whole(handle: Callable[[StoreRequest, bytes], Awaitable[int]]) -> StoreHandler:
    """Return a store handler that calls `handle` with the request and its encoded dataset."""
    return lambda request: _Whole(request, handle)


class Refused:
    """A sink for what is not taken at all: it answers one status."""

    def __init__(self, status: int) -> None:
        self._status = status

    @property
    def full(self) -> bool:
        """Never: it keeps nothing."""
        return False

    def write(self, data: bytes) -> None:
        """Keep nothing."""

    async def drained(self) -> None:
        """Return at once."""

    async def finish(self) -> int:
        """Return the status."""
        return self._status

    def discard(self) -> None:
        """Do nothing."""
