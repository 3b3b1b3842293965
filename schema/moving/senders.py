"""Under which AE titles PACSs send."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schema.header.values import clean_text, key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Senders:
    """Who sends for which PACS.

    Attributes
    ----------
    peers
        The names of the PACSs for which an AE title sends.
    ours
        Our own AE titles, under which we ask.
    """

    peers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ours: frozenset[str] = frozenset()

    def of(self, peer: str) -> frozenset[str]:
        """Return the AE titles that send for a PACS, and for no other one.

        Of two that have one title nobody knows which has sent what was not asked for.
        """
        return frozenset(title for title, names in self.peers.items() if names == {peer})


def peer_key(peer: str) -> str:
    """Return a PACS's configured name as the tables have it."""
    return key_of(clean_text(peer))
