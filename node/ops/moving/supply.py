"""Where the studies of a move come from: a list, or page by page what a peer may be asked for."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, Self

from schema import AsyncSession, Database, SchemaError, StudyFind, utcnow
from schema.choosing.open_studies import studies_by_key
from schema.choosing.order import MoveOrder
from schema.moving.ready import count_ready, next_ready, wake, without_sources

log = logging.getLogger(__name__)

_SOONEST = 1.0
"""Seconds from one look for what is ready by now to the next, at least."""

_LATER = 10_000
"""Studies that a move is given beside those that there were at its beginning, about: it keeps what
became of each until its end."""


class Supply(Protocol):
    """Gives studies, in the order in which to ask for them.

    Attributes
    ----------
    studies, images
        How many there are, as far as was known at the beginning, and how many images they have.
    held
        Whether they are asked for although an operator holds them: they were named.
    look_every
        Seconds from one look whether there are more to the next; None: there will be no more.
    """

    studies: int
    images: int
    held: bool
    look_every: float | None

    @property
    def left(self) -> bool:
        """Whether there may be more."""

    async def take(self, most: int) -> list[StudyFind]:
        """Return the next ones of a list, at most so many, whether they can be claimed or not."""

    async def draw(self, session: AsyncSession, most: int) -> list[StudyFind]:
        """Return the next ones that nobody else has, at most so many, to be claimed by `session`.

        It may be called again, where the transaction has to be repeated.
        """

    def drawn(self, studies: Sequence[StudyFind], most: int) -> None:
        """Note that these were drawn, of at most so many, and that this was committed."""

    def done_with(self, study_uid: str) -> None:
        """Do not give a study again, though it may be asked for."""

    async def look(self) -> None:
        """Look once more how many there are, where all were given.

        Raises
        ------
        SchemaError
            Nobody can tell.
        """


@contextlib.asynccontextmanager
async def renewed(
    supply: Supply, *, when: Callable[[], bool], told: Callable[[], None]
) -> AsyncIterator[None]:
    """Look every now and then, for the length of the block, for what is to be asked for by now.

    Parameters
    ----------
    when
        Says whether to.
    told
        Called after each look.
    """
    task = asyncio.create_task(_renew(supply, when, told), name="look for more studies")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _renew(supply: Supply, when: Callable[[], bool], told: Callable[[], None]) -> None:
    while supply.look_every is not None:
        await asyncio.sleep(supply.look_every)
        if when():
            try:
                await supply.look()
            except SchemaError as error:  # who asks for the next study sees that, too
                log.debug("What else may be asked for is not known: %s", error)
            told()


class _Listed:
    """What lists have in common: nothing is drawn beside what is on them."""

    look_every: float | None = None

    async def draw(self, session: AsyncSession, most: int) -> list[StudyFind]:  # noqa: ARG002
        """See `Supply.draw`."""
        return []

    def drawn(self, studies: Sequence[StudyFind], most: int) -> None:
        """See `Supply.drawn`."""

    def done_with(self, study_uid: str) -> None:
        """See `Supply.done_with`."""

    async def look(self) -> None:
        """See `Supply.look`."""


class ListedStudies(_Listed):
    """Gives the studies of a list."""

    held = True

    def __init__(self, studies: Sequence[StudyFind]) -> None:
        self.studies = len(studies)
        self.images = sum(study.expected_images or 0 for study in studies)
        self._waiting = deque(studies)

    @property
    def left(self) -> bool:
        """See `Supply.left`."""
        return bool(self._waiting)

    async def take(self, most: int) -> list[StudyFind]:
        """See `Supply.take`."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]


class KeptStudies(_Listed):
    """Gives the studies that were chosen, of which only the keys are kept, page by page.

    Those that were removed since are left out.
    """

    def __init__(
        self, database: Database, keys: Sequence[int], *, images: int, held: bool = False
    ) -> None:
        self.studies = len(keys)
        self.images = images
        self.held = held
        self._database = database
        self._keys = keys
        self._given = 0

    @property
    def left(self) -> bool:
        """See `Supply.left`."""
        return self._given < len(self._keys)

    async def take(self, most: int) -> list[StudyFind]:
        """See `Supply.take`."""
        page = self._keys[self._given : self._given + most]
        self._given += len(page)
        if not page:
            return []
        async with self._database.session() as session:
            return await studies_by_key(session, page)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """How what becomes ready during a move is learnt of: a study that hangs holds up none of it.

    Attributes
    ----------
    longest
        The longest wait for a next attempt there is, and more.
    every
        Seconds from one look to the next.
    """

    database: Database
    longest: timedelta
    every: float


class ReadyStudies:
    """Gives what a peer may be asked for now, page by page: memory does not grow with it.

    What others claim meanwhile is not among it, and what is found meanwhile is.

    Parameters
    ----------
    renewal
        How what becomes ready later is learnt of; None: it is not given.
    """

    held = False

    def __init__(
        self,
        peer: str,
        *,
        studies: int,
        images: int,
        first: Sequence[StudyFind] = (),
        order: MoveOrder = MoveOrder.OLDEST,
        renewal: Renewal | None = None,
    ) -> None:
        self.studies = studies + len(first)
        self.look_every = None if renewal is None else renewal.every
        self.images = images
        self._peer = peer
        self._order = order
        self._begun_with = self.studies
        self._renewal = renewal
        self._given = len(first)
        self._first = deque(first)
        self._without: set[str] = set()
        self._end = False

    @classmethod
    async def of(
        cls,
        database: Database,
        peer: str,
        *,
        longest_wait: float,
        limit: int | None = None,
        order: MoveOrder = MoveOrder.OLDEST,
        every: float | None = None,
    ) -> Self:
        """Wake what has waited for its time, and look how much there is.

        Parameters
        ----------
        longest_wait
            Seconds: the longest wait for a next attempt there is.
        limit
            At most so many studies.
        order
            Which of those of one priority comes first.
        every
            Seconds after which, while studies are under way, it is looked what else is ready by
            now, again and again; None, or with a limit: never.
        """
        longest = timedelta(seconds=2 * longest_wait)
        renewal = None
        if every is not None and limit is None:
            renewal = Renewal(database=database, longest=longest, every=max(_SOONEST, every))
        await database.run(wake, peer=peer, now=utcnow(), longest=longest)
        async with database.session() as session:
            studies, images = await count_ready(session, peer=peer)
            first = await without_sources(session, peer=peer, now=utcnow(), order=order)
        if limit is not None:
            first = first[:limit]
            studies = min(studies, limit - len(first))
        return cls(peer, studies=studies, images=images, first=first, order=order, renewal=renewal)

    @property
    def left(self) -> bool:
        """See `Supply.left`."""
        return bool(self._first) or (not self._end and self._given < self.studies)

    async def take(self, most: int) -> list[StudyFind]:
        """Return those of which no PACS's word is known, before all others."""
        return [self._first.popleft() for _ in range(min(most, len(self._first)))]

    async def draw(self, session: AsyncSession, most: int) -> list[StudyFind]:
        """See `Supply.draw`."""
        most = min(most, self.studies - self._given)
        if most <= 0 or self._end:
            return []
        return await next_ready(
            session,
            peer=self._peer,
            limit=most,
            without=self._without,
            order=self._order,
            to_claim=True,
        )

    def drawn(self, studies: Sequence[StudyFind], most: int) -> None:
        """See `Supply.drawn`."""
        self._end = not studies and most > 0
        self._given += len(studies)
        if self._end and self._renewal is not None:  # what was seen in a look is others' by now
            self.studies = max(self._begun_with, self._given)

    def done_with(self, study_uid: str) -> None:
        """See `Supply.done_with`."""
        self._without.add(study_uid)

    async def look(self) -> None:
        """See `Supply.look`: what has waited for its time is woken, as at the beginning."""
        renewal = self._renewal
        if renewal is None or self.left or self._given >= self._begun_with + _LATER:
            return
        await renewal.database.run(wake, peer=self._peer, now=utcnow(), longest=renewal.longest)
        async with renewal.database.session() as session:
            ready, _ = await count_ready(session, peer=self._peer, without=self._without)
        if ready:
            self.studies = self._given + ready
            self._end = False
