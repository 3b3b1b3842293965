"""Rights of peers that may not be what was meant: slips that grant a right to nobody."""

from collections.abc import Collection, Iterator, Mapping

from node.config.peer.settings import PeerSettings
from node.config.peer.titles import meant_by
from node.config.suggest import did_you_mean

_TO_ASK = ("may_query", "may_retrieve", "may_commit")
"""What a peer may do only where it is said."""

_OF_A_SOURCE = frozenset(("profile", "want", "hours", "retrieve", "budget", "pause", "throttle"))
"""Who has one of these set for a peer means to ask it."""


def doubtful_rights(
    peers: Mapping[str, PeerSettings], *, allowed_calling: Collection[str]
) -> Iterator[str]:
    """Say of each title with a right why nobody may have it.

    Parameters
    ----------
    allowed_calling
        The AE titles that may call at all; everyone where it is empty.
    """
    known = {name: sorted(peer.sends_as) for name, peer in peers.items() if peer.speaks_dimse}
    for name, peer in peers.items():
        for title, rights in _rights_of(peer).items():
            keys = f"peers.{name}.{', '.join(rights)}"
            if peer.aetitle is None:
                yield f"{keys}: without its aetitle it has no rights; it has a url alone"
            elif any(mark in title for mark in "*?"):
                yield f"{keys}: {title} stands for no others: each AE title has to be named"
            elif title not in known[name]:
                yield f"{keys}: {_unlike(title, name, known)}"
            elif allowed_calling and title not in allowed_calling:
                yield f"{keys}: {title} may not call at all: it is not in node.allowed_calling"


def doubtful_names(peers: Mapping[str, PeerSettings]) -> Iterator[str]:
    """Say of names of peers that commands take for something else."""
    if "here" in peers:
        yield (
            "peers.here: `query here` asks that peer, and nothing asks this node's own index any"
            " more; give it another name"
        )


def asked_without_need(peers: Mapping[str, PeerSettings]) -> Iterator[str]:
    """Say of peers that may ask us whether cycles of find ask them, too: viewers have no answer.

    To be asked where there are such cycles, and it is not said whom they ask.
    """
    may_ask = [name for name, peer in peers.items() if _seems_to_ask_only(peer)]
    if not may_ask:
        return
    others = [name for name in peers if name not in may_ask]
    who = ", ".join(f"peers.{name}" for name in may_ask)
    rest = f"say whom: find.peers: [{', '.join(others)}]" if others else "leave find.every out"
    which = "it only asks" if len(may_ask) == 1 else "they only ask"
    yield f"{who} may ask this node, and find.every asks all peers: if {which}, {rest}"


def _rights_of(peer: PeerSettings) -> dict[str, list[str]]:
    """Return the settings that give rights to each title."""
    rights: dict[str, list[str]] = {}
    for right in _TO_ASK:
        for title in dict.fromkeys(getattr(peer, right)):
            rights.setdefault(title, []).append(right)
    return rights


def _seems_to_ask_only(peer: PeerSettings) -> bool:
    asks = peer.may_query or peer.may_retrieve
    return bool(asks) and peer.url is None and not peer.model_fields_set & _OF_A_SOURCE


def _unlike(title: str, name: str, known: Mapping[str, list[str]]) -> str:
    """Say of a title that is not its peer's own whose it is, or may be."""
    others = [f"peers.{other}" for other, titles in known.items() if title in titles]
    if others:
        return f"{title} is not its own AE title, but that of {' and '.join(others)}"
    meant = meant_by(title, {name: known[name]}) or meant_by(title, known)
    every = sorted({one for titles in known.values() for one in titles})
    hint = f"; {meant}" if meant else did_you_mean(title, every)
    return f"no peer has the AE title {title}{hint}; right if {name} calls itself so as well"
