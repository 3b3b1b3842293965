"""Fetching: each study by one way after the other, until all that the peer lists is here."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Self

from pydicom.dataset import Dataset

from node.config import Config, PeerSettings
from node.config.peer.settings import RetrieveWay
from node.dicom.query import StudyQuery, study_identifier, text_of
from node.errors import (
    ConfigurationError,
    ListenError,
    NodeError,
    PeerFailure,
    PeerRefused,
    PeerUnreachable,
)
from node.ops.counting.inquiring import ImageInquiry
from node.ops.fetching.folder import FetchFolder
from node.ops.fetching.report import FetchReport, StudyFetch
from node.ops.fetching.ways import listening, ways_to_fetch
from node.ops.fetching.wish import FetchWish, Selected
from node.ops.peers import senders_of
from node.ops.retrieving.answer import Answer
from node.ops.retrieving.c_move import OUR_ADDRESS
from node.ops.retrieving.retriever import Retriever
from node.ops.retrieving.way import peer_to_list, retriever_for
from node.ops.stalls import limits_of

log = logging.getLogger(__name__)

_LOOK = 0.05
"""Seconds from one look whether all has come to the next."""


async def fetch(
    config: Config,
    peer: str,
    wish: FetchWish,
    *,
    watch: Callable[[FetchReport], None] = lambda _: None,
) -> FetchReport:
    """Bring what is wished for into a folder; nothing gets into the archive or the index.

    What goes wrong with the peer is in the report, and no reason to raise.

    Parameters
    ----------
    peer
        By its configured name.
    watch
        Called with the report at the beginning, when a study is listed, and with each image.

    Raises
    ------
    UsageError
        The wish lacks something, or its folder is the archive's: see `FetchWish.check`.
    StorageError
        The folder cannot be written to.
    """
    wish.check(archive=config.storage.directory)
    report = FetchReport()
    folder = FetchFolder(wish.folder, by_study=wish.by_study, senders=senders_of(config))
    await folder.start()
    try:
        fetching = _Fetching(
            config, config.peer(peer), wish, folder=folder, report=report, watch=watch
        )
        async with fetching:
            await fetching.run()
    except NodeError as error:
        report.error = error
    finally:
        await folder.close()
    images = sum(len(study.images) for study in report.studies)
    log.info("fetched %d images of %d studies from %s", images, len(report.studies), peer)
    return report


class _Fetching:
    """One run: its connections are let go of at the end."""

    def __init__(
        self,
        config: Config,
        settings: PeerSettings,
        wish: FetchWish,
        *,
        folder: FetchFolder,
        report: FetchReport,
        watch: Callable[[FetchReport], None],
    ) -> None:
        self._config = config
        self._settings = settings
        self._wish = wish
        self._folder = folder
        self._report = report
        self._watch = watch
        self._stack = AsyncExitStack()
        self._retrievers: dict[RetrieveWay, Retriever] = {}
        self._inquiry: ImageInquiry | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.__aexit__(*error)  # type: ignore[arg-type]

    async def run(self) -> None:
        """Fetch all studies; raises what stands in the way of all of them."""
        self._watch(self._report)
        ways = await ways_to_fetch(self._settings, self._wish)
        with_way = self._settings.model_copy(update={"retrieve": ways[0]})
        inquiry = ImageInquiry(peer_to_list(with_way), limits_of(self._config.find), rests=False)
        self._inquiry = await self._stack.enter_async_context(inquiry)
        own = self._settings.pause
        pause = float(self._config.move.pause if own is None else own)
        for number, uid in enumerate(await self._studies()):
            if number:
                await asyncio.sleep(pause)
            await self._fetch(uid, ways)
        self._report.found = True

    async def _studies(self) -> list[str]:
        """Return the studies that are wished for; of patients, those that the peer lists."""
        if not self._wish.patient_ids:
            return list(dict.fromkeys(self._wish.studies))
        assert self._inquiry is not None, "it was just opened"  # noqa: S101
        found: dict[str, None] = {}
        for patient in self._wish.patient_ids:
            query = StudyQuery(patient_id=patient)
            asked = await self._inquiry.line.get()
            async for one in asked.find(study_identifier(query, query.window)):
                if text_of(one, "PatientID") in {patient, ""}:
                    found[text_of(one, "StudyInstanceUID")] = None
        if not found:
            who = ", ".join(self._wish.patient_ids)
            raise PeerFailure(
                f"{self._settings.name} lists no study of the patient {who}", status=None
            )
        return [uid for uid in found if uid]

    async def _fetch(self, study_uid: str, ways: list[RetrieveWay]) -> None:
        study = StudyFetch(selected=await self._selected(study_uid))
        unlisted = study.selected.unlisted
        study.failed |= dict.fromkeys(unlisted, f"{self._settings.name} lists no such image")
        if not study.selected.is_unheard_of:
            await self._folder.look(study)
        there = len(study.images)
        self._report.studies.append(study)
        self._watch(self._report)
        if study.selected.is_unheard_of:
            return
        await self._by_turns(ways, study)
        if there == len(study.images) and there and study.missing and study.methods:
            # some peers answer for whole studies alone
            await self._by_turns(ways, study, anew=True)

    async def _by_turns(
        self, ways: list[RetrieveWay], study: StudyFetch, *, anew: bool = False
    ) -> None:
        """Ask by one way after the other, until all is here; `anew`: whatever is here already."""
        with self._folder.telling(lambda: self._watch(self._report)):
            for way in ways:
                if study.whole:
                    break
                try:
                    await self._by(way, study, anew=anew)
                except ListenError as error:
                    # of what nobody lists, and the way before has not sent, that is not the reason
                    if study.expects or not study.settled:
                        study.errors.append(error)
                except (PeerRefused, PeerUnreachable, ConfigurationError) as error:
                    study.errors.append(error)

    async def _selected(self, study_uid: str) -> Selected:
        """Return what is wanted of a study, with what the peer counts and lists of it."""
        assert self._inquiry is not None, "it was opened"  # noqa: S101
        images = series = listing = None
        unanswered = self._inquiry.unanswered
        answered = False
        try:
            if (said := await self._inquiry.study(study_uid)) is not None:
                images = _number(said, "NumberOfStudyRelatedInstances")
                series = _number(said, "NumberOfStudyRelatedSeries")
            listing = await self._inquiry.list(study_uid, images=images, series=series)
            if listing is None and said is not None and images is None and not self._wish.series:
                count = await self._inquiry.count(study_uid, series=series)
                images = count.images if count is not None else None
            answered = self._inquiry.unanswered == unanswered
        except PeerRefused as error:
            log.info("%s cannot be asked what it has: %s", self._settings.name, error)
        return Selected(
            study_uid=study_uid,
            series=frozenset(self._wish.series),
            images=frozenset(self._wish.images),
            listing=listing,
            told_images=images,
            told_series=series,
            answered=answered,
        )

    async def _by(self, way: RetrieveWay, study: StudyFetch, *, anew: bool) -> None:
        """Ask by one way for what is not here yet."""
        retriever = await self._retriever(way)
        study.methods.append(retriever.method)
        sent = way is RetrieveWay.MOVE
        self._folder.expect(study, only_from=self._settings.name if sent else None)
        before = len(study.images)
        wanted = study.selected.left(frozenset() if anew else study.have)
        answer = await retriever.ask(wanted, self._folder)
        if sent and not (_is_refused(answer) and not self._folder.count):
            await self._settle(max(wanted.count or 0, answer.completed or 0))
        await self._folder.finish()
        study.settled = answer.error is None
        if answer.error is not None:
            study.errors.append(answer.error)
        for uid in answer.failed_uids:
            if uid not in study.images:
                study.failed.setdefault(uid, f"{retriever.method} failed for it")
        log.info("%d images by %s", len(study.images) - before, retriever.method)

    async def _retriever(self, way: RetrieveWay) -> Retriever:
        if way not in self._retrievers:
            destination, port = "", self._wish.port
            if way is RetrieveWay.MOVE:
                listener = listening(self._config, self._settings, self._wish, self._folder.open)
                destination = await self._stack.enter_async_context(listener)
            retriever = retriever_for(
                self._settings.model_copy(update={"retrieve": way}),
                destination=destination,
                address=OUR_ADDRESS if port is None else f"this machine's address, port {port},",
                store=lambda: self._folder.open,
                limits=limits_of(self._config.move),
            )
            self._retrievers[way] = await self._stack.enter_async_context(retriever)
        return self._retrievers[way]

    async def _settle(self, expected: int) -> None:
        """Wait for what is still on its way, as long as more of it comes."""
        loop = asyncio.get_running_loop()
        last, since = self._folder.count, loop.time()
        while self._folder.count < expected:
            if self._folder.count != last:
                last, since = self._folder.count, loop.time()
            if loop.time() - since >= float(self._config.move.settle):
                return
            await asyncio.sleep(_LOOK)


def _is_refused(answer: Answer) -> bool:
    """Tell whether a peer has refused a C-MOVE before any of its sub-operations.

    What it has begun may be on its way still, whatever it says, as it may be when it is lost.
    """
    counts = (answer.completed, answer.failed, answer.warning)
    return isinstance(answer.error, PeerRefused | PeerFailure) and not any(counts)


def _number(said: Dataset, keyword: str) -> int | None:
    text = text_of(said, keyword)
    return int(text) if text.isascii() and text.isdecimal() else None
