"""As many associations with a PACS as it may have of ours, of all processes that share a database.

Each takes one of so many names (`schema.engine.claims`), before it is opened, and gives it back
when it is closed; what a process held that has died is free.

Who waits holds none at that PACS, and who holds one gives it back between two questions or two
studies when somebody waits (`others_wait`): so everybody gets one in the end. Of several processes
that wait, one has the next turn, and looks every now and then; in one process, who came first.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

from node.config import Config
from node.errors import NoPlace
from node.net.transport.places import keeper, keeping
from schema import Database, SchemaError
from schema.engine.claims import Claims, claiming
from schema.text.words import counted

log = logging.getLogger(__name__)

_SOON, _LONGEST = 0.05, 1.0
"""Seconds from one look for a place to the next: the first, doubled each time, and the longest."""

_TO_SAY = 1.0
"""Seconds for which it is waited without a word."""

_TO_NOTICE = 0.05
"""Seconds that a PACS has to notice that an association has ended, before its place is free."""

_LOOK = 1.0
"""Seconds from one look whether others wait to the next."""

Told = Callable[[str | None], Awaitable[None]]
"""Told why it is waited, and with None that it goes on."""


class AssociationSlots:
    """Keeps places at peers; see `node.net.transport.places`.

    Parameters
    ----------
    most
        How many there are, by the configured names of the peers; others have any number.
    """

    def __init__(self, claims: Claims, most: Mapping[str, int]) -> None:
        self._claims = claims
        self._most = most
        self._held: dict[str, set[int]] = defaultdict(set)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._freed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._looked: dict[str, float] = {}
        self._listeners: dict[str, list[Told]] = defaultdict(list)
        self._leaving: set[asyncio.Task[None]] = set()

    async def take(self, peer: str, *, wait: bool) -> Callable[[], None]:
        """See `Places.take`.

        Raises
        ------
        NoPlace
            There is none, and it is not to be waited for.
        SchemaError
            Nobody can tell.
        """
        if peer not in self._most:
            return _nothing
        turn = self._turns[peer]
        if not wait:
            number = None if turn.locked() else await self._free_one(peer)
            if number is None:
                raise NoPlace(self._in_use(peer))
        else:
            async with turn:
                number = await self._next_one(peer)
        return lambda: self._leave(peer, number)

    async def others_wait(self, peer: str) -> bool:
        """Tell whether somebody waits for a place that is ours, as far as we have looked."""
        if peer not in self._most or not self._held[peer]:
            return False
        if self._turns[peer].locked():
            return True
        now = asyncio.get_running_loop().time()
        if now - self._looked.get(peer, now - _LOOK) < _LOOK:
            return False
        self._looked[peer] = now
        if await self._claims.take(_next(peer)):
            await self._claims.give_back(_next(peer))
            return False
        return True

    @contextlib.contextmanager
    def telling(self, peer: str, told: Told) -> Iterator[None]:
        """Tell somebody when nothing goes on at a peer because there is no place."""
        self._listeners[peer].append(told)
        try:
            yield
        finally:
            self._listeners[peer].remove(told)

    async def settle(self) -> None:
        """Wait until what was given back is free."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    async def _next_one(self, peer: str) -> int:
        """Wait for a place."""
        loop = asyncio.get_running_loop()
        began, pause, told = loop.time(), _SOON, False
        is_next = False
        try:
            while True:
                self._freed[peer].clear()
                is_next = is_next or await self._claims.take(_next(peer))
                number = await self._free_one(peer, is_next=True) if is_next else None
                if number is not None:
                    return number
                if not told and loop.time() - began >= _TO_SAY and not self._held[peer]:
                    told = True
                    await self._tell(peer, self._in_use(peer))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._freed[peer].wait()
                pause = min(2 * pause, _LONGEST)
        finally:
            if is_next:
                await self._claims.give_back(_next(peer))
            if told:
                await self._tell(peer, None)

    async def _free_one(self, peer: str, *, is_next: bool = False) -> int | None:
        """Take a place that is free; None where there is none, or another process is before us."""
        if not is_next:
            if not await self._claims.take(_next(peer)):
                return None
            await self._claims.give_back(_next(peer))
        for number in range(1, self._most[peer] + 1):
            if number not in self._held[peer] and await self._claims.take(_place(peer, number)):
                self._held[peer].add(number)
                return number
        return None

    def _leave(self, peer: str, number: int) -> None:
        task = asyncio.get_running_loop().create_task(self._left(peer, number))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _left(self, peer: str, number: int) -> None:
        await asyncio.sleep(_TO_NOTICE)
        await self._claims.give_back(_place(peer, number))
        self._held[peer].discard(number)
        self._freed[peer].set()

    async def _tell(self, peer: str, reason: str | None) -> None:
        log.info("%s: %s", peer, reason or "there is an association to be had again")
        for told in list(self._listeners[peer]):
            await told(reason)

    def _in_use(self, peer: str) -> str:
        most = self._most[peer]
        return (
            f"all {counted(most, 'association')} at {peer} are in use"
            if most > 1
            else (f"the one association at {peer} is in use")
        )


@contextlib.asynccontextmanager
async def slots_kept(config: Config, database: Database) -> AsyncIterator[None]:
    """Keep to the most associations of each peer for the length of the block, where there is one.

    Where that is done already, nothing else is.
    """
    most = {
        name: peer.associations
        for name, peer in config.peers.items()
        if peer.associations is not None
    }
    if not most or keeper() is not None:
        yield
        return
    async with claiming(database) as claims:
        slots = AssociationSlots(claims, most)
        with keeping(slots):
            try:
                yield
            finally:
                await slots.settle()


def slots_here() -> AssociationSlots | None:
    """Return who keeps the places in this context; None where there are any number."""
    places = keeper()
    return places if isinstance(places, AssociationSlots) else None


@contextlib.contextmanager
def told_of_waits(peer: str, told: Told) -> Iterator[None]:
    """Tell somebody for the length of the block when nothing goes on for want of an association."""
    slots = slots_here()
    with contextlib.nullcontext() if slots is None else slots.telling(peer, told):
        yield


async def others_wait(peer: str) -> bool:
    """Tell whether somebody waits for an association that we have with a peer.

    It is to be closed then, between two questions; who asks again waits after him.
    """
    slots = slots_here()
    if slots is None:
        return False
    try:
        return await slots.others_wait(peer)
    except SchemaError as error:  # the next question tells
        log.debug("Nobody knows who waits for %s: %s", peer, error)
        return False


def _nothing() -> None:
    """Give back what was never taken."""


def _place(peer: str, number: int) -> str:
    return f"association {number} at {peer}"


def _next(peer: str) -> str:
    return f"the next association at {peer}"
