"""Counts in words, as people say them."""


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


def are(count: int) -> str:
    """Return the verb that goes with a count: is, are."""
    return "is" if count == 1 else "are"


def _plural(one: str) -> str:
    first, gap, rest = one.partition(" of ")
    if first.endswith("y") and first[-2:-1] not in "aeiou":
        return f"{first[:-1]}ies{gap}{rest}"
    if first.endswith("s"):
        return one
    return f"{first}s{gap}{rest}"
