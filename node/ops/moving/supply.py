"""Where the studies of a move come from: a list, or page by page what a peer may be asked for."""

from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, Self

from schema import AsyncSession, Database, StudyFind, utcnow
from schema.moving.ready import count_ready, next_ready, wake, without_sources


class Supply(Protocol):
    """Gives studies, in the order in which to ask for them.

    Attributes
    ----------
    studies, images
        How many there are, as far as was known at the beginning, and how many images they have.
    """

    studies: int
    images: int

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


class ListedStudies:
    """Gives the studies of a list."""

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

    async def draw(self, session: AsyncSession, most: int) -> list[StudyFind]:  # noqa: ARG002
        """All are on the list."""
        return []

    def drawn(self, studies: Sequence[StudyFind], most: int) -> None:
        """All are on the list."""

    def done_with(self, study_uid: str) -> None:
        """See `Supply.done_with`."""


class ReadyStudies:
    """Gives what a peer may be asked for now, page by page: memory does not grow with it.

    What others claim meanwhile is not among it, and what is found meanwhile is.
    """

    def __init__(
        self,
        peer: str,
        *,
        studies: int,
        images: int,
        first: Sequence[StudyFind] = (),
    ) -> None:
        self.studies = studies + len(first)
        self.images = images
        self._peer = peer
        self._given = len(first)
        self._first = deque(first)
        self._without: set[str] = set()
        self._end = False

    @classmethod
    async def of(
        cls, database: Database, peer: str, *, longest_wait: float, limit: int | None = None
    ) -> Self:
        """Wake what has waited for its time, and look how much there is.

        Parameters
        ----------
        longest_wait
            Seconds: the longest wait for a next attempt there is.
        limit
            At most so many studies.
        """
        longest = timedelta(seconds=2 * longest_wait)
        await database.run(wake, peer=peer, now=utcnow(), longest=longest)
        async with database.session() as session:
            studies, images = await count_ready(session, peer=peer)
            first = await without_sources(session, peer=peer, now=utcnow())
        if limit is not None:
            first = first[:limit]
            studies = min(studies, limit - len(first))
        return cls(peer, studies=studies, images=images, first=first)

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
            session, peer=self._peer, limit=most, without=self._without, to_claim=True
        )

    def drawn(self, studies: Sequence[StudyFind], most: int) -> None:
        """See `Supply.drawn`."""
        self._end = not studies and most > 0
        self._given += len(studies)

    def done_with(self, study_uid: str) -> None:
        """See `Supply.done_with`."""
        self._without.add(study_uid)
