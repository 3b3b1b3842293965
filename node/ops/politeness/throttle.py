"""How much is asked for at once: less at the first signs of congestion, more again by and by; pure.

Additive increase, multiplicative decrease, as in RFC 5681 for TCP. What is measured is what another
client would meet: how long a question takes that comes at any moment. One slow answer says nothing,
so they are summed up: each slow one counts by how slow it is, and each that is not takes a little
of that away.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from node.ops.politeness.usual import Usual

ALONE_SLACK = 0.025
"""Seconds that an answer may take longer where there is one retrieval at a time: pauses cost more
time than others gain, but where somebody notices."""

FLOOR = 0.05
"""The least part of its time that a peer is asked in, however slow it is."""

DECREASE = 0.5
"""What is left of the level at congestion."""

STEP = 0.1
"""What a level below one grows by; above, it grows by one."""

CALM = 10.0
"""Seconds without congestion before it grows."""

AGAIN = 60.0
"""Seconds before it grows to where congestion came last, doubled each time it comes again ..."""

LONGEST_AGAIN = 600.0
"""... up to so many."""

FORGOTTEN = 30.0
"""Seconds without congestion at such a level, after which it is like any other."""

LONGEST_PAUSE = 600.0
"""Seconds between two retrievals, at most: a single one may have taken hours."""

_LIMIT = 4.0
"""The sum at which a peer is congested."""

_MOST = 2.0
"""What one slow answer counts at most: a second one has to come."""

_CREDIT = 0.16
"""What an answer that is not slow takes away: one slow one in ten is left to the peer ..."""

_ALONE_CREDIT = 0.4
"""... and one in five where there is one retrieval at a time: who has one worker is slow more often
than that, and who is slow now and then anyway is not to be left alone."""

_SEEN = 8
"""Answers before the level grows, where there are any."""

_RECENT = 0.3
"""What the newest answer counts in the present latency."""


_LEFT = "the peer was slow in the move before"
"""Why it begins lower than it may be."""


class TimedQuestion(StrEnum):
    """What an answer was to: each kind takes another time."""

    ECHO = "C-ECHO"
    STUDY = "STUDY"
    SERIES = "SERIES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long a peer took to begin to answer.

    Attributes
    ----------
    began
        When it was asked, in seconds from any moment on.
    seconds
        From then to its first response.
    idle
        Whether we asked it for nothing else meanwhile.
    """

    question: TimedQuestion
    began: float
    seconds: float
    idle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleStanding:
    """Where a throttle stands.

    Attributes
    ----------
    level
        How many retrievals at once; below one, the part of the time.
    reason
        Why it is lower than it may be, for people: why it has shrunk last, and that it grows again;
        empty where nothing is held back.
    usual, latest
        Seconds that a question takes where nothing else is asked for, and took lately; None while
        that is not known.
    since
        When the level changed last, in seconds as the throttle's signals have them.
    """

    level: float
    reason: str
    usual: float | None
    latest: float | None
    since: float


class Throttle:
    """What may be asked for at once, by what the peer does.

    Parameters
    ----------
    most
        Retrievals at once, at most.
    now
        When it begins, in seconds from any moment on; signals have theirs from the same moment on.
    level
        Where it begins; as much as there may be, when None.
    """

    def __init__(self, most: int, *, now: float, level: float | None = None) -> None:
        self._most = most
        self._level = max(FLOOR, min(float(most), float(most) if level is None else level))
        self._reason = "" if level is None or level >= most else _LEFT
        self._growing = False
        self._since = now
        self._usual = {question: Usual() for question in TimedQuestion}
        self._recent: dict[TimedQuestion, float] = {}
        self._asked_at = -math.inf
        self._sum = 0.0
        self._seen = 0
        self._ended = 0
        self._failed: float | None = None
        self._failures = 0

    @property
    def level(self) -> float:
        """How many retrievals at once; below one, the part of the time in which there is one."""
        return self._level

    @property
    def at_once(self) -> int:
        """How many retrievals there may be at once: at least one."""
        return max(1, int(self._level))

    @property
    def is_full(self) -> bool:
        """Whether nothing is held back."""
        return self._level >= self._most

    @property
    def standing(self) -> ThrottleStanding:
        """Where it stands."""
        best = (TimedQuestion.STUDY, TimedQuestion.SERIES, TimedQuestion.ECHO)
        known = [question for question in best if question in self._recent]
        bounds = self._usual[known[0]].bounds if known else None
        return ThrottleStanding(
            level=self._level,
            reason=self._said(),
            usual=None if bounds is None else bounds.usual,
            latest=self._recent[known[0]] if known else None,
            since=self._since,
        )

    def _said(self) -> str:
        if self.is_full or not self._reason:
            return ""
        return f"{self._reason}; it grows again" if self._growing else self._reason

    def pause_after(self, seconds: float) -> float:
        """Return how long to ask for nothing after a retrieval that took so long, in seconds."""
        part = min(1.0, self._level)
        return min(LONGEST_PAUSE, seconds * (1 / part - 1))

    def is_unsure(self, now: float) -> bool:
        """Tell whether to measure more often: it has changed just now, or may be about to."""
        new = FORGOTTEN if self._level > 1 else CALM
        return now - self._since < new or self._sum > self._credit

    @property
    def _credit(self) -> float:
        return _CREDIT if self._level > 1 else _ALONE_CREDIT

    # Signals

    def answered(self, latency: Latency) -> bool:
        """Take note of an answer; tell whether the level has changed."""
        question, seconds = latency.question, latency.seconds
        now = latency.began + seconds
        if latency.idle:
            self._usual[question].take(now, seconds)
        before = self._recent.get(question, seconds)
        self._recent[question] = before + _RECENT * (seconds - before)
        bounds = self._usual[question].bounds
        if bounds is None or latency.began < self._since:
            return self._may_grow(now)
        if question is not TimedQuestion.ECHO:
            self._asked_at = now
        slowness = bounds.slowness(seconds, ALONE_SLACK if self._level <= 1 else 0.0)
        if slowness <= 1:
            if question is TimedQuestion.ECHO and now - self._asked_at < AGAIN:
                return False  # that is answered by whoever has nothing to look up
            self._seen += 1
            self._sum = max(0.0, self._sum - self._credit)
            return self._may_grow(now)
        self._seen += 1
        self._sum += min(_MOST, slowness)
        if self._sum < _LIMIT:
            return False
        return self._shrink(now, f"it takes {seconds:.3f} s to answer, {bounds.usual:.3f} s alone")

    def refused(self, began: float, now: float, why: str) -> bool:
        """Take note that the peer was busy; tell whether the level has changed.

        Parameters
        ----------
        began
            When that was begun: what was begun before the last change says nothing of the level.
        why
            How it said so, for people.
        """
        return began >= self._since and self._shrink(now, why)

    def retrieved(self, now: float) -> bool:
        """Take note that a retrieval has ended well; tell whether the level has changed."""
        self._ended += 1
        return self._may_grow(now)

    # Levels

    def _shrink(self, now: float, why: str) -> bool:
        again = self._failed is not None and self._level >= self._failed
        self._failures = self._failures + 1 if again else 1
        self._failed = self._level
        level = max(FLOOR, self._level * DECREASE)
        changed = level != self._level
        self._reason, self._growing = why, False
        self._set(level, now)
        return changed

    def _may_grow(self, now: float) -> bool:
        calm = now - self._since
        if self._failed is not None and self._level >= self._failed and calm >= FORGOTTEN:
            self._failed, self._failures = None, 0
        if self.is_full or calm < CALM or self._sum > 1 or not self._ended:
            return False
        if self._seen < _SEEN and any(usual.bounds for usual in self._usual.values()):
            return False
        level = self._level + STEP if self._level < 1 else math.floor(self._level) + 1.0
        if self._level < 1:
            level = min(1.0, round(level, 6))
        level = min(level, float(self._most))
        if self._failed is not None and level >= self._failed and calm < self._patience():
            return False
        self._growing = True
        self._set(level, now)
        return True

    def _patience(self) -> float:
        return min(LONGEST_AGAIN, AGAIN * 2.0 ** (self._failures - 1))

    def _set(self, level: float, now: float) -> None:
        self._level, self._since = level, now
        self._sum, self._seen, self._ended = 0.0, 0, 0
