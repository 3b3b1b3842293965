"""Where the studies of a move stand: what it would ask for, what is complete, what is open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from node.ops.moving.choice import Choice
from node.ops.moving.supply import KeptStudies
from schema import Database, count_images
from schema.accounting.tallies import one_view, tally_peers
from schema.accounting.tally import PeerTally
from schema.choosing.policy import Policy
from schema.deciding.refused import refused_studies

_PAGE = 1000
"""Studies of which the rows are read together."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A study that a move would ask a peer for.

    Attributes
    ----------
    received, expected
        How many images are here, and how many there should be; None where nobody knows.
    priority
        Those with a higher one come first.
    """

    study_uid: str
    peer: str
    study_date: date | None
    modalities: str | None
    received: int
    expected: int | None
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWanted:
    """A study that a move would pass over, for the policy wants nothing of it."""

    study_uid: str
    peer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a move would do.

    Attributes
    ----------
    studies
        In the order in which they would be asked for.
    unwanted
        Those that would not be.
    """

    studies: list[Planned]
    unwanted: list[NotWanted]


async def planned(
    database: Database,
    chosen: Choice,
    *,
    policies: Mapping[str, Policy],
    priority: int | None = None,
) -> Plan:
    """Return what would become of what was chosen.

    Parameters
    ----------
    policies
        What is wanted from each peer, by its name.
    priority
        What all would be given before; None means that each keeps its own.
    """
    would: list[Planned] = []
    unwanted: list[NotWanted] = []
    for name, studies in chosen.items():
        left = KeptStudies(database, studies.keys, images=studies.images)
        while left.left:
            page = await left.take(_PAGE)
            async with database.session() as session:
                uids = [study.study_uid for study in page]
                received = await count_images(session, uids)
                refused = await refused_studies(session, uids, {name: policies[name]})
            unwanted += [
                NotWanted(study_uid=uid, peer=name, reason=refused[uid][name])
                for uid in uids
                if uid in refused
            ]
            would += [
                Planned(
                    study_uid=study.study_uid,
                    peer=name,
                    study_date=study.study_date.date() if study.study_date else None,
                    modalities=study.modalities,
                    received=received[study.study_uid],
                    expected=study.expected_images,
                    priority=study.priority if priority is None else priority,
                )
                for study in page
                if study.study_uid not in refused
            ]
    return Plan(studies=would, unwanted=unwanted)


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
        await one_view(session)
        tallies = await tally_peers(session, study_uids)
    known = {tally.peer: tally for tally in tallies}
    return Standing(
        asked=tuple(known.get(name, PeerTally(peer=name, found=0, complete=0)) for name in peers),
        elsewhere=tuple(one for one in tallies if one.peer not in peers and one.open),
    )
