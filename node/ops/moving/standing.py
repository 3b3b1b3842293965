"""Where studies stand that a move was asked for: what is complete here, what is open, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

from schema import Database
from schema.reports import PeerTally, tally_peers


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the studies stand that a move was about.

    Attributes
    ----------
    asked
        One for each peer that was to be moved from, whether anything was found there or not.
    elsewhere
        The other peers at which studies are open. Without a name: no peer is known to have them.
    """

    asked: tuple[PeerTally, ...]
    elsewhere: tuple[PeerTally, ...]


async def standing_of(
    database: Database, peers: Sequence[str], *, study_uids: Sequence[str] | None = None
) -> Standing:
    """Count what is found, complete and open of studies, at each peer.

    Parameters
    ----------
    peers
        From which they were to be moved.
    study_uids
        Only these; None means all that were found.
    """
    async with database.session() as session:
        tallies = await tally_peers(session, study_uids)
    known = {tally.peer: tally for tally in tallies}
    return Standing(
        asked=tuple(known.get(name, PeerTally(peer=name, found=0, complete=0)) for name in peers),
        elsewhere=tuple(one for one in tallies if one.peer not in peers and one.open),
    )
