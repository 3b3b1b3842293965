"""Move from several peers: what was chosen one after the other, or what is due from all at once.

One cycle at a time at each peer.

The command and the daemon both come this way, so that they never ask one PACS for the same
study at once.
"""

import logging
from collections.abc import Callable, Collection

from node.config import Config, PeerSettings
from node.ops.cycles import end_the_dead
from node.ops.guarding.canary import entered
from node.ops.guarding.guard import Guard, PeerGuard
from node.ops.guarding.slots import slots_kept
from node.ops.guarding.under_way import UnderWay
from node.ops.moving.choice import Choice, still_open
from node.ops.moving.move import move
from node.ops.moving.report import MoveBegun, MoveReport, MoveWatcher, Patience
from node.ops.moving.supply import KeptStudies, ListedStudies, ReadyStudies, Supply
from node.ops.overseeing.policies import judge_anew, policy_of
from node.ops.peers import senders_of
from node.ops.politeness.keeping import Pacing
from node.ops.probing.knowledge import knowledge_of
from node.ops.receiving.intake import Intake, intake
from node.ops.retrieving.retriever import Retriever
from node.ops.retrieving.way import peer_to_list, retriever_for
from node.ops.stalls import limits_of
from node.ops.tour import Tasks, Tour, raise_if_cancelled
from node.storage.locks import exclusive
from schema import Database, SchemaError, StudyFind
from schema.moving.patience import RetryLimits

log = logging.getLogger(__name__)


async def move_chosen(
    config: Config,
    database: Database,
    chosen: Choice,
    *,
    watch: MoveWatcher = lambda _: None,
    proceed: Callable[[], bool] = lambda: True,
) -> Tour[MoveReport]:
    """Move the studies that were chosen, from each peer in turn.

    A node that is running receives them; where none is, this process does meanwhile.

    Parameters
    ----------
    watch
        Called as the studies are moved; it must not wait.
    proceed
        Asked before each study; when it says no, the rest is left for another time.

    Raises
    ------
    ListenError, StorageError
        Nobody can receive them.
    """
    tour = Tour[MoveReport]()
    wanted = {name: studies for name, studies in chosen.items() if studies}
    if wanted:
        async with intake(config, database) as taking, slots_kept(config, database):
            for name, studies in wanted.items():
                left = studies
                if len(wanted) > 1:  # what the peer before had may have been all
                    left = await still_open(database, name, studies)
                if not left:
                    continue
                if not proceed():
                    tour.reports.append(MoveReport(peer=name, left=len(left)))
                    continue
                supply = KeptStudies(database, left.keys, images=left.images, held=studies.held)
                work = _move_from(
                    config, database, name, supply, taking, watch=watch, proceed=proceed
                )
                watch(await tour.visit(name, work))
    return tour


async def move_due(
    config: Config,
    database: Database,
    taking: Intake,
    *,
    watch: MoveWatcher = lambda _: None,
    proceed: Callable[[str], bool] = lambda _: True,
    peers: Collection[str] | None = None,
    under_way: UnderWay | None = None,
) -> Tour[MoveReport]:
    """Move what is due from all configured peers at once; trouble with one is not another's.

    A peer that is known to send nothing is left out, and so is one of which enough was moved in
    this night (`node.ops.guarding`).

    Parameters
    ----------
    taking
        Who receives it.
    watch
        Called as the studies are moved; it must not wait.
    proceed
        Asked before each study, with the name of the peer; when it says no, the rest is left for
        another time.
    peers
        From these alone; the budgets of the configuration are for all of them.
    under_way
        What this process moves, where other moves run at the same time.

    Raises
    ------
    SchemaError
        The database is away; what could be moved from other peers was.
    """
    tour = Tour[MoveReport]()
    away: list[SchemaError] = []
    under_way = under_way or UnderWay()

    async def visit(name: str) -> None:
        try:
            await _visit(
                tour,
                config,
                database,
                name,
                taking,
                watch=watch,
                proceed=proceed,
                under_way=under_way,
            )
        except SchemaError as error:
            raise_if_cancelled(error)
            away.append(error)

    await end_the_dead(database, config.node.aetitle)  # what they had claimed is ready again
    try:
        async with slots_kept(config, database), Tasks() as tasks:
            for name in [peer.name for peer in config.move_peers] if peers is None else peers:
                tasks.create_task(visit(name), name=f"move from {name}")
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if away:
        raise away[0]
    return tour


async def _visit(
    tour: Tour[MoveReport],
    config: Config,
    database: Database,
    name: str,
    taking: Intake,
    *,
    watch: MoveWatcher,
    proceed: Callable[[str], bool],
    under_way: UnderWay,
) -> None:
    """Move what is due from a peer, as far as it may be asked at all now."""

    def may_go_on() -> bool:
        return proceed(name)

    async def move_alone(study: StudyFind) -> bool:
        studies = ListedStudies([study])
        work = _move_from(
            config,
            database,
            name,
            studies,
            taking,
            watch=watch,
            proceed=may_go_on,
            guard=PeerGuard(config, database, name, under_way=under_way, alone=True),
            alone=True,
        )
        told = await tour.visit(name, work)
        watch(told)
        return isinstance(told, MoveReport) and may_go_on()

    await judge_anew(config, database, [name])
    studies = await ReadyStudies.of(
        database,
        name,
        longest_wait=config.move.retry_limit,
        limit=config.move.limit,
        order=config.move.order,
        every=config.move.every,
    )
    if not studies.left or not may_go_on():
        return
    wait = await entered(config, database, name, move_alone)
    if wait is not None:
        log.info("No study is moved from %s: %s", name, wait.reason)
    elif may_go_on():
        work = _move_from(
            config,
            database,
            name,
            studies,
            taking,
            watch=watch,
            proceed=may_go_on,
            guard=PeerGuard(config, database, name, under_way=under_way),
        )
        watch(await tour.visit(name, work))


async def _move_from(
    config: Config,
    database: Database,
    name: str,
    studies: Supply,
    taking: Intake,
    *,
    watch: MoveWatcher,
    proceed: Callable[[], bool] = lambda: True,
    guard: Guard | None = None,
    alone: bool = False,
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
            patience=_patience(config, name),
            intake=taking,
            lines=1 if alone else _lines(config, name),
            beside=settings.associations != 1,
            pacing=_pacing(config, settings),
            watch=watch,
            proceed=proceed,
            guard=guard,
            alone=alone,
        )


def _lines(config: Config, name: str) -> int:
    """Return over how many associations a peer is asked at once: it is asked over one more."""
    most = config.peer(name).associations
    return (
        config.move.concurrency if most is None else min(config.move.concurrency, max(1, most - 1))
    )


def _pacing(config: Config, peer: PeerSettings) -> Pacing:
    usual = config.move
    return Pacing(
        pause=usual.pause if peer.pause is None else peer.pause,
        throttle=usual.throttle if peer.throttle is None else peer.throttle,
    )


def _patience(config: Config, peer: str) -> Patience:
    settings = config.move
    return Patience(
        settle=settings.settle,
        limits=limits_of(settings),
        query=limits_of(config.find),
        retries=RetryLimits(
            retry=settings.retry, retry_limit=settings.retry_limit, attempts=settings.attempts
        ),
        policy=policy_of(config, peer),
    )
