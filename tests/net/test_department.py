"""The limits that a node is shipped with are those of a department, and it bears them."""

import asyncio
import threading

from node.upperlayer import Command, CommandField, Rejection
from node.upperlayer.dimse import DATASET
from node.upperlayer.framing import PDUType
from tests.net.test_attack import MB, memory_at_rest, memory_of
from tests.support import rawpeer
from tests.support.acceptors import acceptor
from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.rawpeer import RawPeer
from tests.support.received import spooled
from tests.support.waiting import wait_until, wait_until_async

MR = "1.2.840.10008.5.1.4.1.1.4"
FULL = Rejection(result=2, source=3, reason=2)
PACS, CT, OTHER = "127.0.0.2", "127.0.0.3", "127.0.0.4"


async def is_full(port, source, calling):
    async with await RawPeer.connect(port, source=source) as peer:
        peer.send(rawpeer.associate_request(called="NODE", calling=calling))
        kind, body = await peer.pdu()
        if kind == PDUType.ASSOCIATE_AC:
            return False
        assert Rejection(result=body[1], source=body[2], reason=body[3]) == FULL
        return True


async def associated(port, source, calling):
    return await RawPeer.associated(port, [MR], called="NODE", calling=calling, source=source)


async def stored(peer, message):
    """Send an object, and return whether it is taken."""
    peer.send(message)
    await peer.writer.drain()
    kind, body = await peer.pdu(120)
    return kind == PDUType.P_DATA and b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" in body


async def crowd(port, message):
    """Fill a node from two addresses, and let everybody store at once."""
    peers = [await associated(port, PACS, "PACS") for _ in range(200)]
    try:
        assert await is_full(port, PACS, "ELSE")  # of an address
        assert await is_full(port, OTHER, "PACS")  # of a title
        peers += [await associated(port, CT, f"CT{number % 5}") for number in range(50)]
        assert await is_full(port, OTHER, "OTHER")  # in all
        return await asyncio.gather(*(stored(peer, message) for peer in peers))
    finally:
        for peer in peers:
            peer.reset()


async def test_memory_is_given_back_after_a_crowd_and_not_after_the_everyday_few(monkeypatch):
    given = []
    monkeypatch.setattr("node.net.transport.ebb.give_back", lambda: given.append(1))
    monkeypatch.setattr("node.net.transport.ebb._MANY", 6)
    monkeypatch.setattr("node.net.transport.ebb._AFTER", 0.05)
    async with acceptor() as pacs:
        for _ in range(20):
            async with await RawPeer.connect(pacs.port):
                pass
        await wait_until_async(lambda: pacs.open_connections == 0)
        for _ in range(2):
            peers = [await RawPeer.connect(pacs.port) for _ in range(6)]
            await wait_until_async(lambda: pacs.open_connections == 6)
            before = len(given)
            for peer in peers:
                await peer.close()
            await wait_until_async(lambda before=before: len(given) > before)
    assert given == [1, 1]


def test_as_many_as_it_takes_by_default_store_at_once_within_250_mb(cli, tmp_path, sqlite_url):
    (image,) = generate(tmp_path / "image", images=1, size="large")
    data = dataset_bytes(image.path)
    command = Command(
        field=CommandField.C_STORE_RQ,
        message_id=1,
        affected_sop_class_uid=MR,
        affected_sop_instance_uid=image.sop_instance_uid,
        priority=0,
        dataset_type=DATASET,
    )
    parts = [data[at : at + 100_000] for at in range(0, len(data), 100_000)]
    message = rawpeer.command(command) + b"".join(
        rawpeer.data(part, last=part is parts[-1]) for part in parts
    )
    node = Node(cli, tmp_path / "node", sqlite_url)
    node.ok("db", "init")
    with node.running() as process:
        before = memory_at_rest(process.pid)
        most, over = [0], threading.Event()

        def watch():
            while not over.wait(0.02):
                most.append(memory_of(process.pid))

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            answers = asyncio.run(crowd(node.port, message))
        finally:
            over.set()
            watching.join()
        wait_until(lambda: spooled(node) == [], 60)
    more = max(most) - before
    print(f"250 associations storing 512 KB each: at most {more / MB:.0f} MB more")
    assert answers == [True] * 250
    assert more < 250 * MB
