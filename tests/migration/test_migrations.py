"""Migrations and models give one schema, from every revision, also when two nodes start."""

import asyncio
import importlib
import itertools
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from schema import (
    Base,
    Database,
    Image,
    SchemaMissing,
    Study,
    StudyFind,
    add_images,
    get_study_uids_to_move,
)
from schema.engine import migrate
from schema.engine.connections import WRITE_OPTION
from schema.engine.revisions import configuration, run
from schema.errors import DatabaseReadOnly, SchemaAhead, SchemaBehind
from schema.finding.drawing import SourceAnswer
from schema.hierarchy.sources import get_sources
from schema.tables.sources import StudySource
from schema.tables.views import VIEWS
from tests.db.records import record
from tests.support.postgresql import PostgresServer, programs

REVISIONS = [
    script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()
][::-1]
SOME = [REVISIONS[0], REVISIONS[11], REVISIONS[-1]]
"""Revisions from which a database is taken to the newest in one go."""

INITIALIZE = """
import asyncio, os, sys, time
from schema import Database

async def main(url, begin):
    async with Database(url) as db:
        print("ready", flush=True)
        while not os.path.exists(begin):
            time.sleep(0.0005)
        print((await db.initialize()).changed, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def db(database_url):
    """Return a database that is not initialised."""
    async with Database(database_url) as database:
        yield database


class Stations:
    """Databases of one kind at each revision: each is a copy of an earlier one, taken further.

    A database is a path of SQLite, or a name in the server of PostgreSQL.
    """

    def __init__(self, folder: Path, server: PostgresServer | None) -> None:
        self._folder = folder
        self.server = server
        self._made: dict[str | None, Any] = {}
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def at(self, revision: str | None) -> AsyncIterator[Database]:
        """Return a database of its own at a revision; None is one without tables."""
        database = self._copied(await self._station(revision))
        async with Database(self._url(database)) as db:
            yield db
        if self.server is not None:
            self.server.drop_database(database)

    async def _station(self, revision: str | None) -> Any:
        if revision is not None and revision not in self._made:
            earlier = [one for one in self._made if one and one < revision]
            database = self._copied(self._made[max(earlier)] if earlier else None)
            async with Database(self._url(database)) as db:
                await to_revision(db, revision)
            self._made[revision] = database
        return self._made.get(revision)

    def _copied(self, database: Any) -> Any:
        if self.server is not None:
            return self.server.create_database(database or "template1")
        path = self._folder / str(next(self._numbers)) / "node.db"
        if database:
            path.parent.mkdir()
            shutil.copy(database, path)
        return path

    def _url(self, database: Any) -> str:
        return self.server.url(database) if self.server else f"sqlite:///{database}"

    def close(self) -> None:
        if self.server is not None:
            for database in self._made.values():
                self.server.drop_database(database)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stations(request, databases):
    """Return what makes databases at a revision; the test runs on SQLite and on PostgreSQL."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    with (
        TemporaryDirectory(dir=databases, ignore_cleanup_errors=True) as folder,
        closing(Stations(Path(folder), server)) as stations,
    ):
        yield stations


@pytest.fixture
async def station(stations):
    """Return a database at a revision: `db = await station("0003")`."""
    async with AsyncExitStack() as stack:
        yield lambda revision: stack.enter_async_context(stations.at(revision))


@pytest.fixture(scope="module")
def initialised(stations, request):
    """Return the schema of a database of that kind which was initialised."""

    async def ask(url: str) -> dict[str, Any]:
        async with Database(url) as db:
            return await schema_of(db)

    if stations.server is None:
        return asyncio.run(ask(f"sqlite:///{request.getfixturevalue('sqlite_template')}"))
    return asyncio.run(ask(stations.server.url(request.getfixturevalue("postgresql_template"))))


async def to_revision(db: Database, revision: str) -> None:
    """Create the database at a revision."""
    if db.path is not None:
        db.path.parent.mkdir(parents=True, exist_ok=True)
    async with db.engine.execution_options(**{WRITE_OPTION: True}).begin() as connection:
        await connection.run_sync(run, revision)


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def index(found: Any) -> str:
    """Return an index as text, its condition included."""
    options = {name: str(value) for name, value in found.get("dialect_options", {}).items()}
    return str({**found, "dialect_options": options})


def described(connection: Connection) -> dict[str, Any]:
    """Return all that the database says of its tables and views."""
    inspector = inspect(connection)
    columns = inspector.get_multi_columns()
    keys = inspector.get_multi_pk_constraint()
    foreign = inspector.get_multi_foreign_keys()
    checks = inspector.get_multi_check_constraints()
    unique = inspector.get_multi_unique_constraints()
    indexes = inspector.get_multi_indexes()
    tables: dict[str, Any] = {
        name: {
            "columns": [
                (one["name"], str(one["type"]), one["nullable"], one["default"])
                for one in columns[schema, name]
            ],
            "key": keys[schema, name],
            "foreign": sorted(map(str, foreign[schema, name])),
            "checks": sorted(map(str, checks[schema, name])),
            "unique": sorted(map(str, unique[schema, name])),
            "indexes": sorted(map(index, indexes[schema, name])),
        }
        for schema, name in columns
    }
    views = {name: inspector.get_view_definition(name) for name in inspector.get_view_names()}
    return {"tables": tables, "views": views}


async def schema_of(db: Database) -> dict[str, Any]:
    async with db.engine.connect() as connection:
        return await connection.run_sync(described)


def execute(url: Any, sql: str) -> None:
    """Run SQL as an operator would: with the database's own shell."""
    if url.get_backend_name() == "sqlite":
        shell = shutil.which("sqlite3")
        if shell is None:
            connection = sqlite3.connect(url.database, isolation_level=None)
            connection.executescript(sql)
            connection.close()
            return
        args = [shell, "-bail", url.database]
    else:
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        args = [str(programs() / "bin" / "psql"), "-v", "ON_ERROR_STOP=1", "-q", plain]
    result = subprocess.run(args, input=sql, text=True, capture_output=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_history_is_one_line():
    script = ScriptDirectory.from_config(configuration())
    assert script.get_heads() == [REVISIONS[-1]]
    assert len(script.get_bases()) == 1
    assert not any(script.get_revision(one).is_merge_point for one in REVISIONS)


def test_the_names_of_the_files_say_what_alembic_reads_in_them():
    assert migrate.revisions() == REVISIONS


async def test_migrations_and_models_give_one_schema(db):
    await db.initialize()
    async with db.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        migrated = await connection.run_sync(described)
    async with db.engine.begin() as connection:
        for name in VIEWS:
            await connection.execute(text(f"DROP VIEW {name}"))
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        for name, select in VIEWS.items():
            await connection.execute(text(f"CREATE VIEW {name} AS {select}"))
    created = await schema_of(db)
    assert created["tables"].keys() == migrated["tables"].keys()
    for name, table in created["tables"].items():
        for columns in (table["columns"], migrated["tables"][name]["columns"]):
            columns.sort()
        assert table == migrated["tables"][name]
    normal = {name: " ".join(str(sql).split()) for name, sql in migrated["views"].items()}
    assert {name: " ".join(str(sql).split()) for name, sql in created["views"].items()} == normal
    assert normal.keys() == VIEWS.keys()


async def test_what_the_last_migration_made_can_be_taken_away_again(db):
    await to_revision(db, REVISIONS[-2])
    before = await schema_of(db)
    await to_revision(db, REVISIONS[-1])
    module = importlib.import_module("migrations.versions.0025_whose_studies_are")

    def down(connection):
        with Operations.context(MigrationContext.configure(connection)):
            module.downgrade()

    async with db.engine.execution_options(**{WRITE_OPTION: True}).begin() as connection:
        await connection.run_sync(down)
    assert await schema_of(db) == before


async def test_initialising_twice_changes_nothing(db):
    first = await db.initialize()
    before = await schema_of(db)
    second = await db.initialize()
    forced = await db.initialize(force=True)
    assert (first.before, first.after, first.changed) == (None, REVISIONS[-1], True)
    assert (second.created, second.before, second.changed) == (False, REVISIONS[-1], False)
    assert not forced.changed
    assert await schema_of(db) == before


async def test_a_postgresql_database_that_does_not_exist_is_created(postgresql, postgresql_url):
    async with Database(postgresql_url) as existing:
        name = f'{existing.url.database} "new":%x'
        url = existing.url.set(database=name)
    async with Database(url) as db:
        assert (await db.current()).current is None
        assert await db.upgrade_sql() != ""
        with pytest.raises(SchemaMissing, match="no database of that name; `dicom-node db"):
            await db.check()
    async with Database(postgresql_url) as existing, existing.begin() as session:
        await session.execute(text("CREATE ROLE plain LOGIN PASSWORD 'plain'"))
    async with Database(url.set(username="plain", password="plain")) as db:
        with pytest.raises(DatabaseReadOnly, match=r"may not make it \(permission denied"):
            await db.initialize()
        with pytest.raises(DatabaseReadOnly, match="with `createdb -O plain '.*'`, and `d"):
            await db.initialize()
    async with Database(postgresql_url) as existing, existing.begin() as session:
        await session.execute(text("DROP ROLE plain"))
    async with Database(url) as db:
        assert (await db.initialize()).created
        assert not (await db.initialize()).created
        await db.check()
    async with Database(postgresql_url) as existing:
        engine = existing.engine.execution_options(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            quoted = name.replace('"', '""')
            await connection.exec_driver_sql(f'DROP DATABASE "{quoted}"')


async def put_rows(db: Database, number: int = 0) -> None:
    """Put a row into each table that there has always been; `number` tells such rows apart."""
    finds, others = number * 2, number + 1
    async with db.engine.begin() as connection:
        for statement in (
            "INSERT INTO studies_find (study_uid, retrieved_on) VALUES"
            f" ('{number}.1', '2024-01-02 03:04:05'), ('{number}.2', NULL)",
            f"INSERT INTO patients (patient_id, patient_name) VALUES ('P{number}', 'N')",
            "INSERT INTO studies (study_uid, patient_id, study_find_id) VALUES"
            f" ('{number}.1', {others}, {finds + 1})",
            f"INSERT INTO series (series_uid, study_id) VALUES ('{number}.1.1', {others})",
            "INSERT INTO images (image_uid, series_id, study_uid, patient_id, meta) VALUES"
            f" ('{number}.1.1.1', {others}, '{number}.1', 'P{number}',"
            """ '{"00080060": {"vr": "CS"}}')""",
        ):
            await connection.exec_driver_sql(statement)


async def assert_rows_are_there(db: Database, begun_at: dict[int, str]) -> None:
    """Make sure of the rows by number, each with the revision that the database had then."""
    async with db.begin() as session:
        to_move = await get_study_uids_to_move(session)
        for number, revision in begun_at.items():
            assert (await StudyFind.by_uid(session, f"{number}.2")).state == "pending"
            if revision == "0001":
                assert (await StudyFind.by_uid(session, f"{number}.1")).state == "retrieved"
                assert f"{number}.1" not in to_move
            assert f"{number}.2" in to_move
            study, patient = f"{number}.1", f"P{number}"
            image = await Image.by_uid(session, f"{study}.1.1")
            assert image.meta == {"00080060": {"vr": "CS"}}
            assert (await Study.by_uid(session, study)).study_find_id == number * 2 + 1
            new = record(f"{study}.1.2", f"{study}.1", study, patient_id=patient)
            added = await add_images(session, [new])
            assert added[0].inserted


@pytest.mark.parametrize("revision", SOME)
async def test_a_revision_upgrades_at_once_with_rows_in_place(station, initialised, revision):
    db = await station(revision)
    await put_rows(db)
    result = await db.upgrade()
    assert (result.before, result.after) == (revision, REVISIONS[-1])
    await db.check()
    assert await schema_of(db) == initialised
    await assert_rows_are_there(db, {0: revision})


async def test_rows_of_every_revision_come_through_each_later_one(station, initialised):
    db = await station(None)
    for number, revision in enumerate(REVISIONS):
        await to_revision(db, revision)
        assert (await db.current()).current == revision
        await put_rows(db, number)
    await db.check()
    assert await schema_of(db) == initialised
    await assert_rows_are_there(db, dict(enumerate(REVISIONS)))


def described_by(value: str) -> str:
    """Return a header in which a JSON text is the value of all the promoted attributes."""
    tags = ("00180015", "00100040", "00180060", "00180050", "00180087")
    return "{" + ", ".join(f'"{tag}": {{"vr": "UN", "Value": [{value}]}}' for tag in tags) + "}"


# Headers in `meta` before there were columns: what the text columns become, and the numbers.
BEFORE_COLUMNS: dict[str, tuple[str | None, float | None]] = {
    described_by('"HEAD"'): ("HEAD", None),
    described_by("0.625"): (None, 0.625),
    described_by("120"): (None, 120.0),
    described_by("120, 80"): (None, 120.0),
    described_by('null, "", 120'): (None, 120.0),
    described_by('null, "HEAD", 120'): ("HEAD", None),
    described_by("-0.0"): (None, 0.0),
    described_by("18446744073709551615"): (None, 2.0**64),
    described_by('"Ünïcode \\ud83e\\uddb4 \\\\ \\" :x %s"'): (
        'Ünïcode \U0001f9b4 \\ " :x %s',
        None,
    ),
    described_by('"120"'): ("120", None),
    described_by('"n/a"'): ("n/a", None),
    described_by('"NaN"'): ("NaN", None),
    described_by('""'): (None, None),
    described_by("1e999"): (None, None),
    described_by("-1e999"): (None, None),
    described_by("1e300"): (None, None),
    described_by("1" * 400): (None, None),
    described_by("null"): (None, None),
    described_by("true"): (None, None),
    described_by('{"Alphabetic": "A"}'): (None, None),
    described_by("[1]"): (None, None),
    described_by(""): (None, None),
    described_by('"' + "x" * (2 << 20) + '"'): ("x" * (2 << 20), None),
    described_by("7").replace("Value", "InlineBinary"): (None, None),
    '{"00180060": 5, "00180050": [], "00180087": {"Value": {"0": 5}}}': (None, None),
    "{}": (None, None),
    "[]": (None, None),
    "[[[1]]]": (None, None),
    '"text"': (None, None),
    "5": (None, None),
    "null": (None, None),
}
# What no JSONB is, and SQLite keeps all the same.
NO_JSONB: dict[str | bytes, tuple[str | None, float | None]] = {
    "": (None, None),
    "no JSON": (None, None),
    described_by("120")[:-5]: (None, None),
    described_by("NaN"): (None, None),
    described_by("Infinity"): (None, None),
    described_by('"\\ud800"'): (None, None),
    described_by("[" * 5000 + "]" * 5000): (None, None),
    b"\xff\xfe": (None, None),
}
PROMOTED_TEXTS = ("body_part_examined", "patient_sex")
PROMOTED_NUMBERS = ("kvp", "slice_thickness", "magnetic_field_strength")


@pytest.mark.parametrize("by_hand", [False, True], ids=["upgrade", "dry run"])
async def test_columns_of_the_header_are_filled_from_whatever_meta_holds(station, by_hand):
    db = await station("0003")
    metas = {**BEFORE_COLUMNS, **(NO_JSONB if db.dialect == "sqlite" else {})}
    first, second = ("?", "?") if db.dialect == "sqlite" else ("$1", "$2")
    insert = f"INSERT INTO images (image_uid, meta) VALUES ({first}, {second})"
    async with db.engine.begin() as connection:
        raw = await connection.get_raw_connection()
        for number, meta in enumerate([*metas, None]):
            if db.dialect == "sqlite":
                cursor = await raw.driver_connection.execute(insert, (str(number), meta))
                await cursor.close()
            else:
                await raw.driver_connection.execute(insert, str(number), meta)
    if by_hand:
        execute(db.url, await db.upgrade_sql())
    else:
        await db.upgrade()
    await db.check()
    columns = ", ".join((*PROMOTED_TEXTS, *PROMOTED_NUMBERS))
    async with db.engine.connect() as connection:
        rows = await connection.execute(text(f"SELECT image_uid, {columns} FROM images"))
        filled = {int(uid): values for uid, *values in rows}
    expected = [*metas.values(), (None, None)]
    for number, (word, amount) in enumerate(expected):
        assert filled[number] == [word] * 2 + [amount] * 3, list(metas)[number][:200]
    async with db.session() as session:  # what was filled can be read as everything else
        query = select(Image.image_uid, Image.PatientSex, Image.KVP)
        for uid, sex, kvp in await session.execute(query):
            assert (sex, kvp) == expected[int(uid)]


async def test_the_peer_that_answered_a_study_last_becomes_its_first_source(station):
    db = await station("0005")
    async with db.engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO studies_find (study_uid, peer, found_on, expected_images) VALUES"
            " ('1.1', 'pacs', '2024-01-02 03:04:05', 7), ('1.2', NULL, NULL, NULL)"
        )
    await db.upgrade()
    async with db.session() as session:
        sources = await get_sources(session, ["1.1", "1.2"])
    seen = datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001 - naive UTC, as the columns are
    first = SourceAnswer(peer="pacs", found_on=seen, last_seen_on=seen, expected_images=7)
    assert sources == {"1.1": [first]}


async def test_what_was_said_of_a_study_becomes_the_word_of_the_peer_that_answered_last(station):
    db = await station("0009")
    async with db.engine.begin() as connection:
        for statement in (
            "INSERT INTO studies_find (study_uid, peer, patient_id, study_date, found_on,"
            " retrieved_on, next_attempt_on) VALUES"
            " ('1', 'b', 'P', '2024-01-02', '2024-01-02', '2024-02-03', NULL),"
            " ('2', 'b', 'Q', NULL, '2024-01-02', NULL, '2024-03-04'),"
            " ('3', NULL, 'R', NULL, '2024-01-02', NULL, NULL)",
            "INSERT INTO study_sources (study_find_id, peer, found_on, last_seen_on) VALUES"
            " (1, 'a', '2024-01-01', '2024-01-01'), (1, 'b', '2024-01-02', '2024-01-02')",
        ):
            await connection.exec_driver_sql(statement)
    await db.upgrade()
    async with db.session() as session:
        query = select(StudySource).order_by(StudySource.study_find_id, StudySource.peer)
        rows = list(await session.scalars(query))
    assert [
        (one.study_find_id, one.peer, one.patient_id, bool(one.study_date), bool(one.verified_on))
        for one in rows
    ] == [(1, "a", None, False, True), (1, "b", "P", True, True), (2, "b", "Q", False, False)]
    assert [one.next_attempt_on is None for one in rows] == [True, True, False]


def born(value: str | None) -> str:
    return "{}" if value is None else f'{{"00100030": {{"vr": "DA", "Value": ["{value}"]}}}}'


# Of each study its images' names and headers, in the order in which they came; and what its row
# has then: name, birth date, and whether all its images have these.
PERSONS: list[tuple[list[tuple[str | None, str | None]], tuple[str | None, str | None, bool]]] = [
    ([("ONE^X", born("19500101"))] * 2, ("ONE^X", "1950-01-01", True)),
    ([("TWO^Y", born("20240229"))], ("TWO^Y", "2024-02-29", True)),
    ([("TWO^Y", born("19900909")), ("ONE^X", born("19900909"))], ("TWO^Y", "1990-09-09", False)),
    ([("ONE^X", born("19500101")), ("ONE^X", born("19500102"))], ("ONE^X", "1950-01-01", False)),
    ([("ONE^X", born("19500101")), ("ONE^X", born(None))], ("ONE^X", "1950-01-01", False)),
    ([("ONE^X", born("1950.01.01"))], ("ONE^X", None, False)),
    ([("ONE^X", born("20230229"))], ("ONE^X", None, False)),
    ([("ONE^X", born("00000101"))], ("ONE^X", None, False)),
    ([("ONE^X", born("00010101"))], ("ONE^X", "0001-01-01", True)),
    ([("ONE^X", born(":x %s"))], ("ONE^X", None, False)),
    ([("ONE^X", born(None)), ("ONE^X", None)], ("ONE^X", None, True)),
    ([("ONE^X", "[]"), ("ONE^X", '{"00100030": {"Value": {"0": 5}}}')], ("ONE^X", None, True)),
    ([(None, born(None)), (None, "5")], (None, None, True)),
    ([(None, born(None)), ("", born(None))], (None, None, False)),
    ([], (None, None, True)),
]


@pytest.mark.parametrize("by_hand", [False, True], ids=["upgrade", "dry run"])
async def test_each_study_gets_the_name_and_birth_date_of_its_own_first_image(station, by_hand):
    db = await station("0024")
    image = text(
        "INSERT INTO images (image_uid, series_id, study_uid, patient_name, meta) VALUES"
        " (:uid, :series, :study, :name, " + ("CAST(:meta AS JSONB))" if not db.path else ":meta)")
    )
    async with db.engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO patients (patient_id, patient_name, patient_birth_date)"
            " VALUES ('P', 'ONE^X', '1950-01-01 00:00:00')"
        )
        for study, (images, _) in enumerate(PERSONS, 1):
            await connection.execute(
                text("INSERT INTO studies (study_uid, patient_id) VALUES (:uid, 1)"),
                {"uid": f"1.{study}"},
            )
            for number, (name, meta) in enumerate(images):
                uid = f"1.{study}.{number}"
                series = text("INSERT INTO series (series_uid, study_id) VALUES (:uid, :study)")
                await connection.execute(series, {"uid": uid, "study": study})
                series_id = await connection.scalar(text("SELECT MAX(id) FROM series"))
                said = {"uid": f"{uid}.1", "series": series_id, "name": name, "meta": meta}
                await connection.execute(image, {"study": f"1.{study}", **said})
    if by_hand:
        execute(db.url, await db.upgrade_sql())
    else:
        await db.upgrade()
    async with db.session() as session:
        query = select(Study.patient_name, Study.patient_birth_date, Study.one_person)
        rows = [
            (name, day and day.date().isoformat(), one_person)
            for name, day, one_person in await session.execute(query.order_by(Study.id))
        ]
    assert rows == [expected for _, expected in PERSONS]


async def test_of_several_quarantine_rows_for_one_file_the_first_stays(station):
    db = await station("0002")
    async with db.engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO quarantine (filepath, reason, kind) VALUES"
            " ('/q/1', 'first', 'conflict'), ('/q/1', 'again', 'conflict'),"
            " ('/q/2', 'other', 'conflict')"
        )
    await db.upgrade()
    async with db.engine.connect() as connection:
        rows = await connection.execute(text("SELECT reason FROM quarantine ORDER BY id"))
        assert rows.scalars().all() == ["first", "other"]


@pytest.mark.parametrize("before", [None, SOME[1]])
async def test_the_dry_run_gives_the_same_schema_and_touches_nothing(station, initialised, before):
    db = await station(before)
    untouched = None if before is None else await schema_of(db)
    sql = await db.upgrade_sql()
    assert await db.upgrade_sql() == sql
    if before is not None:
        assert await schema_of(db) == untouched
    elif db.path is not None:
        assert not db.path.parent.exists()
        db.path.parent.mkdir(parents=True)
    assert (await db.current()).current == before
    execute(db.url, sql)
    await db.check()
    assert await db.upgrade_sql() == ""
    assert await schema_of(db) == initialised


async def test_the_dry_run_of_every_revision_has_the_steps_that_are_left(station, initialised):
    """Its first step, alone, takes the rows of all earlier revisions to the next one."""
    db = await station(None)
    if db.path is not None:
        db.path.parent.mkdir(parents=True)
    begin, *steps, last = re.split(r"(?m)^(?=-- Running upgrade )", await db.upgrade_sql())
    last, end = last[: last.rindex("COMMIT;")], last[last.rindex("COMMIT;") :]
    assert len([*steps, last]) == len(REVISIONS)
    table = "".join(re.findall(r"CREATE TABLE alembic_version \([^;]*;\s*", begin))
    for number, (revision, step) in enumerate(zip(REVISIONS, [*steps, last], strict=True)):
        if number:
            rest = "".join([*steps[number:], last])
            assert await db.upgrade_sql() == begin.replace(table, "") + rest + end
        execute(db.url, (begin.replace(table, "") if number else begin) + step + end)
        assert (await db.current()).current == revision
        await put_rows(db, number)
    assert await db.upgrade_sql() == ""
    assert await schema_of(db) == initialised
    await assert_rows_are_there(db, dict(enumerate(REVISIONS)))


async def test_a_database_made_by_hand_from_the_dry_run_is_in_wal_mode(sqlite_url):
    async with Database(sqlite_url) as db:
        db.path.parent.mkdir()
        execute(db.url, await db.upgrade_sql())
        async with db.session() as session:
            assert await session.scalar(text("PRAGMA journal_mode")) == "wal"


async def test_a_missing_schema_names_the_command(db):
    for attempt in (db.check, db.upgrade) if db.path else (db.check,):
        with pytest.raises(SchemaMissing, match="dicom-node db init"):
            await attempt()
    if db.path:
        assert not db.path.exists()


async def test_an_older_schema_names_the_command(db):
    await to_revision(db, REVISIONS[0])
    assert not (await db.current()).is_head
    with pytest.raises(SchemaBehind, match="dicom-node db upgrade"):
        await db.check()


async def test_a_newer_schema_is_left_alone(db):
    await db.initialize()
    async with db.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    state = await db.current()
    assert (state.current, state.known, state.is_head) == ("9999", False, False)
    for attempt in (db.check, db.upgrade, db.initialize, db.upgrade_sql):
        with pytest.raises(SchemaAhead, match="newer"):
            await attempt()
    assert (await db.current()).current == "9999"


async def test_a_migration_that_fails_leaves_nothing(db):
    await to_revision(db, REVISIONS[0])
    async with db.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE quarantine (id INTEGER)"))
    before = await schema_of(db)
    with pytest.raises(Exception, match="quarantine"):
        await db.upgrade()
    assert await schema_of(db) == before
    assert (await db.current()).current == REVISIONS[0]


async def test_of_two_tasks_that_initialise_at_once_one_migrates(database_url):
    async with Database(database_url) as one, Database(database_url) as two:
        results = await asyncio.gather(one.initialize(), two.initialize())
    assert sorted(result.changed for result in results) == [False, True]


async def test_of_four_processes_that_initialise_at_once_one_migrates(
    database_url, processes, tmp_path
):
    begin = tmp_path / "begin"
    program = (sys.executable, "-c", INITIALIZE, database_url, begin)
    running = [processes.fork(*program) for _ in range(4)]
    for process in running:
        process.wait_for_line("^ready$")
    begin.touch()
    assert [await asyncio.to_thread(process.wait, 60) for process in running] == [0] * 4
    outputs = sorted(process.output() for process in running)
    assert outputs == ["ready\nFalse\n"] * 3 + ["ready\nTrue\n"]
    async with Database(database_url) as db:
        await db.check()
