"""What a caller is shown and given of the index: what any of the peers is that it calls as.

Those count that may do what it does: a peer that only stores adds nothing to what a query shows.
"""

from collections.abc import Iterable, Mapping

from node.config import Config
from schema.answering.scope import AnswerScope

_LIMITS = ("only_projects", "only_modalities", "hide_incomplete")
"""What makes a scope less than everything, in `PeerSettings`."""


class Scopes:
    """The scope of each configured peer, by its name."""

    def __init__(self, config: Config) -> None:
        self._keys = {
            name: [f"peers.{name}.{key}" for key in _LIMITS if getattr(peer, key)]
            for name, peer in config.peers.items()
        }
        self._of_peer: Mapping[str, AnswerScope] = {
            name: AnswerScope(
                projects=peer.only_projects or None,
                modalities=peer.only_modalities or None,
                complete_only=peer.hide_incomplete,
            )
            for name, peer in config.peers.items()
        }

    def of_peer(self, name: str) -> tuple[AnswerScope, ...]:
        """Return the scope of a configured peer, which is given nothing else either."""
        return (self._of_peer[name],)

    def of(self, names: Iterable[str]) -> tuple[AnswerScope, ...]:
        """Return the scopes of who asks; without any, nothing is shown.

        Parameters
        ----------
        names
            The peers as which it may ask: `Caller.querying` or `Caller.retrieving`.
        """
        return tuple(self._of_peer[name] for name in names if name in self._of_peer)

    def limits_of(self, names: Iterable[str]) -> list[str]:
        """Return the settings by which less than everything is shown to who is these peers."""
        keys = [self._keys[name] for name in names if name in self._keys]
        return [key for of_one in keys for key in of_one] if all(keys) else []
