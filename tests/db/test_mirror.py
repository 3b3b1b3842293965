"""`mirror` and `follow`: one database like another, in all four directions."""

import asyncio
import itertools
import json
import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from schema import (
    Database,
    DatabaseUnavailable,
    Image,
    SchemaMissing,
    StudyFind,
    add_image,
    add_images,
)
from schema.errors import MirrorFailed, MirrorRefused, SchemaBehind
from schema.mirroring.canonical import Canonical, canonical_json
from schema.mirroring.compare import Comparison, pages
from schema.mirroring.follow import follow
from schema.mirroring.identity import last_key
from schema.mirroring.once import mirror
from schema.mirroring.target import remove, upsert
from schema.tables.ledger import DatabaseIdentity
from schema.tables.metadata import mirrored_tables
from schema.tables.statements import table_of
from tests.db.mirrors import contents, fill
from tests.db.records import header, record

DIRECTIONS = [
    (source, target) for source in ("sqlite", "postgresql") for target in ("sqlite", "postgresql")
]


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    """Let a few rows be many pages."""
    monkeypatch.setattr("schema.mirroring.compare.PAGE", 50)
    monkeypatch.setattr("schema.mirroring.round.PAGE", 50)


@pytest.fixture
def make_url(request, databases, sqlite_template):
    """Return the function that makes the URL of a database that has nothing yet, or its schema."""
    dropped = []

    def make(kind: str, name: str, *, migrated: bool = False) -> str:
        if kind == "sqlite":
            path = Path(folder, name, "node.db")
            if migrated:
                path.parent.mkdir()
                shutil.copy(sqlite_template, path)
            return f"sqlite:///{path}"
        server = request.getfixturevalue("postgresql")
        template = request.getfixturevalue("postgresql_template") if migrated else "template1"
        dropped.append((server, server.create_database(template)))
        return server.url(dropped[-1][1])

    with TemporaryDirectory(dir=databases, ignore_cleanup_errors=True) as folder:
        yield make
    for server, name in dropped:
        server.drop_database(name)


def between(*directions: tuple[str, str]):
    """Let a test have its pair between these kinds of databases only."""
    return pytest.mark.parametrize("pair", directions, indirect=True, ids=" to ".join)


ONE_OF_EACH = between(("sqlite", "postgresql"), ("postgresql", "sqlite"))
INTO_EACH = between(("sqlite", "sqlite"), ("sqlite", "postgresql"))
FROM_EACH = between(("sqlite", "sqlite"), ("postgresql", "sqlite"))


@asynccontextmanager
async def two_databases(make_url, directions, *, migrated: bool = True):
    async with AsyncExitStack() as stack:
        first, second = directions
        urls = make_url(first, "a", migrated=True), make_url(second, "b", migrated=migrated)
        source, target = [await stack.enter_async_context(Database(url)) for url in urls]
        if migrated:  # each has an identity of its own, which the copy of a database has not
            async with target.begin() as session:
                await session.execute(update(DatabaseIdentity).values(id=f"{1:032}"))
        yield source, target


@pytest.fixture(params=DIRECTIONS, ids=" to ".join)
async def pair(request, make_url):
    """Return a source and a target, both with their schema and without rows."""
    async with two_databases(make_url, request.param) as both:
        yield both


@pytest.fixture(params=DIRECTIONS, ids=" to ".join)
async def pair_anew(request, make_url):
    """Return a source with its schema, and a target that has nothing."""
    async with two_databases(make_url, request.param, migrated=False) as both:
        yield both


@pytest.fixture
async def small(make_url):
    """Return a pair on SQLite, where the database makes no difference."""
    async with two_databases(make_url, ("sqlite", "sqlite")) as both:
        yield both


@pytest.fixture
async def into_postgresql(make_url):
    """Return a source on SQLite, which holds more than its target on PostgreSQL can."""
    async with two_databases(make_url, ("sqlite", "postgresql")) as both:
        yield both


def done(report) -> dict[str, tuple[int, int, int]]:
    """Return what was inserted, updated and deleted, of tables where anything was."""
    counts = {
        table.table: (table.inserted, table.updated, table.deleted) for table in report.tables
    }
    return {name: count for name, count in counts.items() if any(count)}


async def test_a_mirror_has_every_row_as_it_is_and_a_second_run_writes_nothing(pair_anew):
    source, target = pair_anew
    await fill(source, images=103)
    report = await mirror(source, target)
    assert report.equal
    assert [table.table for table in report.tables] == [table.name for table in mirrored_tables()]
    assert all(table.source_rows == table.target_rows > 0 for table in report.tables)
    assert await contents(target) == await contents(source)
    again = await mirror(source, target)
    assert again.equal
    assert done(again) == {}
    assert [table.source_digest for table in again.tables] == [
        table.target_digest for table in report.tables
    ]


async def test_what_was_changed_or_deleted_at_the_source_is_so_in_the_mirror(pair):
    source, target = pair
    await fill(source, images=40)
    await mirror(source, target)
    async with source.begin() as session:
        await session.execute(update(StudyFind).where(StudyFind.id == 2).values(state="partial"))
        await session.execute(update(Image).where(Image.id == 7).values(filepath="/elsewhere"))
        await session.execute(update(Image).where(Image.id == 8).values(meta={"a": [1.5]}))
        await session.execute(text("DELETE FROM images WHERE study_uid = '1.3'"))
        await session.execute(text("DELETE FROM series WHERE series_uid = '1.1.3'"))
        await session.execute(text("DELETE FROM studies WHERE study_uid = '1.3'"))
        await add_images(session, [record("new", series="new", study="new")])
    checked = await mirror(source, target, check=True)
    assert not checked.equal
    assert done(checked) == {}
    assert {table.table for table in checked.tables if not table.equal} == {
        "studies_find",
        "studies",
        "series",
        "images",
    }
    report = await mirror(source, target)
    assert report.equal
    assert done(report) == {
        "studies_find": (0, 1, 0),
        "studies": (1, 0, 1),
        "series": (1, 0, 1),
        "images": (1, 2, 6),
    }
    assert (await mirror(source, target, check=True)).equal


@ONE_OF_EACH
async def test_ids_and_keys_that_were_given_anew_do_not_stop_a_mirror(pair):
    source, target = pair
    await fill(source, images=14)
    await mirror(source, target)
    table = table_of(StudyFind)
    async with source.begin() as session:
        await session.execute(delete(StudyFind).where(StudyFind.id.in_([1, 2, 3])))
        await session.execute(
            insert(table),
            [
                {"id": 1, "study_uid": "9.1"},
                {"id": 2, "study_uid": "9.0"},
                {"id": 3, "study_uid": "another"},
                {"id": 99, "study_uid": "9.2"},
            ],
        )
    report = await mirror(source, target)
    assert report.equal
    assert done(report) == {"studies_find": (1, 3, 0)}
    assert (await contents(target))["studies_find"] == (await contents(source))["studies_find"]


@INTO_EACH
async def test_images_can_be_added_to_a_mirror_that_becomes_the_original(pair):
    source, target = pair
    await fill(source, images=5)
    await mirror(source, target)
    async with target.begin() as session:
        image = await add_image(session, header("7.7"))
        assert image is not None
        assert image.id == 6
    with pytest.raises(MirrorRefused, match="table images has a row"):
        await mirror(source, target)
    async with target.session() as session:
        assert await session.scalar(select(func.count(Image.id))) == 6


async def test_a_target_with_other_rows_is_refused_and_keeps_them(small):
    source, target = small
    await fill(source, images=5)
    async with target.begin() as session:
        await add_images(session, [record("other", patient_id="somebody")])
    before = await contents(target)
    with pytest.raises(MirrorRefused, match=r"is no mirror of .*Nothing was changed"):
        await mirror(source, target)
    assert await contents(target) == before
    with pytest.raises(MirrorRefused):  # the two in the wrong order, and the source is empty
        async with target.begin() as session:
            await session.execute(delete(Image))
        await mirror(target, source)
    assert len((await contents(source))["images"]) == 5


async def test_a_copy_without_marks_is_accepted_when_its_rows_are_the_sources(small):
    source, target = small
    await fill(source, images=20)
    await mirror(source, target)
    async with target.begin() as session:
        await session.execute(text("DROP TABLE mirror_marks"))
        await session.execute(delete(Image).where(Image.id > 10))
        await session.execute(update(Image).where(Image.id == 3).values(filepath="/old"))
    report = await mirror(source, target)
    assert report.equal
    assert done(report) == {"images": (10, 1, 0)}


@FROM_EACH
async def test_nothing_is_mirrored_into_itself(pair, tmp_path):
    source, _ = pair
    async with Database(source.url) as same:
        with pytest.raises(MirrorRefused, match="the same database"):
            await mirror(source, same)
    if source.path is not None:
        link = tmp_path / "link.db"
        link.symlink_to(source.path)
        async with Database(f"sqlite:///{link}") as same:
            with pytest.raises(MirrorRefused, match="the same database"):
                await mirror(source, same)


async def test_both_need_the_schema_of_this_version(make_url, small):
    source, _ = small
    async with Database(make_url("sqlite", "nothing")) as target:
        await both_need_the_schema(source, target)


async def both_need_the_schema(source, target):
    with pytest.raises(SchemaMissing):
        await mirror(source, target, check=True)
    assert target.path is not None
    assert not target.path.exists()
    await mirror(source, target)
    async with target.begin() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(SchemaBehind, match=r"db upgrade.*DICOM_NODE__STORAGE__RESOURCES"):
        await mirror(source, target)
    with pytest.raises(SchemaBehind):
        await mirror(target, source)


async def test_what_postgresql_cannot_hold_is_replaced_on_the_way(into_postgresql):
    source, target = into_postgresql
    async with source.begin() as session:
        await session.execute(
            insert(table_of(Image)),
            {"image_uid": "1", "source": "a\0b", "meta": '{"a": ["\\u0000\\ud800", NaN, 1]}'},
        )
    report = await mirror(source, target)
    assert report.equal
    async with target.session() as session:
        image = (await session.scalars(select(Image))).one()
    assert image.source == "a\ufffdb"
    assert image.meta == {"a": ["\ufffd\ufffd", None, 1]}
    assert done(await mirror(source, target)) == {}


async def test_replacing_what_postgresql_cannot_hold_leaves_all_numbers_as_they_are(
    into_postgresql,
):
    digits = "123456789012345678901234567890"
    meta = (
        f'{{"nul\\u0000": "\\\\u0000 \\"NaN\\" Infinity \\ud83d\\ude00 \\uDead", "large": {digits},'
        f' "exact": 0.{digits}, "tiny": 1e-400, "words": [NaN, -Infinity, Infinity]}}'
    )
    source, target = into_postgresql
    async with source.begin() as session:
        await session.execute(insert(table_of(Image)), {"image_uid": "1", "meta": meta})
    assert (await mirror(source, target)).equal
    async with target.session() as session:
        written = await session.scalar(text("SELECT CAST(meta AS text) FROM images"))
    assert f'"large": {digits}' in written
    assert f'"exact": 0.{digits}' in written
    kept = json.loads(written)
    assert kept["nul\ufffd"] == '\\u0000 "NaN" Infinity \U0001f600 \ufffd'
    assert kept["words"] == [None, None, None]
    assert done(await mirror(source, target)) == {}


async def test_rows_that_the_target_does_not_take_are_an_error_without_their_values(
    into_postgresql,
):
    source, target = into_postgresql
    async with source.begin() as session:
        await session.execute(
            text("INSERT INTO studies (study_uid, patient_age) VALUES ('1', 12345678901)")
        )
    with pytest.raises(MirrorFailed, match="the rows 1 to 1 of studies") as caught:
        await mirror(source, target)
    assert "12345678901" not in str(caught.value)


async def test_json_that_is_none_is_an_error_that_names_the_table(into_postgresql):
    source, target = into_postgresql
    async with source.begin() as session:
        await session.execute(insert(table_of(Image)), {"image_uid": "1", "meta": '{"Doe": '})
    with pytest.raises(MirrorFailed, match="the table images has a row near number 1") as caught:
        await mirror(source, target)
    assert "Doe" not in str(caught.value)


async def test_a_mirror_that_was_broken_off_goes_on_where_it_stopped(small):
    source, target = small
    await fill(source, images=203)

    def break_off(table: str, _rows: int) -> None:
        if table == "images":
            raise KeyError

    with pytest.raises(KeyError):
        await mirror(source, target, watch=break_off)
    report = await mirror(source, target)
    assert report.equal
    # what names an image went with those that were begun anew
    assert done(report) == {"images": (153, 0, 0), "repeated_arrivals": (1, 0, 0)}


@FROM_EACH
async def test_one_snapshot_of_a_source_that_is_written_meanwhile_is_mirrored(pair):
    source, target = pair
    await fill(source, images=10)
    tables: list[str] = []

    def watch(table: str, _rows: int) -> None:
        if not tables:
            source.sync.run(add_images, [record("new", series="new", study="new")])
        tables.append(table)

    report = await mirror(source, target, watch=watch)
    assert report.equal
    assert tables[0] != "studies"
    assert {table.table: table.target_rows for table in report.tables}["images"] == 10
    assert done(await mirror(source, target)) == {
        "studies": (1, 0, 0),
        "series": (1, 0, 0),
        "images": (1, 0, 0),
    }


@ONE_OF_EACH
async def test_following_brings_what_is_new_changed_and_deleted(pair):
    source, target = pair
    await fill(source, images=30)
    stop = asyncio.Event()
    rounds = []
    steps = itertools.count()

    async def change(step: int) -> None:
        async with source.begin() as session:
            if step == 0:
                await add_images(session, [record("new", series="new", study="new")])
            elif step == 1:
                await session.execute(update(StudyFind).values(state="empty"))
            elif step == 2:
                await session.execute(delete(Image).where(Image.id.in_([4, 5])))
            elif sum(one.deleted for one in rounds) == 2:  # a round may have begun before
                stop.set()

    changes: list[asyncio.Task[None]] = []

    def watch(one) -> None:
        rounds.append(one)
        if not changes or changes[-1].done():
            changes.append(asyncio.create_task(change(next(steps))))

    await asyncio.wait_for(
        follow(source, target, stop=stop, interval=0.01, watch=watch), timeout=60
    )
    await asyncio.gather(*changes)
    assert rounds[0].report is not None
    assert rounds[0].report.equal
    assert sum(one.inserted for one in rounds[1:]) == 3
    assert sum(one.deleted for one in rounds) == 2
    assert await contents(target) == await contents(source)


async def test_following_waits_for_a_database_that_is_away(small):
    source, target = small
    await fill(source, images=3)
    assert source.path is not None
    stop = asyncio.Event()
    errors: list[DatabaseUnavailable] = []
    rounds = []
    content = source.path.read_bytes()

    def trouble(error: DatabaseUnavailable, seconds: float) -> None:
        assert seconds == 1.0
        errors.append(error)
        Path(source.path).write_bytes(content)

    def watch(one) -> None:
        rounds.append(one)
        stop.set()

    await source.dispose()
    for name in ("-wal", "-shm"):
        Path(f"{source.path}{name}").unlink(missing_ok=True)
    content = source.path.read_bytes()
    source.path.write_bytes(b"not a database" * 1000)
    await asyncio.wait_for(
        follow(source, target, stop=stop, interval=0.01, watch=watch, trouble=trouble), timeout=60
    )
    assert len(errors) == 1
    assert rounds[0].report.equal


async def test_a_key_of_several_columns_is_compared_in_one_order(
    postgresql_url, migrated_sqlite_url
):
    table = Table(
        "composite",
        MetaData(),
        Column("name", Text, primary_key=True),
        Column("number", Integer, primary_key=True),
        Column("value", Text),
    )
    rows = [(name, number, "v") for name in ("a", "B", "ä", "Z", "_") for number in range(40)]
    async with (
        Database(postgresql_url) as one,
        Database(migrated_sqlite_url) as other,
    ):
        async with one.begin() as session, other.begin() as session_:
            source, target = await session.connection(), await session_.connection()
            for connection in (source, target):
                await connection.run_sync(table.create)
            await upsert(source, table, rows)
            await upsert(target, table, [*rows[:150], ("x", 1, "v")])
        async with one.engine.connect() as source, other.engine.connect() as target:
            comparison = Comparison()
            async for page in pages(source, target, table):
                comparison.add(page, Canonical(table, exact=False))
            assert await last_key(source, table) == ("ä", 39)
        assert (comparison.source_rows, comparison.target_rows) == (200, 151)
        assert (comparison.missing, comparison.different, comparison.excess) == (50, 0, 1)
        async with other.begin() as session:
            await remove(await session.connection(), table, [("x", 1)])
            assert await session.scalar(select(func.count()).select_from(table)) == 150


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.0", "1"),
        ("1e2", "100"),
        ("-0.0", "0"),
        ("1e400", "1" + "0" * 400),
        ("1e5000", "1" + "0" * 5000),
        ("1e-7", "0.0000001"),
        ("1.2345678901234568e+29", "123456789012345680000000000000"),
        ("0.12345678901234567890", "0.1234567890123456789"),
        ('{"a":1,"b":2}', '{"b": 2.00, "a": 1}'),
        ('{"a":1,"a":2}', '{"a": 2}'),
        (r'"\u00e4\/"', '"ä/"'),
    ],
)
def test_json_that_means_the_same_has_one_canonical_form(one, other):
    assert canonical_json(one) == canonical_json(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", '"1"'),
        ("1", "true"),
        ("0", "false"),
        ("9007199254740993", "9007199254740992"),
        ("0.12345678901234567", "0.12345678901234568"),
        ("1e-400", "0"),
        ("1e400", "1e401"),
        ('"a,1.0,b"', '"a,1,b"'),
        ("[[1],2]", "[[1,2]]"),
        ("null", "[]"),
    ],
)
def test_json_that_means_something_else_has_another_canonical_form(one, other):
    assert canonical_json(one) != canonical_json(other)
