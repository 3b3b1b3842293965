"""Whether two encoded datasets are the same object: attribute by attribute, in bounded memory.

What is compared, and what is not:

- Each element of both datasets, at every level, private ones too: whether it is there, its VR, and
  its value byte by byte; one that is empty is another than one that is not there.
- Not what encodings differ in: lengths of sequences and items that are written or delimited, byte
  order, VRs that one of both leaves out or has as UN, OB for OW, padding behind text, the Basic
  Offset Table of encapsulated pixel data where one of both has none.
- Never the File Meta Information (group 0002), which is the file's and not the dataset's, group
  lengths (gggg,0000), and Data Set Trailing Padding (FFFC,FFFC).
- Pixel data that one of both has in another compression is not compared, and that is said.

Text is compared as it is encoded: another character set is another value.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO

from pydicom.datadict import keyword_for_tag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from node.dicom.encoded_values import same_bytes, same_values, shown, vr_known, vr_of
from node.dicom.spans import PIXEL_DATA, Coding, ValueSpan, elements_between, items_of

MOST = 100
"""Differences of two datasets that are named; the others are counted."""

_TRAILING_PADDING = 0xFFFCFFFC


class DifferenceKind(StrEnum):
    """How an element differs."""

    VALUE = "value"
    """Both have it, with other values."""
    VR = "VR"
    """Both have it, under other VRs."""
    ITEMS = "items"
    """A sequence has another number of items."""
    ONLY_HELD = "only held"
    """The one that is held has it alone."""
    ONLY_PEER = "only at the peer"
    """The one that the peer has sent has it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A dataset in a file, not deflated.

    Attributes
    ----------
    start, end
        Its first byte, and the one behind its last.
    transfer_syntax_uid
        How it is encoded; of a deflated one, as it is without that.
    """

    file: BinaryIO
    start: int
    end: int
    transfer_syntax_uid: str

    @property
    def coding(self) -> Coding:
        """How its elements are encoded."""
        syntax = self.transfer_syntax_uid
        return Coding(implicit=syntax == ImplicitVRLittleEndian, big=syntax == ExplicitVRBigEndian)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An element that is another one, or that only one of both has.

    Attributes
    ----------
    tag
        Of the element.
    within
        The sequences that it is in, from outside, each with the number of the item, from 1.
    held, peer
        Their values, in short, where these were asked for: patients' data.
    """

    kind: DifferenceKind
    tag: int
    within: tuple[tuple[int, int], ...] = ()
    held: str | None = None
    peer: str | None = None

    @property
    def keyword(self) -> str:
        """The keyword of the element; "" for one that the standard does not know."""
        return keyword_for_tag(self.tag)

    @property
    def number(self) -> str:
        """The tag, as (gggg,eeee)."""
        return number_of(self.tag)

    @property
    def name(self) -> str:
        """Keyword and tag behind the sequences that it is in, without the numbers of items."""
        path = [keyword_for_tag(tag) or number_of(tag) for tag, _ in self.within]
        own = f"{self.keyword} {self.number}" if self.keyword else self.number
        return ".".join([*path, own])


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetComparison:
    """What came of comparing two datasets.

    Attributes
    ----------
    differences
        The first of them, in the order of their tags.
    more
        How many there are beside those.
    uncompared
        What of them was not compared, and why; nothing is known of that.
    """

    differences: tuple[Difference, ...] = ()
    more: int = 0
    uncompared: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether all was compared, and nothing differs."""
        return not self.differences and not self.uncompared


def number_of(tag: int) -> str:
    """Return a tag as people write it: (0010,0010)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def compare(
    held: Encoded, peer: Encoded, *, ignored: Collection[int] = (), values: bool = False
) -> DatasetComparison:
    """Compare two datasets.

    Parameters
    ----------
    ignored
        Tags of elements that may differ, at any level.
    values
        Whether differing values are told: patients' data.

    Raises
    ------
    Unreadable
        One of both is no dataset to its end: nothing is known of them.
    OSError
        One of both cannot be read.
    """
    comparing = _Comparing(held=held, peer=peer, ignored=frozenset(ignored), values=values)
    both = [(one.start, one.end, one.coding) for one in (held, peer)]
    comparing.level(both[0], both[1], ())
    return DatasetComparison(
        differences=tuple(comparing.found),
        more=comparing.more,
        uncompared=tuple(comparing.uncompared),
    )


_Level = tuple[int, int, Coding]
_Within = tuple[tuple[int, int], ...]


@dataclass(slots=True, kw_only=True)
class _Comparing:
    held: Encoded
    peer: Encoded
    ignored: frozenset[int]
    values: bool
    found: list[Difference] = field(default_factory=list)
    more: int = 0
    uncompared: list[str] = field(default_factory=list)

    def level(self, held: _Level, peer: _Level, within: _Within) -> None:
        """Compare two datasets, or two items."""
        ours = elements_between(self.held.file, *held)
        theirs = elements_between(self.peer.file, *peer)
        for tag in sorted(ours.keys() | theirs.keys()):
            if tag & 0xFFFF and tag != _TRAILING_PADDING and tag not in self.ignored:
                self.element(tag, ours.get(tag), theirs.get(tag), within)

    def element(
        self, tag: int, held: ValueSpan | None, peer: ValueSpan | None, within: _Within
    ) -> None:
        """Compare what both have under a tag."""
        if held is None or peer is None:
            self.note(
                DifferenceKind.ONLY_HELD if peer is None else DifferenceKind.ONLY_PEER,
                tag,
                held,
                peer,
                within,
            )
        elif self.alike(held, peer):
            return
        elif tag == PIXEL_DATA and (held.undefined or peer.undefined):
            self.encapsulated(held, peer, within)
        elif (vrs := {held.vr, peer.vr} - {None, "UN"}) and len(vrs) > 1 and vrs != {"OB", "OW"}:
            self.note(DifferenceKind.VR, tag, held, peer, within)
        elif _is_sequence(tag, held, peer):
            self.sequence(tag, held, peer, within)
        elif not same_values(
            vr_of(tag, held, peer), self.value(held), self.value(peer, at_peer=True)
        ):
            self.note(DifferenceKind.VALUE, tag, held, peer, within)

    def alike(self, held: ValueSpan, peer: ValueSpan) -> bool:
        """Tell whether they are the same, encoded the same way."""
        return (
            (held.vr, held.coding, held.undefined) == (peer.vr, peer.coding, peer.undefined)
            and not self.compression_differs(held)
            and held.length == peer.length
            and same_bytes(self.value(held), self.value(peer, at_peer=True), held.length)
        )

    def compression_differs(self, held: ValueSpan) -> bool:
        """Tell whether the same bytes may be different pixels: under two transfer syntaxes."""
        return (held.undefined or held.vr == "SQ") and (
            self.held.transfer_syntax_uid != self.peer.transfer_syntax_uid
        )

    def sequence(self, tag: int, held: ValueSpan, peer: ValueSpan, within: _Within) -> None:
        """Compare two sequences, item by item."""
        ours, theirs = items_of(self.held.file, held), items_of(self.peer.file, peer)
        if len(ours) != len(theirs):
            self.note(DifferenceKind.ITEMS, tag, held, peer, within)
            return
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True), 1):
            self.level((*one, held.inner), (*other, peer.inner), (*within, (tag, number)))

    def encapsulated(self, held: ValueSpan, peer: ValueSpan, within: _Within) -> None:
        """Compare pixel data of which at least one is in fragments (PS3.5 A.4)."""
        if (
            self.held.transfer_syntax_uid != self.peer.transfer_syntax_uid
            or not held.undefined
            or not peer.undefined
        ):
            self.leave("the pixel data is compressed otherwise", within)
            return
        ours, theirs = items_of(self.held.file, held), items_of(self.peer.file, peer)
        tables = [self.bytes_of(self.held, ours[:1]), self.bytes_of(self.peer, theirs[:1])]
        lengths = [[end - start for start, end in one[1:]] for one in (ours, theirs)]
        if lengths[0] != lengths[1]:
            if sum(lengths[0]) == sum(lengths[1]):
                self.leave("the pixel data is divided into fragments otherwise", within)
            else:
                self.note(DifferenceKind.VALUE, PIXEL_DATA, held, peer, within)
            return
        same = all(tables) is False or tables[0] == tables[1]
        for (start, end), (other, _) in zip(ours[1:], theirs[1:], strict=True):
            one = self.value(_plain(start, end - start))
            same = same and same_bytes(
                one, self.value(_plain(other, end - start), at_peer=True), end - start
            )
        if not same:
            self.note(DifferenceKind.VALUE, PIXEL_DATA, held, peer, within)

    def bytes_of(self, whose: Encoded, items: list[tuple[int, int]]) -> bytes:
        """Return the Basic Offset Table."""
        if not items:
            return b""
        start, end = items[0]
        whose.file.seek(start)
        return whose.file.read(end - start)

    def leave(self, why: str, within: _Within) -> None:
        """Say that pixel data was not compared."""
        named = [keyword_for_tag(tag) or number_of(tag) for tag, _ in within]
        said = ".".join([*named, "PixelData"]) + f": {why}"
        if said not in self.uncompared:
            self.uncompared.append(said)

    def value(self, span: ValueSpan, *, at_peer: bool = False) -> tuple[BinaryIO, ValueSpan]:
        """Return a value with the file that it is in."""
        return (self.peer if at_peer else self.held).file, span

    def note(
        self,
        kind: DifferenceKind,
        tag: int,
        held: ValueSpan | None,
        peer: ValueSpan | None,
        within: _Within,
    ) -> None:
        """Take note of a difference."""
        if len(self.found) == MOST:
            self.more += 1
            return
        ours = theirs = None
        if self.values:
            vr = vr_of(tag, *(one for one in (held, peer) if one is not None))
            ours = None if held is None else shown(vr, self.value(held))
            theirs = None if peer is None else shown(vr, self.value(peer, at_peer=True))
        self.found.append(Difference(kind=kind, tag=tag, within=within, held=ours, peer=theirs))


def _plain(offset: int, length: int) -> ValueSpan:
    return ValueSpan(vr="OB", offset=offset, length=length, undefined=False, coding=Coding())


def _is_sequence(tag: int, held: ValueSpan, peer: ValueSpan) -> bool:
    both = (held, peer)
    if any(one.vr == "SQ" or one.undefined for one in both):
        return True
    return all(one.vr in {None, "UN"} for one in both) and vr_known(tag) == "SQ"
