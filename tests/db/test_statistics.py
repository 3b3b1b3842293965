"""What PostgreSQL knows of our tables while they grow from nothing, and how it reads them then."""

from datetime import datetime, timedelta

import pytest_asyncio
from sqlalchemy import text

from schema import Database, record_found
from schema.engine.postgresql.statistics import renew_statistics
from schema.finding.answer import StudyAnswer
from schema.hierarchy.sources import last_seen
from schema.tables.columns import utcnow
from tests.support.waiting import wait_until_async

DAY = datetime.fromisoformat("2024-01-01")


@pytest_asyncio.fixture
async def server(migrated_postgresql_url):
    async with Database(migrated_postgresql_url) as database:
        yield database


async def _found(db, batches, *, size=200):
    """Record studies in batches, over one connection; return how many there are then."""
    began = utcnow()
    async with db.session(write=True) as session:
        for batch in range(batches):
            numbers = range(batch * size, (batch + 1) * size)
            answers = [
                StudyAnswer(study_uid=f"1.2.{n}", study_date=DAY + timedelta(days=n % 500))
                for n in numbers
            ]
            await record_found(session, answers, peer="pacs", since=began)
            await session.commit()
    return batches * size


async def test_a_statement_is_planned_for_the_tables_as_they_are(server):
    await _found(server, 6)
    async with server.session() as session:
        for _ in range(10):  # from the sixth on, PostgreSQL might keep a plan
            await last_seen(session, ["1.2.3"], peer="pacs")
        plans = text(
            "SELECT sum(generic_plans), sum(custom_plans) >= 10 FROM pg_prepared_statements"
            " WHERE cardinality(parameter_types) > 0"
        )
        assert tuple((await session.execute(plans)).one()) == (0, True)


async def test_tables_that_have_changed_much_are_counted_anew_and_once(server):
    await _found(server, 6)

    async def renewed():
        names = await server.run(renew_statistics)
        return {"studies_find", "study_sources"} <= set(names)

    await wait_until_async(renewed)  # what a connection has changed is told with a delay
    assert await server.run(renew_statistics) == []
    async with server.session() as session:
        counted = text("SELECT reltuples FROM pg_class WHERE relname = 'studies_find'")
        assert (await session.execute(counted)).scalar_one() == 1200


async def test_sqlite_has_no_need_of_it(sqlite):
    await _found(sqlite, 6)
    assert await sqlite.run(renew_statistics) == []
