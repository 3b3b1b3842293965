"""Who asks for storage commitment: which configured peer, what it sends under, what it is shown."""

from dataclasses import dataclass

from node.config import Config, PeerSettings
from node.ops.answering.scopes import Scopes
from schema.answering.scope import AnswerScope
from schema.committing.claiming import ClaimedCommitment


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentAsker:
    """Who asks.

    Attributes
    ----------
    sends_as
        The AE titles under which it may have stored: the one that asked, and all of its peer.
    scopes
        What of the index it is shown.
    """

    sends_as: frozenset[str]
    scopes: tuple[AnswerScope, ...]


def asker_of(config: Config, one: ClaimedCommitment) -> CommitmentAsker:
    """Return who has asked for a commitment; one that may no more is shown its own objects."""
    peer = asking_peer(config, one.aetitle, one.peer)
    if peer is None:
        return CommitmentAsker(sends_as=frozenset({one.aetitle}), scopes=())
    return CommitmentAsker(
        sends_as=peer.sends_as | {one.aetitle}, scopes=Scopes(config).of_peer(peer.name)
    )


def asking_peer(config: Config, aetitle: str, *names: str | None) -> PeerSettings | None:
    """Return the peer that may ask for commitment as an AE title: one of these names goes first."""
    may = [peer for peer in config.peers.values() if aetitle in peer.may_commit]
    return next((peer for peer in may if peer.name in names), may[0] if may else None)
