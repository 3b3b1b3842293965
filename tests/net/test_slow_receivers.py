"""Requestors and destinations that take an image slowly: they keep nobody else from being sent."""

import asyncio
import os
from contextlib import asynccontextmanager

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from node.dicom.status import Status
from node.net.dimse import ahead
from node.net.dimse.ahead import ReadAhead
from node.net.dimse.contexts import Service
from node.net.dimse.sinks import whole
from node.net.messages import InstanceFile
from node.net.scp.services import underway
from node.net.scu.requestor import associate
from node.ops.answering.giving import conversions
from tests.support.giving import answering_node, destination, identifier, index, pairs_of
from tests.support.images import dataset_bytes, generate
from tests.support.waiting import wait_until_async

LONG = 30.0
"""Seconds in which what nobody holds up has happened."""


@pytest.fixture(autouse=True)
async def no_task_is_left():
    yield

    def left():
        return asyncio.all_tasks() - {asyncio.current_task()}

    await wait_until_async(lambda: not left(), describe=left)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two studies of three images."""
    return generate(tmp_path_factory.mktemp("images"), studies=2, images=3)


@pytest.fixture
async def indexed(sqlite, images):
    await index(sqlite, [one.path for one in images])
    return sqlite


class Gate:
    """Holds who stores until it is opened."""

    def __init__(self):
        self.waiting, self.stored, self._open = 0, {}, asyncio.Event()

    async def store(self, request, dataset):
        self.waiting += 1
        await self._open.wait()
        self.stored[request.sop_instance_uid] = dataset
        return 0

    async def has_one(self):
        await wait_until_async(lambda: self.waiting)

    def open(self):
        self._open.set()


async def get(node, study_uid, gate, receive):
    async with associate(node.peer(), Service.GET, receive=receive) as association:
        getting = association.get(identifier(StudyInstanceUID=study_uid), whole(gate.store))
        return [progress async for progress in getting][-1]


async def get_at_once(node, study_uid, receive):
    gate = Gate()
    gate.open()
    async with asyncio.timeout(LONG):
        last = await get(node, study_uid, gate, receive)
    return last, gate.stored


@asynccontextmanager
async def held_up(gate, work):
    """Have a retrieval whose first image is not answered, for the length of the block."""
    task = asyncio.create_task(work)
    try:
        await gate.has_one()
        yield task
        assert gate.waiting == 1  # still the first one
        gate.open()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("service", [Service.GET, Service.MOVE])
async def test_who_answers_slowly_lends_its_turn(indexed, tmp_path, images, monkeypatch, service):
    monkeypatch.setattr(underway, "_LEND_AFTER", 0.1)
    pairs = pairs_of([images[0].path])
    gate = Gate()
    async with (
        destination(gate.store) as received,
        answering_node(
            indexed, tmp_path, store=received.port, answer={"retrievals": 1}, timeouts={}
        ) as node,
    ):
        slow = (
            get(node, images[0].study_uid, gate, pairs)
            if service is Service.GET
            else node.move("STORE", StudyInstanceUID=images[0].study_uid)
        )
        async with held_up(gate, slow) as task:
            last, kept = await get_at_once(node, images[3].study_uid, pairs)
            assert (last.status, last.completed) == (Status.SUCCESS, 3)
            assert kept == {one.sop_instance_uid: dataset_bytes(one.path) for one in images[3:]}
        assert gate.stored == {one.sop_instance_uid: dataset_bytes(one.path) for one in images[:3]}
        assert task.done()


async def test_a_destination_that_does_not_answer_an_association_lends_its_turn(
    indexed, tmp_path, images, monkeypatch
):
    monkeypatch.setattr(underway, "_LEND_AFTER", 0.1)
    called, leave = asyncio.Event(), asyncio.Event()

    async def silent(_, writer):
        called.set()
        await leave.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    (port,) = {one.getsockname()[1] for one in server.sockets}
    async with (
        server,
        answering_node(
            indexed, tmp_path, store=port, answer={"retrievals": 1}, timeouts={"acse": "60s"}
        ) as node,
    ):
        moving = asyncio.create_task(node.move("STORE", StudyInstanceUID=images[0].study_uid))
        await asyncio.wait_for(called.wait(), LONG)
        last, _ = await get_at_once(node, images[3].study_uid, pairs_of([images[0].path]))
        assert (last.status, last.completed) == (Status.SUCCESS, 3)
        leave.set()
        assert (await moving)[-1].failed == 3


async def test_who_waits_for_its_turn_again_is_told_and_can_cancel(
    indexed, tmp_path, images, monkeypatch
):
    monkeypatch.setattr(underway, "_LEND_AFTER", 0.1)
    monkeypatch.setattr(underway, "_TELL_EVERY", 0.1)
    first, other = Gate(), Gate()
    pairs = pairs_of([images[0].path])
    async with (
        destination(first.store) as received,
        answering_node(
            indexed, tmp_path, store=received.port, answer={"retrievals": 1}, timeouts={}
        ) as node,
        associate(node.peer(), Service.MOVE) as association,
    ):
        moving = association.move(identifier(StudyInstanceUID=images[0].study_uid), "STORE")
        await anext(moving)
        await first.has_one()
        async with held_up(other, get(node, images[3].study_uid, other, pairs)) as getting:
            monkeypatch.setattr(underway, "_LEND_AFTER", 60.0)  # the other one keeps it
            first.open()
            waiting = 0
            while waiting < 2:
                progress = await asyncio.wait_for(anext(moving), LONG)
                assert (progress.status, progress.completed in (0, 1)) == (Status.PENDING, True)
                waiting += progress.completed == 1
            await association.cancel()
            async with asyncio.timeout(LONG):
                *_, last = [progress async for progress in moving]
            assert (last.status, last.completed, last.remaining) == (Status.CANCEL, 1, 2)
            assert first.waiting == 1
        assert getting.result().completed == 3


@pytest.mark.parametrize("in_memory", [True, False])
async def test_who_takes_a_converted_image_slowly_holds_no_process(
    indexed, tmp_path, images, monkeypatch, in_memory
):
    monkeypatch.setattr(conversions.os, "cpu_count", lambda: 1)  # one process
    if not in_memory:
        monkeypatch.setattr(conversions, "_IN_MEMORY", 0)
        monkeypatch.setattr(conversions, "_LEFT_FREE", 0)
    folder = tmp_path / "dicom"
    folder.mkdir()
    pairs = [
        (sop_class, str(ImplicitVRLittleEndian)) for sop_class, _ in pairs_of([images[0].path])
    ]

    def opened():
        links = (os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd"))
        return [path for path in links if path.startswith(str(folder))]

    gate = Gate()
    async with answering_node(indexed, tmp_path) as node:
        async with held_up(gate, get(node, images[0].study_uid, gate, pairs)):
            assert bool(opened()) is not in_memory
            last, kept = await get_at_once(node, images[0].study_uid, pairs)
            assert (last.status, last.completed) == (Status.SUCCESS, 3)
        assert gate.stored == kept
        assert kept.keys() == {one.sop_instance_uid for one in images[:3]}
        assert opened() == []
    assert list(folder.rglob("converted-*")) == []


async def test_what_is_read_ahead_of_who_stands_still_is_bounded(tmp_path, monkeypatch):
    wanted = []
    for number in range(6):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(bytes(3 << 20))
        wanted.append(
            InstanceFile(
                path=path,
                sop_class_uid="1.2",
                sop_instance_uid=f"1.2.{number}",
                transfer_syntax_uid="1.2.840.10008.1.2",
                size=3 << 20,
            )
        )
    read = []
    monkeypatch.setattr(ahead, "load", read.append)
    objects = ReadAhead(wanted)
    for number in range(6):
        await wait_until_async(lambda number=number: len(read) > number)
        for _ in range(3):  # who would read more has had the time for it
            await asyncio.to_thread(len, read)
        assert len(read) == number + 1
        assert (await objects.next()).instance is wanted[number]
    assert await objects.next() is None
    await objects.close()
