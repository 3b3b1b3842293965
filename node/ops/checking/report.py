"""What a reconciliation finds: where the index and the storage directory disagree."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """How a file and the rows disagree."""

    UNINDEXED = "unindexed"
    """A file that no row names: with ``--fix`` it becomes an image of the index."""
    RELOCATED = "relocated"
    """Its image's row names a file that is gone: with ``--fix`` the row names this one."""
    DUPLICATE = "duplicate"
    """The same object is in the index under another name: nothing is done."""
    SPARE = "spare"
    """The same object is in the index under another name, in a file that is damaged: nothing is
    done."""
    CONFLICT = "conflict"
    """Another object has its SOP Instance UID: with ``--fix`` it gets a row of the quarantine."""
    UNDECODABLE = "undecodable"
    """It is DICOM but no usable image: with ``--fix`` it gets a row of the quarantine."""
    UNINDEXABLE = "unindexable"
    """The database refuses its values: it has got a row of the quarantine."""
    CHANGED = "changed"
    """It is not what its row says: nothing is done; the original has to be brought back."""
    UNREADABLE = "unreadable"
    """The operating system does not let it be read: nothing is done."""
    STRAY = "stray"
    """A file in quarantine without a row: with ``--fix`` it gets one."""
    MISSING = "missing"
    """A row whose file is gone: with ``--fix`` its study is opened again for the next move."""
    LOST = "lost"
    """A row whose file was gone at an earlier reconciliation, and has not come again."""
    ELSEWHERE = "elsewhere"
    """A row whose file another storage directory holds, or another program looks after, and that
    cannot be seen from here."""
    UNCLAIMED = "unclaimed"
    """A row whose file is not there, and nobody knows which storage directory has held it."""
    UNKEPT = "unkept"
    """A row of the quarantine whose file is gone: nothing is done."""
    REMOVED = "removed"
    """A complete study of which images are not here any more, nor their rows: with ``--fix`` it is
    opened again for the next move."""


HARMLESS = frozenset((Kind.DUPLICATE, Kind.ELSEWHERE))
"""These alone are no reason for an exit code of 1."""

MENDED = frozenset(
    (Kind.UNINDEXED, Kind.RELOCATED, Kind.CONFLICT, Kind.UNDECODABLE, Kind.UNINDEXABLE, Kind.STRAY)
)
"""With ``--fix`` nothing is left to do about these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement.

    Attributes
    ----------
    path
        Of the file; the SOP Instance UID where a row names none, the Study Instance UID of what
        is `removed`.
    why, reason
        What it is, as a word and in words.
    """

    path: str
    why: Kind
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """What a reconciliation has found and done.

    Attributes
    ----------
    fixed
        Whether it was to change anything.
    files
        Files in the storage directory, but for the node's own folders.
    rows
        Rows that were compared, of images and of the quarantine.
    skipped
        Files that are no images.
    waiting
        Files that the node is about to index: left alone.
    outside
        Rows whose file lies outside the storage directory, where it should.
    found
        How many disagreements there are, by the values of `Kind`.
    claimed
        Rows that were taken for this storage directory's, because somebody has said so.
    reopened
        Studies, by UID, that the next move asks for again.
    absent
        The storage directory, where there is none because nothing has been received.
    """

    fixed: bool
    files: int = 0
    rows: int = 0
    skipped: int = 0
    waiting: int = 0
    outside: int = 0
    claimed: int = 0
    found: Mapping[str, int]
    reopened: tuple[str, ...] = ()
    absent: Path | None = None

    @property
    def left(self) -> int:
        """How many disagreements are left that somebody should look at."""
        settled = HARMLESS | MENDED if self.fixed else HARMLESS
        return sum(count for kind, count in self.found.items() if kind not in settled)


class Ledger:
    """Counts what is found, and makes a report of it at any time.

    Parameters
    ----------
    fix
        Whether disagreements are mended.
    found
        Called for each of them.

    Attributes
    ----------
    images
        Files that are images. The others are as `ReconcileReport` has them.
    """

    def __init__(self, *, fix: bool, found: Callable[[Finding], None]) -> None:
        self.fix = fix
        self._found = found
        self._kinds: Counter[Kind] = Counter()
        self.files = 0
        self.images = 0
        self.rows = 0
        self.skipped = 0
        self.waiting = 0
        self.outside = 0
        self.claimed = 0
        self.reopened: set[str] = set()
        self.absent: Path | None = None

    def add(self, path: str, kind: Kind, reason: str) -> None:
        """Take a disagreement down."""
        self._kinds[kind] += 1
        self._found(Finding(path=path, why=kind, reason=reason))

    def report(self) -> ReconcileReport:
        """Return what has been found so far."""
        return ReconcileReport(
            fixed=self.fix,
            files=self.files,
            rows=self.rows,
            skipped=self.skipped,
            waiting=self.waiting,
            outside=self.outside,
            claimed=self.claimed,
            found={kind.value: self._kinds[kind] for kind in Kind if self._kinds[kind]},
            reopened=tuple(sorted(self.reopened)),
            absent=self.absent,
        )
