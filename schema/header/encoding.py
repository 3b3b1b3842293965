"""Where a dataset starts and how it is encoded: preamble, File Meta, transfer syntax, deflate.

PS3.10 chapter 7 describes files, PS3.5 annex A the transfer syntaxes. A dataset comes as
a file does, as C-STORE delivers it (no preamble, the transfer syntax known from the
presentation context), or as something in between that some system wrote.
"""

import zlib
from io import SEEK_END, FileIO
from mmap import ACCESS_READ, mmap
from typing import BinaryIO, Protocol

from schema.errors import InvalidDicom
from schema.header.elements import ElementReader, MoreNeeded
from schema.header.framing import UNDEFINED, fragments_end, read_head
from schema.header.scope import CODES, Attributes, Scope
from schema.header.values import clean_text
from schema.text.words import counted

_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_IMPLICIT = ("1.2.840.10008.1.2", "1.2.840.113619.5.2")  # the second: GE, pixels in big endian
_DEFLATED = (
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
    "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
)

Encoded = bytes | bytearray | memoryview | BinaryIO
"""Where encoded bytes come from; a file has to be seekable."""

MAX_INFLATED = 64 << 20
"""Bytes of a deflated dataset that are inflated at most to get to the end of its header."""

_FIRST_WINDOW = 1 << 18
_LARGEST_READ = 1 << 22
_PREAMBLE = 128
_PREFIX = b"DICM"


class Source(Protocol):
    """Bytes that are looked at from their start on, no more of them than needed."""

    def window(self, size: int) -> tuple[bytes | memoryview, bool]:
        """Return the first bytes, `size` or more, and whether these are all there are."""

    def peek(self, position: int) -> bytes | memoryview:
        """Return the eight bytes at a position, fewer at the end."""

    @property
    def size(self) -> int | None:
        """The number of bytes there are; None when nobody knows."""


class _Buffer:
    """Bytes in memory, which are never copied."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data

    def window(self, _: int) -> tuple[bytes | memoryview, bool]:
        return self._data, True

    def peek(self, position: int) -> bytes | memoryview:
        return self._data[position : position + 8]

    @property
    def size(self) -> int:
        return len(self._data)


class _File:
    """A binary file from where it stands; pixel data is not read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()
        self.size: int | None = file.seek(0, SEEK_END) - self._start

    def window(self, size: int) -> tuple[bytes | memoryview, bool]:
        if size > _LARGEST_READ and isinstance(getattr(self._file, "raw", self._file), FileIO):
            # a long element that is no pixel data: look past it without reading it
            mapped = mmap(self._file.fileno(), 0, access=ACCESS_READ)
            return memoryview(mapped)[self._start :], True
        self._file.seek(self._start)
        data = self._file.read(size)
        return data, len(data) < size

    def peek(self, position: int) -> bytes | memoryview:
        self._file.seek(self._start + position)
        data = self._file.read(8)
        if len(data) < 8:
            raise InvalidDicom(f"the file got shorter than {position + 8} bytes while it was read")
        return data


class _Inflated:
    """A deflated dataset (PS3.5 section A.5), inflated as far as it is looked at."""

    size = None

    def __init__(self, window: bytes | memoryview, start: int, *, complete: bool) -> None:
        self._deflated = memoryview(window)[start:]
        self._complete = complete

    def window(self, size: int) -> tuple[bytes | memoryview, bool]:
        if size > MAX_INFLATED:
            raise InvalidDicom(f"deflated: the header is longer than {MAX_INFLATED} bytes")
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflated = bytearray()
        step = 1 << 16  # what is not consumed is copied, so no more than this at a time
        for position in range(0, len(self._deflated), step):
            piece = self._deflated[position : position + step]
            try:
                inflated += inflater.decompress(piece, size - len(inflated))
            except zlib.error as error:
                raise InvalidDicom(f"deflated: {error} near offset {position}") from error
            if inflater.eof:
                return bytes(inflated), True
            if len(inflated) >= size:
                return bytes(inflated), False
        if not self._complete:
            raise MoreNeeded
        raise InvalidDicom("deflated: the stream ends early")

    def peek(self, position: int) -> bytes | memoryview:
        raise NotImplementedError(position)


def read_encoded(data: Encoded, transfer_syntax_uid: str | None) -> tuple[Attributes, str | None]:
    """Return the attributes before the pixel data, and the transfer syntax.

    Raises
    ------
    InvalidDicom
        The structure is broken, or the data ends before the dataset does.
    """
    source = _source(data)
    size = _FIRST_WINDOW
    while True:
        try:
            return _read_window(source, size, transfer_syntax_uid)
        except MoreNeeded:
            size *= 16


def _source(data: Encoded) -> Source:
    if isinstance(data, bytes):
        return _Buffer(data)
    if isinstance(data, bytearray | memoryview):
        return _Buffer(memoryview(data).cast("B"))
    return _File(data)


def _read_window(source: Source, size: int, given: str | None) -> tuple[Attributes, str | None]:
    window, complete = source.window(size)
    if not window:
        raise InvalidDicom("no data")
    start, transfer_syntax = 0, given
    if given not in _DEFLATED or bytes(window[_PREAMBLE : _PREAMBLE + 4]) == _PREFIX:
        start, named = after_file_meta(window, complete=complete)
        transfer_syntax = given or named
    if transfer_syntax in _DEFLATED:
        source = _Inflated(window, start, complete=complete)
        start, (window, complete) = 0, source.window(size)
    scope = _scope(window[start : start + 6], transfer_syntax)
    reader = ElementReader(window, complete=complete)
    attributes, position = reader.read(start, scope)
    if source.size is not None and position + 8 <= source.size:
        _check_pixel_data(source, window, position, scope)
    return attributes, transfer_syntax


def after_file_meta(window: bytes | memoryview, *, complete: bool) -> tuple[int, str | None]:
    """Return where the dataset starts, and the transfer syntax that the File Meta names.

    Raises
    ------
    InvalidDicom
        The File Meta is broken.
    MoreNeeded
        The window is not complete and ended first.
    """
    prefixed = bytes(window[_PREAMBLE : _PREAMBLE + 4]) == _PREFIX
    position = _PREAMBLE + 4 if prefixed else 0
    reader = ElementReader(window, complete=complete)
    scope = Scope(implicit=False, little=True)
    transfer_syntax = None
    while bytes(window[position : position + 2]) == b"\x02\x00" and position + 8 <= len(window):
        _, element, _, start, length = read_head(window, position, len(window), scope)
        position = reader.checked_end(position, start, length)
        if element == 0x0010:
            raw = bytes(window[start:position])
            transfer_syntax = clean_text(raw.rstrip(b" \0").decode("latin_1")) or None
    if not complete and len(window) < max(position + 8, _PREAMBLE + 4):
        raise MoreNeeded
    return position, transfer_syntax


def _scope(first: bytes | memoryview, transfer_syntax: str | None) -> Scope:
    """Return how the dataset is encoded: as declared, unless its first element differs.

    A dataset whose transfer syntax is not known is in explicit VR where its first element
    names a VR; it is big endian where the group would be improbably high otherwise.
    """
    code = bytes(first[4:6])
    little = transfer_syntax != _EXPLICIT_BIG
    if transfer_syntax is None and code in CODES[True]:
        little = int.from_bytes(first[:2], "little") < 0x0400
    implicit = not (code in CODES[True] or (code.isalpha() and code.isupper()))
    if len(code) < 2:
        implicit = transfer_syntax in _IMPLICIT
    return Scope(implicit=implicit, little=little)


def _check_pixel_data(
    source: Source, window: bytes | memoryview, position: int, scope: Scope
) -> None:
    """Raise unless the pixel data is all there. It is not read, only its lengths are."""
    group, element, _, start, length = read_head(window, position, len(window), scope)
    end = source.size or 0
    if group != 0x7FE0:
        return
    if length == UNDEFINED:
        fragments_end(source.peek, start, end, little=scope.little)
    elif start + length > end:
        tag = f"({group:04X},{element:04X}) at offset {position}"
        raise InvalidDicom(f"{tag}: {counted(length, 'byte')} expected, {max(end - start, 0)} left")
