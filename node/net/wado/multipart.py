"""The body of a multipart response (RFC 2046 5.1), read as it comes: sans-IO, bounded memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

_LONGEST_HEAD = 16 * 1024
"""Bytes of the headers of a part."""

_LONGEST_PREAMBLE = 64 * 1024
"""Bytes before the first boundary: more of them, and it is not the boundary of this body."""

_LONGEST_PADDING = 64
"""Spaces and tabs after a boundary."""


class MalformedMultipart(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """What came is no multipart body with this boundary; its words say why."""


class TruncatedMultipart(MalformedMultipart):
    """It ends before its last boundary."""


@dataclass(frozen=True, slots=True)
class PartHead:
    """A part begins; its headers by name, in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of its content."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """It is whole."""


PartEvent = PartHead | PartData | PartEnd


class _State(Enum):
    PREAMBLE = auto()
    HEAD = auto()
    CONTENT = auto()
    EPILOGUE = auto()


class _After(Enum):
    """What follows the characters of a boundary."""

    NEXT = auto()
    LAST = auto()
    UNKNOWN = auto()
    """It may be either, once more has come."""
    CONTENT = auto()
    """They are no boundary."""


class MultipartParser:
    """Divides a body into its parts.

    Parameters
    ----------
    boundary
        As the Content-Type has it, without quotes.

    Raises
    ------
    MalformedMultipart
        The boundary cannot be one (RFC 2046 5.1.1).
    """

    def __init__(self, boundary: str) -> None:
        if not 0 < len(boundary) <= 200 or not boundary.isascii() or not boundary.isprintable():
            raise MalformedMultipart("its Content-Type has no boundary")
        self._delimiter = b"\r\n--" + boundary.encode()
        # the first boundary may be at the very start, without the line break that belongs to it
        self._buffer = bytearray(b"\r\n")
        self._state = _State.PREAMBLE
        self._skipped = 0
        self._surplus = 0

    def feed(self, data: bytes) -> Iterator[PartEvent]:
        """Take the next bytes, and yield what they complete; to be iterated to its end.

        Raises
        ------
        MalformedMultipart
            It is no multipart body with this boundary.
        """
        self._buffer += data
        going_on = True
        while going_on:
            if self._state is _State.EPILOGUE:
                self._buffer.clear()
                return
            if self._state is _State.HEAD:
                head = self._head()
                going_on = head is not None
                if head is not None:
                    yield head
            else:
                content, going_on = self._until_boundary()
                if self._state is _State.PREAMBLE:
                    self._skip(len(content))
                elif content:
                    yield PartData(content)
                if going_on:
                    was_content = self._state is _State.CONTENT
                    self._state = _State.HEAD
                    if self._buffer.startswith(b"--"):
                        self._state = _State.EPILOGUE
                    if was_content:
                        yield PartEnd()

    def close(self) -> None:
        """Take note that the body is over.

        Raises
        ------
        TruncatedMultipart
            It should have gone on.
        MalformedMultipart
            It had no boundary at all.
        """
        if self._state is _State.PREAMBLE:
            raise MalformedMultipart("the boundary of its Content-Type is nowhere in it")
        if self._state is not _State.EPILOGUE:
            raise TruncatedMultipart("it ends before its last boundary")

    def _head(self) -> PartHead | None:
        """Return the headers of a part once they are whole; they begin with a line break."""
        end = self._buffer.find(b"\r\n\r\n")
        if (end if end >= 0 else len(self._buffer) - 4) > _LONGEST_HEAD:
            raise MalformedMultipart(f"the headers of a part have more than {_LONGEST_HEAD} bytes")
        if end < 0:
            return None
        head = bytes(self._buffer[:end])
        # the empty line's own break stays: it is also the boundary's, where there is no content
        del self._buffer[: end + 2]
        self._surplus = 2
        self._state = _State.CONTENT
        return PartHead(_headers(head))

    def _until_boundary(self) -> tuple[bytes, bool]:
        """Take the content before the next boundary, and that boundary; tell whether it is there.

        Of the boundary, what ends its line is left, or the hyphens that make it the last one.
        """
        buffer, length = self._buffer, len(self._delimiter)
        start = 0
        while True:
            found = buffer.find(self._delimiter, start)
            if found < 0:
                return self._content(max(len(buffer) - length + 1, 0)), False
            after, end = _after(buffer, found + length)
            if after is _After.UNKNOWN:
                return self._content(found), False
            if after is not _After.CONTENT:
                content = self._content(found)
                del buffer[: end - found]
                self._surplus = 0
                return content, True
            start = found + 2

    def _content(self, size: int) -> bytes:
        """Take so many bytes off the buffer, and return those that are content."""
        surplus = min(self._surplus, size)
        content = bytes(self._buffer[surplus:size])
        del self._buffer[:size]
        self._surplus -= surplus
        return content

    def _skip(self, count: int) -> None:
        self._skipped += count
        if self._skipped > _LONGEST_PREAMBLE:
            raise MalformedMultipart("the boundary of its Content-Type is nowhere in it")


def _after(buffer: bytearray, start: int) -> tuple[_After, int]:
    """Return what follows a boundary's characters, and where what is left of its line begins."""
    if buffer.startswith(b"--", start):
        return _After.LAST, start
    if start + 1 == len(buffer) and buffer.endswith(b"-"):
        return _After.UNKNOWN, start
    end = start
    while end < len(buffer) and end - start <= _LONGEST_PADDING and buffer[end] in b" \t":
        end += 1
    if buffer.startswith(b"\r\n", end) and end - start <= _LONGEST_PADDING:
        return _After.NEXT, end
    left = len(buffer) - end
    incomplete = not left or (left == 1 and buffer.endswith(b"\r"))
    incomplete = incomplete and end - start <= _LONGEST_PADDING
    return (_After.UNKNOWN if incomplete else _After.CONTENT), start


def _headers(head: bytes) -> dict[str, str]:
    """Return headers by name; a line that is none is left out."""
    headers: dict[str, str] = {}
    unfolded = head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    for line in unfolded.split(b"\r\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers
