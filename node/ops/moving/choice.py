"""Which studies to move, and from where."""

from collections.abc import Sequence

from node.config import Config
from node.errors import UsageError
from schema import Database, Project, StudyFind, get_project_study_uids, get_studies_to_move
from schema.tables.columns import utcnow

Choice = dict[str, list[StudyFind]]
"""What to move, by the name of the peer to ask for it."""


def peers_to_move_from(config: Config, name: str | None) -> list[str]:
    """Return the names of the peers to move from: the one that is named, else all.

    Raises
    ------
    ConfigurationError
        No peer has that name.
    UsageError
        The configuration has no peer at all.
    """
    if not config.peers:
        raise UsageError("the configuration has no peer to move from (they go under peers)")
    return [config.peer(name).name] if name else list(config.peers)


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
) -> Choice:
    """Return what to move from each peer; of no known peer, any may have it.

    Parameters
    ----------
    study_uids
        Only these; None means all that are not complete here.
    named
        Those that were asked for by name: each has to be there to be moved.
    limit
        How many at most, all peers together.

    Raises
    ------
    UsageError
        No find has recorded one that was named, or it was found at another peer.
    """
    chosen: Choice = {}
    for name in peers:
        taken = {study.study_uid for studies in chosen.values() for study in studies}
        left = None if limit is None else limit - sum(map(len, chosen.values()))
        if left != 0:
            found = await studies_to_move(database, peer=name, study_uids=study_uids, limit=left)
            chosen[name] = [study for study in found if study.study_uid not in taken]
    await _check_found(database, named, peers)
    return chosen


async def studies_to_move(
    database: Database,
    *,
    peer: str,
    study_uids: Sequence[str] | None = None,
    limit: int | None = None,
    only_due: bool = False,
) -> list[StudyFind]:
    """Return the studies found at a peer that are not retrieved yet.

    Parameters
    ----------
    study_uids
        Only these; None means all.
    only_due
        Leave out studies whose next attempt is not due yet.
    """
    async with database.session() as session:
        return await get_studies_to_move(
            session,
            peer=peer,
            study_uids=study_uids,
            limit=limit,
            due_at=utcnow() if only_due else None,
        )


async def _check_found(database: Database, study_uids: Sequence[str], peers: Sequence[str]) -> None:
    async with database.session() as session:
        for uid in study_uids:
            study = await StudyFind.by_uid(session, uid)
            if study is None:
                raise UsageError(
                    f"no find has recorded the study {uid}; ask for it first: "
                    f"dicom-node find PEER --study {uid}"
                )
            elsewhere = study.peer is not None and study.peer not in peers
            if study.retrieved_on is None and elsewhere:
                raise UsageError(f"the study {uid} was found at {study.peer}, not at {peers[0]}")
