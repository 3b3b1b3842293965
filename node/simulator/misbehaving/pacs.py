"""A PACS that misbehaves when it is queried and when images are retrieved, over any archive."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from pydicom.dataset import Dataset

from node.dicom.profile import CapKind
from node.dicom.querying.answers import AnswerWriter
from node.dicom.querying.levels import HeldAttributes, Level
from node.dicom.querying.question import Question, read_question, read_retrieval
from node.dicom.status import Status
from node.net.messages import (
    Conduct,
    EndOfAnswers,
    FindRequest,
    GetRequest,
    MoveRequest,
    Peer,
    QueryModel,
)
from node.simulator.behaviour import Choose, House, all_of, unknown
from node.simulator.chance import fraction
from node.simulator.holdings import Holdings
from node.simulator.instances import HeldInstance
from node.simulator.misbehaving.answering import Spoiler
from node.simulator.misbehaving.occasions import Counters, Occasion, Occasions
from node.simulator.misbehaving.retrieval.occasions import RetrievalOccasions
from node.simulator.misbehaving.retrieval.playing import AskedRetrieval, Play
from node.simulator.misbehaving.retrieval.understanding import WantedImages, study_of, wanted
from node.simulator.misbehaving.settings import Misbehaviour
from node.simulator.misbehaving.understanding import Understood, understand
from node.simulator.misbehaving.values import Parting
from node.simulator.misbehaving.workers import Workers

log = logging.getLogger(__name__)


class Misbehaving:
    """Answers as the settings say; see `node.simulator.behaviour.Behaviour`.

    Parameters
    ----------
    archive
        What there really is.
    settings
        What becomes of questions and answers. May be set to others at any time.
    aetitle
        Our own, named in every answer as where to retrieve from.
    clock
        Seconds, from any moment on.
    """

    def __init__(
        self,
        *,
        archive: Holdings,
        settings: Misbehaviour,
        aetitle: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.archive = archive
        self.settings = settings
        self._aetitle = aetitle
        self._occasions = Occasions(clock)
        self._retrievals = RetrievalOccasions()
        self._workers = Workers()

    @property
    def counters(self) -> Counters:
        """What has happened so far."""
        return self._occasions.counters

    def truth(self) -> Iterator[HeldAttributes]:
        """Yield every study that is here at this moment: what nobody has to believe us."""
        keys = {"StudyInstanceUID": ()}
        return self._present(self.archive.matching(Question(level=Level.STUDY, keys=keys)))

    def retrieve(self, model: QueryModel, identifier: Dataset) -> Sequence[HeldInstance]:
        """See `Behaviour.retrieve`."""
        return self._named(wanted(read_retrieval(model, identifier), self.settings.retrieval))

    def images(self, study_uid: str) -> Sequence[HeldInstance]:
        """Return every image of a study that is here at this moment: the truth about it."""
        keys = {"StudyInstanceUID": (study_uid,)}
        return self._named(WantedImages(question=Question(level=Level.STUDY, keys=keys)))

    def conduct(
        self,
        request: MoveRequest | GetRequest,
        target: Peer | None,
        house: House,
        choose: Choose = all_of,
    ) -> Conduct | None:
        """See `Behaviour.conduct`: it is always conducted here, and counted."""
        settings = self.settings
        question = read_retrieval(request.model, request.identifier)
        what = wanted(question, settings.retrieval)
        operation = self._occasions.operation(request.caller)
        done = self.counters.retrieval
        destination = request.destination if isinstance(request, MoveRequest) else None
        done.moves += destination is not None
        done.gets += destination is None

        async def admit() -> None:
            await self._admit_operation(operation)
            await self._serve(settings.capacity.question)
            if destination is not None and target is None:
                raise unknown(destination)
            if what.refused:
                refusal = settings.retrieval.refusal
                raise EndOfAnswers(refusal.status, refusal.comment)

        async def serve() -> None:
            await self._serve(settings.capacity.image)

        if target is not None and settings.retrieval.calling:
            target = replace(target, calling_aetitle=settings.retrieval.calling)
        asked = AskedRetrieval(
            caller=request.caller.aetitle,
            chosen=choose(self._named(what)),
            target=target,
            admit=admit,
            serve=serve,
        )
        occasion = self._retrievals.note(study_of(question))
        log.debug(
            "Retrieval %d by %s, %s: %d images, time %d of its study",
            occasion.number,
            request.caller.aetitle,
            question.level.name,
            len(asked.chosen),
            occasion.again,
        )
        return Play(asked, settings.retrieval, occasion, done, house)

    async def find(self, request: FindRequest) -> AsyncIterator[bytes]:
        """See `Behaviour.find`."""
        question = read_question(request.model, request.identifier)
        occasion = self._occasions.note(
            request.caller, question, remember=self.settings.refuse.first > 0
        )
        sent = self.counters.answers
        status: int | None = Status.SUCCESS
        try:
            async for answer in self._answers(request, question, occasion):
                self.counters.answers += 1
                yield answer
        except EndOfAnswers as end:
            status = end.status
            self.counters.broken += status is None
            self.counters.refused += status not in (None, Status.RESPONSE_LIMIT)
            raise
        finally:
            log.debug(
                "C-FIND %d of %s, %s %s: %d answers, status %s",
                occasion.number,
                request.caller.aetitle,
                question.level.name,
                {key: "\\".join(values) for key, values in question.keys.items() if any(values)},
                self.counters.answers - sent,
                "none" if status is None else f"0x{status:04X}",
            )

    async def _answers(
        self, request: FindRequest, question: Question, occasion: Occasion
    ) -> AsyncIterator[bytes]:
        settings = self.settings
        await self._admit(occasion)
        if settings.slow.question:
            await asyncio.sleep(settings.slow.question)
        understood = understand(question, settings)
        if understood.refused:
            raise self._refusal()
        drop = settings.drop if settings.drop and occasion.is_one_of(settings.drop.every) else None
        spoiler = self._spoiler(request, question)
        sent = 0
        last = None
        for entity in self._limited(
            question.level,
            self._found(understood),
            announced=request.model is QueryModel.REPOSITORY,
        ):
            for answer in spoiler.answers(entity):
                if drop and sent >= drop.answers:
                    raise EndOfAnswers(None)
                if settings.slow.answer:
                    await asyncio.sleep(settings.slow.answer)
                yield (last := answer)
                sent += 1
        if settings.endless and occasion.is_one_of(settings.endless.every):
            while True:
                await asyncio.sleep(settings.endless.interval)
                yield last or spoiler.nothing()

    async def _admit(self, occasion: Occasion) -> None:
        """Refuse a question, abort its association or never answer it, where that is due."""
        refuse, silent = self.settings.refuse, self.settings.silent
        await self._admit_operation(occasion.operation)
        if silent is not None and occasion.is_one_of(silent.every):
            await self._be_silent()
        await self._serve(self.settings.capacity.question)
        if occasion.again <= refuse.first or occasion.is_one_of(refuse.every):
            raise self._refusal(refuse.status, refuse.comment)

    async def _admit_operation(self, operation: int) -> None:
        """Let the first operations of an association pass, and treat the next as that is said."""
        operations = self.settings.operations
        if operations is None or operation <= operations.most:
            return
        if operations.then is Parting.ABORT:
            raise EndOfAnswers(None)
        if operations.then is Parting.REFUSED:
            raise self._refusal()
        await self._be_silent()

    async def _be_silent(self) -> None:
        self.counters.silent += 1
        await asyncio.Event().wait()

    async def _serve(self, seconds: float) -> None:
        """Wait until a worker has done something that takes so long."""
        self.counters.most_waiting = max(self.counters.most_waiting, self._workers.waiting)
        await self._workers.serve(self.settings.capacity.workers, seconds)

    def _spoiler(self, request: FindRequest, question: Question) -> Spoiler:
        charset = self.settings.charset
        writer = AnswerWriter(
            question,
            request.transfer_syntax_uid,
            aetitle=self._aetitle,
            charset=charset.declared,
            codec=charset.written,
        )
        renamed = self._occasions.has_come(self.settings.renamed)
        return Spoiler(self.settings, question, writer, renamed=renamed)

    def _refusal(self, status: int | None = None, comment: str | None = None) -> EndOfAnswers:
        """Return how a question is refused: as is said of its reason, or as is usual."""
        usual = self.settings.refusal
        return EndOfAnswers(
            usual.status if status is None else status,
            usual.comment if comment is None else comment,
        )

    def _found(self, understood: Understood) -> Iterator[HeldAttributes]:
        if understood.question is None:
            return iter(())
        found = self._present(self.archive.matching(understood.question))
        if understood.moments is None:
            return found
        low, high = understood.moments
        return (entity for entity in found if low <= _moment(entity) <= high)

    def _present(self, entities: Iterator[HeldAttributes]) -> Iterator[HeldAttributes]:
        """Leave out what is not here yet, and what is gone."""
        is_here = self._presence()
        if is_here is None:
            return entities
        return (one for one in entities if is_here(_first(one, "StudyInstanceUID")))

    def _named(self, what: WantedImages) -> Sequence[HeldInstance]:
        """Return the images that a retrieval sends where nothing else happens."""
        if what.question is None:
            return ()
        named, is_here = self.archive.named(what.question), self._presence()
        return named if is_here is None else [one for one in named if is_here(one.study_uid)]

    def _presence(self) -> Callable[[str], bool] | None:
        """Return what tells whether a study is here at this moment; None: all of them are."""
        late, gone = self.settings.late, self.settings.gone
        not_yet = late.share if late and not self._occasions.has_come(late) else 0.0
        no_more = gone.share if gone and self._occasions.has_come(gone) else 0.0
        if not not_yet and not no_more:
            return None
        return lambda uid: fraction(uid, "late") >= not_yet and fraction(uid, "gone") >= no_more

    def _limited(
        self, level: Level, entities: Iterator[HeldAttributes], *, announced: bool
    ) -> Iterator[HeldAttributes]:
        """Yield as many matches as there may be, and end as that is ended.

        Parameters
        ----------
        announced
            Whether that is announced, whatever the kind of the cap.
        """
        if (most := self.settings.short.get(level.name)) is not None:
            entities = islice(entities, most)
        cap = self.settings.cap
        if cap is None or level > Level.STUDY:
            yield from entities
            return
        first = list(islice(entities, cap.studies + 1))
        if len(first) <= cap.studies:
            yield from first
            return
        kind = CapKind.ANNOUNCED if announced else cap.kind
        refused = kind is CapKind.REFUSED
        if kind in (CapKind.CUT, CapKind.ANNOUNCED) or (refused and cap.first):
            yield from first[:-1]
        if kind is CapKind.ANNOUNCED:
            raise EndOfAnswers(Status.RESPONSE_LIMIT)
        if refused:
            raise self._refusal(cap.status, cap.comment)


def _first(entity: HeldAttributes, keyword: str) -> str:
    return next(iter(entity.get(keyword, ())), "")


def _moment(entity: HeldAttributes) -> str:
    """Return date and time of a study, as text that sorts as they do."""
    day = _first(entity, "StudyDate").replace(".", "")
    return day and f"{day}{_first(entity, 'StudyTime').replace(':', ''):0<6.6}"
