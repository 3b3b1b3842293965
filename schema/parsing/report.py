"""What becomes of the files of a folder: of one of them, and of all so far."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schema.parsing.scan import Passed, Why

LISTED = 100
"""Failures that a report names; all of them are told as they happen."""


class Verdict(StrEnum):
    """What became of an image."""

    INDEXED = "indexed"
    """It is in the index now."""
    KNOWN = "known"
    """It was there already."""
    RELOCATED = "relocated"
    """It was there under a path that is gone; its row names this file now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseReport:
    """What became of a folder's files.

    Attributes
    ----------
    source
        The folder, or the file, that was parsed.
    institution
        The institution that the new images' patients belong to.
    indexed, known, relocated
        Images that are in the index now, were there already, or were there under a path at
        which no file is any more.
    skipped
        How many files were passed over because they are no images, by reason.
    failed
        How many files are not in the index although they should be, by the values of `Why`.
    failures
        The first `LISTED` of those.
    seconds
        How long it took.
    interrupted
        Whether it was stopped before the end.
    """

    source: str
    institution: str
    indexed: int = 0
    known: int = 0
    relocated: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[Passed, ...] = ()
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def files(self) -> int:
        """How many files have been looked at."""
        images = self.indexed + self.known + self.relocated
        return images + sum(self.skipped.values()) + sum(self.failed.values())

    @property
    def files_per_second(self) -> float:
        """How fast it was."""
        return self.files / self.seconds if self.seconds > 0 else 0.0


class Tally:
    """Counts what becomes of files, and makes a report of it at any time."""

    def __init__(self, source: str, institution: str) -> None:
        self._source = source
        self._institution = institution
        self._started = time.monotonic()
        self._verdicts: Counter[Verdict] = Counter()
        self._skipped: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._failures: list[Passed] = []
        self.interrupted = False

    def add(self, verdict: Verdict, count: int = 1) -> None:
        """Count images."""
        self._verdicts[verdict] += count

    def pass_over(self, passed: Passed) -> None:
        """Count a file that is no image, or that failed."""
        if passed.why is Why.SKIPPED:
            self._skipped[passed.reason] += 1
            return
        self._failed[passed.why.value] += 1
        if len(self._failures) < LISTED:
            self._failures.append(passed)

    def report(self) -> ParseReport:
        """Return what has become of the files so far."""
        return ParseReport(
            source=self._source,
            institution=self._institution,
            indexed=self._verdicts[Verdict.INDEXED],
            known=self._verdicts[Verdict.KNOWN],
            relocated=self._verdicts[Verdict.RELOCATED],
            skipped=dict(self._skipped),
            failed=dict(self._failed),
            failures=tuple(self._failures),
            seconds=time.monotonic() - self._started,
            interrupted=self.interrupted,
        )
