"""Guess what somebody meant to write."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that looks most like `word`, if one does."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question to append to a message, or nothing."""
    guess = nearest(word, known)
    return f" (did you mean {guess!r}?)" if guess else ""
