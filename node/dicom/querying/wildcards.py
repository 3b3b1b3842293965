"""Wildcard matching (PS3.4 C.2.2.2.4), in time that grows with the key and the value alone.

As an expression with a `.*` for each asterisk, a key of a few of them takes hours for one value.
Here each part between asterisks is looked for where the last one ended: the first place that fits
leaves most for the rest, so none has to be tried again.
"""

import re
from functools import lru_cache


class Wildcards:
    """A key: ``*`` is any sequence, ``?`` any one character; everything else is itself."""

    def __init__(self, key: str) -> None:
        self._parts = [_fixed(part) for part in key.split("*")]
        self._lengths = [len(part) for part in key.split("*")]

    def matches(self, value: str) -> bool:
        """Tell whether all of a value is what the key says."""
        if len(self._parts) == 1:
            return self._parts[0].fullmatch(value) is not None
        at, end = self._lengths[0], len(value) - self._lengths[-1]
        if end < at or not self._parts[0].match(value) or not self._parts[-1].match(value, end):
            return False
        for part in self._parts[1:-1]:
            found = part.search(value, at, end)
            if found is None:
                return False
            at = found.end()
        return True


def _fixed(part: str) -> re.Pattern[str]:
    return re.compile("".join("." if c == "?" else re.escape(c) for c in part), re.DOTALL)


@lru_cache(maxsize=256)
def wildcards(key: str) -> Wildcards:
    """Return a key, ready to be compared with many values."""
    return Wildcards(key)
