"""One run: the same images, the same queries, and a verdict on what the answers have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from node.dicom.querying.levels import UNIQUE_KEYS
from node.net.messages import Peer
from schema import Database
from tests.differential.asking import Answer, ask
from tests.differential.comparing import Difference, differences
from tests.differential.holdings import Holdings
from tests.differential.known import Known, explained
from tests.differential.questions import Query
from tests.support.answering import answering_node, peer_at
from tests.support.peers.orthanc import Orthanc

_UNLIMITED = {"limit": 1_000_000, "examine": 1_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What two archives said to the same queries.

    Attributes
    ----------
    differing
        How many of them were answered otherwise.
    known
        In how many each known difference shows.
    unknown
        One difference of each query that nothing explains.
    """

    queries: int
    matches: int
    differing: int = 0
    known: Counter[Known] = field(default_factory=Counter)
    unknown: Sequence[Difference] = ()


@contextmanager
def orthanc_with(holdings: Holdings, folder: Path) -> Any:
    """Start an Orthanc that holds the images, and yield how it is called."""
    # its answers are in UTF-8, so that nothing is lost in them, and have no end
    settings = {"DefaultEncoding": "Utf8", "LimitFindResults": 0, "LimitFindInstances": 0}
    with Orthanc(folder, settings=settings) as orthanc:
        orthanc.fill_encoded(image.file for image in holdings.images)
        assert orthanc.count_images() == len(holdings.images)
        yield Peer(
            name="orthanc",
            aetitle=orthanc.aetitle,
            host=orthanc.host,
            port=orthanc.port,
            calling_aetitle="VIEWER",
        )


async def ask_node(database: Database, queries: Sequence[Query]) -> list[Answer]:
    """Return what a node says that answers from this database."""
    async with answering_node(database, answer=_UNLIMITED) as node:
        return await ask(peer_at(node), queries)


def verdict(
    holdings: Holdings, queries: Sequence[Query], node: Sequence[Answer], other: Sequence[Answer]
) -> Verdict:
    """Compare the answers, and see what is known."""
    known: Counter[Known] = Counter()
    unknown = []
    differing = 0
    for query, ours, theirs in zip(queries, node, other, strict=True):
        shown: set[Known] = set()
        unexplained = []
        for difference in differences(query, ours, theirs):
            reasons = explained(difference, holdings)
            shown.update(reasons)
            if not reasons:
                unexplained.append(difference)
        differing += bool(shown or unexplained)
        known.update(shown)
        unknown += unexplained[:1]
    return Verdict(
        queries=len(queries),
        matches=sum(len(answer.matches) for answer in node),
        differing=differing,
        known=known,
        unknown=unknown,
    )


async def shrunk(
    difference: Difference, holdings: Holdings, database: Database, other: Peer
) -> Difference:
    """Leave out keys as long as something stays unexplained."""
    query = difference.query
    unique = UNIQUE_KEYS.values()
    for keyword in [keyword for keyword in query.keys if keyword not in unique]:
        keys = {k: v for k, v in query.keys.items() if k != keyword}
        fewer = [replace(query, keys=keys)]
        said = verdict(holdings, fewer, await ask_node(database, fewer), await ask(other, fewer))
        if said.unknown:
            (difference,) = said.unknown
            query = difference.query
    return difference
