"""What is to be known of peers that send to us under one AE title."""

from collections.abc import Iterable, Iterator

from node.config.peer.settings import PeerSettings


def shared_titles(peers: Iterable[PeerSettings]) -> Iterator[str]:
    """Say of each AE title under which several peers send to us who they are, and what follows.

    `schema.moving.senders.Senders.of` is what it follows from.
    """
    of_title: dict[str, list[str]] = {}
    for peer in peers:
        for title in sorted(peer.sends_as):
            of_title.setdefault(title, []).append(f"peers.{peer.name}")
    for title, names in of_title.items():
        if len(names) > 1:
            every, none = (
                ("both", "neither") if len(names) == 2 else ("all of them", "none of them")
            )
            yield (
                f"{', '.join(names[:-1])} and {names[-1]} send as {title}, {every}: which of them"
                " has sent an image that nobody asked for is not known, so it counts for"
                f" {none}, and the study is asked for"
            )
