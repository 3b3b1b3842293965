"""The lines of a move, held to what a peer is to be asked at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from node.errors import NodeError, PeerFailure
from node.ops.politeness.throttle import Latency, Throttle, TimedQuestion
from node.ops.retrieving.answer import Answer
from node.ops.retrieving.leave import Leave, Withheld, unrestrained
from node.ops.retrieving.retriever import Retriever, Signs
from node.ops.retrieving.wanted import Wanted
from node.ops.tour import news

_LOOK = 0.5
"""Seconds that somebody waits for his turn before he looks whether the move goes on at all."""

_HELD = 2.0
"""Seconds after which he holds no association meanwhile."""


class Pacer:
    """Says whose turn it is to ask for images, and when.

    Parameters
    ----------
    lines
        Retrievals at once, at most.
    pause
        Seconds from the end of a retrieval to the beginning of the next over the same association.
    throttle
        Says how much of that is too much; None: nothing is.
    is_busy
        Tells whether a failure says that the peer has too much to do.

    Attributes
    ----------
    retrieving
        How many retrievals there are at this moment.
    """

    def __init__(
        self,
        lines: int,
        *,
        pause: float = 0.0,
        throttle: Throttle | None = None,
        is_busy: Callable[[NodeError], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.throttle = throttle
        self.retrieving = 0
        self._lines = lines
        self._pause = pause
        self._is_busy = is_busy
        self._clock = clock
        self._turns: set[Retriever] = set()
        self._waiting: dict[Retriever, float] = {}
        self._ended: dict[Retriever, float] = {}
        self._took: tuple[float, float] = (-1e9, 0.0)
        self._progress: list[Signs] = []
        self._begun = 0
        self._questions = asyncio.Lock()
        self._asking = 0
        self._changed = asyncio.Event()

    @property
    def at_once(self) -> int:
        """How many retrievals there may be at once."""
        return self._lines if self.throttle is None else self.throttle.at_once

    @property
    def is_at_work(self) -> bool:
        """Whether something is retrieved, or will be after a pause."""
        return bool(self.retrieving or self._waiting)

    @property
    def sign(self) -> tuple[int, int]:
        """Something else whenever a retrieval has begun, or an image of one has come."""
        return self._begun, sum(one.count for one in self._progress)

    # Retrievals

    async def turn(self, retriever: Retriever) -> bool:
        """Wait until a retrieval may begin over an association, and let it be its turn.

        Returns
        -------
        bool
            False when it is not yet, and the caller is to look whether it is to be asked for more
            at all, and to come again.
        """
        self._turns.discard(retriever)
        now = self._clock()
        since = self._waiting.setdefault(retriever, now)
        latest = now + _LOOK
        while len(self._turns) >= self.at_once or self._rest_of(retriever) > 0:
            if (left := latest - self._clock()) <= 0:
                if latest - since >= _HELD:
                    await retriever.close()
                return False
            await news(self._changed, min(left, self._rest_of(retriever) or left))
        del self._waiting[retriever]
        self._turns.add(retriever)
        return True

    def pass_on(self, retriever: Retriever) -> None:
        """Let others have the turn of who has nothing to ask for at the moment."""
        self._turns.discard(retriever)
        self._waiting.pop(retriever, None)
        self._changed.set()

    def leave(self, retriever: Retriever) -> None:
        """Let others have the turn of who asks for no more."""
        self._ended.pop(retriever, None)
        self.pass_on(retriever)

    async def ask(
        self,
        retriever: Retriever,
        wanted: Wanted,
        progress: Signs,
        leave: Leave = unrestrained,
    ) -> Answer:
        """Ask for images, when no question is in the way; see `Retriever.ask`."""
        while self._asking and self._is_too_much():
            await news(self._changed, _LOOK)
        began, asked = self._clock(), True
        self.retrieving += 1
        self._progress.append(progress)
        self._begun += 1
        try:
            answer = await retriever.ask(wanted, progress, leave)
            self._judge(answer, began)
        except Withheld:
            asked = False  # no pause follows what was not asked for
            raise
        finally:
            now = self._clock()
            self.retrieving -= 1
            self._progress.remove(progress)
            if asked:
                self._ended[retriever] = now
                self._took = now, now - began
            self._changed.set()
        return answer

    def _judge(self, answer: Answer, began: float) -> None:
        if self.throttle is None:
            return
        if answer.error is not None and self._is_busy(answer.error):
            self.throttle.refused(began, self._clock(), str(answer.error))
        else:
            self.throttle.retrieved(self._clock())

    def _rest_of(self, retriever: Retriever) -> float:
        """Return how many seconds nothing is asked for over an association."""
        now = self._clock()
        rest = self._ended.get(retriever, now - self._pause) + self._pause - now
        if self.throttle is not None:
            ended, took = self._took
            rest = max(rest, ended + self.throttle.pause_after(took) - now)
        return max(rest, 0.0)

    # Questions

    @asynccontextmanager
    async def question(self) -> AsyncIterator[None]:
        """Ask one question at a time; as one of what is done at once, where less is to be."""
        async with self._questions:
            while self.retrieving and self._is_too_much():
                await news(self._changed, _LOOK)
            self._asking += 1
            try:
                yield
            finally:
                self._asking -= 1
                self._changed.set()

    def answered(self, question: TimedQuestion, began: float, seconds: float) -> None:
        """Take note of how long an answer has taken, to a question that was put then."""
        if self.throttle is not None:
            idle = not self.retrieving and self._took[0] < began
            self.throttle.answered(
                Latency(question=question, began=began, seconds=seconds, idle=idle)
            )
            self._changed.set()

    def failed(self, began: float, error: NodeError) -> None:
        """Take note that a question was not answered."""
        # who drops a question may take none beside a retrieval, which is another matter
        busy = isinstance(error, PeerFailure) and self._is_busy(error)
        if busy and self.throttle is not None:
            self.throttle.refused(began, self._clock(), str(error))

    def _is_too_much(self) -> bool:
        """Tell whether one more would be, where the peer is asked for less than there may be."""
        held_back = self.throttle is not None and not self.throttle.is_full
        return held_back and self.retrieving + self._asking >= self.at_once
