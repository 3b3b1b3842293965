"""A store that keeps what it is given in memory, and tells who watches for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.dicom.status import Status
from node.net.dimse.sinks import whole
from node.net.messages import StoreHandler, StoreRequest


class Kept:
    """The store, and the `Signs` of what arrives there.

    `answer` gives the status of each object; what is not taken is not counted.
    """

    def __init__(self, answer: Callable[[StoreRequest], int] = lambda _: Status.SUCCESS) -> None:
        self.requests: list[StoreRequest] = []
        self.objects: dict[str, bytes] = {}
        self.count = 0
        self._answer = answer
        self._listeners: list[Callable[[], None]] = []

    @property
    def store(self) -> StoreHandler:
        return whole(self._keep)

    @contextmanager
    def telling(self, listener: Callable[[], None]) -> Iterator[None]:
        self._listeners.append(listener)
        yield
        self._listeners.remove(listener)

    def tell(self) -> None:
        """Count one more."""
        self.count += 1
        for tell in self._listeners:
            tell()

    async def _keep(self, request: StoreRequest, dataset: bytes) -> int:
        self.requests.append(request)
        status = self._answer(request)
        if status == Status.SUCCESS:
            self.objects[request.sop_instance_uid] = dataset
            self.tell()
        return status
