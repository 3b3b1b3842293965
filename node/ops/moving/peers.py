"""Move from several peers: what was chosen, or what is due. One cycle at a time at each peer.

The command and the daemon both come this way, so that they never ask one PACS for the same
study at once.
"""

import logging
from collections.abc import Callable

from node.config import Config, PeerSettings
from node.ops.moving.choice import Choice, studies_to_move
from node.ops.moving.move import move
from node.ops.moving.report import MoveBegun, MoveReport, MoveWatcher, Patience
from node.ops.moving.supply import ListedStudies, ReadyStudies, Supply
from node.ops.peers import senders_of
from node.ops.politeness.keeping import Pacing
from node.ops.probing.knowledge import knowledge_of
from node.ops.receiving.intake import Intake, intake
from node.ops.retrieving.retriever import Retriever
from node.ops.retrieving.way import peer_to_list, retriever_for
from node.ops.stalls import limits_of
from node.ops.tour import Tour
from node.storage.locks import exclusive
from schema import Database, utcnow
from schema.finding.standing import complete_without
from schema.moving.patience import RetryLimits
from schema.text.words import counted_are

log = logging.getLogger(__name__)


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
        async with intake(config, database) as taking:
            for name, studies in wanted.items():
                left = studies
                if len(wanted) > 1:  # what the peer before had may have been all
                    uids = [study.study_uid for study in studies]
                    left = await studies_to_move(database, peer=name, study_uids=uids)
                if not left:
                    continue
                work = _move_from(config, database, name, ListedStudies(left), taking, watch=watch)
                watch(await tour.visit(name, work))
    await _close_what_nobody_can_ask_for(config, database)
    return tour


async def move_due(
    config: Config,
    database: Database,
    taking: Intake,
    *,
    watch: MoveWatcher = lambda _: None,
    proceed: Callable[[], bool] = lambda: True,
) -> Tour[MoveReport]:
    """Move what is due from each of the configured peers in turn.

    Parameters
    ----------
    taking
        Who receives it.
    watch
        Called as the studies are moved; it must not wait.
    proceed
        Asked before each study; when it says no, the rest is left for another time.
    """
    tour = Tour[MoveReport]()
    for peer in config.move_peers:
        studies = await ReadyStudies.of(
            database, peer.name, longest_wait=config.move.retry_limit, limit=config.move.limit
        )
        if studies.left and proceed():
            work = _move_from(
                config, database, peer.name, studies, taking, watch=watch, proceed=proceed
            )
            watch(await tour.visit(peer.name, work))
    await _close_what_nobody_can_ask_for(config, database)
    return tour


async def _close_what_nobody_can_ask_for(config: Config, database: Database) -> None:
    """Wait no more for PACSs that are not in the configuration any more."""
    closed = await database.run(complete_without, list(config.peers), on=utcnow())
    if closed:
        log.info(
            "%s not waited for any more: open only at PACSs that are no peers",
            counted_are(len(closed), "study"),
        )


async def _move_from(
    config: Config,
    database: Database,
    name: str,
    studies: Supply,
    taking: Intake,
    *,
    watch: MoveWatcher,
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
    settings, limits = config.peer(name), limits_of(config.move)
    knowledge = await knowledge_of(config, database, name)

    def line(answered: Callable[[], None]) -> Retriever:
        return retriever_for(
            settings,
            knowledge,
            destination=config.node.aetitle,
            store=lambda: taking.store,
            limits=limits,
            answered=answered,
        )

    watch(MoveBegun(peer=name, images=studies.images))
    with exclusive(config.storage.directory / f".move-{name}.lock", f"a move from {name}"):
        return await move(
            database,
            peer_to_list(settings, knowledge),
            studies,
            line=line,
            node=config.node.aetitle,
            senders=senders_of(config),
            patience=_patience(config),
            intake=taking,
            lines=config.move.concurrency,
            pacing=_pacing(config, settings),
            watch=watch,
            proceed=proceed,
        )


def _pacing(config: Config, peer: PeerSettings) -> Pacing:
    usual = config.move
    return Pacing(
        pause=usual.pause if peer.pause is None else peer.pause,
        throttle=usual.throttle if peer.throttle is None else peer.throttle,
    )


def _patience(config: Config) -> Patience:
    settings = config.move
    return Patience(
        settle=settings.settle,
        limits=limits_of(settings),
        query=limits_of(config.find),
        retries=RetryLimits(
            retry=settings.retry, retry_limit=settings.retry_limit, attempts=settings.attempts
        ),
    )
