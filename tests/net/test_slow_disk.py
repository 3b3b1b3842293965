"""A disk that takes its time over one object holds up nobody who does not wait for it."""

import asyncio
import os
import statistics
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.dicom.status import Status
from node.net.messages import Services
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET, decode_command
from node.upperlayer.framing import PDUType
from schema import Database
from tests.net.test_store import MR, dataset, running
from tests.support import rawpeer
from tests.support.acceptors import acceptor
from tests.support.rawpeer import VERIFICATION, RawPeer
from tests.support.waiting import wait_until_async

SLOW = "1.2.3.99999"


def is_slow_file(path, root):
    return root in path.parents and path.is_file() and SLOW.encode() in path.read_bytes()


def is_spool(path, root):
    return root / ".spool" in path.parents and path.is_dir()


def is_archive(path, root):
    return root in path.parents and ".spool" not in path.parts and path.is_dir()


class SlowSync:
    """Stands in for `os.fsync`: the first one of this kind does not return before `release`."""

    def __init__(self, root, kind):
        self.root = root
        self.kind = kind
        self.fsync = os.fsync
        self.began = threading.Event()
        self.release = threading.Event()

    def __call__(self, descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not self.began.is_set() and self.kind(path, self.root):
            self.began.set()
            assert self.release.wait(60)
        self.fsync(descriptor)


@asynccontextmanager
async def listening(folder, url):
    """A node's receiving half, listening, and what it stores into."""
    async with Database(url) as database:
        await database.initialize()
        async with (
            running(folder, database) as receiving,
            acceptor(Services(store=receiving.spooler.open)) as pacs,
        ):
            yield receiving, pacs.port


def object_of(uid):
    """Return a C-STORE of an object, command and dataset."""
    command = Command(
        field=CommandField.C_STORE_RQ,
        message_id=1,
        affected_sop_class_uid=MR,
        affected_sop_instance_uid=uid,
        priority=0,
        dataset_type=DATASET,
    )
    return rawpeer.command(command, 3) + rawpeer.data(dataset(uid=uid), last=True, context_id=3)


async def associated(port):
    return await RawPeer.associated(port, (VERIFICATION, MR))


async def status(peer):
    """Return the status of the next response."""
    kind, body = await peer.pdu(30)
    assert kind == PDUType.P_DATA
    return decode_command(body[6:]).status


async def asked(peer, message):
    peer.send(message)
    return await status(peer)


@pytest.mark.parametrize(
    "kind", [is_slow_file, is_spool, is_archive], ids=["file", "spool", "archive"]
)
async def test_a_sync_that_does_not_end_holds_up_only_who_waits_for_it(
    kind, tmp_path, sqlite_url, monkeypatch
):
    root = tmp_path / "dicom"
    async with listening(root, sqlite_url) as (receiving, port):
        sync = SlowSync(root, kind)
        monkeypatch.setattr(os, "fsync", sync)
        slow, other = await associated(port), await associated(port)
        try:
            waiting = asyncio.ensure_future(asked(slow, object_of(SLOW)))
            await wait_until_async(sync.began.is_set)
            for _ in range(20):
                assert await asked(other, rawpeer.echo()) == Status.SUCCESS
            third = await associated(port)
            assert await asked(third, rawpeer.echo()) == Status.SUCCESS
            uids = [f"1.2.3.{number}" for number in range(5)]
            if kind is is_spool:  # an object's name is durable with the spool's next sync only
                stores = [asyncio.ensure_future(asked(other, object_of(uids.pop())))]
            else:
                stores = []
                for uid in uids:
                    assert await asked(other, object_of(uid)) == Status.SUCCESS
            assert await asked(third, rawpeer.echo()) == Status.SUCCESS
            assert waiting.done() is (kind is is_archive)  # the archive is synced after the answer
            assert not any(store.done() for store in stores)
        finally:
            sync.release.set()
        assert await waiting == Status.SUCCESS
        assert [await store for store in stores] == [Status.SUCCESS] * len(stores)
        await receiving.indexed()
        assert await receiving.count() == (2 if kind is is_spool else 6)
        for peer in (slow, other, third):
            await peer.close()


async def test_with_syncs_of_30_ms_others_are_answered_in_between(
    tmp_path, sqlite_url, monkeypatch
):
    fsync, never = os.fsync, threading.Event()

    def slow(descriptor):
        never.wait(0.03)
        fsync(descriptor)

    async with listening(tmp_path / "dicom", sqlite_url) as (receiving, port):
        monkeypatch.setattr(os, "fsync", slow)
        storing, other = await associated(port), await associated(port)

        async def store():
            return [await asked(storing, object_of(f"1.2.3.{n}")) for n in range(15)]

        task = asyncio.create_task(store())
        took = []
        while not task.done():
            began = time.perf_counter()
            assert await asked(other, rawpeer.echo()) == Status.SUCCESS
            took.append(time.perf_counter() - began)
        assert await task == [Status.SUCCESS] * 15
        assert statistics.median(took) < 0.015
        await receiving.indexed()
        assert await receiving.count() == 15
        await storing.close()
        await other.close()
