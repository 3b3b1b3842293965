"""C-FIND over the index (PS3.4 C.4.1): candidates from the database, a page of them at a time.

What a page holds is compared and written by the same code that a simulator's archive is answered
with. Nothing is kept of an answer that has been sent, so a long one takes no more memory than a
short one, and no transaction stays open while the requestor reads.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from node.dicom.querying.answers import AnswerWriter
from node.dicom.querying.charsets import UTF_8, charsets_to_try
from node.dicom.querying.header import encoded_attribute, json_tag, texts_of
from node.dicom.querying.levels import Level
from node.dicom.querying.model import QueryModel
from node.dicom.querying.question import Question, read_question
from node.dicom.status import Status
from node.net.messages import EndOfAnswers, FindRequest
from node.ops.answering.entities import EntityReader, is_match, meets_below
from node.ops.answering.hints import why_nothing
from node.ops.answering.pace import QueryPace
from node.ops.answering.planning import OWN_CHARSET, QueryPlan, plan_of, tags_of
from node.ops.answering.turns import QueryingTitles, QueryTurns, Served
from schema import AsyncSession
from schema.answering.candidates import candidates, key_of_entity
from schema.answering.describing import (
    Below,
    Described,
    counts_of,
    described,
    first_images,
    sop_classes_of,
)
from schema.answering.headers import Header, headers
from schema.answering.narrowing import HeldLevel
from schema.answering.scope import AnswerScope
from schema.engine.database import Database
from schema.errors import DatabaseUnavailable
from schema.text.words import counted

log = logging.getLogger(__name__)

_CHUNK = 20_000
"""Keys of candidates that are had from the database at once."""

_FIRST_PAGE = 32
_PAGE = 512
"""Candidates that are read together: few at first, so that the first answer comes soon."""

_AT_ONCE = 128
"""Candidates of which the answers are written without anybody else having a turn."""

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
        self._turns = QueryTurns(self._limits.at_once)
        self._askers = QueryingTitles()

    async def answers(
        self, request: FindRequest, scopes: Sequence[AnswerScope], limits: Sequence[str] = ()
    ) -> AsyncIterator[Sequence[bytes]]:
        """Yield the identifiers that match, some at a time, encoded as the request has it.

        Parameters
        ----------
        scopes, limits
            What the requestor is shown, and the settings that say so.

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
        if question.retrieve_from and self._aetitle not in question.retrieve_from:
            return  # what is here is retrieved from us, and from nobody else
        restricted = not any(scope.is_everything for scope in scopes)
        query = _Query(
            question=question,
            plan=plan_of(question, restricted=restricted),
            scopes=scopes,
            writer=writer,
            reader=EntityReader(question, restricted=restricted),
            transfer_syntax_uid=request.transfer_syntax_uid,
            served=self._askers.served(request.caller.aetitle),
        )
        sent = 0
        try:
            async with aclosing(self._pages(query)) as pages:
                async for page in pages:
                    most = len(page)
                    if self._limits.matches is not None:
                        most = self._limits.matches - sent
                    kept = page[:most]
                    sent += len(kept)
                    if kept:
                        yield kept
                    if len(kept) < len(page):
                        raise self._more_than_the_limit(request.model)
        except DatabaseUnavailable as error:
            who = request.caller.aetitle
            log.warning("A query of %s cannot be answered: %s", who, error)
            raise EndOfAnswers(
                Status.UNABLE_TO_PROCESS, "the database cannot be asked at the moment"
            ) from error
        told = counted(sent, "match", "matches") + ("" if sent else why_nothing(question, limits))
        log.info("C-FIND from %s: %s", request.caller.aetitle, told)

    def _more_than_the_limit(self, model: QueryModel) -> EndOfAnswers:
        if model is QueryModel.REPOSITORY:
            return EndOfAnswers(Status.RESPONSE_LIMIT)
        return EndOfAnswers(
            Status.OUT_OF_RESOURCES,
            f"more than {self._limits.matches} matches: narrow the query",
        )

    async def _pages(self, query: "_Query") -> AsyncGenerator[list[bytes], None]:
        level = HeldLevel(query.question.level)
        after, seen = await self._after(query), 0
        most = min(_CHUNK, self._limits.examined + 1) if query.plan.examined else _CHUNK
        while True:
            async with self._session(query.served) as session:
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
            async with aclosing(self._answered(query, _paged(found, first=not after))) as pages:
                async for page in pages:
                    yield page
            if len(found) < most:
                return
            after = found[-1]

    async def _answered(
        self, query: "_Query", pages: Iterator[Sequence[int]]
    ) -> AsyncGenerator[list[bytes], None]:
        """Yield the answers of pages of candidates: the next one is made while one is sent.

        Who does not read has no turn, and of an answer no more than two pages are kept for them.
        """

        async def answer(ids: Sequence[int]) -> list[bytes]:
            async with self._session(query.served) as session:
                facts = await query.facts(session, ids)
            answers: list[bytes] = []
            for begin in range(0, len(facts.rows), _AT_ONCE):
                async with self._pace.working(query.served):
                    answers += query.answers(facts, slice(begin, begin + _AT_ONCE))
                await asyncio.sleep(0)
            return answers

        coming: asyncio.Task[list[bytes]] | None = None
        try:
            for ids in pages:
                made = None if coming is None else await coming
                coming = asyncio.create_task(answer(ids), name="answer for a page of candidates")
                if made is not None:
                    yield made
            if coming is not None:
                yield await coming
        finally:
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.wait({coming})

    @asynccontextmanager
    async def _session(self, served: Served) -> AsyncIterator[AsyncSession]:
        """Open a session, in turn: others of the node need the database's connections, too."""
        async with (
            self._pace.working(served),
            self._turns.turn(served),
            self._database.session() as session,
        ):
            yield session

    async def _after(self, query: "_Query") -> int:
        """Return the key of the entity that a Prior Record Key is of; 0 without one."""
        prior = query.question.after
        if not prior:
            return 0
        level = HeldLevel(query.question.level)
        async with self._session(query.served) as session:
            key = await key_of_entity(session, level, prior, scopes=query.scopes)
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


class _Facts(NamedTuple):
    """What the index knows of some candidates, and of what is above them."""

    rows: Sequence[Described]
    above: Mapping[Level, Mapping[int, Below]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """One question, as it is put to the index."""

    question: Question
    plan: QueryPlan
    scopes: Sequence[AnswerScope]
    writer: AnswerWriter
    reader: EntityReader
    transfer_syntax_uid: str
    served: Served

    async def facts(self, session: AsyncSession, ids: Sequence[int]) -> "_Facts":
        """Return what the index knows of these candidates."""
        level = HeldLevel(self.question.level)
        rows = await described(session, level, ids, self.plan.wanted, scopes=self.scopes)
        ids_below = await self._meeting_below(session, rows)
        if ids_below is not None:
            rows = [row for row in rows if row.keys[level] in ids_below]
        above: dict[Level, Mapping[int, Below]] = {}
        for one in self.plan.counted_above:
            keys = {key for row in rows if (key := row.keys[one]) is not None}
            above[one] = await counts_of(session, HeldLevel(one), keys, scopes=self.scopes)
        if self.plan.sop_classes:
            keys = {key for row in rows if (key := row.keys[Level.STUDY]) is not None}
            found = await sop_classes_of(session, HeldLevel.STUDY, keys, scopes=self.scopes)
            known = above.get(Level.STUDY, {})
            above[Level.STUDY] = {
                key: known.get(key, Below())._replace(sop_classes=uids)
                for key, uids in found.items()
            }
        return _Facts(rows, above)

    def answers(self, facts: "_Facts", some: slice) -> list[bytes]:
        """Return the answers of some candidates: of those that match."""
        answers = []
        for row in facts.rows[some]:
            values = self.reader.values(row, facts.above)
            if is_match(self.question, self.plan, values, row.header):
                answers.append(self._written(values, row.header))
        return answers

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
        charsets = charsets_to_try(self.question.charset, own)
        if not self.question.others:
            return self.writer.best(values, *filter(None, (*charsets, UTF_8)))
        charset = self.writer.said_in(values, *charsets)
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
