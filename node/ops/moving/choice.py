"""Which studies to move, and from where."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from node.config import Config
from node.errors import UsageError
from schema import Database, Project, StudyFind, get_project_study_uids
from schema.choosing.open_studies import get_open_studies, studies_by_key
from schema.choosing.order import MoveOrder
from schema.hierarchy.sources import get_sources
from schema.project.entries import unless_uid

_PAGE = 1000
"""Studies of which the rows are read together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenStudies:
    """What to move from a peer.

    Attributes
    ----------
    keys
        Of the rows of the studies, in the order in which to ask for them. Nothing else is kept of
        each: there may be a million.
    images
        How many they have, of those whose number is known.
    held
        Whether they are asked for although an operator holds them.
    """

    keys: Sequence[int]
    images: int = 0
    held: bool = False

    def __len__(self) -> int:
        return len(self.keys)


Choice = dict[str, ChosenStudies]
"""What to move, by the name of the peer to ask for it; several may be asked for one study."""


def peers_to_move_from(config: Config, names: Sequence[str] = ()) -> list[str]:
    """Return the names of the peers to move from: those that are named, in their order, else all.

    Raises
    ------
    ConfigurationError
        No peer has that name.
    UsageError
        The configuration has no peer.
    """
    if names:
        return [config.peer(name).name for name in dict.fromkeys(names)]
    if not config.peers:
        raise UsageError("the configuration has no peer to move from (they go under peers)")
    return list(config.peers)


async def studies_of_project(
    database: Database, project: Project, named: Sequence[str] = ()
) -> list[str]:
    """Return a project's Study Instance UIDs, or those of them that are named.

    Raises
    ------
    UsageError
        One that is named is not in the project.
    """
    async with database.session() as session:
        members = await get_project_study_uids(session, project.id)
    for uid in named:
        if uid not in members:
            raise UsageError(f"the study {uid} is not in the project {project.name!r}")
    return list(named or members)


async def choose(
    database: Database,
    peers: Sequence[str],
    *,
    study_uids: Sequence[str] | None = None,
    named: Sequence[str] = (),
    limit: int | None = None,
    by_priority: bool = True,
    order: MoveOrder = MoveOrder.OLDEST,
    held: bool = False,
) -> Choice:
    """Return what to move from each peer; of no known peer, any may have it.

    A study that several peers have is asked for at each of them in turn, in the order of the
    peers, until all that each has is here. Where one lists its images, and they are here, nothing
    is moved.

    Parameters
    ----------
    study_uids
        Only these; None means all that are not complete here.
    named
        Those that were asked for by name: each has to be there to be moved.
    limit
        How many studies at most, all peers together.
    by_priority
        False when all are to be given the same one.
    order
        Which of those of one priority comes first.
    held
        Whether those that an operator holds are among them.

    Raises
    ------
    UsageError
        No find has recorded one that was named, or it was found at another peer.
    """
    chosen: Choice = {}
    taken: set[int] = set()
    unknown: set[int] = set()
    for name in peers:
        keys, images = array("q"), 0
        async with database.session() as session:
            async for study in get_open_studies(
                session,
                peer=name,
                study_uids=study_uids,
                limit=limit,
                by_priority=by_priority,
                order=order,
                held=held,
            ):
                key = study.id
                over = limit is not None and key not in taken and len(taken) >= limit
                if key in unknown or over:
                    continue
                if limit is not None:
                    taken.add(key)
                if study.anywhere:  # the first one is asked, which may have it or not
                    unknown.add(key)
                keys.append(key)
                images += study.images or 0
        if keys:
            chosen[name] = ChosenStudies(keys=keys, images=images, held=held)
    await _check_found(database, named, peers)
    return chosen


async def still_open(database: Database, peer: str, chosen: ChosenStudies) -> ChosenStudies:
    """Return those of the chosen studies that are not here by now, in the same order."""
    left, images = array("q"), 0
    for start in range(0, len(chosen), _PAGE):
        async with database.session() as session:
            page = await studies_by_key(session, chosen.keys[start : start + _PAGE])
            uids = [study.study_uid for study in page]
            found = get_open_studies(session, peer=peer, study_uids=uids, held=True)
            open_ones = {study.id async for study in found}
        for study in page:
            if study.id in open_ones:
                left.append(study.id)
                images += study.expected_images or 0
    return ChosenStudies(keys=left, images=images)


async def _check_found(database: Database, study_uids: Sequence[str], peers: Sequence[str]) -> None:
    async with database.session() as session:
        for uid in study_uids:
            study = await StudyFind.by_uid(session, uid)
            if study is None:
                peer = peers[0] if len(peers) == 1 else "PEER"
                ask = f"; ask for it first: `dicom-node find {peer} --study {uid}`"
                raise UsageError(
                    f"no find has recorded the study {uid or repr(uid)}{unless_uid(uid) or ask}"
                )
            if study.retrieved_on is None and study.peer is not None:
                sources = (await get_sources(session, [uid])).get(uid, [])
                _check_there(uid, peers, {one.peer: one.gone_on for one in sources}, study.peer)


def _check_there(
    uid: str, peers: Sequence[str], sources: Mapping[str, datetime | None], last: str
) -> None:
    """Refuse a study that none of the peers has: it was found at others, or is gone.

    Parameters
    ----------
    sources
        The peers that have it, or had it, and since when these have it no more.
    last
        The peer that answered it last, for when no sources are known.
    """
    there = [name for name, gone_on in sources.items() if gone_on is None]
    if not sources:
        there = [last]
    if not set(peers).isdisjoint(there):
        return
    gone_on = sources.get(peers[0])
    if gone_on is not None:
        raise UsageError(f"{peers[0]} has the study {uid} no more (seen {gone_on:%Y-%m-%d})")
    found = f"found at {', '.join(there)}, not at {peers[0]}" if there else "found, and is gone"
    raise UsageError(f"the study {uid} was {found}")
