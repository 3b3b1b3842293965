"""The queries put to an archive, over one association, and its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from pydicom.datadict import tag_for_keyword

from node.dicom.querying.header import texts_of
from node.dicom.querying.model import QueryModel
from node.errors import NodeError
from node.net.dimse.contexts import PATIENT_ROOT_FIND, Service
from node.net.messages import Peer
from node.net.scu.requestor import associate
from node.net.scu.service_user import ServiceUser
from schema.header.dicomjson import read_header
from schema.header.header import Header
from tests.differential.questions import SEQUENCE, Query

Values = Mapping[str, tuple[str, ...]]
"""Of an entity, by keyword; what has none is left out."""

EXPLICIT = "1.2.840.10008.1.2.1"

_SERVICES: Mapping[QueryModel, Any] = {
    QueryModel.STUDY_ROOT: Service.FIND,
    # the node itself asks in Study Root only
    QueryModel.PATIENT_ROOT: SimpleNamespace(value=PATIENT_ROOT_FIND, operation="C-FIND"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query was answered with.

    Attributes
    ----------
    matches
        By the unique key of the query's level.
    refused
        The words in which the query failed; empty when it did not.
    twice
        Unique keys that came more than once.
    """

    matches: Mapping[str, Values] = field(default_factory=dict)
    refused: str = ""
    twice: tuple[str, ...] = ()


async def ask(peer: Peer, queries: Sequence[Query]) -> list[Answer]:
    """Ask all of them, one after the other."""
    async with associate(
        peer, Service.FIND, storage=[(PATIENT_ROOT_FIND, EXPLICIT)]
    ) as association:
        return [await _answer(association, query) for query in queries]


async def _answer(association: ServiceUser, query: Query) -> Answer:
    matches: dict[str, Values] = {}
    twice = []
    try:
        service = _SERVICES[query.model]
        async for encoded in association.matches(query.identifier, service=service):
            header = read_header(encoded.data, encoded.transfer_syntax)
            unique = unique_of(header, query.unique)
            if unique in matches:
                twice.append(unique)
            matches[unique] = values_of(header, query.keys)
    except NodeError as error:
        return Answer(refused=str(error))
    return Answer(matches=matches, twice=tuple(twice))


def unique_of(header: Header, keyword: str) -> str:
    """Return a unique key as it is, but for the padding behind it."""
    return "".join(texts_of(header.attributes.get(_tag(keyword)))).rstrip(" \0")


def values_of(header: Header, keywords: Iterable[str]) -> Values:
    """Return the values of some attributes, without the padding around them."""
    found = {keyword: texts_by_tag(header, keyword) for keyword in keywords}
    return {keyword: texts for keyword, texts in found.items() if texts}


def texts_by_tag(header: Header, keyword: str, around: str = " \0") -> tuple[str, ...]:
    """Return the values of an attribute without what is around them; none if all are empty."""
    attribute = header.attributes.get(_tag(keyword))
    if keyword == SEQUENCE:
        texts = tuple(str(_item(item)) for item in (attribute or {}).get("Value", ()))
    else:
        texts = tuple(text.strip(around) for text in texts_of(attribute))
    if keyword in ("ModalitiesInStudy", "SOPClassesInStudy"):
        texts = tuple(sorted(texts))
    return texts if any(texts) else ()


def _item(item: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {tag: texts for tag, value in item.items() if any(texts := texts_of(value))}


@lru_cache
def _tag(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    return f"{tag or 0:08X}"
