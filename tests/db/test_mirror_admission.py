"""A mirror is never made like another source, or an older one, than it was made from, unasked."""

import asyncio
import shutil
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import delete, insert, select, text

from schema import Database, Image, StudyFind, add_images
from schema.errors import MirrorRefused
from schema.mirroring.follow import follow
from schema.mirroring.once import mirror
from schema.tables.ledger import DatabaseIdentity, Quarantined
from schema.tables.statements import table_of
from tests.db.mirrors import contents, fill
from tests.db.records import record

WHAT_TO_TYPE = r"Nothing was changed there. With --force"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def anew(databases):
    """Return a database file after `db init`, which has an identity of its own."""
    with TemporaryDirectory(dir=databases) as folder:
        url = f"sqlite:///{folder}/node.db"
        asyncio.run(initialised(url))
        yield Path(folder, "node.db")


async def initialised(url: str) -> None:
    async with Database(url) as database:
        await database.initialize()


@pytest.fixture(scope="module")
def mirrored(kind, request, databases, sqlite_template, anew):
    """Return a source of 20 images, whose file is on SQLite, and its mirror, both to be copied."""
    with TemporaryDirectory(dir=databases) as folder, ExitStack() as stack:
        source = Path(shutil.copy(sqlite_template, folder))
        if kind == "sqlite":
            target = str(shutil.copy(anew, f"{folder}/mirror.db"))
            url = f"sqlite:///{target}"
        else:
            server = request.getfixturevalue("postgresql")
            target = server.create_database(request.getfixturevalue("postgresql_template"))
            stack.callback(server.drop_database, target)
            url = server.url(target)

        async def make() -> None:
            async with Database(f"sqlite:///{source}") as one, Database(url) as other:
                await fill(one, images=20)
                await mirror(one, other)

        asyncio.run(make())
        yield source, target


@pytest.fixture
async def pair(kind, mirrored, request, databases):
    """Return a source on SQLite, whose file can be replaced, and a mirror of 20 images.

    The source lies elsewhere than when it was mirrored: its identity tells that it is the same.
    """
    kept, target = mirrored
    with (
        TemporaryDirectory(dir=databases, ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        path = shutil.copy(kept, folder)
        if kind == "sqlite":
            url = f"sqlite:///{shutil.copy(target, folder)}"
        else:
            server = request.getfixturevalue("postgresql")
            name = server.create_database(target)
            stack.callback(server.drop_database, name)
            url = server.url(name)
        async with Database(f"sqlite:///{path}") as source, Database(url) as mirror_:
            yield source, mirror_


async def replaced(source: Database, content: Path) -> None:
    """Put another file at the place of a database: one after `db init`, or a copy."""
    await source.dispose()
    for ending in ("", "-wal", "-shm"):
        Path(f"{source.path}{ending}").unlink(missing_ok=True)
    shutil.copy(content, source.path)


def backed_up(source: Database, path: Path) -> Path:
    with closing(sqlite3.connect(source.path)) as connection:
        connection.execute("VACUUM INTO ?", [str(path)])
    return path


async def received(database: Database, *uids: str) -> None:
    async with database.begin() as session:
        await add_images(session, [record(uid) for uid in uids])


async def refused(source: Database, target: Database, match: str) -> None:
    """Make sure that a mirror is refused in both ways, and stays as it is."""
    before = await contents(target)
    with pytest.raises(MirrorRefused, match=f"(?s){match}.*{WHAT_TO_TYPE}"):
        await mirror(source, target)
    with pytest.raises(MirrorRefused, match=match):
        await asyncio.wait_for(follow(source, target, stop=asyncio.Event()), 30)
    assert await contents(target) == before


async def test_a_new_database_at_the_old_path_never_empties_the_mirror(pair, anew):
    source, target = pair
    await replaced(source, anew)
    await refused(source, target, "mirror of another database")
    await fill(source, images=30)
    await refused(source, target, "mirror of another database")
    report = await mirror(source, target, overwrite=True)
    assert report.equal
    assert await contents(target) == await contents(source)
    assert (await mirror(source, target)).equal


async def test_a_restored_backup_of_the_source_never_takes_rows_from_the_mirror(pair, tmp_path):
    source, target = pair
    backup = backed_up(source, tmp_path / "backup.db")
    await received(source, "8.1", "8.2")
    assert (await mirror(source, target)).equal
    await replaced(source, backup)
    await refused(source, target, "gone back behind .* images went to 22, and now ends at 20")
    await received(source, "9.1", "9.2", "9.3")  # it has grown beyond the mark since
    await refused(source, target, "gone back behind .* images .* another row there")
    assert (await mirror(source, target, overwrite=True)).equal
    async with target.session() as session:
        uids = set(await session.scalars(select(Image.image_uid).where(Image.id > 20)))
    assert uids == {"9.1", "9.2", "9.3"}


async def test_a_row_of_somebody_else_below_the_mark_is_never_deleted_silently(pair):
    source, target = pair
    async with source.begin() as session:
        await session.execute(delete(Image).where(Image.id.in_([4, 5])))
    assert (await mirror(source, target)).equal
    async with target.begin() as session:
        await session.execute(insert(table_of(Image)), {"id": 4, "image_uid": "theirs"})
    await refused(source, target, r"table images has a row \(id 4\) that is not from there")
    report = await mirror(source, target, overwrite=True)
    assert report.equal
    assert {one.table: one.deleted for one in report.tables}["images"] == 1
    assert (await mirror(source, target)).equal


async def test_what_is_deleted_in_the_ordinary_course_of_things_is_so_in_the_mirror(pair):
    source, target = pair
    async with source.begin() as session:
        await session.execute(delete(Quarantined))
        await session.execute(text("DELETE FROM project_studies"))
        await session.execute(text("DELETE FROM projects"))
    assert (await mirror(source, target)).equal
    assert not (await contents(target))["projects"]


async def test_a_source_at_another_path_is_the_same_source(pair, tmp_path):
    source, target = pair
    await received(source, "8.1")
    async with source.begin() as session:
        await session.execute(delete(StudyFind).where(StudyFind.study_uid == "9.1"))
    moved = backed_up(source, tmp_path / "moved.db")
    async with Database(f"sqlite:///{moved}") as elsewhere:
        assert (await mirror(elsewhere, target)).equal


async def test_marks_of_an_earlier_version_are_taken_over(pair, anew):
    source, target = pair
    async with target.begin() as session:
        for column in ("source_id", "row_count", "key_sum"):
            await session.execute(text(f"ALTER TABLE mirror_marks DROP COLUMN {column}"))
    await received(source, "8.1")
    assert (await mirror(source, target)).equal
    await replaced(source, anew)
    await refused(source, target, "mirror of another database")


async def test_each_database_has_an_identity_and_a_mirror_has_its_own(pair):
    source, _ = pair
    found = []
    for database in pair:
        async with database.session() as session:
            found += await session.scalars(select(DatabaseIdentity.id))
    assert len(set(found)) == len(found) == 2
    assert all(len(one) == 32 for one in found)
    assert (await source.initialize()).changed is False
    async with source.session() as session:
        assert (await session.scalars(select(DatabaseIdentity.id))).all() == found[:1]
