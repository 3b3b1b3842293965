"""No text is too long for a column, whatever index it is in: on both databases, and in a mirror."""

import random
import string
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, Column, Float, Integer, Table, Text, func, insert, select, text

from schema import Base, Database, Image, Quarantined, add_images
from schema.header.values import MAX_PATH
from schema.mirroring.once import mirror
from schema.quarantine import add_quarantined, quarantined_at
from schema.tables.columns import EncodedJSON, IndexedText
from schema.tables.ledger import QuarantineKind
from schema.tables.metadata import mirrored_tables
from tests.db.records import record

LENGTH = 10_000
_RANDOM = random.Random(36)


def long_text(start: str = "") -> str:
    """Return a text that cannot be compressed: PostgreSQL compresses before it measures."""
    letters = string.ascii_letters + string.digits + "äöü山田"
    return start + "".join(_RANDOM.choices(letters, k=LENGTH - len(start)))


def texts_of(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, Text | IndexedText)]


def least(table: Table, number: int) -> dict[str, Any]:
    """Return the least that a row needs, different for each number."""
    values: dict[str, Any] = {}
    for column in table.columns:
        if column.nullable or (column.primary_key and isinstance(column.type, Integer)):
            continue
        if isinstance(column.type, Text | IndexedText):
            values[column.name] = f"{column.name} {number}"
        elif column.name == "number":  # of something, hence another one in each row
            values[column.name] = number
        elif isinstance(column.type, Integer | Boolean):
            values[column.name] = 1 if isinstance(column.type, Integer) else False
        elif isinstance(column.type, EncodedJSON):
            values[column.name] = {}
        elif isinstance(column.type, Float):
            values[column.name] = 0.5
        else:
            values[column.name] = datetime(2024, 1, 2, tzinfo=UTC).replace(tzinfo=None)
    if table.name == "project_studies":
        values["study_uid"] = f"1.{number}"
    return values


async def test_each_column_of_each_table_takes_a_text_of_ten_thousand_characters(db: Database):
    beginning = long_text()[: LENGTH - 2]
    async with db.begin() as session:
        connection = await session.connection()
        await connection.execute(
            text("INSERT INTO projects (name, created_on) VALUES ('x', '2024-01-02 03:04:05')")
        )
        number = 0
        for table in Base.metadata.sorted_tables:
            for column in texts_of(table):
                two = [f"{beginning}.{ending}" for ending in "12"]
                for value in two:
                    number += 1
                    row = least(table, number) | {column.name: value}
                    if table.name == "project_studies" and column.name == "accession_number":
                        row["study_uid"] = None
                    await connection.execute(insert(table), row)
                where = f"{table.name}.{column.name}"
                for value in two:  # whoever has the whole of it finds it, and nothing else
                    query = select(column).where(column == value)
                    kept = (await connection.execute(query)).scalars().all()
                    assert len(kept) == 1, where
                    fits = isinstance(column.type, IndexedText)
                    assert kept == [column.type.fold(value) if fits else value], where
                    assert not fits or len(kept[0].encode()) <= MAX_PATH, where


async def test_each_long_text_of_another_writer_in_sqlite_comes_into_a_mirror_on_postgresql(
    migrated_sqlite_url, postgresql_url
):
    async with Database(migrated_sqlite_url) as source, Database(postgresql_url) as target:
        async with source.begin() as session:
            connection = await session.connection()
            await connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            for table in mirrored_tables():
                row = least(table, 1) | {one.name: long_text() for one in texts_of(table)}
                if table.name == "project_studies":
                    row["accession_number"] = None
                names = ", ".join(row)
                marks = ", ".join(f":{name}" for name in row)
                row = {k: str(v) if isinstance(v, datetime | dict) else v for k, v in row.items()}
                await connection.execute(
                    text(f"INSERT INTO {table.name} ({names}) VALUES ({marks})"), row
                )
        assert (await mirror(source, target)).equal
        assert (await mirror(source, target, check=True)).equal


async def test_an_object_whose_uid_has_six_thousand_characters_is_put_in_quarantine(db: Database):
    uid = long_text("1.2.")[:6000]
    async with db.begin() as session:
        row = await add_quarantined(
            session, filepath="/q/1", reason="why", kind=QuarantineKind.CONFLICT,
            sop_instance_uid=uid, study_uid=uid, source="ME" * 3000,
        )  # fmt: skip
    async with db.session() as session:
        query = select(Quarantined.id).where(Quarantined.sop_instance_uid == uid)
        assert (await session.scalars(query)).all() == [row]


async def test_a_path_that_no_index_holds_is_one_row_and_whole_in_the_reason(db: Database):
    path = "/" + long_text()
    assert len({await quarantine(db, path), await quarantine(db, path)}) == 1
    assert await quarantine(db, path[:-1]) != await quarantine(db, path)
    async with db.session() as session:
        assert await quarantined_at(session, [path, path + "x"]) == {path}
        (row,) = await session.scalars(select(Quarantined).where(Quarantined.filepath == path))
        assert row.reason == f"why; it is kept at {path}"


async def quarantine(db: Database, path: str) -> int:
    async with db.begin() as session:
        return await add_quarantined(
            session, filepath=path, reason="why", kind=QuarantineKind.STRAY
        )


async def test_records_made_by_hand_with_long_keys_are_indexed_once(db: Database):
    long = record(
        long_text("1."), series=long_text("2."), study=long_text("3."),
        patient_id=long_text("P"), institution=long_text("I"),
    )  # fmt: skip
    for inserted in (True, False):
        (added,) = await db.run(add_images, [long])
        assert added.inserted is inserted
    async with db.session() as session:
        image = await Image.by_uid(session, long.image_uid)
        assert image is not None
        assert image.id == added.id
        assert await session.scalar(select(func.count()).select_from(Image)) == 1


def test_what_fits_is_kept_as_it_is():
    fold = IndexedText().fold
    assert fold("1.2.3") == "1.2.3"
    assert fold(fold(long_text("1."))).startswith("1.")
    whole = long_text()
    assert fold(fold(whole)) == fold(whole)
