"""Words that the parts of a story share."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from math import log10

from schema.text.words import counted

_NAMED = 10
"""UIDs that are named of a list; the others are counted."""

_UNITS = ("kB", "MB", "GB", "TB")


def utc(moment: datetime) -> str:
    """Write a moment, naive UTC."""
    return f"{moment.isoformat(sep=' ', timespec='seconds')} UTC"


def listed(names: Sequence[str]) -> str:
    """Write names as a sentence has them: a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def named(uids: Sequence[str], *, most: int = _NAMED) -> str:
    """Write UIDs one after the other, the first of them; JSON has all."""
    left = len(uids) - most
    more = f", and {left} more (--json has them all)" if left > 0 else ""
    return f"{', '.join(uids[:most])}{more}"


def size(count: int) -> str:
    """Write a number of bytes in one unit."""
    if count < 1000:
        return counted(count, "byte")
    power = min(int(log10(count)) // 3, len(_UNITS))
    return f"{count / 1000**power:.1f} {_UNITS[power - 1]}"


def section(title: str, lines: Iterable[str]) -> list[str]:
    """Return lines below a title, after an empty one; nothing where there are none."""
    items = [f"- {line}" for line in lines]
    return ["", f"{title}:", *items] if items else []


def by_whom(source: str | None, address: str | None) -> str:
    """Write who has sent something."""
    if source is None:
        return "nobody: the files were parsed"
    return f"{source} ({address})" if address else source
