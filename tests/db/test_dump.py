"""`dump_database`: files that say what the tables say, whatever the values are."""

import csv
import io
import re
import tracemalloc
from datetime import date, datetime, time
from pathlib import Path

import pandas as pd
import pyarrow.parquet
import pytest
from sqlalchemy import insert, select, text

from schema import Base, Database, Image, StudyFind, add_images
from schema.dumping.dump import dump_database
from schema.errors import UnknownTable
from schema.tables.statements import table_of
from tests.db.mirrors import HOSTILE, exact, fill
from tests.db.records import record


async def dump(db: Database, folder: Path, *tables: str, **options):
    async with db.session() as session:
        return await dump_database(session, folder, tables or None, **options)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


async def test_hostile_texts_are_read_back_as_they_are(db, tmp_path):
    await fill(db, 2)
    await dump(db, tmp_path, "studies_find")
    path = tmp_path / "studies_find.csv"
    assert [row["patient_name"] for row in read(path)] == list(HOSTILE)
    frame = pd.read_csv(path, keep_default_na=False, lineterminator=None)
    assert frame["patient_name"].to_list() == list(HOSTILE)


async def test_null_and_empty_text_are_told_apart(db, tmp_path):
    async with db.begin() as session:
        values = [{"study_uid": "1", "patient_id": None}, {"study_uid": "2", "patient_id": ""}]
        await session.execute(insert(table_of(StudyFind)), values)
    await dump(db, tmp_path, "studies_find")
    _, null, empty = (tmp_path / "studies_find.csv").read_bytes().splitlines()
    assert null.startswith(b"1,,,1,,")
    assert empty.startswith(b'2,,"",2,,')


async def test_dates_numbers_and_headers_are_written_as_everybody_reads_them(db, tmp_path):
    await fill(db, 3)
    await dump(db, tmp_path)
    image = read(tmp_path / "images.csv")[0]
    assert image["study_date"] == "2024-01-02 03:04:05.000001"
    assert image["acquisition_time"] == "23:59:59.999999"
    assert image["size"] == str(2**40 + 1)
    assert image["meta"] == ""
    assert read(tmp_path / "find_windows.csv")[0]["start_date"] == "2024-02-29"
    text_ = read(tmp_path / "images.csv")[1]["meta"]
    assert exact(text_)["00180050"]["Value"][:3] == [1, 1, 100]
    assert exact(text_)["00100010"]["Value"][0]["Alphabetic"] == 'Do"e\\^Jäne'


async def test_postgresql_copies_a_dump_back_without_loss(migrated_postgresql_url, tmp_path):
    async with Database(migrated_postgresql_url) as db:
        await fill(db, 3)
        await dump(db, tmp_path, "studies_find")
        async with db.begin() as session:
            await session.execute(text("CREATE TABLE again (LIKE studies_find INCLUDING DEFAULTS)"))
            raw = await (await session.connection()).get_raw_connection()
            await raw.driver_connection.copy_to_table(
                "again", source=tmp_path / "studies_find.csv", format="csv", header=True
            )
            difference = "SELECT * FROM studies_find EXCEPT SELECT * FROM again"
            assert (await session.execute(text(difference))).all() == []
            assert await session.scalar(text("SELECT count(*) FROM again")) == len(HOSTILE)


async def test_parquet_has_the_same_values_with_types(db, tmp_path):
    await fill(db, 3)
    await dump(db, tmp_path, fmt="parquet")
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == sorted(
        f"{name}.parquet" for name in Base.metadata.tables
    )
    found = pyarrow.parquet.read_table(tmp_path / "studies_find.parquet").to_pydict()
    assert found["patient_name"] == list(HOSTILE)
    assert found["retrieved_on"] == [None] * len(HOSTILE)
    image = pyarrow.parquet.read_table(tmp_path / "images.parquet").to_pylist()[0]
    assert image["study_date"] == datetime(2024, 1, 2, 3, 4, 5, 1)  # noqa: DTZ001
    assert image["acquisition_time"] == time(23, 59, 59, 999_999)
    window = pyarrow.parquet.read_table(tmp_path / "find_windows.parquet").to_pylist()[0]
    assert window["start_date"] == date(2024, 2, 29)


async def test_an_empty_table_is_a_file_with_a_header(db, tmp_path):
    for fmt in ("csv", "parquet"):
        files = await dump(db, tmp_path, "patients", fmt=fmt)
        assert [one.rows for one in files] == [0]
    assert len((tmp_path / "patients.csv").read_text().splitlines()) == 1
    assert pyarrow.parquet.read_table(tmp_path / "patients.parquet").num_rows == 0


async def test_safe_puts_an_apostrophe_before_formulas(sqlite, tmp_path):
    values = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "＝x", "＠x", " =x"]
    async with sqlite.begin() as session:
        rows = [
            {"study_uid": f"1.{number}", "patient_name": value, "priority": -1}
            for number, value in enumerate(values)
        ]
        await session.execute(insert(table_of(StudyFind)), rows)
    await dump(sqlite, tmp_path, "studies_find", safe=True)
    safe = read(tmp_path / "studies_find.csv")
    await dump(sqlite, tmp_path, "studies_find")
    plain = read(tmp_path / "studies_find.csv")
    assert [row["patient_name"] for row in safe] == [f"'{value}" for value in values]
    assert [row["patient_name"] for row in plain] == values
    assert [row["priority"] for row in safe] == ["-1"] * len(values)
    for protected, row in zip(safe, plain, strict=True):
        assert {**protected, "patient_name": row["patient_name"]} == row


async def test_nul_does_not_reach_the_file(migrated_sqlite_url, tmp_path):
    async with Database(migrated_sqlite_url) as db:
        async with db.begin() as session:
            await session.execute(insert(table_of(StudyFind)), {"study_uid": "a\0b"})
        await dump(db, tmp_path)
    assert read(tmp_path / "studies_find.csv")[0]["study_uid"] == "a\ufffdb"


async def test_an_unknown_table_is_a_value_error_that_lists_the_tables(db, tmp_path):
    with pytest.raises(UnknownTable, match=r"'image', 'x'.*images.*study_metadata") as caught:
        await dump(db, tmp_path / "new", "x", "image", "images")
    assert isinstance(caught.value, ValueError)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("options", [{"fmt": "xlsx"}, {"fmt": "parquet", "safe": True}])
async def test_options_that_mean_nothing_are_refused(migrated_sqlite_url, tmp_path, options):
    async with Database(migrated_sqlite_url) as db:
        with pytest.raises(ValueError, match=r"format|CSV"):
            await dump(db, tmp_path, **options)


async def test_views_are_dumped_when_they_are_named(db, tmp_path):
    await fill(db, 10)
    files = await dump(db, tmp_path, "study_metadata", "manufacturers", "project_members")
    assert [one.table for one in files] == ["study_metadata", "manufacturers", "project_members"]
    assert sum(int(row["image_count"]) for row in read(tmp_path / "study_metadata.csv")) == 10


async def test_the_current_folder_is_the_default(db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with db.session() as session:
        await dump_database(session, tables=["series"])
    assert (tmp_path / "series.csv").exists()


@pytest.mark.parametrize("begun", [False, True])
async def test_all_tables_are_as_they_were_at_one_moment(db, tmp_path, begun):
    await fill(db, 3)
    written = []

    def watch(table: str, _rows: int) -> None:
        if not written:
            db.sync.run(add_images, [record("new", series="new", study="new")])
        written.append(table)

    async with db.session() as session:
        if begun:
            await session.begin()
        files = await dump_database(session, tmp_path, watch=watch)
        assert session.in_transaction() == begun
    assert written[0] != "images"
    assert {one.table: one.rows for one in files}["images"] == 3
    assert {one.table: one.rows for one in files}["studies"] == 3
    files = await dump(db, tmp_path)
    assert {one.table: one.rows for one in files}["images"] == 4


async def test_a_dump_inside_a_transaction_sees_what_it_wrote(db, tmp_path):
    async with db.begin() as session:
        await add_images(session, [record("1")])
        files = await dump_database(session, tmp_path, ["images"])
        assert [one.rows for one in files] == [1]
        assert session.in_transaction()
    async with db.session() as session:
        assert len((await session.scalars(select(Image.id))).all()) == 1


async def test_a_dump_that_is_broken_off_leaves_the_last_one(db, tmp_path):
    await fill(db, 3)
    folder = tmp_path / "out"
    await dump(db, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    async with db.begin() as session:
        await add_images(session, [record("new", series="new", study="new")])

    def break_off(table: str, _rows: int) -> None:
        if table == "images":
            raise KeyError(table)

    with pytest.raises(KeyError):
        await dump(db, folder, watch=break_off)
    with pytest.raises(KeyError):
        await dump(db, folder, watch=break_off, fmt="parquet")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


async def test_a_statement_timeout_does_not_end_a_long_dump(migrated_postgresql_url, tmp_path):
    async with Database(migrated_postgresql_url, statement_timeout=0.3) as db:
        await fill(db, 3)
        async with db.begin() as session:
            await session.execute(
                text(
                    "CREATE OR REPLACE VIEW manufacturers AS SELECT manufacturer, count(*) AS"
                    " image_count FROM images, pg_sleep(0.4) GROUP BY manufacturer"
                )
            )
        files = await dump(db, tmp_path, "manufacturers")
        assert [one.rows for one in files] == [3]
        async with db.session() as session:
            assert await session.scalar(text("SHOW statement_timeout")) == "300ms"
            assert await session.scalar(text("SHOW transaction_isolation")) == "read committed"


async def test_memory_does_not_grow_with_the_rows(db, tmp_path):
    """Four times the rows, of 4 KB each, take no more memory: those of a page or two."""
    peaks = []
    for first, last in ((0, 600), (600, 2_400)):
        await add_wide_rows(db, first, last)
        tracemalloc.start()
        files = await dump(db, tmp_path, "studies_find")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert files[0].rows == last
    assert peaks[1] < peaks[0] + 4_000_000, peaks


async def test_parquet_is_written_a_row_group_at_a_time(migrated_sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setattr("schema.dumping.parquetfile._ROW_GROUP", 4_000_000)
    async with Database(migrated_sqlite_url) as db:
        await add_wide_rows(db, 0, 3_000)
        await dump(db, tmp_path, "studies_find", fmt="parquet")
    file = pyarrow.parquet.ParquetFile(tmp_path / "studies_find.parquet")
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [
        1_000,
        1_000,
        1_000,
    ]


async def add_wide_rows(db: Database, first: int, last: int) -> None:
    async with db.begin() as session:
        rows = [{"study_uid": f"1.{n}", "last_error": "x" * 4000} for n in range(first, last)]
        await session.execute(insert(table_of(StudyFind)), rows)


async def test_what_is_dumped_is_what_pandas_and_arrow_agree_on(db, tmp_path):
    await fill(db, 20)
    await dump(db, tmp_path, "images")
    await dump(db, tmp_path, "images", fmt="parquet")
    from_csv = pd.read_csv(tmp_path / "images.csv", parse_dates=["study_date"])
    from_parquet = pyarrow.parquet.read_table(tmp_path / "images.parquet").to_pandas()
    for name in ("id", "image_uid", "size"):
        assert from_csv[name].to_list() == from_parquet[name].to_list()
    assert from_csv["study_date"].to_list() == from_parquet["study_date"].to_list()


def test_the_line_ends_are_those_of_rfc_4180():
    from schema.dumping.csvfile import _line  # noqa: PLC0415

    line = _line(["a", '"b\nc"'])
    assert line.endswith("\r\n")
    assert next(csv.reader(io.StringIO(line, newline=""))) == ["a", "b\nc"]
    assert re.fullmatch(r'a,"b\nc"\r\n', line)
