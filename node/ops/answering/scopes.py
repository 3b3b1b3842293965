"""What a caller is shown and given of the index: what any of the peers is that it calls as."""

from collections.abc import Mapping

from node.config import Config
from node.net.messages import Caller
from schema.answering.scope import AnswerScope


class Scopes:
    """The scope of each configured peer, by its name."""

    def __init__(self, config: Config) -> None:
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

    def of(self, caller: Caller) -> tuple[AnswerScope, ...]:
        """Return the scopes of who asks; without any, nothing is shown."""
        return tuple(self._of_peer[name] for name in caller.peers if name in self._of_peer)
