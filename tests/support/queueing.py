"""A PACS with so many workers, in simulated time: who asks, who waits, and what a throttle does."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from node.ops.politeness.throttle import Latency, Throttle, TimedQuestion
from node.ops.politeness.watching import wait_before

Work = Iterator[float | tuple[float]]
"""What somebody does: yields seconds that he spends, or, in a tuple, seconds of a worker."""


@dataclass
class Queueing:
    """Workers, each at one thing at a time; who came first is served first."""

    workers: int
    question: float = 0.015
    image: float = 0.010
    chance: random.Random = field(default_factory=lambda: random.Random(17))
    now: float = 0.0
    others: list[float] = field(default_factory=list)
    images: int = 0

    def __post_init__(self) -> None:
        self._free = self.workers
        self._waiting: deque[tuple[Work, float]] = deque()
        self._due: list[tuple[float, int, Work | None]] = []
        self._numbers = itertools.count()
        self._retrieving = 0

    def run(self, seconds: float, *works: Work) -> None:
        """Let all of them do what they do."""
        for work in works:
            self._at(self.now, work)
        end = self.now + seconds
        while self._due and self._due[0][0] < end:
            self.now, _, work = heapq.heappop(self._due)
            if work is None:  # a worker is free again
                self._free += 1
                if self._waiting:
                    self._serve(*self._waiting.popleft())
            else:
                self._go_on(work)

    def _at(self, when: float, work: Work | None) -> None:
        heapq.heappush(self._due, (when, next(self._numbers), work))

    def _go_on(self, work: Work) -> None:
        step = next(work, None)
        if isinstance(step, tuple):
            if self._free:
                self._serve(work, step[0])
            else:
                self._waiting.append((work, step[0]))
        elif step is not None:
            self._at(self.now + step, work)

    def _serve(self, work: Work, seconds: float) -> None:
        self._free -= 1
        self._at(self.now + seconds, None)
        self._at(self.now + seconds, work)

    def other(self, rate: float) -> Work:
        """Another client, with so many questions in a second."""
        while True:
            yield self.chance.expovariate(rate)
            began = self.now
            yield (self.question,)
            self.others.append(self.now - began)

    def probes(self, throttle: Throttle) -> Work:
        """Us, as we measure."""
        for _ in range(5):
            yield from self._probe(throttle)
        took = 0.0
        while True:
            yield wait_before(throttle, self.now, took) * self.chance.uniform(0.5, 1.5)
            began = self.now
            yield from self._probe(throttle)
            took = self.now - began

    def _probe(self, throttle: Throttle) -> Work:
        began, idle = self.now, not self._retrieving
        yield (self.question * self.chance.uniform(1.0, 1.1),)
        throttle.answered(
            Latency(
                question=TimedQuestion.STUDY,
                began=began,
                seconds=self.now - began,
                idle=idle and not self._retrieving,
            )
        )

    def line(self, throttle: Throttle, images: int = 20, kept: float = 0.002) -> Work:
        """One of our associations, with retrievals one by one, of images kept in so long."""
        yield 0.2
        while True:
            while self._retrieving >= throttle.at_once:
                yield 0.01
            self._retrieving += 1
            began = self.now
            yield (self.question,)
            for _ in range(images):
                yield (self.image,)
                self.images += 1
                yield kept
            self._retrieving -= 1
            throttle.retrieved(self.now)
            took, ended = self.now - began, self.now
            while (left := ended + throttle.pause_after(took) - self.now) > 0:
                self._retrieving += 1  # nobody else begins meanwhile
                yield min(left, 0.1)
                self._retrieving -= 1
