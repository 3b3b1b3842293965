"""Which studies to move, and from where."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from node.config import Config
from node.errors import UsageError
from schema import Database, Project, StudyFind, get_project_study_uids, get_studies_to_move
from schema.hierarchy.sources import get_sources
from schema.project.entries import is_study_uid
from schema.tables.columns import utcnow

Choice = dict[str, list[StudyFind]]
"""What to move, by the name of the peer to ask for it; several may be asked for one study."""


def peers_to_move_from(config: Config, name: str | None) -> list[str]:
    """Return the names of the peers to move from: the one that is named, else all.

    Raises
    ------
    ConfigurationError
        No peer has that name.
    UsageError
        The configuration has no peer.
    """
    if name:
        return [config.peer(name).name]
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

    Raises
    ------
    UsageError
        No find has recorded one that was named, or it was found at another peer.
    """
    chosen: Choice = {}
    taken: set[str] = set()
    unknown: set[str] = set()
    for name in peers:
        found = await studies_to_move(
            database, peer=name, study_uids=study_uids, limit=limit, by_priority=by_priority
        )
        for study in found:
            uid = study.study_uid
            if uid in unknown or (limit is not None and uid not in taken and len(taken) >= limit):
                continue
            taken.add(uid)
            if study.peer is None:  # the first one is asked, which may have it or not
                unknown.add(uid)
            chosen.setdefault(name, []).append(study)
    await _check_found(database, named, peers)
    return chosen


async def studies_to_move(
    database: Database,
    *,
    peer: str,
    study_uids: Sequence[str] | None = None,
    limit: int | None = None,
    only_due: bool = False,
    by_priority: bool = True,
) -> list[StudyFind]:
    """Return the studies found at a peer that are not retrieved yet.

    Parameters
    ----------
    study_uids
        Only these; None means all.
    only_due
        Leave out studies whose next attempt is not due yet.
    by_priority
        Those with the highest priority first.
    """
    async with database.session() as session:
        return await get_studies_to_move(
            session,
            peer=peer,
            study_uids=study_uids,
            limit=limit,
            due_at=utcnow() if only_due else None,
            by_priority=by_priority,
        )


async def _check_found(database: Database, study_uids: Sequence[str], peers: Sequence[str]) -> None:
    async with database.session() as session:
        for uid in study_uids:
            study = await StudyFind.by_uid(session, uid)
            if study is None:
                peer = peers[0] if len(peers) == 1 else "PEER"
                ask = f"; ask for it first: `dicom-node find {peer} --study {uid}`"
                raise UsageError(
                    f"no find has recorded the study {uid}"
                    f"{ask if is_study_uid(uid) else ', which is no Study Instance UID'}"
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
