"""Two sessions side by side see the database as it was at one moment."""

import pytest
from sqlalchemy import func, select, text

from schema import Database, StudyFind
from schema.accounting.moment import side_by_side

COUNT = select(func.count()).select_from(StudyFind)


async def add(db, uid: str) -> None:
    async with db.begin() as session:
        session.add(StudyFind(study_uid=uid))


async def test_what_is_written_meanwhile_is_in_neither(db):
    await add(db, "1.1")
    async with side_by_side(db) as (one, other):
        assert one is not other
        await add(db, "1.2")
        assert (await one.scalar(COUNT), await other.scalar(COUNT)) == (1, 1)
        await add(db, "1.3")
        assert (await other.scalar(COUNT), await one.scalar(COUNT)) == (1, 1)
    async with side_by_side(db) as (one, other):
        assert (await other.scalar(COUNT), await one.scalar(COUNT)) == (3, 3)


@pytest.mark.parametrize("writes", [1, 100])
async def test_what_is_written_while_they_begin_is_in_both_or_there_is_one(
    sqlite, monkeypatch, writes
):
    left = writes

    async def written(session, statement, *args, **kwargs):
        nonlocal left
        if left and "studies_find" in str(statement):
            left -= 1
            await add(sqlite, f"1.{left}")
        return await execute(session, statement, *args, **kwargs)

    async with side_by_side(sqlite) as (one, _):
        session = type(one)
    execute = session.execute
    monkeypatch.setattr(session, "execute", written)
    async with side_by_side(sqlite) as (one, other):
        assert (one is other) == (writes > 1)
        monkeypatch.undo()
        assert await one.scalar(COUNT) == await other.scalar(COUNT) == writes - left
        await add(sqlite, "2.1")
        assert await one.scalar(COUNT) == await other.scalar(COUNT) == writes - left


async def test_a_database_in_memory_has_one_session():
    async with Database("sqlite://") as db:
        await db.initialize()
        async with side_by_side(db) as (one, other):
            assert one is other
            assert await one.scalar(text("SELECT 1")) == 1
