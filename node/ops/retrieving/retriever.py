"""What each of the ways in which images are brought here can do."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from node.ops.retrieving.answer import Answer
from node.ops.retrieving.leave import Leave, unrestrained
from node.ops.retrieving.wanted import Wanted


class Signs(Protocol):
    """Who sees the images of a study arrive, whichever process receives them."""

    count: int
    """How many have been seen."""

    def telling(self, listener: Callable[[], None], /) -> AbstractContextManager[None]:
        """Call a function whenever there are more, for the length of the block."""


class Retriever(Protocol):
    """Asks one peer for images, one request after the other; an async context manager.

    Attributes
    ----------
    method
        How: C-MOVE, C-GET or WADO-RS.
    """

    method: str

    async def open(self) -> None:
        """Make the connection before there is anything to ask for.

        Raises
        ------
        PeerUnreachable, PeerRefused
            There is none.
        ConfigurationError
            The files for TLS cannot be used.
        """

    async def ask(self, wanted: Wanted, progress: Signs, leave: Leave = unrestrained) -> Answer:
        """Ask for images, until the peer's last response; no `NodeError` is raised.

        When the task is cancelled, the peer is told, and the connection is given up.

        Parameters
        ----------
        progress
            Images that are seen to arrive are signs of progress.
        leave
            Asked when there is a connection, just before the first request, and while one is
            waited for.

        Raises
        ------
        Withheld
            There was no leave, and nothing was asked for.
        """

    async def close(self) -> None:
        """Let go of the connection: nothing will be asked for a while."""

    async def __aenter__(self) -> Self:
        """Return itself."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the connection."""
