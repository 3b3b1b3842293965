"""What we have fetched ourselves goes into the index here, or to the node that runs beside us."""

import asyncio
import contextlib
import os
from dataclasses import replace

import pytest
from sqlalchemy import select

from node.config import Config
from node.dicom.status import Status
from node.net.messages import Caller, Services, StoreRequest
from node.net.qido.place import WebPeer
from node.ops.peers import ourselves
from node.ops.receiving import relaying
from node.ops.receiving.intake import IntakeBeside, IntakeHere, intake
from node.ops.receiving.receiver import receiving
from node.ops.receiving.relaying import Relay
from node.ops.retrieving.c_get import GetRequests
from node.ops.retrieving.wado_rs import WebRequests
from node.ops.retrieving.wanted import Wanted
from node.ops.stalls import TimeLimits
from node.simulator.archive import SimulatedArchive
from node.simulator.server import Simulator
from node.storage.spool import Spool
from schema import Database, Image
from tests.support.acceptors import acceptor
from tests.support.images import dataset_bytes, generate
from tests.support.kept import Kept
from tests.support.processes import free_port
from tests.support.qido_server import QidoServer
from tests.support.wado_server import holding
from tests.support.waiting import wait_until_async

MR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"


@pytest.fixture
async def db(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database:
        yield database


@pytest.fixture
def config(tmp_path):
    return configured(tmp_path)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("images"), images=4)


def configured(folder, peers=None, **node):
    return Config(
        node={"host": "127.0.0.1", "port": free_port(), "grace": 2} | node,
        storage={"directory": str(folder / "dicom")},
        peers=peers or {},
    )


def request_for(image, source="PACS"):
    return StoreRequest(
        caller=Caller(aetitle=source, address="127.0.0.1", port=104),
        sop_class_uid=MR,
        sop_instance_uid=image.sop_instance_uid,
        transfer_syntax_uid=EXPLICIT,
    )


async def put(store, image, source="PACS"):
    """Give a store an image in pieces, as it comes; return the status."""
    sink = store(request_for(image, source))
    encoded = dataset_bytes(image.path)
    for start in range(0, len(encoded), 4000):
        sink.write(encoded[start : start + 4000])
        if sink.full:
            await sink.drained()
    return await sink.finish()


async def indexed(db, count):
    """Wait until so many images are in the index; return who has sent them, by UID."""

    async def sources():
        async with db.session() as session:
            rows = await session.execute(select(Image.image_uid, Image.source))
            return dict(list(rows))

    async def are_there():
        found = await sources()
        return found if len(found) == count else None

    return await wait_until_async(are_there)


def spool_of(config):
    return config.storage.directory / ".spool"


def files_in(folder):
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def test_where_we_receive_ourselves_it_goes_the_way_of_what_is_received(db, config, images):
    async with receiving(config, db) as receiver:
        assert await put(IntakeHere(receiver).store, images[0]) == Status.SUCCESS
        assert await indexed(db, 1) == {images[0].sop_instance_uid: "PACS"}


@pytest.mark.parametrize(
    ("node", "peer", "source"),
    [
        ({}, {}, "PACS"),
        ({}, {"networks": ["10.0.0.0/8"]}, "NODE"),
        ({}, {"may_store": []}, "NODE"),
        ({"known_peers_only": True}, {}, "PACS"),
    ],
    ids=["open", "from elsewhere alone", "may not store", "known peers only"],
)
async def test_a_node_that_runs_beside_us_is_handed_each_image_as_its_sender_s(
    db, tmp_path, images, monkeypatch, node, peer, source
):
    monkeypatch.setattr(relaying, "_FULL_AT", 5000)  # each goes through its file in parts
    known = {"aetitle": "PACS", "host": "127.0.0.1", "port": 104}
    config = configured(tmp_path, {"pacs": known | peer}, **node)
    async with receiving(config, db):
        async with intake(config, db) as beside:
            assert isinstance(beside, IntakeBeside)
            store = beside.store
            statuses = await asyncio.gather(*(put(store, image) for image in images))
            assert statuses == [Status.SUCCESS] * len(images)
            assert [name for name in files_in(spool_of(config)) if name.endswith(".part")] == []
            rows = await indexed(db, len(images))
    assert rows == {image.sop_instance_uid: source for image in images}
    assert files_in(spool_of(config)) == []


async def test_what_the_node_answers_is_what_the_sender_is_told(tmp_path, images):
    answers = [Status.OUT_OF_RESOURCES, 0xC000, Status.KEPT_APART, Status.SUCCESS]
    kept = Kept(lambda request: answers[len(kept.requests) - 1])
    config = configured(tmp_path)
    pacs = acceptor(Services(store=kept.store), aetitle="NODE", port=config.node.port)
    relay = Relay(ourselves(config), config.storage.directory)
    async with pacs:
        assert [await put(relay.open, image) for image in images] == answers
        assert kept.objects[images[3].sop_instance_uid] == dataset_bytes(images[3].path)
        assert {one.originator for one in kept.requests} == {"NODE"}  # that we have asked for it
        assert pacs.open_connections == 1
    # it has gone, and the association with it
    assert await put(relay.open, images[0]) == Status.OUT_OF_RESOURCES
    assert files_in(tmp_path) == []
    await relay.close()
    assert list(spool_of(config).iterdir()) == []


async def test_an_association_that_has_ended_meanwhile_is_made_again(tmp_path, images):
    kept, config = Kept(), configured(tmp_path)
    relay = Relay(ourselves(config), config.storage.directory)
    for image in images[:2]:
        async with acceptor(Services(store=kept.store), aetitle="NODE", port=config.node.port):
            assert await put(relay.open, image) == Status.SUCCESS
    await relay.close()
    assert len(kept.objects) == 2


async def test_what_is_given_up_or_left_by_a_crash_is_removed(tmp_path, images):
    config = configured(tmp_path)
    relay = Relay(ourselves(config), config.storage.directory)
    sinks = [relay.open(request_for(image)) for image in images[:2]]
    for sink in sinks:
        sink.write(b"half")
        await sink.drained()
    assert len(files_in(tmp_path)) == 2
    sinks[0].discard()
    await wait_until_async(lambda: len(files_in(tmp_path)) == 1)
    await asyncio.to_thread(os.close, relay._spool._lock)  # as when the process dies
    spool = Spool(config.storage.directory)
    assert await asyncio.to_thread(spool.open) == []
    assert files_in(tmp_path) == []
    await asyncio.to_thread(spool.close)


async def test_a_disk_that_takes_nothing_is_out_of_resources(tmp_path, images):
    (tmp_path / "dicom").write_text("no folder")
    relay = Relay(ourselves(configured(tmp_path)), tmp_path / "dicom")
    assert await put(relay.open, images[0]) == Status.OUT_OF_RESOURCES
    await relay.close()


@pytest.mark.parametrize("beside", [False, True], ids=["here", "beside"])
async def test_what_is_got_and_fetched_ends_in_the_index_once_and_whole(
    db, config, images, tmp_path, beside
):
    held = await asyncio.to_thread(SimulatedArchive.load, images[0].path.parent)
    pacs = Simulator(archive=held, incoming=tmp_path / "in")
    limits, kept = TimeLimits(quiet=10, total=20), Kept()
    wanted = Wanted(study_uid=images[0].study_uid)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(pacs)
        if beside:
            await stack.enter_async_context(receiving(config, db))
        store = (await stack.enter_async_context(intake(config, db))).store
        peer = replace(ourselves(config), aetitle="PACS", port=pacs.port)
        async with GetRequests(peer, store=store, limits=limits) as asking:
            got = await asking.ask(wanted, kept)
        with QidoServer(script=holding(images)) as server:
            web = WebPeer(name="web", url=server.url)
            async with WebRequests(web, store=store, limits=limits) as asking:
                fetched = await asking.ask(wanted, kept)
        rows = await indexed(db, len(images))
    assert (got.arrived, got.error) == (fetched.arrived, fetched.error) == (len(images), None)
    assert rows == {image.sop_instance_uid: "PACS" for image in images}
    for image in images:
        (path,) = config.storage.directory.rglob(f"{image.sop_instance_uid}.dcm")
        assert dataset_bytes(path) == dataset_bytes(image.path)
