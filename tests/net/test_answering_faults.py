"""Retrievals that go wrong: destinations, requestors, files and databases that misbehave."""

import asyncio
import os
import time
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select

from node.dicom.status import Status
from node.net.dimse import ahead
from node.net.dimse.contexts import Service
from node.net.dimse.sendable import Sendable
from node.net.dimse.sinks import whole
from node.net.messages import Services
from node.net.scp.access import Access, KnownCaller
from node.net.scp.services import underway
from node.net.scu.requestor import associate
from schema import Database, DatabaseUnavailable, Image, StudyFind
from schema.tables.accounting.verifications import StudyVerification
from tests.support.acceptors import acceptor
from tests.support.giving import answering_node, destination, identifier, index, pairs_of
from tests.support.images import dataset_bytes, generate
from tests.support.processes import free_port
from tests.support.received import flip_byte
from tests.support.waiting import wait_until_async

IMPATIENT = {"connect": "1s", "acse": "1s", "dimse": "0.2s", "network": "1s"}


@pytest.fixture(autouse=True)
async def nothing_is_left():
    """Neither tasks nor open files of images."""
    yield

    def left():
        return asyncio.all_tasks() - {asyncio.current_task()}

    await wait_until_async(lambda: not left(), describe=left)
    opened = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert [path for path in opened if path.endswith(".dcm")] == []


@pytest.fixture
def images(tmp_path):
    return generate(tmp_path / "images", images=6)


@pytest.fixture
async def indexed(sqlite, images):
    await index(sqlite, [one.path for one in images])
    return sqlite


def study(images):
    return {"StudyInstanceUID": images[0].study_uid}


def counts(progress):
    return progress.status, progress.completed, progress.failed, progress.warning


# Destinations


async def test_a_destination_that_is_not_there_fails_all(indexed, tmp_path, images):
    async with answering_node(indexed, tmp_path, store=free_port()) as node:
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.UNABLE_TO_PERFORM_SUBOPERATIONS, 0, 6, 0)
    assert set(last.failed_uids) == {one.sop_instance_uid for one in images}
    assert last.comment == "6 failed: the destination cannot be reached"


async def test_a_destination_that_refuses_the_association_fails_all(indexed, tmp_path, images):
    access = Access([KnownCaller(aetitle="OTHER")], known_only=True)
    async with (
        destination(access=access) as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
    ):
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.UNABLE_TO_PERFORM_SUBOPERATIONS, 0, 6, 0)
    assert last.comment == "6 failed: the destination refused it"


async def test_a_destination_that_is_no_storage_scp_fails_all(indexed, tmp_path, images):
    async with acceptor(Services(), aetitle="STORE") as empty:
        async with answering_node(indexed, tmp_path, store=empty.port) as node:
            *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.UNABLE_TO_PERFORM_SUBOPERATIONS, 0, 6, 0)


async def test_a_destination_that_stalls_is_given_up_after_some_images(indexed, tmp_path, images):
    async def store(request, dataset):
        await asyncio.sleep(60)

    async with (
        destination(store) as received,
        answering_node(indexed, tmp_path, store=received.port, timeouts=IMPATIENT) as node,
    ):
        *_, last = await node.move("STORE", **study(images))
        await received.acceptor.vanish()
    assert counts(last) == (Status.UNABLE_TO_PERFORM_SUBOPERATIONS, 0, 6, 0)
    assert last.comment == "6 failed: the association was lost"


async def test_an_image_is_lost_with_its_association_and_the_rest_goes_over_another(
    indexed, tmp_path, images
):
    taken = []

    async def store(request, dataset):
        taken.append(request.sop_instance_uid)
        if len(taken) == 3:
            for visit in list(received.acceptor._visits):
                visit.reset()

    async with (
        destination(store) as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
    ):
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.SUBOPERATIONS_WITH_FAILURES, 5, 1, 0)
    assert last.failed_uids == (taken[2],)
    assert taken == [one.sop_instance_uid for one in images]


async def test_warnings_and_failures_are_counted_and_named(indexed, tmp_path, images):
    async with (
        destination() as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
    ):
        received.statuses[:] = [0xB000, 0xA700, 0, 0xB007, 0xC000]
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.SUBOPERATIONS_WITH_FAILURES, 2, 2, 2)
    assert last.failed_uids == (images[1].sop_instance_uid, images[4].sop_instance_uid)
    assert last.comment == "2 failed: 0xA700 (out of resources)"


async def test_who_asks_hears_each_second_while_one_image_takes_long(
    indexed, tmp_path, images, monkeypatch
):
    monkeypatch.setattr(underway, "_TELL_EVERY", 0.1)

    async def store(request, dataset):
        await asyncio.sleep(0.5)

    key = study(images) | {
        "SeriesInstanceUID": images[0].series_uid,
        "SOPInstanceUID": images[0].sop_instance_uid,
    }
    async with (
        destination(store) as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
    ):
        *pending, last = await node.move("STORE", level="IMAGE", **key)
    assert counts(last) == (Status.SUCCESS, 1, 0, 0)
    assert [one.remaining for one in pending].count(1) >= 2


async def test_associations_that_are_refused_are_done_without(indexed, tmp_path, images):
    async with (
        destination(max_associations=1) as received,
        answering_node(indexed, tmp_path, store=received.port, retrieve_associations=3) as node,
    ):
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.SUCCESS, 6, 0, 0)


# Requestors


async def test_a_cancel_ends_it_between_two_images(indexed, tmp_path, images):
    gate = asyncio.Semaphore(0)

    async def store(request, dataset):
        await gate.acquire()

    async with (
        destination(store) as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
        associate(node.peer(), Service.MOVE, Service.ECHO) as association,
    ):
        moving = association.move(identifier(**study(images)), "STORE")
        waiting = await anext(moving)
        assert waiting.pending
        await association.cancel()
        await asyncio.sleep(0.2)
        gate.release()
        *_, last = [progress async for progress in moving]
        assert counts(last) == (Status.CANCEL, 1, 0, 0)
        assert last.remaining == 5
        await association.echo()
        await wait_until_async(lambda: not received.acceptor.open_associations)


async def test_a_cancel_ends_it_while_the_destination_stalls(
    indexed, tmp_path, images, monkeypatch
):
    """And who has cancelled it hears meanwhile how far it is."""
    monkeypatch.setattr(underway, "_TELL_EVERY", 0.1)
    monkeypatch.setattr(underway, "_TO_END", 0.6)

    async def store(request, dataset):
        await asyncio.sleep(60)

    async with (
        destination(store) as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
        associate(node.peer(), Service.MOVE) as association,
    ):
        moving = association.move(identifier(**study(images)), "STORE")
        await anext(moving)
        began = time.monotonic()
        await association.cancel()
        *meanwhile, last = [progress async for progress in moving]
        assert (last.status, last.remaining, last.completed) == (Status.CANCEL, 6, 0)
        assert len(meanwhile) >= 3  # of which one may have come before it was cancelled
        assert {one.status for one in meanwhile} == {Status.PENDING}
        assert time.monotonic() - began < 1.5
        await received.acceptor.vanish()


@pytest.mark.parametrize("service", [Service.MOVE, Service.GET])
async def test_a_requestor_that_vanishes_leaves_nothing(indexed, tmp_path, images, service):
    began = asyncio.Event()

    async def store(request, dataset):
        began.set()
        await asyncio.sleep(60)

    async def ask(association):
        if service is Service.MOVE:
            return [one async for one in association.move(identifier(**study(images)), "STORE")]
        getting = association.get(identifier(**study(images)), whole(store))
        return [one async for one in getting]

    async with (
        destination(store) as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
    ):

        async def work():
            receive = pairs_of([images[0].path]) if service is Service.GET else []
            async with associate(node.peer(), service, receive=receive) as association:
                await ask(association)

        task = asyncio.create_task(work())
        await asyncio.wait_for(began.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await wait_until_async(lambda: not node.acceptor.open_connections)
        await received.acceptor.vanish()


async def test_a_requestor_that_never_reads_is_left(sqlite, tmp_path):
    images = generate(tmp_path / "images", images=24, size="large")
    await index(sqlite, [one.path for one in images])
    async with answering_node(sqlite, tmp_path) as node:
        node.acceptor._deadlines = type(node.acceptor._deadlines)(
            negotiation=1.0, message=0.5, idle=1.0
        )

        async def work():
            receive = pairs_of([images[0].path])
            async with associate(node.peer(), Service.GET, receive=receive) as association:

                async def store(request, dataset):
                    association._link.connection.pause_reading()
                    began.set()
                    await asyncio.sleep(60)

                getting = association.get(identifier(**study(images)), whole(store))
                return [one async for one in getting]

        began = asyncio.Event()
        task = asyncio.create_task(work())
        await asyncio.wait_for(began.wait(), 5)
        await wait_until_async(lambda: not node.acceptor.open_connections)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# Files


async def rows_of(database):
    async with database.session() as session:
        rows = await session.scalars(select(StudyVerification))
        return [(row.study_uid, row.unsound) for row in rows]


def gone(path):
    path.unlink()


def truncated(path):
    os.truncate(path, path.stat().st_size - 2)


def changed(path):
    flip_byte(path, path.stat().st_size - 1)


def no_dicom(path):
    path.write_bytes(b"\xff" * path.stat().st_size)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("harm", [gone, truncated, changed, no_dicom])
async def test_what_is_damaged_is_never_sent_and_is_taken_down(
    db, tmp_path, images, monkeypatch, caplog, harm, large
):
    await index(db, [one.path for one in images])
    async with db.begin() as session:
        session.add(StudyFind(study_uid=images[0].study_uid))
    harm(images[2].path)
    if large:
        monkeypatch.setattr(ahead, "WHOLE", 4096)
    async with (
        destination() as received,
        answering_node(db, tmp_path, store=received.port) as node,
    ):
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.SUBOPERATIONS_WITH_FAILURES, 5, 1, 0)
    assert last.failed_uids == (images[2].sop_instance_uid,)
    what = "gone" if harm is gone else "damaged"
    assert last.comment == f"1 failed: its file is {what}"
    assert len(received.originators) == 5
    assert f"The file of an image is {what}: {images[2].path}" in caplog.text
    assert await rows_of(db) == [(images[0].study_uid, 1)]


async def test_a_large_file_that_changes_while_it_is_sent_is_never_whole(
    indexed, tmp_path, images, monkeypatch
):
    monkeypatch.setattr(ahead, "WHOLE", 4096)
    really = Sendable.read

    def read(sendable, size):
        data = really(sendable, size)
        return data[:-1] + b"\x55" if sendable.path == images[2].path else data

    monkeypatch.setattr(Sendable, "read", read)
    async with (
        destination() as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
    ):
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.SUBOPERATIONS_WITH_FAILURES, 5, 1, 0)
    assert received.images == {
        one.sop_instance_uid: (EXPLICIT, dataset_bytes(one.path))
        for one in images
        if one is not images[2]
    }
    assert await rows_of(indexed) == [(images[0].study_uid, 1)]


EXPLICIT = "1.2.840.10008.1.2.1"


async def test_large_files_come_bit_by_bit(indexed, tmp_path, images, monkeypatch):
    monkeypatch.setattr(ahead, "WHOLE", 4096)
    monkeypatch.setattr("node.net.dimse.sendable._PART", 1000)
    async with (
        destination() as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
    ):
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.SUCCESS, 6, 0, 0)
    assert {uid: data for uid, (_, data) in received.images.items()} == {
        one.sop_instance_uid: dataset_bytes(one.path) for one in images
    }


async def test_an_image_without_a_file_fails(indexed, tmp_path, images):
    async with indexed.begin() as session:
        await session.execute(
            Image.__table__.update()
            .where(Image.image_uid == images[0].sop_instance_uid)
            .values(filepath=None)
        )
    async with (
        destination() as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
    ):
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.SUBOPERATIONS_WITH_FAILURES, 5, 1, 0)
    assert await rows_of(indexed) == []


async def test_more_failures_than_one_value_can_name_are_counted(
    indexed, tmp_path, images, monkeypatch
):
    monkeypatch.setattr("node.net.scp.services.suboperations._LONGEST_VALUE", 130)
    async with answering_node(indexed, tmp_path, store=free_port()) as node:
        *_, last = await node.move("STORE", **study(images))
    assert (last.failed, len(last.failed_uids)) == (6, 2)


# The database


async def test_a_database_that_is_away_is_said_so(tmp_path, images):
    async with Database(f"postgresql://127.0.0.1:{free_port()}/away") as away:
        async with answering_node(away, tmp_path) as node:
            (last,) = await node.move("STORE", **study(images))
    assert last.status == Status.UNABLE_TO_COUNT_MATCHES
    assert last.comment == "the index cannot be read at the moment"


async def test_a_database_that_goes_away_in_the_middle_changes_nothing(
    indexed, tmp_path, images, monkeypatch, caplog
):
    images[4].path.unlink()

    async def store(request, dataset):
        monkeypatch.setattr(Database, "session", unavailable)
        monkeypatch.setattr(Database, "run", away)

    async with (
        destination(store) as received,
        answering_node(indexed, tmp_path, store=received.port) as node,
    ):
        *_, last = await node.move("STORE", **study(images))
    assert counts(last) == (Status.SUBOPERATIONS_WITH_FAILURES, 5, 1, 0)
    assert "What is wrong with 1 file is not recorded: it is away" in caplog.text


@asynccontextmanager
async def unavailable(database, **_):
    raise DatabaseUnavailable("it is away")
    yield


async def away(*_, **__):
    raise DatabaseUnavailable("it is away")
