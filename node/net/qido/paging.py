"""Which page of an answer is asked for next, and when the answer is whole (PS3.18 8.3.4.4).

The standard has a server say with `Warning: 299` that there is more than it gave. Not every server
does, some give fewer at once than they are asked for, and some ignore the offset. One thing is
assumed, as it is of the answers to windows: what a server does beyond its limit, it does at the
same number throughout one find. Then a page that is smaller than another one is the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto


class PageVerdict(Enum):
    """What a page says of its answer."""

    MORE = auto()
    """Another page may follow."""
    LAST = auto()
    """There is nothing more, as far as the server lets us know."""
    CUT = auto()
    """There is more, and no way to it."""
    SHIFTED = auto()
    """Pages have matches in common: the order changed meanwhile, so that others may be missing."""


@dataclass(slots=True)
class ServerPaging:
    """What the answers of one level have shown of a server so far; each new one goes by it.

    Attributes
    ----------
    largest
        Matches of its largest page.
    ignores_offset
        Whether it gave the first page when it was asked for the second.
    """

    largest: int = 0
    ignores_offset: bool = False


@dataclass(slots=True)
class Pages:
    """The pages of one answer.

    Parameters
    ----------
    limit
        How many matches each page is asked to have at most.

    Attributes
    ----------
    offset
        Where the next page begins.
    """

    server: ServerPaging
    limit: int
    offset: int = 0
    _seen: set[bytes] = field(default_factory=set)
    _pages: int = 0
    _unfinished: bool = False

    def take(self, matches: Sequence[bytes], *, announced: bool) -> PageVerdict:
        """Take note of a page.

        Parameters
        ----------
        matches
            What tells them apart.
        announced
            Whether the server says that there is more (`Warning: 299`).
        """
        if not matches:
            return PageVerdict.CUT if announced else PageVerdict.LAST
        known = self._seen.intersection(matches)
        if known:
            return self._repeated(whole=known.issuperset(matches))
        smaller = len(matches) < self.server.largest
        self.server.largest = max(self.server.largest, len(matches))
        self._seen.update(matches)
        self._pages += 1
        self.offset += len(matches)
        self._unfinished = announced or len(matches) == self.limit
        if self.server.ignores_offset:
            return PageVerdict.CUT if self._unfinished else PageVerdict.LAST
        return PageVerdict.LAST if smaller and not self._unfinished else PageVerdict.MORE

    def _repeated(self, *, whole: bool) -> PageVerdict:
        if not whole:
            return PageVerdict.SHIFTED
        self.server.ignores_offset = self._pages == 1
        # how many there are is then judged as it is of an answer without pages
        return PageVerdict.CUT if self._unfinished or self._pages > 1 else PageVerdict.LAST
