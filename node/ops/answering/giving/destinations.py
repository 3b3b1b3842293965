"""Whom a C-MOVE may send to: the configured peers, by their AE titles, and nobody else."""

from dataclasses import dataclass

from node.config import Config, PeerSettings
from node.config.peer.titles import no_peer
from node.errors import NodeError
from node.net.messages import Caller, Peer
from node.ops.peers import peer_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveTarget:
    """A peer that is sent to, or why there is none.

    Attributes
    ----------
    settings, peer
        None where there is none.
    reason
        For who asks.
    hint
        For the log alone: whom the title may have been meant for.
    """

    settings: PeerSettings | None = None
    peer: Peer | None = None
    reason: str = ""
    hint: str = ""


def destination_of(config: Config, caller: Caller, aetitle: str) -> MoveTarget:
    """Return the peer that has an AE title.

    Where several have it, it is the one that calls; where that is none of them, or several, nobody
    knows which is meant, and nothing is sent. The node does not send to itself: what it would send
    is here.
    """
    title = aetitle.strip()
    named = [peer for peer in config.peers.values() if peer.aetitle == title]
    others = [peer for peer in named if not _is_this_node(config, peer)]
    if len(others) > 1:
        others = [peer for peer in others if peer.name in caller.retrieving] or others
    if len(others) > 1:
        return MoveTarget(reason=f"several peers are called {title}")
    if not others:
        if named or title == config.node.aetitle:
            return MoveTarget(reason=f"{title} is this node, which has the images")
        known = {peer.name: [peer.aetitle] for peer in config.peers.values() if peer.aetitle}
        return MoveTarget(reason=f"no peer is called {title}", hint=no_peer(title, known))
    try:
        return MoveTarget(settings=others[0], peer=peer_of(others[0]))
    except NodeError:
        return MoveTarget(reason=f"{title} cannot be sent to")


def _is_this_node(config: Config, peer: PeerSettings) -> bool:
    node = config.node
    here = {node.host, node.own_host, "localhost", "127.0.0.1", "::1"}
    return peer.port == node.port and peer.host in here and peer.aetitle == node.aetitle
