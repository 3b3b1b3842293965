"""Places at peers: where a peer may have so many connections of ours, each takes one of them.

Who keeps the places is in the context (`keeping`), so that whatever opens a connection to a peer,
by whichever way, takes one; where nobody does, there are any number.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Protocol


class Places(Protocol):
    """Who keeps places, by the names of peers."""

    async def take(self, peer: str, *, wait: bool) -> Callable[[], None]:
        """Take a place; return what gives it back.

        Raises
        ------
        NoPlace
            There is none, and it is not to be waited for.
        """


_KEEPER: ContextVar[Places | None] = ContextVar("places", default=None)
_WAITS: ContextVar[bool] = ContextVar("waits for a place", default=True)


@contextlib.contextmanager
def keeping(places: Places) -> Iterator[None]:
    """Have places kept for the length of the block, and for the tasks that begin in it."""
    token = _KEEPER.set(places)
    try:
        yield
    finally:
        _KEEPER.reset(token)


def keeper() -> Places | None:
    """Return who keeps places here; None where there are any number."""
    return _KEEPER.get()


@contextlib.contextmanager
def without_waiting() -> Iterator[None]:
    """Do not wait for a place in the block, but raise `NoPlace`."""
    token = _WAITS.set(False)
    try:
        yield
    finally:
        _WAITS.reset(token)


@contextlib.asynccontextmanager
async def place_at(peer: str) -> AsyncIterator[None]:
    """Have a place at a peer for the length of the block; waits until there is one.

    Raises
    ------
    NoPlace
        There is none, `without_waiting`.
    """
    places = _KEEPER.get()
    if places is None:
        yield
        return
    give_back = await places.take(peer, wait=_WAITS.get())
    try:
        yield
    finally:
        give_back()
