"""C-MOVE and C-GET over the index: which images are sent, to whom, and how many at once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path

from pydicom.uid import ImplicitVRLittleEndian

from node.config import Config
from node.dicom.querying.levels import UNIQUE_KEYS, Level
from node.dicom.querying.question import Question, read_retrieval
from node.dicom.status import Status
from node.errors import NoPlace, StorageError
from node.net.messages import (
    Convert,
    GetPlan,
    GetRequest,
    Instance,
    InstanceFile,
    InstanceMissing,
    MovePlan,
    MoveRequest,
    RetrievalMeans,
    RetrievalRefused,
    Turn,
)
from node.ops.answering.giving.damage import Damage
from node.ops.answering.giving.destinations import destination_of
from node.ops.answering.giving.turns import RetrievalTurn, RetrievalTurns
from node.ops.answering.scopes import Scopes
from node.ops.checking.home import Home
from node.ops.guarding.slots import slots_kept
from schema import Database, SchemaError
from schema.answering.scope import AnswerScope
from schema.inventory import Held
from schema.retrieving.images import RetrievalKeys, count_images, wanted_images
from schema.text.words import counted

log = logging.getLogger(__name__)

MOST_IMAGES = 100_000
"""Images of one retrieval; who wants more asks for less at once."""

_TOLD_EVERY = 0.1
"""Seconds from one word of how far a retrieval is to the next: one for each image would cost a
third of the time that small images take."""

_TO_CHOOSE = 30.0
"""Seconds that the database has to say which images are meant: nobody can be told anything
before."""


_TO_COUNT = 2.0
"""Seconds to count what was withheld, which is for the log alone."""


class Retrieving:
    """Answers C-MOVE and C-GET.

    Parameters
    ----------
    home
        Whose files are ours.
    convert
        For what is not taken in its own transfer syntax.
    """

    def __init__(
        self, config: Config, database: Database, *, home: Home, convert: Convert | None
    ) -> None:
        self._config = config
        self._database = database
        self._home = home
        self._convert = convert
        self._scopes = Scopes(config)
        self._turns = RetrievalTurns(config.answer.retrievals)

    async def move(self, request: MoveRequest) -> MovePlan:
        """Decide what a C-MOVE sends, and whereto.

        Raises
        ------
        RetrievalRefused
            The images cannot be counted, or are too many.
        InvalidIdentifierError
            The identifier breaks the rules of its model.
        """
        question = read_retrieval(request.model, request.identifier, relational=request.relational)
        found = destination_of(self._config, request.caller, request.destination)
        if found.settings is None or found.peer is None:
            log.warning(
                "%s wants images sent to %s: %s",
                request.caller.aetitle,
                request.destination,
                found.hint or found.reason,
            )
            return MovePlan(target=None, comment=found.reason)
        scopes = [
            self._scopes.of(request.caller.retrieving),
            self._scopes.of_peer(found.settings.name),
        ]
        images = await self._chosen(question, scopes)
        limits = [
            *self._scopes.limits_of(request.caller.retrieving),
            *self._scopes.limits_of([found.settings.name]),
        ]
        log.info(
            "C-MOVE from %s to %s (peers.%s): %s",
            request.caller.aetitle,
            found.peer.aetitle,
            found.settings.name,
            await self._told(question, len(images), limits),
        )
        most = found.settings.associations or found.settings.retrieve_associations
        return MovePlan(
            target=found.peer,
            instances=self._instances(images),
            means=self._means(
                images,
                associations=min(found.settings.retrieve_associations, most),
                kept=found.settings.associations is not None,
            ),
        )

    async def get(self, request: GetRequest) -> GetPlan:
        """Decide what a C-GET sends; raises as `move` does."""
        question = read_retrieval(request.model, request.identifier, relational=request.relational)
        images = await self._chosen(question, [self._scopes.of(request.caller.retrieving)])
        limits = self._scopes.limits_of(request.caller.retrieving)
        told = await self._told(question, len(images), limits)
        log.info("C-GET from %s: %s", request.caller.aetitle, told)
        return GetPlan(instances=self._instances(images), means=self._means(images))

    async def _chosen(
        self, question: Question, scopes: Sequence[Sequence[AnswerScope]]
    ) -> list[Held]:
        wanted = wanted_of(question)
        if self._home.id is None:  # a new storage directory gets its id with its first image
            with suppress(StorageError):
                await asyncio.to_thread(self._home.identify)
        try:
            async with asyncio.timeout(_TO_CHOOSE), self._database.session() as session:
                images = await wanted_images(session, wanted, scopes=scopes, most=MOST_IMAGES)
        except (SchemaError, TimeoutError) as error:
            why = str(error) or f"no answer for {_TO_CHOOSE:g} s"
            log.warning("The images of a retrieval cannot be counted: %s", why)
            raise RetrievalRefused(
                Status.UNABLE_TO_COUNT_MATCHES, "the index cannot be read at the moment"
            ) from error
        if images is None:
            raise RetrievalRefused(
                Status.UNABLE_TO_COUNT_MATCHES, f"more than {MOST_IMAGES} images: ask for less"
            )
        return images

    async def _told(self, question: Question, chosen: int, limits: Sequence[str]) -> str:
        """Say for the log how many images were chosen, and what came of those that were not."""
        wanted = wanted_of(question)
        there: int | None = chosen
        if limits and (not wanted.image_uids or chosen < len(wanted.image_uids)):
            there = None
            with suppress(SchemaError, TimeoutError):
                async with asyncio.timeout(_TO_COUNT), self._database.session() as session:
                    there = await count_images(session, wanted, most=MOST_IMAGES)
        told = counted(chosen, "image")
        if there is not None and there > chosen:
            by = " and ".join(dict.fromkeys(limits))
            return f"{told}; {counted(there - chosen, 'image')} withheld by {by}"
        return told if there != 0 else f"{told}; none has these keys here"

    def _instances(self, images: Sequence[Held]) -> list[Instance]:
        return [self._instance(held) for held in images]

    def _instance(self, held: Held) -> Instance:
        sop_class = held.sop_class_uid or ""
        syntax = held.transfer_syntax_uid or str(ImplicitVRLittleEndian)
        ours = held.storage_id is not None and held.storage_id == self._home.id
        if held.filepath is None or (not ours and self._home.shadows(held)):
            elsewhere = held.filepath is not None
            return InstanceMissing(
                sop_class_uid=sop_class,
                sop_instance_uid=held.image_uid,
                transfer_syntax_uid=syntax,
                reason="its file is kept by another node" if elsewhere else "it has no file",
            )
        return InstanceFile(
            path=Path(held.filepath),
            sop_class_uid=sop_class,
            sop_instance_uid=held.image_uid,
            transfer_syntax_uid=syntax,
            sha256=held.sha256,
            size=held.size,
        )

    def _means(
        self, images: Sequence[Held], *, associations: int = 1, kept: bool = False
    ) -> RetrievalMeans:
        damage = Damage(self._home, {held.image_uid: held for held in images})

        def turn() -> AbstractAsyncContextManager[Turn]:
            return self._turn(damage, kept=kept)

        return RetrievalMeans(
            associations=associations,
            turn=turn,
            convert=self._convert,
            missed=damage.note,
            pause=_TOLD_EVERY,
        )

    @asynccontextmanager
    async def _turn(self, damage: Damage, *, kept: bool) -> AsyncIterator[Turn]:
        """Wait for a turn; at its end, write down what could not be read."""
        async with AsyncExitStack() as stack:
            turn = RetrievalTurn(self._turns)
            await turn.reclaim()
            stack.callback(turn.lend)
            if kept:
                try:
                    await stack.enter_async_context(slots_kept(self._config, self._database))
                except SchemaError as error:
                    raise NoPlace(
                        f"how many associations there are is not known: {error}"
                    ) from error
            try:
                yield turn
            finally:
                await damage.record(self._database)


def wanted_of(question: Question) -> RetrievalKeys:
    """Return the unique keys of a retrieval, as what is asked of the index."""

    def values(level: Level) -> tuple[str, ...]:
        if level > question.level:
            return ()
        return tuple(one for one in question.keys.get(UNIQUE_KEYS[level], ()) if one)

    return RetrievalKeys(
        patient_ids=values(Level.PATIENT) if question.root is Level.PATIENT else (),
        study_uids=values(Level.STUDY),
        series_uids=values(Level.SERIES),
        image_uids=values(Level.IMAGE),
    )
