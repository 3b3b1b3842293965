"""Generated queries: the node answers as Orthanc does, but for what is known; and as a simulator.

`python -m tests.differential` asks more of them. What is known to differ, and the clause of the
standard that decides, is in `tests.differential.known`, and in docs/conformance.md.
"""

import logging
from pathlib import Path

import pytest
from pydicom.datadict import dictionary_VR
from sqlalchemy import select

from node.dicom.querying.levels import UNIQUE_KEYS
from node.dicom.querying.matching import NUMBER_VRS
from node.dicom.querying.model import IdentifierMismatch
from node.dicom.querying.question import read_question
from schema import Database, Image
from tests.differential.asking import ask
from tests.differential.documented import documented
from tests.differential.holdings import Holdings
from tests.differential.known import KNOWN
from tests.differential.programme import ask_node, orthanc_with, shrunk, verdict
from tests.differential.questions import draw_queries

IMAGES, QUERIES, SEED = 400, 300, 0
"""With these every difference that is known occurs."""

ON_POSTGRESQL = 3
"""Every which query; `make test-long` puts all of them to both databases."""

CONFORMANCE = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL)


@pytest.mark.peers
async def test_the_node_answers_as_orthanc_does_but_for_what_is_known(
    tmp_path, migrated_sqlite_url, migrated_postgresql_url
):
    """One Orthanc for both databases: it takes longer to start than to be asked."""
    holdings = Holdings(IMAGES, seed=SEED)
    queries = draw_queries(holdings.datasets, QUERIES, seed=SEED)
    with orthanc_with(holdings, tmp_path / "orthanc") as orthanc:
        other = await ask(orthanc, queries)
    for url, every in ((migrated_sqlite_url, 1), (migrated_postgresql_url, ON_POSTGRESQL)):
        async with Database(url) as db:
            await holdings.index(db)
            asked = queries[::every]
            said = verdict(holdings, asked, await ask_node(db, asked), other[::every])
        assert [str(difference) for difference in said.unknown] == []
        assert said.matches > 1000 / every
        assert every > 1 or [known.node for known in KNOWN if not said.known[known]] == []


@pytest.mark.peers
@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_more_queries_over_more_images_are_answered_as_by_orthanc(tmp_path, db):
    """`make differential-test` asks 2,000 over 20,000."""
    holdings = Holdings(5_000, seed=SEED + 1)
    await holdings.index(db)
    queries = draw_queries(holdings.datasets, 600, seed=SEED + 1)
    with orthanc_with(holdings, tmp_path / "orthanc") as orthanc:
        node, other = await ask_node(db, queries), await ask(orthanc, queries)
        said = verdict(holdings, queries, node, other)
        wrong = [str(await shrunk(one, holdings, db, orthanc)) for one in said.unknown[:5]]
    assert wrong == []
    assert said.matches > 5000


def test_what_is_known_to_differ_is_documented():
    assert documented() in CONFORMANCE.read_text(encoding="utf-8")


# The simulator's search over the same headers


async def test_the_index_answers_as_a_search_of_the_headers_does(
    migrated_sqlite_url, migrated_postgresql_url
):
    holdings = Holdings(200, seed=SEED)
    queries = draw_queries(holdings.datasets, 150, seed=SEED, known=True)
    for url, every in ((migrated_sqlite_url, 1), (migrated_postgresql_url, ON_POSTGRESQL)):
        async with Database(url) as db:
            await holdings.index(db)
            found = await search(holdings, db)
            answers = await ask_node(db, queries[::every])
        matches = 0
        for query, answer in zip(queries[::every], answers, strict=True):
            expected = found(query)
            assert (str(query), bool(answer.refused)) == (str(query), expected is None)
            assert (str(query), answer.matches) == (str(query), expected or {})
            matches += len(answer.matches)
        assert matches > 500 / every


async def search(holdings: Holdings, db: Database):
    async with db.session() as session:
        order = (await session.scalars(select(Image.image_uid).order_by(Image.id))).all()
    archive = holdings.archive(order)

    def found(query):
        try:
            question = read_question(query.model, query.identifier)
        except IdentifierMismatch:
            return None
        return {
            "".join(entity.get(UNIQUE_KEYS[query.level], ())): shown(entity, query.keys)
            for entity in archive.matching(question)
        }

    return found


def shown(entity, keywords):
    values = {}
    for keyword in keywords:
        texts = tuple(plain(keyword, text.strip(" \0")) for text in entity.get(keyword, ()))
        if any(texts):
            values[keyword] = texts
    return values


def plain(keyword, text):
    """Return a number without zeros before it: the index has it as a number."""
    return f"{float(text):g}" if dictionary_VR(keyword) in NUMBER_VRS and text else text
