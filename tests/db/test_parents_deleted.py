"""Another session deletes studies while images are put under them, on PostgreSQL.

SQLite has one writer at a time: there nothing can be deleted in between.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from schema import (
    Database,
    DatabaseUnavailable,
    Image,
    Patient,
    Series,
    Study,
    add_images,
    record_found,
)
from schema.engine.retry import retrying
from schema.hierarchy import parents
from schema.parsing.index import IndexSink
from schema.parsing.report import Verdict
from tests.db.records import finding, record
from tests.support.waiting import wait_until_async

EVERYTHING = ("images", "series", "studies", "studies_find", "patients")


@pytest.fixture
async def db(migrated_postgresql_url: str) -> AsyncIterator[Database]:
    """Return an initialised database on PostgreSQL."""
    async with Database(migrated_postgresql_url, pool_size=30) as database:
        yield database


async def deleted(db: Database, *tables: str) -> None:
    async with db.begin() as session:
        for table in tables:
            await session.execute(text(f"DELETE FROM {table}"))


def after_first(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, then: Callable[[], Awaitable[None]]
) -> None:
    """Let something happen when a function has returned for the first time."""
    function = getattr(where, name)
    waiting = [then]

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = await function(*args, **kwargs)
        while waiting:
            await waiting.pop()()
        return result

    monkeypatch.setattr(where, name, wrapped)


@pytest.mark.parametrize(
    ("step", "before", "gone"),
    [
        ("schema.images.resolve_parents", ("images",), "series"),
        ("schema.hierarchy.parents._complete_studies", ("images", "series"), "studies"),
        ("schema.hierarchy.parents._resolve_patients", ("images", "series", "studies"), "patients"),
        ("schema.hierarchy.parents._select_found", ("images",), "studies_find"),
    ],
)
async def test_an_image_whose_parent_is_deleted_while_it_is_inserted_gets_a_new_one(
    db, monkeypatch, step, before, gone
):
    image = record("a", series="1.1.9", study="1.9")
    async with db.begin() as session:
        await add_images(session, [image])
    await deleted(db, *before)
    if gone == "studies_find":
        async with db.begin() as session:
            await record_found(session, [finding("1.9")], peer="pacs")
            await session.execute(text("UPDATE studies SET study_find_id = NULL"))
    module, _, name = step.rpartition(".")
    after_first(monkeypatch, import_module(module), name, lambda: deleted(db, gone))
    assert await IndexSink(db).add([image]) == [Verdict.INDEXED]
    async with db.session() as session:
        query = select(func.count()).select_from(Image).join(Image.series).join(Series.study)
        assert await session.scalar(query.join(Study.patient)) == 1


async def test_writers_go_on_while_another_session_deletes_all_studies_again_and_again(db):
    done = asyncio.Event()
    writers = 6

    async def write(writer: int) -> None:
        order = random.Random(writer)
        for turn in range(8):
            # The same series under other studies, of other patients, in another order each.
            images = [
                record(
                    f"{turn}.{writer}.{n}",
                    series=f"{turn}.{n}",
                    study=f"{turn}.{(n + writer) % 4}",
                    patient_id=f"P{(n * writer) % 3}",
                )
                for n in range(6)
            ]
            order.shuffle(images)
            added = await retrying(db, lambda session, images=images: add_images(session, images))
            assert len(added) == 6
            identifiers = [finding(f"{turn}.{n}") for n in range(4)]
            order.shuffle(identifiers)
            await retrying(
                db, lambda session, found=identifiers: record_found(session, found, peer="pacs")
            )

    async def delete() -> int:
        times = 0
        while not done.is_set():
            try:
                await deleted(db, *EVERYTHING)
                times += 1
            except (DatabaseUnavailable, DBAPIError):
                pass  # children came in between: as for anybody who deletes by hand
            await asyncio.sleep(0.01)
        return times

    async with asyncio.timeout(60):
        deleting = asyncio.create_task(delete())
        try:
            await asyncio.gather(*map(write, range(writers)))
        finally:
            done.set()
        assert await deleting > 0


async def test_parents_that_vanish_and_come_back_are_not_inserted_out_of_order(db, monkeypatch):
    """A second round would insert A behind B, while another session has A and waits for B."""
    other: list[asyncio.Task[None]] = []
    insert_new = parents.insert_new

    async def insert_patients(names: Iterable[str]) -> None:
        async with db.begin() as session:
            for name in names:
                await session.execute(
                    text("INSERT INTO patients (patient_id) VALUES (:name)"
                         " ON CONFLICT DO NOTHING"),
                    {"name": name},
                )  # fmt: skip

    async def contended(session: Any, table: Any, rows: Any, **options: Any) -> Any:
        if table.name != "patients" or other:
            return await insert_new(session, table, rows, **options)
        await insert_patients("A")  # somebody was quicker,
        returned = await insert_new(session, table, rows, **options)
        await deleted(db, "patients")  # it is deleted again,
        other.append(asyncio.create_task(insert_patients("AB")))  # and a third brings both
        await wait_until_async(lambda: waits_for_a_lock(db))
        return returned

    monkeypatch.setattr(parents, "insert_new", contended)
    images = [
        record(f"1.{n}", series=f"2.{n}", study=f"3.{n}", patient_id=name)
        for n, name in enumerate("AB")
    ]
    with pytest.raises(DatabaseUnavailable, match="rows were removed") as caught:
        async with db.begin() as session:
            await add_images(session, images)
    assert caught.value.conflict
    await other[0]  # it has lost nothing
    await db.run(add_images, images)
    async with db.session() as session:
        assert await session.scalar(select(func.count()).select_from(Patient)) == 2
        assert await session.scalar(select(func.count()).select_from(Study)) == 2


async def waits_for_a_lock(db: Database) -> bool:
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with db.session() as session:
        return bool(await session.scalar(query))
