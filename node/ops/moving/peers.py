"""Move from several peers: what was chosen, or what is due. One cycle at a time at each peer.

The command and the daemon both come this way, so that they never ask one PACS for the same
study at once.
"""

from collections.abc import Callable, Collection
from pathlib import Path

from node.config import Config
from node.ops.moving.choice import Choice, studies_to_move
from node.ops.moving.move import move, nothing
from node.ops.moving.report import MoveBegun, MoveReport, MoveWatcher, Patience
from node.ops.peers import peer_of
from node.ops.receiving.receiver import receiver_or_running_node
from node.ops.tour import Tour
from node.storage.locks import exclusive
from schema import Database, StudyFind


async def move_chosen(
    config: Config, database: Database, chosen: Choice, *, watch: MoveWatcher = lambda _: None
) -> Tour[MoveReport]:
    """Move the studies that were chosen, from each peer in turn.

    A node that is running receives them; where none is, this process does meanwhile.

    Parameters
    ----------
    watch
        Called as the studies are moved; it must not wait.

    Raises
    ------
    ListenError, StorageError
        Nobody can receive them.
    """
    tour = Tour[MoveReport]()
    wanted = {name: studies for name, studies in chosen.items() if studies}
    if wanted:
        async with receiver_or_running_node(config, database) as receiver:
            indexing = receiver.indexer.under_way if receiver is not None else nothing
            for name, studies in wanted.items():
                work = _move_from(config, database, name, studies, watch=watch, indexing=indexing)
                watch(await tour.visit(name, work))
    return tour


async def move_due(
    config: Config,
    database: Database,
    *,
    watch: MoveWatcher = lambda _: None,
    proceed: Callable[[], bool] = lambda: True,
    indexing: Callable[[], Collection[Path]] = nothing,
) -> Tour[MoveReport]:
    """Move what is due from each of the configured peers in turn. Somebody has to receive it.

    Parameters
    ----------
    watch
        Called as the studies are moved; it must not wait.
    proceed
        Asked before each study; when it says no, the rest is left for another time.
    indexing
        What has arrived and is being indexed, as far as this process receives.
    """
    tour = Tour[MoveReport]()
    for peer in config.move_peers:
        studies = await studies_to_move(
            database, peer=peer.name, limit=config.move.limit, only_due=True
        )
        if studies and proceed():
            work = _move_from(
                config,
                database,
                peer.name,
                studies,
                watch=watch,
                proceed=proceed,
                indexing=indexing,
            )
            watch(await tour.visit(peer.name, work))
    return tour


async def _move_from(
    config: Config,
    database: Database,
    name: str,
    studies: list[StudyFind],
    *,
    watch: MoveWatcher,
    indexing: Callable[[], Collection[Path]],
    proceed: Callable[[], bool] = lambda: True,
) -> MoveReport:
    """Move studies from a peer, as the only one who does.

    Raises
    ------
    Busy
        Another process moves from this peer.
    PeerUnreachable, PeerRefused
        There is no point in going on.
    """
    watch(MoveBegun(peer=name, images=sum(study.expected_images or 0 for study in studies)))
    with exclusive(config.storage.directory / f".move-{name}.lock", f"a move from {name}"):
        return await move(
            database,
            peer_of(config.peer(name)),
            studies,
            destination=config.node.aetitle,
            patience=_patience(config),
            watch=watch,
            proceed=proceed,
            indexing=indexing,
        )


def _patience(config: Config) -> Patience:
    settings = config.move
    return Patience(
        settle=settings.settle,
        timeout=settings.timeout,
        retry=settings.retry,
        retry_limit=settings.retry_limit,
    )
