"""Counts in words, as people say them."""

_ALIKE = frozenset({"series"})
"""What is called alike, one or several."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a count with what is counted: ``1 object``, ``2 objects``.

    Parameters
    ----------
    count
        How many there are.
    one
        What one of them is called.
    many
        What several are called; `one` with an s, or -ies for -y, when None.
    """
    return f"{count} {one if count == 1 else many or _plural(one)}"


def named(count: float, many: str) -> str:
    """Return what so many are called, from what several are called: ``files``, ``file``."""
    if count != 1 or " " in many or many in _ALIKE or not many.endswith("s"):
        return many
    return f"{many[:-3]}y" if many.endswith("ies") else many[:-1]


def are(count: int) -> str:
    """Return the verb that goes with a count: is, are."""
    return "is" if count == 1 else "are"


def counted_are(count: int, one: str) -> str:
    """Return a count with its verb: ``1 object is``, ``2 objects are``."""
    return f"{counted(count, one)} {are(count)}"


def verb(count: int, several: str) -> str:
    """Return a verb as it goes with a count: stays, stay."""
    return f"{several}s" if count == 1 else several


def _plural(one: str) -> str:
    first, gap, rest = one.partition(" of ")
    if first.endswith("y") and first[-2:-1] not in "aeiou":
        return f"{first[:-1]}ies{gap}{rest}"
    if first.split()[-1] in _ALIKE:
        return one
    return f"{first}s{gap}{rest}"
