"""AE titles that no peer has: whom they may have been meant for. For the log, never for a peer."""

from collections.abc import Iterable, Mapping


def no_peer(aetitle: str, known: Mapping[str, Iterable[str]]) -> str:
    """Say that no peer has an AE title, and which one has one much like it.

    Parameters
    ----------
    known
        The AE titles of each peer, by its name in the configuration.
    """
    said = f"no peer has the AE title {aetitle}"
    meant = meant_by(aetitle, known)
    return f"{said}; {meant}" if meant else said


def meant_by(aetitle: str, known: Mapping[str, Iterable[str]]) -> str:
    """Say which peer's title, or name, is the same but for capitals; nothing where none is."""
    folded = aetitle.casefold()
    for name, titles in known.items():
        mine = [title for title in titles if title != aetitle]
        like = [title for title in mine if title.casefold() == folded]
        if mine and not like and name.casefold() == folded:
            like = mine
        if like:
            return f"peers.{name} has {like[0]}"
    return ""
