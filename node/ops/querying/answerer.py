"""Who answers a question: a peer over an association, or over HTTP."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Protocol

from pydicom.dataset import Dataset

from node.config import PeerSettings
from node.dicom.asking.question import KeyedQuestion
from node.dicom.querying.levels import Level
from node.dicom.querying.model import QueryModel
from node.dicom.status import Status
from node.errors import PeerFailure, PeerRefused, UsageError
from node.net.dimse.contexts import Service
from node.net.dimse.identifiers import InvalidIdentifier, decoded_identifier
from node.net.messages import Peer
from node.net.scu.requestor import QueryExtension, ServiceUser, associate
from node.ops.finding.repository import PagedQueries
from node.ops.peers import peer_of, web_peer_of
from schema.text.words import counted

_WORDS = {
    "relational": "relational queries",
    "combined": "combined matching of dates and times",
    "fuzzy": "fuzzy matching of names",
}


HERE = "here"
"""What the node's own index is called where a peer is named, unless a peer has that name."""

INDEX = "index"
"""The operation of who is asked that is this node's own index."""


class Answerer(Protocol):
    """Who answers questions, for as long as it is open.

    Attributes
    ----------
    operation
        What is asked over it: C-FIND or QIDO-RS, or what else there is.
    refused
        What was proposed and not agreed to, in words.
    """

    operation: str
    refused: tuple[str, ...]

    def answers(self, identifier: Dataset, /) -> AsyncGenerator[Dataset, None]:
        """Yield each identifier that matches.

        Raises
        ------
        NodeError
            The answer is not whole; what was yielded before is a part of it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What of a peer is asked beside the question.

    Attributes
    ----------
    extension
        What the query may do beyond the baseline.
    repository
        Whether it is a Repository Query (PS3.4 C.6.4).
    """

    extension: QueryExtension = field(default_factory=QueryExtension)
    repository: bool = False


def answerer_of(
    settings: PeerSettings, question: KeyedQuestion, terms: Terms
) -> AbstractAsyncContextManager[Answerer]:
    """Return who answers a question at a peer: over DIMSE where it speaks that, else by QIDO-RS.

    Raises
    ------
    UsageError
        The question cannot be put over HTTP.
    """
    if settings.speaks_dimse:
        return _associated(peer_of(settings), question, terms)
    if why := _why_not_by_web(question, terms):
        raise UsageError(f"{settings.name} has a URL alone, where it is searched by QIDO-RS: {why}")
    return _web(settings)


@asynccontextmanager
async def _associated(
    peer: Peer, question: KeyedQuestion, terms: Terms
) -> AsyncIterator["_PeerAnswerer"]:
    service = Service.FIND
    if terms.repository:
        service = Service.REPOSITORY
    elif question.model is QueryModel.PATIENT_ROOT:
        service = Service.PATIENT_FIND
    extended = {service: terms.extension} if terms.extension else None
    async with associate(peer, service, extended=extended) as association:
        answerer = _PeerAnswerer(association, service, terms.extension)
        if "relational" in answerer.lacking and not _is_hierarchical(question):
            raise PeerRefused(
                f"{peer.name} does not agree to relational queries (PS3.4 C.5.1.1): name "
                f"{' and '.join(question.unique_above)}, and keys of the {question.level.name} "
                "level alone"
            )
        yield answerer


def _is_hierarchical(question: KeyedQuestion) -> bool:
    """Tell whether a question names the unique keys above its level."""
    named = {key.keyword for key in question.keys if key.values}
    return named.issuperset(question.unique_above)


class _PeerAnswerer:
    """An association for queries."""

    def __init__(
        self, association: ServiceUser, service: Service, extension: QueryExtension
    ) -> None:
        self._association = association
        self._service = service
        self.operation = "Repository Query" if service is Service.REPOSITORY else service.operation
        agreed = association.agreed(service, extension)
        self.lacking = tuple(_differing(extension, agreed))
        self.refused = tuple(_WORDS[name] for name in self.lacking)

    def answers(self, identifier: Dataset) -> AsyncGenerator[Dataset, None]:
        """See `Answerer.answers`."""
        if self._service is Service.REPOSITORY:
            return PagedQueries(self._association, cap=None).matches(identifier)
        return self._matches(identifier)

    async def _matches(self, identifier: Dataset) -> AsyncGenerator[Dataset, None]:
        """Yield each match as it came: a value that is none does not cost the others."""
        undecodable = 0
        found = self._association.matches(identifier, service=self._service)
        async with aclosing(found) as matches:
            async for one in matches:
                try:
                    yield await decoded_identifier(one.data, one.transfer_syntax, values=False)
                except InvalidIdentifier:
                    undecodable += 1
        if undecodable:
            raise PeerFailure(
                f"{self._association.peer.name}: {counted(undecodable, 'match', 'matches')} of the "
                f"{self.operation} could not be decoded",
                status=Status.UNABLE_TO_PROCESS,
            )


def _differing(proposed: QueryExtension, agreed: QueryExtension) -> Iterator[str]:
    for one in fields(QueryExtension):
        if getattr(proposed, one.name) and not getattr(agreed, one.name):
            yield one.name


@asynccontextmanager
async def _web(settings: PeerSettings) -> AsyncIterator["_WebAnswerer"]:
    # The HTTP library takes 0.2 s to load, which nobody waits for who asks by C-FIND.
    from node.net.qido.line import WebLine  # noqa: PLC0415

    peer = web_peer_of(settings)
    assert peer is not None, "a peer has an address or a URL"  # noqa: S101
    line = await WebLine(peer).get()
    try:
        yield _WebAnswerer(line.find)
    finally:
        await line.close()


class _Searches(Protocol):
    def __call__(self, identifier: Dataset, /) -> AsyncGenerator[Dataset, None]: ...


class _WebAnswerer:
    """A DICOMweb service."""

    operation = "QIDO-RS"
    refused: tuple[str, ...] = ()

    def __init__(self, search: _Searches) -> None:
        self._search = search

    def answers(self, identifier: Dataset) -> AsyncGenerator[Dataset, None]:
        """See `Answerer.answers`."""
        return self._search(identifier)


def _why_not_by_web(question: KeyedQuestion, terms: Terms) -> str:
    """Return why a question can only be put over DIMSE; "" where it can be put."""
    if terms.repository or terms.extension:
        return "Repository Query, relational, fuzzy and combined matching are asked of it by nobody"
    if question.model is QueryModel.PATIENT_ROOT or question.level is Level.PATIENT:
        return "it has studies, series and images, and no list of patients"
    if nested := [key.name for key in question.keys if len(key.path) > 1]:
        return f"{nested[0]} is within a sequence, which is not asked for there"
    return ""
