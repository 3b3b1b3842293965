"""What a C-STORE leaves behind when one step of its way to Success fails: all of it, or nothing."""

import asyncio
import errno
import os
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from node.config import Layout
from node.dicom.status import Status
from node.net.messages import Caller, StoreRequest
from node.ops.ingest import Ingest
from node.storage import durable
from node.storage.archive import Archive
from schema import Database, DatabaseUnavailable
from tests.support.encoded import EXPLICIT, element

MR = "1.2.840.10008.5.1.4.1.1.4"
UID = "1.2.3.41"


def ui(tag, value):
    return element(tag, "UI", value.encode() + b"\0" * (len(value) % 2))


def dataset(comment="ab"):
    return b"".join(
        (
            ui(0x00080016, MR),
            ui(0x00080018, UID),
            ui(0x0020000D, "1.2.3"),
            ui(0x0020000E, "1.2.3.4"),
            element(0x00204000, "LT", comment.encode()),
        )
    )


def request(data):
    return StoreRequest(
        caller=Caller(aetitle="SENDER", address="127.0.0.1", port=104),
        sop_class_uid=MR,
        sop_instance_uid=UID,
        transfer_syntax_uid=EXPLICIT,
        dataset=data,
    )


class Receiving:
    def __init__(self, ingest, archive, database):
        self._ingest = ingest
        self.archive = archive
        self.database = database

    async def store(self, data):
        return await self._ingest.store(request(data))

    async def count(self, table):
        async with self.database.session() as session:
            return (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()

    def files(self):
        return sorted(path for path in self.archive.directory.rglob("*") if path.is_file())


@pytest.fixture
async def receiving(tmp_path, database_url):
    async with Database(database_url) as database:
        await database.initialize()
        with Archive(tmp_path / "dicom", Layout.STUDY) as archive:
            ingest = Ingest(database, archive, aetitle="NODE", institution="")
            task = asyncio.create_task(ingest.run())
            yield Receiving(ingest, archive, database)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def break_sync(monkeypatch):
    """Let the fsync of the directory of that name fail, once."""

    def apply(name):
        sync = durable.sync_directory

        def failing(path):
            if path.name == name:
                monkeypatch.setattr(durable, "sync_directory", sync)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(path)

        monkeypatch.setattr(durable, "sync_directory", failing)

    return apply


async def assert_recovers(receiving, data):
    """Assert that nothing is left, and that the next store is a success."""
    assert receiving.files() == []
    assert await receiving.count("images") == await receiving.count("quarantine") == 0
    assert await receiving.store(data) == Status.SUCCESS
    assert len(receiving.files()) == 1


async def test_a_file_that_cannot_be_synced_is_not_acknowledged(receiving, monkeypatch):
    def failing(_):
        monkeypatch.undo()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    assert await receiving.store(dataset()) == Status.OUT_OF_RESOURCES
    await assert_recovers(receiving, dataset())


@pytest.mark.parametrize("directory", ["1.2.3", "1.2.3.4"])
async def test_a_name_that_cannot_be_synced_is_not_acknowledged(receiving, break_sync, directory):
    break_sync(directory)
    assert await receiving.store(dataset()) == Status.OUT_OF_RESOURCES
    await assert_recovers(receiving, dataset())
    assert await receiving.count("images") == 1


async def test_a_quarantine_that_cannot_be_synced_is_not_acknowledged(receiving, break_sync):
    break_sync(".quarantine")
    assert await receiving.store(b"no dataset") == Status.OUT_OF_RESOURCES
    await assert_recovers(receiving, b"no dataset")
    assert await receiving.count("quarantine") == 1


async def test_another_object_that_cannot_be_set_aside_leaves_the_image_alone(
    receiving, break_sync
):
    assert await receiving.store(dataset()) == Status.SUCCESS
    before = receiving.files()
    break_sync(".quarantine")
    assert await receiving.store(dataset("cd")) == Status.OUT_OF_RESOURCES
    assert receiving.files() == before
    assert await receiving.store(dataset("cd")) == Status.SUCCESS
    assert await receiving.count("quarantine") == 1
    assert len(receiving.files()) == 2


async def test_what_is_in_quarantine_stays_when_it_comes_again_and_the_database_is_away(
    receiving, monkeypatch
):
    assert await receiving.store(b"no dataset") == Status.SUCCESS
    before = receiving.files()

    @asynccontextmanager
    async def away(_):
        raise DatabaseUnavailable("away")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(Database, "begin", away)
        assert await receiving.store(b"no dataset") == Status.OUT_OF_RESOURCES
    assert receiving.files() == before


async def test_a_commit_whose_outcome_is_unknown_does_not_cost_the_file(receiving, monkeypatch):
    begin = Database.begin

    @asynccontextmanager
    async def lost(database):
        async with begin(database) as session:
            yield session
        raise DatabaseUnavailable("the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "begin", lost)
        assert await receiving.store(dataset()) == Status.OUT_OF_RESOURCES
    assert await receiving.count("images") == 1
    (path,) = receiving.files()
    assert path.read_bytes().endswith(dataset())
    assert await receiving.store(dataset()) == Status.SUCCESS
    assert receiving.files() == [path]


async def test_the_same_and_another_object_at_once_are_one_image_and_one_in_quarantine(receiving):
    stores = [receiving.store(dataset("ab" if n % 2 else "cd")) for n in range(12)]
    assert set(await asyncio.gather(*stores)) == {Status.SUCCESS}
    assert await receiving.count("images") == 1
    assert len(receiving.files()) == 2
    assert {path.read_bytes()[-2:] for path in receiving.files()} == {b"ab", b"cd"}


async def test_an_image_that_lost_its_file_gets_it_back(receiving):
    assert await receiving.store(dataset()) == Status.SUCCESS
    (path,) = receiving.files()
    path.unlink()
    assert await receiving.store(dataset()) == Status.SUCCESS
    assert receiving.files() == [path]
    assert path.read_bytes().endswith(dataset())


@pytest.mark.parametrize("filepath", ["NULL", "'/gone/1.dcm'"])
async def test_a_row_without_its_file_takes_the_one_that_comes(receiving, filepath):
    assert await receiving.store(dataset()) == Status.SUCCESS
    (path,) = receiving.files()
    path.unlink()
    async with receiving.database.begin() as session:
        await session.execute(text(f"UPDATE images SET filepath = {filepath}"))
    assert await receiving.store(dataset()) == Status.SUCCESS
    assert receiving.files() == [path]
    async with receiving.database.session() as session:
        row = (await session.execute(text("SELECT filepath, sha256 FROM images"))).one()
    assert row.filepath == str(path)
    assert row.sha256 is not None


async def test_other_bytes_never_take_the_place_of_a_file_that_is_gone(receiving):
    assert await receiving.store(dataset()) == Status.SUCCESS
    (path,) = receiving.files()
    path.unlink()
    assert await receiving.store(dataset("xy")) == Status.SUCCESS
    assert await receiving.count("quarantine") == 1
    (kept,) = receiving.files()
    assert kept.parent.name == ".quarantine"
    assert kept.read_bytes().endswith(dataset("xy"))
