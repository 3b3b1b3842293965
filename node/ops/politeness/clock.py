"""How long a peer takes to begin to answer, without what we are late to notice."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from node.errors import NodeError
from node.ops.politeness.throttle import TimedQuestion

_TICK = 0.001
"""Seconds from one look to the next whether we are late ourselves, while a question is new ..."""

_TICKS = 0.02
"""... and the part of the time that it has taken so far, when it is not."""

_USUAL = 3.0
"""So many ticks from one to the next but one are no delay."""


class ResponseTimer:
    """Measures answers, and tells their times.

    An event loop that is busy, with images that come in for example, sees an answer late. While a
    question is open it looks at the clock often: what has passed since the look before the answer
    was seen may be our own delay, and is not held against the peer.

    Parameters
    ----------
    answered
        Told the kind of question, when it was put (`time.monotonic`) and the seconds to its first
        response.
    failed
        Told when a question was put that failed, and how.
    """

    def __init__(
        self,
        answered: Callable[[TimedQuestion, float, float], None],
        failed: Callable[[float, NodeError], None],
    ) -> None:
        self._answered = answered
        self._failed = failed
        self._told = True

    @classmethod
    def untold(cls) -> Self:
        """Return one that nobody asks."""
        timer = cls(lambda *_: None, lambda *_: None)
        timer._told = False
        return timer

    @asynccontextmanager
    async def timing(self, question: TimedQuestion | None) -> AsyncIterator[Callable[[], None]]:
        """Measure the block, up to its end or to the first call of what it gets.

        Parameters
        ----------
        question
            Its kind; None where it is not measured.
        """
        if question is None or not self._told:
            yield lambda: None
            return
        ticks = _Ticks()
        took: float | None = None
        ticking = asyncio.ensure_future(ticks.run())

        def came() -> None:
            nonlocal took
            if took is None:
                took = ticks.elapsed()
                ticking.cancel()

        try:
            yield came
            came()
        except TimeoutError:
            came()  # as slow as that, at least
            raise
        except NodeError as error:
            self._failed(ticks.began, error)
            raise
        finally:
            ticking.cancel()
            if took is not None:
                self._answered(question, ticks.began, took)


class _Ticks:
    """Looks at the clock while something is waited for."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._last = self._before = self.began
        self._tick = _TICK

    async def run(self) -> None:
        while True:
            self._tick = max(_TICK, _TICKS * (self._last - self.began))
            await asyncio.sleep(self._tick)
            self._before, self._last = self._last, time.monotonic()

    def elapsed(self) -> float:
        """Return how long it has taken, without what may be our own delay."""
        now = time.monotonic()
        late = max(0.0, now - self._before - _USUAL * self._tick)
        return max(0.0, now - self.began - late)
