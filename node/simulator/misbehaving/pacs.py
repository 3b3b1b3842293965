"""A PACS that misbehaves when it is queried, over any archive."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import islice

from pydicom.dataset import Dataset

from node.dicom.profile import CapKind
from node.dicom.status import Status
from node.net.messages import EndOfAnswers, FindRequest, QueryModel
from node.simulator.answers import AnswerWriter
from node.simulator.attributes import HeldAttributes, Level
from node.simulator.chance import fraction
from node.simulator.holdings import Holdings
from node.simulator.instances import HeldInstance
from node.simulator.misbehaving.answering import Spoiler
from node.simulator.misbehaving.occasions import Counters, Occasion, Occasions
from node.simulator.misbehaving.settings import Misbehaviour, Parting
from node.simulator.misbehaving.understanding import Understood, understand
from node.simulator.question import Question, read_question, read_retrieval

log = logging.getLogger(__name__)


class Misbehaving:
    """Answers C-FIND as the settings say; see `node.simulator.behaviour.Behaviour`.

    Retrievals are answered as they should be.

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
        return self.archive.named(read_retrieval(model, identifier))

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
        settings = self.settings
        operations, refuse = settings.operations, settings.refuse
        silent = settings.silent is not None and occasion.is_one_of(settings.silent.every)
        if operations is not None and occasion.operation > operations.most:
            if operations.then is Parting.ABORT:
                raise EndOfAnswers(None)
            if operations.then is Parting.REFUSED:
                raise self._refusal()
            silent = True
        if silent:
            self.counters.silent += 1
            await asyncio.Event().wait()
        if occasion.again <= refuse.first or occasion.is_one_of(refuse.every):
            raise self._refusal(refuse.status, refuse.comment)

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
        late, gone = self.settings.late, self.settings.gone
        not_yet = late.share if late and not self._occasions.has_come(late) else 0.0
        no_more = gone.share if gone and self._occasions.has_come(gone) else 0.0
        if not not_yet and not no_more:
            return entities
        return (
            entity
            for entity in entities
            if fraction(study := _first(entity, "StudyInstanceUID"), "late") >= not_yet
            and fraction(study, "gone") >= no_more
        )

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
