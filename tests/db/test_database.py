"""`Database`: where it comes from, how its connections are set, and what its errors mean."""

import asyncio
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import aiosqlite
import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from schema import (
    Database,
    DatabaseUnavailable,
    DBWrapper,
    Image,
    InvalidDatabaseSource,
    Project,
    add_images,
    get_db_session,
    initialize_database,
    summary,
)
from schema.engine.connections import _asyncpg_arguments
from schema.engine.source import asynchronous_url as url_of
from schema.errors import ReadOnlySession
from tests.db.records import record


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    """Run in an empty folder and home, without the environment's configuration."""
    monkeypatch.delenv("DICOM_NODE__STORAGE__RESOURCES", raising=False)
    monkeypatch.delenv("DICOM_NODE_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text_", "driver"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///x.db", "sqlite+aiosqlite"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg"),
        ("postgres://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg"),
    ],
)
def test_a_url_gets_the_asynchronous_driver(text_, driver):
    assert url_of(text_).drivername == driver
    assert url_of(make_url(text_)).drivername == driver


def test_a_mapping_a_file_and_the_environment_name_the_database(monkeypatch, tmp_path):
    settings = {"storage": {"resources": "sqlite:///a.db"}}
    assert url_of(settings).database == "a.db"
    path = tmp_path / "conf.yaml"
    path.write_text('storage: {resources: "sqlite:///b.db", directory: var}\n')
    assert url_of(path).database == "b.db"
    assert url_of(str(path)).database == "b.db"
    monkeypatch.setenv("DICOM_NODE_CONFIG", str(path))
    assert url_of().database == "b.db"
    monkeypatch.setenv("DICOM_NODE__STORAGE__RESOURCES", "sqlite:///c.db")
    assert url_of().database == "c.db"


def test_the_file_in_the_working_folder_is_used_before_the_one_at_home(tmp_path):
    home = tmp_path / ".config/dicom-node/config.yaml"
    home.parent.mkdir(parents=True)
    home.write_text('storage: {resources: "sqlite:///home.db"}')
    assert url_of().database == str(home.parent / "home.db")
    Path("dicom-node.yaml").write_text('storage: {resources: "sqlite:///here.db"}')
    assert url_of().database == "here.db"


@pytest.mark.parametrize(
    "source",
    [
        None,
        "missing.yaml",
        {},
        {"storage": None},
        {"storage": {"resources": 3}},
        "mysql://u:secret@h/d",
        "postgresql://u:secret@h:port/d",
        "://",
    ],
)
def test_a_source_that_names_no_database_is_refused_without_telling_its_password(source):
    with pytest.raises(InvalidDatabaseSource) as caught:
        Database(source)
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_the_password_is_masked():
    db = Database("postgresql://user:secret@host/name")
    assert "secret" not in str(db) + repr(db)
    assert "host" in str(db)
    assert db.url.password == "secret"
    assert db.dialect == "postgresql"
    assert db.path is None


def test_options_in_a_url_are_handed_on_as_libpq_reads_them():
    url = url_of("postgresql://u@h/d?ssl=require&application_name=x&host=/run/pg")
    rest, arguments = _asyncpg_arguments(url)
    assert dict(rest.query) == {"host": "/run/pg"}
    assert arguments["dsn"] == "postgresql:///?application_name=x&sslmode=require"


async def test_options_in_a_url_reach_the_server(postgresql_url):
    separator = "&" if "?" in postgresql_url else "?"
    async with Database(f"{postgresql_url}{separator}work_mem=5MB&sslmode=prefer") as db:
        async with db.session() as session:
            assert await session.scalar(text("SHOW work_mem")) == "5MB"
            assert await session.scalar(text("SHOW statement_timeout")) == "1min"


async def test_sqlite_holds_the_promises(sqlite_url):
    async with Database(sqlite_url) as db:
        await db.initialize()
        async with db.session() as session:
            pragmas = {
                name: await session.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


async def test_a_statement_of_sqlite_is_one_call_of_its_connections_thread(sqlite, monkeypatch):
    calls = []
    call = aiosqlite.Connection._execute

    async def counted(connection, function, *arguments, **options):
        calls.append(function)
        return await call(connection, function, *arguments, **options)

    async with sqlite.begin() as session:
        connection = await session.connection()
        with monkeypatch.context() as patch:
            patch.setattr(aiosqlite.Connection, "_execute", counted)
            names = [{"name": name} for name in ("a", "b", "c")]
            added = text("INSERT INTO projects (name, created_on) VALUES (:name, '2026-01-01')")
            assert (await connection.execute(added, names[0])).lastrowid == 1
            await connection.execute(added, names[1:])
            brought = await connection.execute(select(Project.id, Project.name))
            assert len(calls) == 3
        assert (list(brought.keys()), len(brought.all())) == (["id", "name"], 3)
        changed = await connection.execute(text("UPDATE projects SET name = name || '1'"))
        assert changed.rowcount == 3
        with pytest.raises(IntegrityError):
            await connection.execute(added, {"name": "a1"})
        named = text("UPDATE projects SET name = 'x' WHERE id > 1 RETURNING id")
        with pytest.raises(IntegrityError):
            await connection.execute(named)
        streamed = await connection.stream(select(Project.name).order_by(Project.name))
        assert [name async for (name,) in streamed] == ["a1", "b1", "c1"]


async def test_a_database_in_memory_can_be_used(monkeypatch):
    async with Database("sqlite://") as db:
        await db.initialize()
        async with db.begin() as session:
            await add_images(session, [record("1")])
        async with db.session() as session:
            assert (await summary(session)).images == 1


async def test_a_session_commits_only_when_told(migrated_url):
    async with Database(migrated_url) as db:
        async with db.session(write=True) as session:
            await add_images(session, [record("1")])
        async with db.session(write=True) as session:
            assert (await summary(session)).images == 0
            await add_images(session, [record("2")])
            await session.commit()
        async with db.session() as session:
            assert (await session.scalars(select(Image.image_uid))).all() == ["2"]


async def test_a_server_that_is_not_there_is_unavailable(free_port):
    async with Database(f"postgresql://u:secret@127.0.0.1:{free_port()}/d") as db:
        for attempt in (db.current, db.check, db.initialize, db.upgrade_sql, db.upgrade):
            with pytest.raises(DatabaseUnavailable) as caught:
                await attempt()
            assert "secret" not in str(caught.value)
        with pytest.raises(DatabaseUnavailable):
            async with db.begin() as session:
                await summary(session)


async def test_a_connection_that_was_lost_is_unavailable_and_then_replaced(migrated_postgresql_url):
    async with Database(migrated_postgresql_url) as db:
        with pytest.raises(DatabaseUnavailable):
            async with db.session() as session:
                await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        async with db.session() as session:
            assert (await summary(session)).images == 0


async def test_a_statement_that_takes_too_long_is_unavailable(postgresql_url):
    async with Database(postgresql_url, statement_timeout=0.2) as db:
        with pytest.raises(DatabaseUnavailable, match="timeout"):
            async with db.session() as session:
                await session.execute(text("SELECT pg_sleep(20)"))


async def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    (tmp_path / "x.db").write_bytes(b"not a database at all" * 100)
    async with Database("sqlite:///x.db") as db:
        for attempt in (db.current, db.initialize):
            with pytest.raises(DatabaseUnavailable, match="not a database"):
                await attempt()


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "file").touch()
    async with Database(f"sqlite:///{tmp_path}/file/node.db") as db:
        with pytest.raises(DatabaseUnavailable, match="cannot be created"):
            await db.initialize()


async def test_a_mistake_in_a_statement_stays_what_it_is(migrated_url):
    async with Database(migrated_url) as db:
        with pytest.raises(Exception, match="nothing") as caught:
            async with db.session() as session:
                await session.execute(text("SELECT nothing FROM images"))
        assert not isinstance(caught.value, DatabaseUnavailable)


async def test_values_stay_out_of_error_messages(migrated_url):
    async with Database(migrated_url) as db:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - it differs by driver
            async with db.begin() as session:
                session.add(Image(image_uid=None, patient_name="Doe^Jane"))
        assert "image_uid" in str(caught.value)
        assert "[SQL parameters hidden" in str(caught.value)


async def test_a_cancelled_writer_leaves_its_turn_to_the_next(migrated_url):
    async with Database(migrated_url) as db:
        inside = asyncio.Event()

        async def hold() -> None:
            async with db.begin() as session:
                await add_images(session, [record("1")])
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hold())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            async with db.begin() as session:
                await add_images(session, [record("2")])
        async with db.session() as session:
            assert (await session.scalars(select(Image.image_uid))).all() == ["2"]


async def test_the_forms_without_a_database_object_work(database_url):
    config = SimpleNamespace(storage=SimpleNamespace(resources=database_url))
    assert (await initialize_database(config, echo=False)).changed
    assert not (await initialize_database(database_url, echo=False, force_init=True)).changed
    async with get_db_session(database_url) as session:
        await add_images(session, [record("1")])
        await session.commit()
        await add_images(session, [record("2")])
    async with DBWrapper(database_url) as wrapper:
        session = await wrapper.get_session()
        assert await wrapper.get_session() is session
        assert await session.scalar(select(func.count(Image.id))) == 1


async def test_a_wrapper_creates_the_tables_when_asked(database_url):
    wrapper = DBWrapper(database_url, create_tables=True)
    session = await wrapper.get_session()
    assert (await summary(session)).images == 0
    await wrapper.close()
    await wrapper.close()


async def test_the_database_is_a_plain_file_for_other_programs(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as db:
        async with db.begin() as session:
            await add_images(
                session, [record("1", meta=b'{"00080060":{"vr":"CS","Value":["CT"]}}')]
            )
        path = db.path
    connection = sqlite3.connect(path)
    query = "SELECT json_extract(meta, '$.00080060.Value[0]') FROM images"
    assert connection.execute(query).fetchall() == [("CT",)]
    connection.close()


# --- sessions that read ---------------------------------------------------------------------------


async def test_a_session_that_reads_changes_nothing_and_says_what_to_write(db):
    changes = [
        insert(Project).values(name="written"),
        text("INSERT INTO projects (name, created_on) VALUES ('written', '2026-01-01')"),
        text("CREATE TABLE written (id integer)"),
    ]
    for change in changes:
        with pytest.raises(ReadOnlySession, match=r"write in begin\(\).*session\(write=True\)"):
            async with db.session() as session:
                await session.execute(change)
                await session.commit()
        with pytest.raises(ReadOnlySession, match=r"write in begin\(\).*session\(write=True\)"):
            with db.sync.session() as session:
                session.execute(change)
                session.commit()
    with pytest.raises(ReadOnlySession):
        async with db.session() as session:
            session.add(Project(name="written"))
            await session.commit()
    async with db.session() as session:
        assert (await session.scalars(select(Project.name))).all() == []


async def test_a_connection_that_has_read_writes_for_the_next(migrated_url):
    async with Database(migrated_url, pool_size=1, max_overflow=0) as db:
        for turn in range(3):
            async with db.session() as session:
                assert len((await session.scalars(select(Project))).all()) == 3 * turn
            async with db.begin() as session:
                session.add(Project(name=f"begun {turn}"))
            async with db.session() as session:
                await session.scalars(select(Project))
            async with db.session(write=True) as session:
                session.add(Project(name=f"committed {turn}"))
                await session.commit()
            async with db.session() as session:
                await session.scalars(select(Project))
            async with db.engine.begin() as connection:
                await connection.execute(insert(Project).values(name=f"by hand {turn}"))
        with db.sync.session() as session:
            assert len(session.scalars(select(Project)).all()) == 9
        with db.sync.engine.begin() as connection:
            connection.execute(insert(Project).values(name="by hand"))
