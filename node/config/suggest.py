"""Guess what somebody meant to write."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_RIGHTS = {
    "query": "may_query",
    "find": "may_query",
    "search": "may_query",
    "retrieve": "may_retrieve",
    "move": "may_retrieve",
    "get": "may_retrieve",
    "fetch": "may_retrieve",
    "download": "may_retrieve",
    "store": "may_store",
    "send": "may_store",
    "commit": "may_commit",
    "commitment": "may_commit",
    "storagecommitment": "may_commit",
}
"""What other programs call what a peer may do, and what it is here."""

_RIGHT = re.compile(r"(?:may|can|allow|allows|allowed|is_allowed_to)_?(?:c_?)?(.+)")


def right_meant(word: str) -> str | None:
    """Return the right that an unknown key, such as ``may_move`` or ``AllowFind``, is here."""
    if found := _RIGHT.fullmatch(word.lower().replace("-", "_")):
        return _RIGHTS.get(found[1].replace("_", ""))
    return None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that looks most like `word`, if one does."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question to append to a message, or nothing."""
    guess = nearest(word, known)
    return f" (did you mean {guess!r}?)" if guess else ""
