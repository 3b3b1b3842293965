"""Putting a question, and gathering the answer with what is to be said of it."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from node.dicom.asking.answered import said_by
from node.dicom.asking.heeded import UnheededKey, unheeded_keys
from node.dicom.asking.question import KeyedQuestion
from node.dicom.status import Status
from node.errors import NodeError, PeerFailure
from node.ops.querying.answerer import INDEX, Answerer

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class QueryReport:
    """What a question has brought; it grows while answers come.

    Attributes
    ----------
    matches
        What each says, by keyword: see `node.dicom.asking.answered.said_by`.
    operation
        How it was asked; "" before it was.
    refused
        What the peer did not agree to, in words.
    ignored
        The keys that the peer may have ignored, by what its matches say; known at the end.
    complete
        Whether the peer has told all that it has to tell.
    limited
        Whether no more than so many were wanted, and there may be others.
    error
        Why the answer is not whole.
    """

    question: KeyedQuestion
    matches: list[dict[str, object]] = field(default_factory=list)
    operation: str = ""
    refused: tuple[str, ...] = ()
    ignored: Sequence[UnheededKey] = ()
    complete: bool = False
    limited: bool = False
    error: NodeError | None = None

    @property
    def status(self) -> int | None:
        """The DIMSE status that ended it; None where there was none, and of an answer cut short."""
        if isinstance(self.error, PeerFailure):
            return self.error.status
        return int(Status.SUCCESS) if self.complete else None


async def query(
    answerer: AbstractAsyncContextManager[Answerer],
    question: KeyedQuestion,
    *,
    limit: int | None = None,
    fuzzy: bool = False,
    watch: Callable[[QueryReport], None] = lambda _: None,
) -> QueryReport:
    """Put a question, and return what came of it: no `NodeError` is raised.

    Where it takes several identifiers, what comes twice is told once.

    Parameters
    ----------
    answerer
        Who is asked; opened and closed here.
    limit
        How many matches are wanted; the peer is told when they have come (C-CANCEL).
    fuzzy
        Whether names may be matched fuzzily.
    watch
        Called with the report when the peer has been reached, and with each match.
    """
    report = QueryReport(question=question)
    watch(report)
    try:
        async with answerer as asked:
            report.operation, report.refused = asked.operation, asked.refused
            await _ask(asked, report, limit, watch)
    except NodeError as error:
        report.error = error
    if report.operation != INDEX:
        report.ignored = unheeded_keys(question, report.matches, fuzzy=fuzzy)
    log.info("a query for %s brought %d", question.what, len(report.matches))
    return report


async def _ask(
    answerer: Answerer,
    report: QueryReport,
    limit: int | None,
    watch: Callable[[QueryReport], None],
) -> None:
    identifiers = report.question.identifiers()
    known: set[object] = set()
    for identifier in identifiers:
        async with aclosing(answerer.answers(identifier)) as answers:
            async for answer in answers:
                if limit is not None and len(report.matches) >= limit:
                    report.limited = True
                    return
                said = _new(answer, report.question, known, alone=len(identifiers) == 1)
                if said is not None:
                    report.matches.append(said)
                    watch(report)
    report.complete = True


def _new(
    answer: Dataset, question: KeyedQuestion, known: set[object], *, alone: bool
) -> dict[str, object] | None:
    """Return what a match says; None where it was told before, to another identifier."""
    said = said_by(answer)
    name = said.get(question.unique_key)
    if alone or not isinstance(name, str):
        return said
    if name in known:
        return None
    known.add(name)
    return said
