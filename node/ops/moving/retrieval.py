"""What a move cycle moves: choosing studies and peers, and one cycle at a time.

The command and the daemon both come this way, so that they never ask one PACS for the same
study at once.
"""

from collections.abc import Callable, Sequence

from node.config import Config
from node.errors import UsageError
from node.net.messages import Peer
from node.ops.moving.move import move
from node.ops.moving.report import MoveReport, Patience, Watcher
from node.ops.peers import peer_of
from node.storage.locks import exclusive
from schema import Database, StudyFind, get_studies_to_move, utcnow


def patience_of(config: Config) -> Patience:
    """Return the configured waiting times."""
    settings = config.move
    return Patience(
        settle=settings.settle,
        timeout=settings.timeout,
        retry=settings.retry,
        retry_limit=settings.retry_limit,
    )


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


async def retrieve(
    config: Config,
    database: Database,
    name: str,
    studies: list[StudyFind],
    *,
    watch: Watcher = lambda _: None,
    proceed: Callable[[], bool] = lambda: True,
) -> MoveReport:
    """Move studies from a peer, as the only one who does; see `node.ops.moving.move.move`.

    Raises
    ------
    Busy
        Another process moves from this peer.
    PeerUnreachable, PeerRefused
        There is no point in going on.
    """
    peer: Peer = peer_of(config.peer(name))
    lock = config.storage.directory / f".move-{name}.lock"
    with exclusive(lock, f"a move from {name}"):
        return await move(
            database,
            peer,
            studies,
            destination=config.node.aetitle,
            patience=patience_of(config),
            watch=watch,
            proceed=proceed,
        )


async def check_found(database: Database, study_uids: Sequence[str], peers: Sequence[str]) -> None:
    """Check that studies that were asked for by name can be moved.

    Raises
    ------
    UsageError
        No find has recorded one of them, or it was found at another peer.
    """
    async with database.session() as session:
        for uid in study_uids:
            study = await StudyFind.by_uid(session, uid)
            if study is None:
                raise UsageError(
                    f"no find has recorded the study {uid}; ask for it first: "
                    f"dicom-node find PEER --study-uid {uid}"
                )
            elsewhere = study.peer is not None and study.peer not in peers
            if study.retrieved_on is None and elsewhere:
                raise UsageError(f"the study {uid} was found at {study.peer}, not at {peers[0]}")
