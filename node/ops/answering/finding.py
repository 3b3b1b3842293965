"""C-FIND over the index (PS3.4 C.4.1): candidates from the database, a page of them at a time.

What a page holds is compared and written by the same code that a simulator's archive is answered
with. Nothing is kept of an answer that has been sent, so a long one takes no more memory than a
short one, and no transaction stays open while the requestor reads.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from node.dicom.querying.answers import AnswerWriter
from node.dicom.querying.header import encoded_attribute, json_tag, texts_of
from node.dicom.querying.levels import Level
from node.dicom.querying.model import QueryModel
from node.dicom.querying.question import Question, read_question
from node.dicom.status import Status
from node.net.messages import EndOfAnswers, FindRequest
from node.ops.answering.entities import Header, is_match, meets_below, values_of
from node.ops.answering.pace import QueryPace
from node.ops.answering.planning import OWN_CHARSET, QueryPlan, plan_of, tags_of
from schema import AsyncSession
from schema.answering.candidates import candidates, key_of_entity
from schema.answering.describing import Below, Described, described, first_images, headers, tallies
from schema.answering.narrowing import HeldLevel
from schema.answering.scope import AnswerScope
from schema.engine.database import Database
from schema.errors import DatabaseUnavailable
from schema.text.words import counted

log = logging.getLogger(__name__)

_CHUNK = 20_000
"""Keys of candidates that are had from the database at once."""

_FIRST_PAGE = 32
_PAGE = 256
"""Candidates that are looked at together: few at first, so that the first answer comes soon."""

_MOST_HEADERS_BELOW = 20_000
"""Headers below the candidates of one page that are read at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """How much a query may take; see `node.config.peer.answering`."""

    matches: int | None = None
    examined: int = 10_000
    at_once: int = 4


class IndexFinder:
    """Answers queries from the index.

    Parameters
    ----------
    database
        That has it.
    aetitle
        Ours: what is here is retrieved from us (0008,0054).
    limits
        Beyond them a query is refused, in words.
    pace
        Lets receiving go first.
    """

    def __init__(
        self,
        database: Database,
        *,
        aetitle: str,
        limits: QueryLimits | None = None,
        pace: QueryPace | None = None,
    ) -> None:
        self._database = database
        self._aetitle = aetitle
        self._limits = limits or QueryLimits()
        self._pace = pace or QueryPace()
        self._turns = asyncio.Semaphore(self._limits.at_once)

    async def answers(
        self, request: FindRequest, scopes: Sequence[AnswerScope]
    ) -> AsyncIterator[Sequence[bytes]]:
        """Yield the identifiers that match, some at a time, encoded as the request has it.

        Parameters
        ----------
        scopes
            What the requestor is shown.

        Raises
        ------
        IdentifierMismatch
            The identifier breaks the rules of its model.
        EndOfAnswers
            There is more than a limit allows; or the database cannot be asked.
        """
        question = read_question(
            request.model,
            request.identifier,
            relational=request.relational,
            combined=request.combined,
        )
        writer = AnswerWriter(
            question, request.transfer_syntax_uid, aetitle=self._aetitle, lower=True
        )
        query = _Query(
            question=question,
            plan=plan_of(question),
            scopes=scopes,
            writer=writer,
            transfer_syntax_uid=request.transfer_syntax_uid,
        )
        sent = 0
        async with self._turns:
            try:
                async for page in self._pages(query):
                    kept = (
                        page
                        if self._limits.matches is None
                        else page[: self._limits.matches - sent]
                    )
                    sent += len(kept)
                    if kept:
                        yield kept
                    if len(kept) < len(page):
                        raise self._more_than_the_limit(request.model)
            except DatabaseUnavailable as error:
                log.warning("A query cannot be answered: %s", error)
                raise EndOfAnswers(
                    Status.UNABLE_TO_PROCESS, "the database cannot be asked at the moment"
                ) from error
        log.info("C-FIND from %s: %s", request.caller.aetitle, counted(sent, "match", "matches"))

    def _more_than_the_limit(self, model: QueryModel) -> EndOfAnswers:
        if model is QueryModel.REPOSITORY:
            return EndOfAnswers(Status.RESPONSE_LIMIT)
        return EndOfAnswers(
            Status.OUT_OF_RESOURCES,
            f"more than {self._limits.matches} matches: narrow the query",
        )

    async def _pages(self, query: "_Query") -> AsyncIterator[list[bytes]]:
        level = HeldLevel(query.question.level)
        after, seen = await self._after(query.question), 0
        most = min(_CHUNK, self._limits.examined + 1) if query.plan.examined else _CHUNK
        while True:
            async with self._database.session() as session:
                found = await candidates(
                    session,
                    level,
                    query.plan.narrowings,
                    scopes=query.scopes,
                    after=after,
                    most=most,
                )
            seen += len(found)
            if query.plan.examined and seen > self._limits.examined:
                raise _too_wide(query.plan, self._limits.examined)
            for ids in _paged(found, first=not after):
                began = perf_counter()
                async with self._database.session() as session:
                    page = await query.page(session, ids)
                yield page
                await self._pace.rest(perf_counter() - began)
            if len(found) < most:
                return
            after = found[-1]

    async def _after(self, question: Question) -> int:
        """Return the key of the entity that a Prior Record Key is of; 0 without one."""
        if not question.after:
            return 0
        async with self._database.session() as session:
            key = await key_of_entity(session, HeldLevel(question.level), question.after)
        if key is None:
            raise EndOfAnswers(Status.INVALID_PRIOR_RECORD_KEY)
        return key


def _too_wide(plan: QueryPlan, most: int) -> EndOfAnswers:
    named = ",".join(plan.examined)
    return EndOfAnswers(
        Status.OUT_OF_RESOURCES, f"narrow it, over {most} headers to read for {named}"
    )


def _paged(ids: Sequence[int], *, first: bool) -> Iterator[Sequence[int]]:
    begin, size = 0, _FIRST_PAGE if first else _PAGE
    while begin < len(ids):
        yield ids[begin : begin + size]
        begin, size = begin + size, _PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """One question, as it is put to the index."""

    question: Question
    plan: QueryPlan
    scopes: Sequence[AnswerScope]
    writer: AnswerWriter
    transfer_syntax_uid: str

    async def page(self, session: AsyncSession, ids: Sequence[int]) -> list[bytes]:
        """Return the answers of these candidates."""
        level = HeldLevel(self.question.level)
        rows = await described(session, level, ids)
        counts = await self._counted(session, rows)
        rows = [row for row in rows if self._first_image(row, counts)]
        ids_below = await self._meeting_below(session, rows)
        if ids_below is not None:
            rows = [row for row in rows if row.keys[level] in ids_below]
        images = {image for row in rows if (image := self._first_image(row, counts))}
        known = await headers(session, images, self.plan.tags)
        answers = []
        for row in rows:
            header: Header = known.get(self._first_image(row, counts) or 0, {})
            values = values_of(self.question, row, counts, header)
            if is_match(self.question, self.plan, values, header):
                answers.append(self._written(values, header))
        return answers

    async def _counted(
        self, session: AsyncSession, rows: Sequence[Described]
    ) -> Mapping[Level, Mapping[int, Below]]:
        result: dict[Level, Mapping[int, Below]] = {}
        for level in self.plan.counted:
            keys = {key for row in rows if (key := row.keys[HeldLevel(level)]) is not None}
            result[level] = await tallies(
                session,
                HeldLevel(level),
                keys,
                scopes=self.scopes,
                sop_classes=self.plan.sop_classes and level is Level.STUDY,
            )
        return result

    def _first_image(
        self, row: Described, counts: Mapping[Level, Mapping[int, Below]]
    ) -> int | None:
        if row.image_id is not None:
            return row.image_id
        level = self.question.level
        tally = counts[level].get(row.keys[HeldLevel(level)] or 0)
        return None if tally is None else tally.first_image

    async def _meeting_below(
        self, session: AsyncSession, rows: Sequence[Described]
    ) -> set[int | None] | None:
        """Return the keys of the candidates below which all is met; None: nothing has to be."""
        if not self.plan.below:
            return None
        level = HeldLevel(self.question.level)
        left = {row.keys[level] for row in rows}
        for lower, keys in self.plan.below.items():
            pairs = await first_images(
                session,
                level,
                [key for key in left if key is not None],
                below=HeldLevel(lower),
                scopes=self.scopes,
                most=_MOST_HEADERS_BELOW + 1,
            )
            if len(pairs) > _MOST_HEADERS_BELOW:
                raise _too_wide(self.plan, _MOST_HEADERS_BELOW)
            known = await headers(session, {image for _, image in pairs}, tags_of(keys))
            left = {key for key, image in pairs if meets_below(keys, known.get(image, {}))}
        return left

    def _written(self, values: Mapping[str, tuple[str, ...]], header: Header) -> bytes:
        own = texts_of(header.get(OWN_CHARSET))
        charset = self.writer.said_in(values, self.question.charset, own)
        others: dict[int, bytes] = {}
        for tag, key in self.question.others.items():
            with suppress(Exception):
                others[tag] = encoded_attribute(
                    tag,
                    key,
                    header.get(json_tag(tag)),
                    transfer_syntax_uid=self.transfer_syntax_uid,
                    charset=charset.terms or ("ISO_IR 192",),
                )
        return self.writer.write(values, charset=charset, others=others)
