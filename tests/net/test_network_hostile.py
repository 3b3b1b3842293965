"""What peers do to an acceptor, by mistake or on purpose: it answers, and leaks nothing."""

import asyncio
import contextlib
import logging
import resource
import socket
import struct
from ipaddress import ip_network

import pytest
from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.errors import StorageError
from node.net.messages import MovePlan, Services, Timeouts
from node.net.scp.access import Access, KnownCaller
from node.net.scp.limits import Limits
from node.net.transport.pace import MINIMUM_RATE, Pace
from node.upperlayer import (
    AssociateRequest,
    Command,
    CommandField,
    ProposedContext,
    Rejection,
)
from node.upperlayer.associate_pdus import encode_request
from node.upperlayer.dimse import DATASET, NO_DATASET, decode_command
from node.upperlayer.framing import PDUType, frame
from tests.support import rawpeer
from tests.support.acceptors import acceptor
from tests.support.rawpeer import CT_IMAGE, STUDY_FIND, VERIFICATION, RawPeer
from tests.support.waiting import wait_until_async

LOCAL_LIMIT = Rejection(result=2, source=3, reason=2)
INVALID_PARAMETER = frame(PDUType.ABORT, b"\0\0\2\6")
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
CALLING_NOT_RECOGNISED = Rejection(result=1, source=1, reason=3)


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    """Look at deadlines often, and wait for peers to close their side less long."""
    monkeypatch.setattr("node.net.transport.connection._TICK", 0.1)
    monkeypatch.setattr("node.net.transport.deadlines._TO_CLOSE", 0.3)


@pytest.fixture(autouse=True)
async def no_task_is_left():
    yield

    def left():
        return asyncio.all_tasks() - {asyncio.current_task()}

    await wait_until_async(lambda: not left(), describe=left)


async def response(peer):
    """Return the next response's command."""
    kind, body = await peer.pdu()
    assert kind == PDUType.P_DATA, (kind, body)
    return decode_command(body[6:])


class Sink:
    """Keeps what it is given, and what was done with it; `on` says what goes wrong where."""

    def __init__(self, on=None):
        self.on = on or {}
        self.data = bytearray()
        self.ends = []
        self.room = asyncio.Event()

    def _go_wrong(self, where):
        if (error := self.on.get(where)) is not None:
            raise error

    @property
    def full(self):
        self._go_wrong("full")
        return "blocked" in self.on and not self.room.is_set()

    def write(self, data):
        self._go_wrong("write")
        self.data += data

    async def drained(self):
        self._go_wrong("drained")
        await self.room.wait()

    async def finish(self):
        self.ends.append("finish")
        self._go_wrong("finish")
        return Status.SUCCESS

    def discard(self):
        self.ends.append("discard")


def collecting(sinks, on=None):
    def store(request):
        sinks.append(Sink(on))
        return sinks[-1]

    return Services(store=store)


# Deadlines


async def test_a_connection_that_says_nothing_is_closed():
    async with acceptor(timeouts=Timeouts(acse=0.4)) as pacs:
        async with await RawPeer.connect(pacs.port) as peer:
            assert await peer.ends(5) == b""
        await wait_until_async(lambda: pacs.open_connections == 0)


async def test_a_request_that_trickles_is_given_as_long_as_silence():
    async with acceptor(timeouts=Timeouts(acse=0.6)) as pacs:
        async with await RawPeer.connect(pacs.port) as peer:
            ended = asyncio.ensure_future(peer.ends(5))
            for byte in rawpeer.associate_request():
                peer.send(bytes((byte,)))
                await asyncio.wait([ended], timeout=0.05)
                if ended.done():
                    break
            assert ended.done()
            assert await ended == b""


async def test_an_association_without_a_message_is_aborted():
    async with acceptor(timeouts=Timeouts(network=0.4)) as pacs:
        async with await RawPeer.associated(pacs.port) as peer:
            assert await peer.ends(5) == rawpeer.ABORT
        await wait_until_async(lambda: pacs.open_connections == 0)


async def test_silence_in_the_middle_of_a_message_is_aborted():
    sinks = []
    async with acceptor(collecting(sinks), timeouts=Timeouts(dimse=0.4)) as pacs:
        async with await RawPeer.associated(pacs.port, [CT_IMAGE]) as peer:
            peer.send(rawpeer.store() + rawpeer.data(b"half", last=False))
            assert await peer.ends(5) == rawpeer.ABORT
    assert [sink.ends for sink in sinks] == [["discard"]]


async def test_a_message_that_trickles_is_aborted_although_it_is_never_silent():
    sinks = []
    async with acceptor(collecting(sinks), timeouts=Timeouts(dimse=0.5)) as pacs:
        async with await RawPeer.associated(pacs.port, [CT_IMAGE]) as peer:
            peer.send(rawpeer.store())
            ended = asyncio.ensure_future(peer.ends(10))
            while not ended.done():
                peer.send(rawpeer.data(b"x", last=False))
                await asyncio.wait([ended], timeout=0.1)
            assert await ended in (rawpeer.ABORT, b"")  # nothing, when it came after a reset
    assert [sink.ends for sink in sinks] == [["discard"]]


def test_a_pace_is_measured_over_windows_and_a_burst_buys_no_time():
    pace = Pace()
    pace.start(0)
    pace.move(1 << 30, 1)
    assert pace.too_slow(31, 60) is None
    for second in range(31, 62):
        pace.move(1, second)
    assert "bytes a second" in pace.too_slow(61.5, 60)
    pace.stop()
    assert pace.too_slow(1000, 60) is None
    pace.start(1000)
    for second in range(1000, 1100):
        pace.move(int(MINIMUM_RATE) + 1, second)
        assert pace.too_slow(second, 60) is None
    assert "not a byte" in pace.too_slow(1160, 60)


async def test_a_sender_that_we_do_not_read_from_is_not_blamed_for_its_silence():
    sinks = []
    services = collecting(sinks, {"blocked": True})
    async with acceptor(services, timeouts=Timeouts(dimse=0.3, network=0.3)) as pacs:
        async with await RawPeer.associated(pacs.port, [CT_IMAGE]) as peer:
            peer.send(rawpeer.store() + rawpeer.data(b"half", last=False))
            await wait_until_async(lambda: sinks and sinks[0].data == b"half")
            with pytest.raises(TimeoutError):
                await peer.pdu(timeout=1.2)  # four times the deadline
            sinks[0].room.set()
            peer.send(rawpeer.data(b"rest", last=True))
            assert (await response(peer)).status == Status.SUCCESS
    assert sinks[0].data == b"halfrest"


async def test_a_peer_that_never_reads_our_answers_is_given_up_and_its_query_stopped():
    stopped = asyncio.Event()

    async def find(request):
        match = Dataset()
        match.TextValue = "x" * 60_000
        try:
            while True:
                yield match
                await asyncio.sleep(0)
        finally:
            stopped.set()

    async with acceptor(Services(find=find), timeouts=Timeouts(dimse=0.5)) as pacs:
        peer = await RawPeer.associated(pacs.port, [STUDY_FIND], receive_buffer=4096)
        peer.writer.transport.pause_reading()
        peer.send(rawpeer.find())
        await asyncio.wait_for(stopped.wait(), 10)
        await wait_until_async(lambda: pacs.open_connections == 0)
        peer.reset()


async def test_a_peer_that_aborts_and_leaves_our_answers_unread_holds_no_connection():
    async def find(request):
        match = Dataset()
        match.TextValue = "x" * 60_000
        while True:
            yield match

    async with acceptor(Services(find=find)) as pacs:
        peer = await RawPeer.associated(pacs.port, [STUDY_FIND], receive_buffer=4096)
        peer.writer.transport.pause_reading()
        peer.send(rawpeer.find())
        await wait_until_async(lambda: pacs.open_associations == 1)
        peer.send(rawpeer.ABORT)
        await wait_until_async(lambda: pacs.open_connections == 0)
        peer.reset()


# What is on its way when an association ends


@pytest.mark.parametrize("end", ["reset", "half-close", "abort", "rubbish", "release"])
async def test_an_object_that_does_not_come_to_its_end_is_discarded_once(end):
    sinks = []
    async with acceptor(collecting(sinks)) as pacs:
        peer = await RawPeer.associated(pacs.port, [CT_IMAGE])
        peer.send(rawpeer.store() + rawpeer.data(b"half", last=False))
        await wait_until_async(lambda: sinks and sinks[0].data == b"half")
        match end:
            case "reset":
                peer.reset()
            case "half-close":
                peer.writer.write_eof()
            case "abort":
                peer.send(rawpeer.ABORT)
            case "rubbish":
                peer.send(b"GET / HTTP/1.1\r\n\r\n")
            case "release":
                peer.send(rawpeer.RELEASE)
                peer.writer.write_eof()
        await wait_until_async(lambda: pacs.open_connections == 0)
        peer.reset()
    assert [sink.ends for sink in sinks] == [["discard"]]


async def test_whoever_half_closes_after_a_whole_object_has_it_stored():
    sinks = []
    async with acceptor(collecting(sinks)) as pacs:
        peer = await RawPeer.associated(pacs.port, [CT_IMAGE])
        peer.send(rawpeer.store() + rawpeer.data(b"whole", last=True))
        peer.writer.write_eof()
        await wait_until_async(lambda: sinks and sinks[0].ends == ["finish"])
        await wait_until_async(lambda: pacs.open_connections == 0)
        peer.reset()


async def test_a_query_stops_when_its_association_is_lost():
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def find(request):
        begun.set()
        try:
            await asyncio.Event().wait()
            yield Dataset()
        finally:
            stopped.set()

    async with acceptor(Services(find=find)) as pacs:
        peer = await RawPeer.associated(pacs.port, [STUDY_FIND])
        peer.send(rawpeer.find())
        await asyncio.wait_for(begun.wait(), 5)
        peer.reset()
        await asyncio.wait_for(stopped.wait(), 5)
        await wait_until_async(lambda: pacs.open_connections == 0)


async def test_a_release_that_comes_during_a_query_is_answered_after_it():
    go_on = asyncio.Event()

    async def find(request):
        await go_on.wait()
        match = Dataset()
        match.StudyInstanceUID = "1.2.3"
        yield match

    async with acceptor(Services(find=find)) as pacs:
        async with await RawPeer.associated(pacs.port, [STUDY_FIND]) as peer:
            peer.send(rawpeer.find() + rawpeer.RELEASE)
            go_on.set()
            assert (await response(peer)).status == Status.PENDING
            kind, _ = await peer.pdu()  # the identifier
            assert kind == PDUType.P_DATA
            assert (await response(peer)).status == Status.SUCCESS
            assert await peer.pdu() == (PDUType.RELEASE_RP, bytes(4))
            assert await peer.ends() == b""


# Sinks and handlers that go wrong


@pytest.mark.parametrize("where", ["open", "full", "write", "drained", "finish"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageError("no space left for Jane^Doe"), Status.OUT_OF_RESOURCES),
        (RuntimeError("Jane^Doe"), Status.PROCESSING_FAILURE),
    ],
)
async def test_a_store_that_goes_wrong_is_a_status_and_the_association_goes_on(
    where, error, status, caplog
):
    sinks = []

    def store(request):
        if where == "open":
            raise error
        on = {where: error}
        sinks.append(Sink(on | {"blocked": True} if where == "drained" else on))
        return sinks[-1]

    async with acceptor(Services(store=store)) as pacs:
        async with await RawPeer.associated(pacs.port, [CT_IMAGE, VERIFICATION]) as peer:
            peer.send(rawpeer.store(message_id=7) + rawpeer.data(b"half", last=False))
            if where == "drained":
                await wait_until_async(lambda: sinks and sinks[0].ends == ["discard"])
            peer.send(rawpeer.data(b"rest", last=True))
            answer = await response(peer)
            assert (answer.status, answer.responding_to) == (status, 7)
            peer.send(rawpeer.echo(8, context_id=3))
            assert (await response(peer)).status == Status.SUCCESS
    assert all(sink.ends[-1] == "discard" or where == "finish" for sink in sinks)
    assert all(sink.ends.count("discard") <= 1 for sink in sinks)
    assert not [r for r in caplog.records if r.levelno >= logging.INFO and "Jane" in r.getMessage()]


class _Broken(Access):
    def rights(self, aetitle, address):
        raise RuntimeError("Jane^Doe")


async def test_a_mistake_while_a_request_is_judged_ends_that_connection_only(caplog):
    async with acceptor(access=_Broken()) as pacs:
        async with await RawPeer.connect(pacs.port) as peer:
            peer.send(rawpeer.associate_request())
            assert await peer.ends() == b""
        await wait_until_async(lambda: pacs.open_connections == 0)
    shown = [r for r in caplog.records if r.levelno >= logging.INFO]
    assert [r.getMessage() for r in shown] == ["The connection handler failed: RuntimeError"]


async def test_a_message_that_is_no_request_aborts_and_nothing_after_it_is_answered():
    async with acceptor() as pacs:
        async with await RawPeer.associated(pacs.port) as peer:
            strange = Command(field=CommandField.C_ECHO_RSP, responding_to=1, status=0)
            peer.send(rawpeer.command(strange) + rawpeer.echo(2) + rawpeer.echo(3))
            assert await peer.ends() == rawpeer.ABORT


# Back-pressure


async def test_a_full_sink_holds_its_sender_back_and_the_others_not():
    sinks = []
    part = bytes(100_000)
    async with acceptor(collecting(sinks, {"blocked": True})) as pacs:
        async with await RawPeer.associated(pacs.port, [CT_IMAGE]) as peer:
            peer.send(rawpeer.store())
            for _ in range(500):
                peer.send(rawpeer.data(part, last=False))
            await wait_until_async(lambda: sinks and sinks[0].data)
            for _ in range(3):
                async with await RawPeer.associated(pacs.port) as other:
                    other.send(rawpeer.echo())
                    assert (await response(other)).status == Status.SUCCESS
            assert len(sinks[0].data) < 1_000_000
            sinks[0].room.set()
            peer.send(rawpeer.data(part, last=True))
            assert (await response(peer)).status == Status.SUCCESS
            assert len(sinks[0].data) == 501 * len(part)


async def test_objects_that_are_sent_without_waiting_are_not_collected_and_all_are_answered():
    sinks = []
    finishing = asyncio.Event()

    class Slow(Sink):
        async def finish(self):
            await finishing.wait()
            return await super().finish()

    def store(request):
        # the third is full for a moment: that it has room again must not let more in
        sinks.append(Slow({"blocked": True} if len(sinks) == 2 else None))
        return sinks[-1]

    async with acceptor(Services(store=store)) as pacs:
        async with await RawPeer.associated(pacs.port, [CT_IMAGE]) as peer:
            for number in range(12):
                peer.send(rawpeer.store(message_id=number + 1))
                for _ in range(10):
                    peer.send(rawpeer.data(bytes(100_000), last=False))
                peer.send(rawpeer.data(b"", last=True))
            await wait_until_async(lambda: len(sinks) == 3)
            sinks[2].room.set()
            async with await RawPeer.associated(pacs.port) as other:
                for number in range(20):
                    other.send(rawpeer.echo(number + 1))
                    await response(other)
            assert len(sinks) <= 4
            finishing.set()
            answers = [await response(peer) for _ in range(12)]
            assert [answer.responding_to for answer in answers] == list(range(1, 13))
    assert [sink.ends for sink in sinks] == [["finish"]] * 12


async def test_empty_objects_that_come_in_one_read_are_begun_a_few_at_a_time():
    sinks = []
    finishing = asyncio.Event()

    class Slow(Sink):
        async def finish(self):
            await finishing.wait()
            return await super().finish()

    def store(request):
        sinks.append(Slow())
        return sinks[-1]

    empty = [rawpeer.store(number + 1) + rawpeer.data(b"", last=True) for number in range(500)]
    async with acceptor(Services(store=store)) as pacs:
        async with await RawPeer.associated(pacs.port, [CT_IMAGE]) as peer:
            peer.send(b"".join(empty) + rawpeer.RELEASE)
            await wait_until_async(lambda: len(sinks) > 1)
            async with await RawPeer.associated(pacs.port) as other:
                for number in range(20):
                    other.send(rawpeer.echo(number + 1))
                    await response(other)
            assert len(sinks) <= 8
            finishing.set()
            answers = [await response(peer) for _ in empty]
            assert [answer.responding_to for answer in answers] == list(range(1, 501))
            assert (await peer.pdu())[0] == PDUType.RELEASE_RP
    assert [sink.ends for sink in sinks] == [["finish"]] * 500


async def test_an_abort_behind_many_fragments_ends_the_object_once():
    sinks = []
    fragments = rawpeer.data(b"x", last=False) * 2000
    async with acceptor(collecting(sinks)) as pacs:
        async with await RawPeer.associated(pacs.port, [CT_IMAGE]) as peer:
            peer.send(rawpeer.store() + fragments + rawpeer.ABORT)
            await wait_until_async(lambda: sinks and sinks[0].ends)
            assert await peer.ends() == b""
        await wait_until_async(lambda: pacs.open_connections == 0)
    (sink,) = sinks
    assert sink.data == b"x" * 2000
    assert sink.ends == ["discard"]


async def test_a_connection_that_is_lost_in_the_middle_of_a_backlog_is_over():
    sinks = []
    fragments = rawpeer.data(b"x", last=False) * 2000
    async with acceptor(collecting(sinks)) as pacs:
        peer = await RawPeer.associated(pacs.port, [CT_IMAGE])
        peer.send(rawpeer.store() + fragments)
        await wait_until_async(lambda: sinks)
        peer.reset()
        await wait_until_async(lambda: pacs.open_connections == 0)
    assert sinks[0].ends == ["discard"]


async def test_a_thousand_requests_at_once_are_answered_in_order():
    async with acceptor() as pacs:
        async with await RawPeer.associated(pacs.port) as peer:
            peer.send(b"".join(rawpeer.echo(number) for number in range(1, 1001)))
            answers = [(await response(peer)).responding_to for _ in range(1000)]
            assert answers == list(range(1, 1001))


async def test_an_identifier_without_end_is_aborted():
    async def find(request):
        raise AssertionError("it never comes to that")
        yield

    async with acceptor(Services(find=find)) as pacs:
        async with await RawPeer.associated(pacs.port, [STUDY_FIND]) as peer:
            request = rawpeer.find()
            peer.send(request[: request.index(b"STUDY") - 20])  # the command only
            with contextlib.suppress(ConnectionError):
                for _ in range(60):
                    peer.send(rawpeer.data(bytes(100_000), last=False))
                    await peer.writer.drain()
            assert (await peer.ends())[:10] in (rawpeer.ABORT, b"")
        await wait_until_async(lambda: pacs.open_connections == 0)


# C-CANCEL


async def test_a_cancelled_query_says_so_and_the_next_of_the_same_number_is_not_cancelled():
    first = asyncio.Event()

    async def find(request):
        for number in range(3):
            match = Dataset()
            match.StudyInstanceUID = f"1.2.{number}"
            yield match
            if not first.is_set():
                await asyncio.wait_for(first.wait(), 5)

    cancel = rawpeer.command(Command(field=CommandField.C_CANCEL_RQ, responding_to=5))
    async with acceptor(Services(find=find)) as pacs:
        async with await RawPeer.associated(pacs.port, [STUDY_FIND, VERIFICATION]) as peer:
            peer.send(rawpeer.find(5))
            assert (await response(peer)).status == Status.PENDING
            await peer.pdu()
            peer.send(cancel)
            # A cancel has no answer of its own; what comes after it is read after it.
            peer.send(rawpeer.echo(6, context_id=3))
            await asyncio.sleep(0.05)
            first.set()
            assert (await response(peer)).status == Status.CANCEL
            assert (await response(peer)).responding_to == 6
            peer.send(cancel)
            peer.send(rawpeer.find(5))
            for _ in range(3):
                assert (await response(peer)).status == Status.PENDING
                await peer.pdu()
            assert (await response(peer)).status == Status.SUCCESS


# Caps


async def test_more_than_the_cap_of_an_address_are_rejected_and_other_addresses_are_not():
    async with acceptor(max_associations=10, limits=Limits(per_address=2)) as pacs:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(await RawPeer.associated(pacs.port))
            async with await RawPeer.connect(pacs.port) as third:
                third.send(rawpeer.associate_request())
                assert await third.rejection() == LOCAL_LIMIT
            async with await RawPeer.associated(pacs.port, source="127.0.0.2"):
                assert pacs.open_associations == 3
        await wait_until_async(lambda: pacs.open_associations == 0)
        async with await RawPeer.associated(pacs.port):
            pass


async def test_more_than_the_cap_of_a_title_are_rejected_and_other_titles_are_not():
    async with acceptor(max_associations=10, limits=Limits(per_aetitle=1)) as pacs:
        async with await RawPeer.associated(pacs.port, calling="CT1"):
            async with await RawPeer.connect(pacs.port) as second:
                second.send(rawpeer.associate_request(calling="CT1"))
                assert await second.rejection() == LOCAL_LIMIT
            async with await RawPeer.associated(pacs.port, calling="CT2"):
                pass


async def test_beyond_the_cap_of_idle_connections_the_most_crowded_address_loses_its_oldest():
    async with acceptor(limits=Limits(unnegotiated=5)) as pacs:
        async with contextlib.AsyncExitStack() as stack:

            async def connect(source):
                return await stack.enter_async_context(
                    await RawPeer.connect(pacs.port, source=source)
                )

            lonely = await connect("127.0.0.2")
            crowd = [await connect("127.0.0.3") for _ in range(8)]
            for oldest in crowd[:4]:
                assert await oldest.ends() == b""
            await wait_until_async(lambda: pacs.open_connections == 5)
            for peer in (lonely, crowd[-1]):
                peer.send(rawpeer.associate_request())
                assert (await peer.pdu())[0] == PDUType.ASSOCIATE_AC
        await wait_until_async(lambda: pacs.open_connections == 0)


# Those with whom no association comes about


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            b"\x16\x03\x01\x02\x00\x01\x00",
            "0x16 is no type of PDU; this looks like a TLS handshake",
        ),
        (b"GET / HTTP/1.1\r\n", "0x47 is no type of PDU; this looks like an HTTP request"),
        (b"\x99" * 6, "0x99 is no type of PDU"),
        (rawpeer.associate_request()[:-5], "its request never came to its end"),
    ],
    ids=["TLS", "HTTP", "noise", "part"],
)
async def test_who_asks_for_no_association_is_named_in_a_warning(said, why, caplog):
    async with acceptor() as pacs:
        async with await RawPeer.connect(pacs.port, source="127.0.0.9") as peer:
            peer.send(said)
            if said.startswith(b"\x01"):
                peer.writer.write_eof()
            await peer.ends()
        await wait_until_async(lambda: pacs.open_connections == 0)
    assert [record.getMessage() for record in caplog.records] == [
        f"127.0.0.9 asked for no association: {why}"
    ]


async def test_warnings_about_who_calls_are_as_many_as_a_log_bears(monkeypatch, caplog):
    monkeypatch.setattr("node.net.transport.complaints._EACH", 3)
    monkeypatch.setattr("node.net.transport.complaints._INTERVAL", 0.5)

    async def call(source):
        async with await RawPeer.connect(pacs.port, source=source) as peer:
            peer.send(rawpeer.associate_request(called="OTHER"))
            await peer.rejection()

    async with acceptor() as pacs:
        for source in ["127.0.0.8"] * 20 + ["127.0.0.9"]:
            await call(source)
        await wait_until_async(lambda: "left out" in caplog.text)
        await call("127.0.0.8")
    said = [record.getMessage() for record in caplog.records]
    assert sum("127.0.0.8" in line for line in said) == 4
    assert sum("127.0.0.9" in line for line in said) == 1
    assert "17 more warnings like these were left out" in said


# Who may call


async def test_peers_have_rights_by_title_and_address_for_stores_and_queries():
    async def find(request):
        yield Dataset()

    access = Access(
        [
            KnownCaller(
                networks=(ip_network("127.0.0.2/32"),),
                stores=frozenset({"PACS_ST"}),
                queries=frozenset({"PACS_QR"}),
            ),
            KnownCaller(stores=frozenset({"CT1"})),
        ],
        known_only=True,
    )
    services = Services(store=lambda request: Sink(), find=find)

    async def accepted(calling, source):
        async with await RawPeer.connect(pacs.port, source=source) as peer:
            peer.send(
                rawpeer.associate_request([VERIFICATION, CT_IMAGE, STUDY_FIND], calling=calling)
            )
            kind, body = await peer.pdu()
            if kind == PDUType.ASSOCIATE_RJ:
                return Rejection(result=body[1], source=body[2], reason=body[3])
            results = body.split(b"\x21\x00")[1:]
            return [result[4] == 0 for result in results]

    async with acceptor(services, access=access) as pacs:
        assert await accepted("PACS_ST", "127.0.0.2") == [True, True, False]
        assert await accepted("PACS_QR", "127.0.0.2") == [True, False, True]
        assert await accepted("PACS_ST", "127.0.0.3") == CALLING_NOT_RECOGNISED
        assert await accepted("CT1", "127.0.0.3") == [True, True, False]
        assert await accepted("STRANGER", "127.0.0.2") == CALLING_NOT_RECOGNISED


def test_without_known_only_strangers_may_all_and_a_peer_s_title_is_its_own():
    entry = KnownCaller(
        networks=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
        stores=frozenset({"PACS"}),
        queries=frozenset({"PACS"}),
    )
    access = Access([entry])
    assert access.rights("STRANGER", "192.0.2.1").store
    assert access.rights("PACS", "10.1.2.3").query
    assert access.rights("PACS", "fd00::1").store
    assert access.rights("PACS", "192.0.2.1") is None
    assert access.rights("PACS", "no address") is None


# Which command comes in which presentation context

SERVED = {
    CommandField.C_ECHO_RQ: VERIFICATION,
    CommandField.C_STORE_RQ: CT_IMAGE,
    CommandField.C_FIND_RQ: STUDY_FIND,
    CommandField.C_MOVE_RQ: STUDY_MOVE,
    CommandField.C_GET_RQ: STUDY_GET,
}


def request(field, sop_class, context_id, message_id=1):
    """Return a request that names a SOP class, in whatever context, with its dataset."""
    has_dataset = field != CommandField.C_ECHO_RQ
    fields = Command(
        field=field,
        message_id=message_id,
        affected_sop_class_uid=sop_class,
        affected_sop_instance_uid="1.2.3" if field == CommandField.C_STORE_RQ else None,
        dataset_type=DATASET if has_dataset else NO_DATASET,
    )
    rest = rawpeer.data(b"", last=True, context_id=context_id) if has_dataset else b""
    return rawpeer.command(fields, context_id) + rest


def everything(asked):
    """Return services that note what they are asked for."""

    def store(request):
        asked.append(request.sop_class_uid)
        return Sink()

    async def find(request):
        asked.append(STUDY_FIND)
        return
        yield

    async def move(request):
        asked.append(STUDY_MOVE)
        return MovePlan(target=None)

    async def get(request):
        asked.append(STUDY_GET)
        return []

    return Services(store=store, find=find, move=move, get=get)


@pytest.mark.parametrize("field", SERVED, ids=lambda field: field.name)
async def test_a_request_is_answered_in_a_context_of_its_service_and_refused_in_others(field):
    asked, refused = [], set()
    contexts = [*SERVED.values(), "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.2.1.1"]
    async with acceptor(everything(asked)) as pacs:
        async with await RawPeer.associated(pacs.port, contexts) as peer:
            for number, abstract in enumerate(contexts):
                peer.send(request(field, SERVED[field], 2 * number + 1))
                if (await response(peer)).status == Status.SOP_CLASS_NOT_SUPPORTED:
                    refused.add(abstract)
    assert refused == set(contexts) - {SERVED[field]}
    assert asked == ([] if field == CommandField.C_ECHO_RQ else [SERVED[field]])


@pytest.mark.parametrize("named", [None, "", "1.2.840.10008.5.1.4.1.1.4", "1.2.3"])
@pytest.mark.parametrize("field", SERVED, ids=lambda field: field.name)
async def test_a_request_that_names_another_class_than_its_context_has_is_refused(field, named):
    asked = []
    async with acceptor(everything(asked)) as pacs:
        async with await RawPeer.associated(pacs.port, [SERVED[field]]) as peer:
            peer.send(request(field, named, 1))
            assert (await response(peer)).status == Status.SOP_CLASS_NOT_SUPPORTED
            peer.send(request(field, SERVED[field], 1, message_id=2))
            assert (await response(peer)).status != Status.SOP_CLASS_NOT_SUPPORTED
    assert len(asked) == (field != CommandField.C_ECHO_RQ)


async def test_who_may_not_store_stores_nothing_over_the_contexts_that_he_has():
    asked = []
    access = Access([KnownCaller(queries=frozenset({"ME"}))], known_only=True)
    async with acceptor(everything(asked), access=access) as pacs:
        contexts = [VERIFICATION, STUDY_FIND, CT_IMAGE]
        async with await RawPeer.associated(pacs.port, contexts) as peer:
            for context_id, named in ((1, CT_IMAGE), (1, VERIFICATION), (3, CT_IMAGE)):
                peer.send(request(CommandField.C_STORE_RQ, named, context_id))
                assert (await response(peer)).status == Status.SOP_CLASS_NOT_SUPPORTED
            peer.send(request(CommandField.C_STORE_RQ, CT_IMAGE, 5))
            assert await peer.ends(5) == INVALID_PARAMETER
    assert asked == []


@pytest.mark.parametrize("context_id", [0, 2, 4, 254])
async def test_a_presentation_context_with_an_even_id_aborts(context_id):
    """PS3.8 9.3.2.2: the IDs are odd."""
    proposed = ProposedContext(
        id=context_id, abstract_syntax=VERIFICATION, transfer_syntaxes=(rawpeer.EXPLICIT,)
    )
    proposal = AssociateRequest(called_aetitle="PACS", calling_aetitle="ME", contexts=(proposed,))
    async with acceptor() as pacs, await RawPeer.connect(pacs.port) as peer:
        peer.send(frame(PDUType.ASSOCIATE_RQ, encode_request(proposal)))
        assert await peer.ends(5) == rawpeer.ABORT


async def test_the_wrong_application_context_is_rejected_with_its_reason():
    async with acceptor() as pacs, await RawPeer.connect(pacs.port) as peer:
        peer.send(rawpeer.associate_request(application_context="1.2.3"))
        assert await peer.rejection() == Rejection(result=1, source=1, reason=2)


async def test_a_pdu_that_is_too_long_is_aborted_at_its_header():
    async with acceptor() as pacs:
        for length in ((1 << 20) + 1, 0xFFFFFFFF):
            async with await RawPeer.connect(pacs.port) as peer:
                peer.send(struct.pack(">BxL", PDUType.ASSOCIATE_RQ, length))
                assert (await peer.pdu())[0] == PDUType.ABORT
        async with await RawPeer.associated(pacs.port) as peer:
            peer.send(struct.pack(">BxL", PDUType.P_DATA, 131073))
            assert (await peer.pdu())[0] == PDUType.ABORT


# The process


async def test_without_descriptors_connections_wait_and_are_served_later(caplog):
    caplog.set_level(logging.INFO)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with acceptor() as pacs:
        soft_now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        clients = [socket.create_connection(("127.0.0.1", pacs.port)) for _ in range(8)]
        try:
            highest = max(client.fileno() for client in clients)
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
            await wait_until_async(lambda: caplog.records)
            for _ in range(3):  # pauses of the listener
                await asyncio.sleep(0.4)
            assert pacs.open_connections == 0
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft_now, hard))
        await wait_until_async(lambda: pacs.open_connections == 8)
        assert [r.getMessage() for r in caplog.records] == [
            "Cannot accept connections for the moment: Too many open files"
        ]
        for client in clients:
            client.close()
        await wait_until_async(lambda: pacs.open_connections == 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_draining_closes_those_that_have_no_association_at_once():
    async with acceptor() as pacs:
        async with await RawPeer.connect(pacs.port) as idle:
            async with await RawPeer.associated(pacs.port) as busy:
                draining = asyncio.create_task(pacs.drain(20))
                assert await idle.ends() == b""
                busy.send(rawpeer.echo())
                assert (await response(busy)).status == Status.SUCCESS
                assert not draining.done()
                busy.send(rawpeer.RELEASE)
                assert (await busy.pdu())[0] == PDUType.RELEASE_RP
            await asyncio.wait_for(draining, 5)


async def test_draining_can_be_cancelled_and_stopping_ends_what_is_left_with_an_abort():
    stuck = asyncio.Event()

    class Stuck(Sink):
        async def finish(self):
            stuck.set()
            await asyncio.Event().wait()

    async with acceptor(Services(store=lambda request: Stuck())) as pacs:
        peer = await RawPeer.associated(pacs.port, [CT_IMAGE])
        peer.send(rawpeer.store() + rawpeer.data(b"whole", last=True))
        await asyncio.wait_for(stuck.wait(), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pacs.drain(60), 0.2)
        async with asyncio.timeout(5):
            await pacs.stop()
        assert await peer.ends() == rawpeer.ABORT
        assert pacs.open_connections == 0
        await peer.close()


async def test_what_comes_after_an_abort_of_ours_is_not_taken():
    sinks = []
    async with acceptor(collecting(sinks)) as pacs:
        async with await RawPeer.associated(pacs.port, [CT_IMAGE]) as peer:
            strange = frame(PDUType.ASSOCIATE_AC, bytes(68))
            peer.send(strange + rawpeer.store() + rawpeer.data(b"late", last=True))
            assert (await peer.ends())[:1] == bytes((PDUType.ABORT,))
    assert sinks == []
