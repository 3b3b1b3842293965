"""A sink that cannot fail: what goes wrong in the one behind it becomes a C-STORE status.

A network handler never raises (PS3.7 Annex C). An error while the bytes come must not end the
association: the rest of the dataset is read and forgotten, and the response says why.
"""

from collections.abc import Callable

from node.dicom.status import Status
from node.errors import StorageError
from node.net.messages import StoreSink
from node.net.transport.failures import log_failure


class GuardedSink:
    """Takes a dataset for the sink that `open_sink` returns."""

    def __init__(self, open_sink: Callable[[], StoreSink]) -> None:
        self._sink: StoreSink | None = None
        self._status: int = Status.PROCESSING_FAILURE
        try:
            self._sink = open_sink()
        except Exception as error:  # noqa: BLE001 - a handler never raises
            self._fail(error)

    @property
    def full(self) -> bool:
        """Whether the sink would like to have no more bytes for now."""
        try:
            return self._sink is not None and self._sink.full
        except Exception as error:  # noqa: BLE001
            self._fail(error)
            return False

    def write(self, data: bytes) -> None:
        """Hand bytes on; forget them once something has gone wrong."""
        if self._sink is not None:
            try:
                self._sink.write(data)
            except Exception as error:  # noqa: BLE001
                self._fail(error)

    async def drained(self) -> None:
        """Wait until there is room again."""
        if self._sink is not None:
            try:
                await self._sink.drained()
            except Exception as error:  # noqa: BLE001
                self._fail(error)

    async def finish(self) -> int:
        """Return the status (PS3.4 B.2.3)."""
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                return await sink.finish()
            except Exception as error:  # noqa: BLE001
                self._fail(error)
        return self._status

    def discard(self) -> None:
        """Forget it all."""
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.discard()
            except Exception as error:  # noqa: BLE001
                log_failure("store", error)

    def _fail(self, error: Exception) -> None:
        log_failure("store", error)
        if isinstance(error, StorageError | OSError):
            self._status = Status.OUT_OF_RESOURCES
        self.discard()
