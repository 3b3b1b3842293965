"""Reading what strace has written with `-f -y -xx`: which calls there were, from when to when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Call:
    """A call of the system.

    Attributes
    ----------
    name
        As strace has it.
    arguments
        As written, between the parentheses; while the call has not returned, the first ones.
    result
        What it returned, negative for an error; None while it has not returned.
    """

    name: str
    arguments: str
    result: int | None = None

    def texts(self) -> list[bytes]:
        """Return the strings among the arguments."""
        return [_unescaped(text) for text in _STRING.findall(self.arguments)]

    def numbers(self) -> list[int]:
        """Return the arguments that are plain numbers."""
        return [int(number) for number in _NUMBER.findall(self.arguments)]

    def paths(self) -> list[Path]:
        """Return the strings as paths, those that are relative below their folder's descriptor."""
        bases = [_path(text) for text in _DESCRIPTOR.findall(self.arguments)]
        names = [_path(text) for text in _STRING.findall(self.arguments)]
        return [base / name for base, name in zip([*bases, Path(), Path()], names, strict=False)]

    def file(self) -> Path:
        """Return what the first argument, a descriptor, is."""
        found = _DESCRIPTOR.search(self.arguments)
        return _path(found[1]) if found else Path()


_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"(?:^|, )(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_NUMBER = re.compile(r"(?<=, )(\d+)(?=,|$)")
_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)")


def _unescaped(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path(text: str) -> Path:
    return Path(_unescaped(text).decode(errors="surrogateescape"))


def calls(lines: Iterable[str]) -> Iterator[tuple[Call, bool]]:
    """Yield each call twice: when it begins, and with True when it has returned."""
    begun: dict[str, Call] = {}
    for line in lines:
        if match := _WHOLE.match(line):
            call = Call(match[2], match[3])
            yield call, False
            call.result = int(match[4])
            yield call, True
        elif match := _BEGUN.match(line):
            begun[match[1]] = call = Call(match[2], match[3])
            yield call, False
        elif match := _RESUMED.match(line):
            call = begun.pop(match[1])
            call.arguments += match[3]
            call.result = int(match[4])
            yield call, True
