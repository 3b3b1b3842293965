"""Nothing that a peer sends holds the event loop: others have their turn every few milliseconds.

The peers are threads with plain sockets; what is measured is the processor time that the loop's
thread needs from one look at its sockets to the next.
"""

import asyncio
import contextlib
import gc
import socket
import struct
import threading
import time

import pytest
from pydicom.dataset import Dataset

from node.net.dimse.sinks import whole
from node.net.messages import Services
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET, encode_command
from node.upperlayer.framing import PDUType, frame
from tests.support import rawpeer
from tests.support.acceptors import acceptor
from tests.support.rawpeer import CT_IMAGE, STUDY_FIND, VERIFICATION

LONGEST = 0.05
"""Seconds of a round; on two cores of 2024 the longest here takes some 10 ms."""

PDU = 131072
ASSOCIATE = rawpeer.associate_request((CT_IMAGE, STUDY_FIND, VERIFICATION))
FIXED = struct.pack(">H2x16s16s32x", 1, b"PACS".ljust(16), b"ME".ljust(16))
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"


class Rounds:
    """Stands in a loop's selector, and keeps how long each round took."""

    def __init__(self, selector):
        self.selector = selector
        self.seconds = []
        self.began = None

    def select(self, timeout=None):
        if self.began is not None:
            self.seconds.append(time.thread_time() - self.began)
        try:
            return self.selector.select(timeout)
        finally:
            self.began = time.thread_time()

    def __getattr__(self, name):
        return getattr(self.selector, name)


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    """Look at deadlines often, and wait for peers to close their side less long."""
    monkeypatch.setattr("node.net.transport.connection._TICK", 0.05)
    monkeypatch.setattr("node.net.transport.deadlines._TO_CLOSE", 0.1)


def item(kind, value):
    return struct.pack(">BxH", kind, len(value)) + value


def request(*items):
    body = FIXED + item(0x10, APPLICATION_CONTEXT) + b"".join(items)
    return frame(PDUType.ASSOCIATE_RQ, body)


def context(number, *sub_items, abstract=CT_IMAGE):
    ours = (item(0x30, abstract.encode()), *sub_items)
    return item(0x20, bytes((2 * number + 1, 0, 0, 0)) + b"".join(ours))


def values(data, control, context_id=1, *, times=3):
    """Return P-DATA-TF PDUs full of one fragment."""
    value = struct.pack(">LBB", len(data) + 2, context_id, control) + data
    return frame(PDUType.P_DATA, value * (PDU // len(value))) * times


def find(identifier):
    command = Command(
        field=CommandField.C_FIND_RQ,
        message_id=1,
        affected_sop_class_uid=STUDY_FIND,
        dataset_type=DATASET,
    )
    size = PDU - 6
    parts = [identifier[at : at + size] for at in range(0, len(identifier), size)]
    return rawpeer.command(command, 3) + b"".join(
        rawpeer.data(part, last=part is parts[-1], context_id=3) for part in parts
    )


def elements(count, value):
    return b"".join(
        struct.pack("<HH2sH", 0x0010, 0x0010 + number, b"LO", len(value)) + value
        for number in range(count)
    )


NESTED = (
    struct.pack("<HH2s2xL", 0x0040, 0x0275, b"SQ", 0xFFFFFFFF) + b"\xfe\xff\0\xe0" + b"\xff" * 4
)
ITEMS = b"\xfe\xff\0\xe0\0\0\0\0" * 120_000
ECHO = encode_command(
    Command(field=CommandField.C_ECHO_RQ, message_id=1, affected_sop_class_uid=VERIFICATION)
)
NEGOTIATIONS = {
    "what a proposal may have at most": request(
        *(context(n, *(item(0x40, b"1.2.%d" % m) for m in range(60))) for n in range(128)),
    ),
    "a proposal of four-byte items": request(
        *(context(n, item(0x40, b"") * 1000) for n in range(128))
    ),
    "a thousand user informations": request(
        *(item(0x50, item(0x54, b"\0\0\1\1") * 120) for _ in range(1000))
    ),
    "long names": request(*(context(n, abstract="1" * 65000) for n in range(15))),
    "other people's classes": request(
        *(context(n, item(0x40, b"1.2"), abstract=f"1.2.840.10008.{n}") for n in range(128))
    ),
    "a thousand extended negotiations": request(
        context(0), item(0x50, item(0x56, b"\0\1.12345678901234567890") * 1000)
    ),
}
MESSAGES = {
    "fragments of nothing": rawpeer.store() + values(b"", 0),
    "fragments of a byte": rawpeer.store() + values(b"x", 0),
    "PDUs of nothing": rawpeer.store() + rawpeer.data(b"", last=False) * 30_000,
    "an identifier in fragments of a byte": find(b"")[:-12] + values(b"x", 0, 3),
    "a command in fragments of nothing": values(b"", 1),
    "a command in fragments of a byte": values(b"\0", 1),
    "long commands": frame(
        PDUType.P_DATA,
        struct.pack(">LBB", len(ECHO) + 16002, 1, 3) + ECHO + struct.pack("<HHL", 0, 2, 0) * 2000,
    )
    * 20,
    "requests without waiting": rawpeer.echo(1, 5) * 2000,
    "commands in one PDU": values(ECHO, 3, 5, times=2),
    "cancels": rawpeer.command(Command(field=CommandField.C_CANCEL_RQ, responding_to=1), 5) * 2000,
    "empty objects": (rawpeer.store() + rawpeer.data(b"", last=True)) * 700,
    "an identifier of many elements": find(elements(60_000, b"ABCD")),
    "an identifier of many items": find(
        struct.pack("<HH2s2xL", 0x0040, 0x0275, b"SQ", len(ITEMS)) + ITEMS
    ),
    "an identifier of deep sequences": find(NESTED * 40_000),
    "an identifier of many values": find(
        b"".join(
            struct.pack("<HH2sH", 0x0010, number, b"PN", 65000) + b"1\\" * 32500
            for number in range(16)
        )
    ),
    "an identifier of long values": find(elements(1000, b"A" * 1000)),
}


def speak(port, messages):
    """Associate where there is more to say, say it, read what is answered, and go."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(20)
        for message in messages[:-1]:
            sock.sendall(message)
            assert sock.recv(65536)[:1] == bytes((PDUType.ASSOCIATE_AC,))
        ears = threading.Thread(target=listen, args=(sock,))
        ears.start()
        try:
            with contextlib.suppress(OSError):
                sock.sendall(messages[-1] + rawpeer.RELEASE)
        finally:
            ears.join(20)


def listen(sock):
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass


@contextlib.asynccontextmanager
async def others_garbage_aside():
    """Let nobody look through what the tests before have left, as a node does at its start.

    A full collection of a process that has run thousands of tests takes half a second, which no
    peer has caused.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def longest_round(messages, *, peers=1):
    """Return the processor seconds of the longest round while peers say all this."""

    async def find(request):
        for _ in range(3):
            yield Dataset()

    async def store(request, encoded):
        return 0

    services = Services(store=whole(store), find=find)
    loop = asyncio.get_running_loop()
    async with others_garbage_aside(), acceptor(services, max_associations=100) as pacs:
        rounds = loop._selector = Rounds(loop._selector)
        try:
            crowd = [
                threading.Thread(target=speak, args=(pacs.port, messages)) for _ in range(peers)
            ]
            for thread in crowd:
                thread.start()
            while any(thread.is_alive() for thread in crowd):
                await asyncio.sleep(0.01)
        finally:
            loop._selector = rounds.selector
    return max(rounds.seconds)


@pytest.mark.parametrize("what", NEGOTIATIONS)
async def test_no_proposal_holds_the_loop(what):
    assert await longest_round([NEGOTIATIONS[what]]) < LONGEST


@pytest.mark.parametrize("what", MESSAGES)
async def test_no_message_holds_the_loop(what):
    assert await longest_round([ASSOCIATE, MESSAGES[what]]) < LONGEST


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([NEGOTIATIONS["what a proposal may have at most"]], id="proposals"),
        pytest.param([ASSOCIATE, rawpeer.store() + values(b"x", 0, times=1)], id="fragments"),
    ],
)
async def test_no_crowd_holds_the_loop(messages):
    assert await longest_round(messages, peers=16) < LONGEST
