"""Many who ask for everything and do not read: others are answered, and memory is bounded."""

import asyncio
import socket
import time
from contextlib import AsyncExitStack

import pytest

from node.net.dimse.contexts import Service
from node.net.dimse.identifiers import write_identifier
from node.net.messages import Peer, Timeouts
from node.net.scu.requestor import associate
from node.net.transport.descriptors import make_room
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET
from schema import Database
from tests.bench.held import fill, told
from tests.net.test_attack import memory_at_rest, memory_of
from tests.support import rawpeer
from tests.support.answering import keys
from tests.support.node import Node
from tests.support.processes import LOOPBACK

MB = 1 << 20
CLIENTS = 200
STUDIES = 25_000
EACH = 3 * MB
"""What an answer that nobody reads may take: a page that is sent, and one that is made."""

USUAL = ("PatientName", "PatientID", "StudyDate", "StudyDescription", "ReferringPhysicianName")


def request():
    asked = keys("STUDY", StudyInstanceUID="", **dict.fromkeys(USUAL, ""))
    return rawpeer.command(
        Command(
            field=CommandField.C_FIND_RQ,
            message_id=1,
            affected_sop_class_uid=rawpeer.STUDY_FIND,
            priority=0,
            dataset_type=DATASET,
        )
    ) + rawpeer.data(write_identifier(asked, rawpeer.EXPLICIT), last=True)


async def does_not_read(port, loop):
    """Ask for everything; return the socket, from which nothing more is read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await loop.sock_connect(sock, (LOOPBACK, port))
    hello = rawpeer.associate_request((rawpeer.STUDY_FIND,), called="NODE", calling="VIEWER")
    await loop.sock_sendall(sock, hello)
    answer = await loop.sock_recv(sock, 6)
    assert answer[:1] == b"\x02"
    await loop.sock_sendall(sock, request())
    return sock


@pytest.mark.long
async def test_who_asks_for_all_and_does_not_read_harms_nobody(cli, tmp_path, sqlite_url):
    make_room(CLIENTS + 100)
    viewer = {"aetitle": "VIEWER", "host": LOOPBACK, "port": 1, "may_query": "VIEWER"}
    node = Node(
        cli,
        tmp_path / "node",
        sqlite_url,
        settings={
            "peers": {"viewer": viewer},
            "node": {
                "timeouts": {"dimse": "5s"},
                "max_associations_per_address": 240,
                "max_associations_per_aetitle": 240,
            },
        },
    )
    node.ok("db", "init")
    async with Database(sqlite_url) as db:
        await fill(db, STUDIES)
    friend = Peer(
        name="node",
        aetitle="NODE",
        host=LOOPBACK,
        port=node.port,
        calling_aetitle="VIEWER",
        timeouts=Timeouts(connect=10, acse=10, dimse=20, network=30),
    )
    loop = asyncio.get_running_loop()
    with node.running() as process:
        before = memory_at_rest(process.pid)
        async with AsyncExitStack() as stack:
            for _ in range(CLIENTS):
                stack.callback((await does_not_read(node.port, loop)).close)
            took = []
            for number in range(10):
                began = time.perf_counter()
                wanted = keys("STUDY", StudyInstanceUID=told(number)["StudyInstanceUID"])
                async with associate(friend, Service.FIND) as association:
                    assert [match async for match in association.find(wanted)]
                took.append(time.perf_counter() - began)
            assert sorted(took)[len(took) // 2] < 5, took
            assert memory_of(process.pid) - before < 64 * MB + CLIENTS * EACH
        # They are gone: what was made for them is as well.
        async with associate(friend, Service.FIND) as association:
            began = time.perf_counter()
            assert [match async for match in association.find(wanted)]
            assert time.perf_counter() - began < 5
