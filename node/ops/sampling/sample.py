"""The sample: studies are chosen at random, retrieved again, and compared with what is held."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass

from node.config import Config, PeerSettings
from node.config.peer.settings import RetrieveWay
from node.errors import ListenError, NodeError, PeerRefused, PeerUnreachable, StorageError
from node.net.dimse.contexts import Service
from node.net.messages import Services
from node.ops.checking.home import Home
from node.ops.guarding.slots import others_wait, slots_kept
from node.ops.overseeing.policies import policy_of
from node.ops.peers import is_running, senders_of
from node.ops.probing.knowledge import PeerKnowledge, knowledge_of
from node.ops.projects import project_named
from node.ops.receiving.intake import IntakeBeside
from node.ops.receiving.listening import acceptor_of
from node.ops.retrieving.retriever import Retriever
from node.ops.retrieving.wanted import Wanted
from node.ops.retrieving.way import retriever_for
from node.ops.sampling.copies import SecondCopies
from node.ops.sampling.report import SampleReport, StudySample, in_words
from node.ops.stalls import limits_of
from node.storage.locks import exclusive
from schema import Database
from schema.choosing.sampling import SampledStudy, sample_studies
from schema.inventory import Held, Selection, held_page
from schema.moving.senders import peer_key

log = logging.getLogger(__name__)

_LOOK = 0.05
"""Seconds from one look whether all has come to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleWish:
    """What is asked for.

    Attributes
    ----------
    studies
        How many.
    peers
        Of which PACSs, by configured name.
    project
        Only the studies of this project.
    seed
        What decides which.
    way
        How they are retrieved; AUTO is as the peer is configured, else as `way_to_sample` says.
    ignored
        Tags of attributes that may differ.
    values
        Whether differing values are told: patients' data.
    """

    studies: int
    peers: Sequence[str]
    seed: int
    project: str | None = None
    way: RetrieveWay = RetrieveWay.AUTO
    ignored: Collection[int] = ()
    values: bool = False


def way_to_sample(settings: PeerSettings, knowledge: PeerKnowledge | None) -> RetrieveWay:
    """Return how studies are retrieved from a peer to be compared.

    As it is configured; else by C-GET where it is known to do that, and by WADO-RS where it has a
    URL: neither needs our own address, where a node may be running. Else by C-MOVE.
    """
    if settings.retrieve is not RetrieveWay.AUTO:
        return settings.retrieve
    does_get = knowledge is not None and (knowledge.profile.get or knowledge.accepts(Service.GET))
    if settings.speaks_dimse and does_get:
        return RetrieveWay.GET
    return RetrieveWay.MOVE if settings.url is None else RetrieveWay.WADO


async def sample(
    config: Config,
    database: Database,
    wish: SampleWish,
    *,
    watch: Callable[[SampleReport], None] = lambda _: None,
) -> SampleReport:
    """Choose studies, retrieve them again, and compare them with what is held.

    Nothing that comes gets into the archive or the index, and nothing is recorded.

    Parameters
    ----------
    watch
        Called with the report at the beginning and after each study; the report goes on growing.

    Raises
    ------
    UsageError
        There is no such project.
    ListenError
        The images would come to our own address, where something else receives.
    StorageError
        There is no room for them.
    """
    report = SampleReport(wanted=wish.studies, seed=wish.seed)
    project = None if wish.project is None else await project_named(database, wish.project)
    names = {peer_key(name): name for name in wish.peers}
    async with database.session() as session:
        report.there, chosen = await sample_studies(
            session,
            wish.studies,
            peers=list(wish.peers),
            seed=wish.seed,
            project_id=None if project is None else project.id,
        )
    watch(report)
    if chosen:
        home = Home(config.storage.directory.absolute(), aetitle=config.node.aetitle)
        await asyncio.to_thread(home.identify)
        copies = SecondCopies(
            home, senders=senders_of(config), ignored=wish.ignored, values=wish.values
        )
        async with slots_kept(config, database), _open(copies):
            for name in dict.fromkeys(names[one.peer] for one in chosen):
                of_it = [one for one in chosen if names[one.peer] == name]
                peer = _Peer(config, database, name, copies, wish.way)
                async with aclosing(peer.compare(of_it)) as compared:
                    async for study in compared:
                        report.studies.append(study)
                        watch(report)
    report.complete = True
    log.info("%s", in_words(report, wish.peers))
    return report


@asynccontextmanager
async def _open(copies: SecondCopies) -> AsyncIterator[None]:
    await copies.start()
    try:
        yield
    finally:
        await copies.close()


class _Peer:
    """Retrieves studies from one PACS."""

    def __init__(
        self,
        config: Config,
        database: Database,
        name: str,
        copies: SecondCopies,
        way: RetrieveWay,
    ) -> None:
        self._config = config
        self._database = database
        self._settings = config.peer(name)
        self._copies = copies
        self._way = way
        pause = self._settings.pause
        self._pause = float(config.move.pause if pause is None else pause)

    async def compare(self, studies: Sequence[SampledStudy]) -> AsyncGenerator[StudySample, None]:
        """Yield each study when it was compared; those that nobody can ask for with the reason."""
        name = self._settings.name
        knowledge = await knowledge_of(self._config, self._database, name)
        way = self._way
        if way is RetrieveWay.AUTO:
            way = way_to_sample(self._settings, knowledge)
        gone: NodeError | None = None
        async with self._listening(way), self._retriever(way, knowledge) as retriever:
            for number, one in enumerate(studies):
                study = StudySample(study_uid=one.study_uid, peer=name, policy=one.policy)
                if gone is not None:
                    study.error = gone
                    yield study
                    continue
                if number:
                    if await others_wait(name):
                        await retriever.close()
                    await asyncio.sleep(self._pause)
                await self._retrieve(study, retriever, way)
                if isinstance(study.error, PeerUnreachable | PeerRefused):
                    gone = study.error
                yield study

    def _retriever(self, way: RetrieveWay, knowledge: PeerKnowledge) -> Retriever:
        return retriever_for(
            self._settings.model_copy(update={"retrieve": way}),
            knowledge,
            destination=self._config.node.aetitle,
            store=lambda: self._copies.open,
            limits=limits_of(self._config.move),
        )

    @asynccontextmanager
    async def _listening(self, way: RetrieveWay) -> AsyncIterator[None]:
        """Listen where the PACS sends to, if it sends to our address."""
        if way is not RetrieveWay.MOVE:
            yield
            return
        acceptor = acceptor_of(self._config, Services(store=self._copies.open))
        directory = self._config.storage.directory
        try:
            await acceptor.start()
        except ListenError as taken:
            if not await is_running(self._config):
                raise
            name = self._settings.name
            raise ListenError(
                f"{name} sends by C-MOVE to the address of this node, and a node is running there, "
                "which would take the images for its own: stop it while the studies are compared, "
                "or have them fetched by C-GET (--retrieve get) or WADO-RS (--retrieve wado), if "
                f"{name} does that"
            ) from taken
        try:
            with ExitStack() as stack:
                for name in sorted(self._config.peers):  # we would refuse what a move brings
                    lock = exclusive(directory / f".move-{name}.lock", f"a move from {name}")
                    stack.enter_context(lock)
                yield
        finally:
            await acceptor.stop()

    async def _retrieve(self, study: StudySample, retriever: Retriever, way: RetrieveWay) -> None:
        """Retrieve a study, and compare what comes."""
        await self._wait_for_room()
        held = await self._held(study.study_uid)
        study.held, study.method = len(held), retriever.method
        began = time.monotonic()
        policy = policy_of(self._config, study.peer)
        self._copies.expect(
            study,
            held,
            asked=way is not RetrieveWay.MOVE,
            policy=policy if study.policy == str(policy) else None,
        )
        wanted = Wanted(
            study_uid=study.study_uid,
            sop_classes=frozenset(
                one.sop_class_uid for one in held.values() if one.sop_class_uid is not None
            ),
            count=len(held) or None,
        )
        answer = await retriever.ask(wanted, self._copies)
        study.error = answer.error
        if way is RetrieveWay.MOVE:
            await self._settle(max(len(held), answer.completed or 0))
        await self._copies.finish()
        study.seconds = time.monotonic() - began

    async def _settle(self, expected: int) -> None:
        """Wait for what is still on its way, as long as more of it comes."""
        loop = asyncio.get_running_loop()
        last, since = self._copies.count, loop.time()
        while self._copies.count < expected:
            if self._copies.count != last:
                last, since = self._copies.count, loop.time()
            if loop.time() - since >= float(self._config.move.settle):
                return
            await asyncio.sleep(_LOOK)

    async def _held(self, study_uid: str) -> dict[str, Held]:
        selection, after = Selection(study_uids=(study_uid,)), 0
        held: dict[str, Held] = {}
        async with self._database.session() as session:
            while page := await held_page(session, after=after, selection=selection):
                after = page[-1].id
                held.update((one.image_uid, one) for one in page)
        return held

    async def _wait_for_room(self) -> None:
        """Fail where a node would take nothing either, for want of space.

        Raises
        ------
        StorageError
            See there.
        """
        beside = IntakeBeside(self._config.storage.directory)
        try:
            reason = await beside.closed()
        finally:
            beside.close()
        if reason is not None:
            raise StorageError(f"there is no room for the images: {reason}")
