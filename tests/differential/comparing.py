"""What differs between the node's answers and another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from tests.differential.asking import Answer
from tests.differential.questions import Query

_COMPUTED = {
    "ModalitiesInStudy": "Modality",
    "SOPClassesInStudy": "SOPClassUID",
}


class Kind(Enum):
    """How two answers differ."""

    NODE_REFUSES = "the node refuses"
    OTHER_REFUSES = "the other refuses"
    OTHER_HAS_MORE = "only the other has"
    NODE_HAS_MORE = "only the node has"
    VALUE = "another value of"
    TWICE = "more than once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that the two say differently.

    Attributes
    ----------
    entity
        By its unique key; empty where the whole query is meant.
    keyword
        The attribute whose values differ.
    node, other
        What each says.
    """

    kind: Kind
    query: Query
    entity: str = ""
    keyword: str = ""
    node: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.kind.value} {self.keyword} {self.entity}: {self.node} {self.other}\n"
            f"    {self.query}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOf:
    """A key that asks for something, and what an entity has."""

    keyword: str
    key: tuple[str, ...]
    held: frozenset[tuple[str, ...]]
    above: bool
    below: bool


def differences(query: Query, node: Answer, other: Answer) -> Iterator[Difference]:
    """Yield all that differs between two answers to a query."""
    if node.refused or other.refused:
        if not (node.refused and other.refused):
            kind = Kind.NODE_REFUSES if node.refused else Kind.OTHER_REFUSES
            yield Difference(kind=kind, query=query, other=(node.refused or other.refused,))
        return
    for entity in node.matches.keys() - other.matches.keys():
        yield Difference(kind=Kind.NODE_HAS_MORE, query=query, entity=entity)
    for entity in other.matches.keys() - node.matches.keys():
        yield Difference(kind=Kind.OTHER_HAS_MORE, query=query, entity=entity)
    if sorted(node.twice) != sorted(other.twice):
        yield Difference(kind=Kind.TWICE, query=query, node=node.twice, other=other.twice)
    for entity in node.matches.keys() & other.matches.keys():
        ours, theirs = node.matches[entity], other.matches[entity]
        for keyword in query.keys:
            values = ours.get(keyword, ()), theirs.get(keyword, ())
            if values[0] != values[1]:
                yield Difference(
                    kind=Kind.VALUE,
                    query=query,
                    entity=entity,
                    keyword=keyword,
                    node=values[0],
                    other=values[1],
                )
