"""N-ACTION and N-EVENT-REPORT as messages: what is none of storage commitment, and long ones."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import pytest
from pydicom.uid import CTImageStorage

from node.dicom.commitment import CommitmentReport, CommitmentRequest, Reference, write_request
from node.dicom.status import Status
from node.errors import AssociationLost, PeerRefused
from node.net.dimse.commitments import report_command, request_command
from node.net.dimse.contexts import Service
from node.net.entity import requesting
from node.net.messages import Peer, Services, Timeouts
from node.net.scp.access import Access, KnownCaller
from node.net.scu.commitment import associate_to_commit
from node.net.scu.exchange import Exchange
from node.net.scu.requestor import exchanging
from node.upperlayer import Command, CommandField
from tests.support.acceptors import acceptor

WANTED = (Reference(str(CTImageStorage), "1.2.3.4"),)
RELEASE = bytes([5, 0, 0, 0, 0, 4, 0, 0, 0, 0])
"""An A-RELEASE-RQ (PS3.8 9.3.6)."""
ASKED = CommitmentRequest(transaction_uid="1.2.3", references=WANTED)


class Keeper:
    """Takes what it is asked, and what is reported."""

    def __init__(self):
        self.requests, self.reports = [], []

    async def commit(self, request):
        self.requests.append(request)
        return Status.SUCCESS

    async def report(self, request):
        self.reports.append(request.report)
        return Status.SUCCESS

    @asynccontextmanager
    async def running(self, **access):
        services = Services(commit=self.commit, report=self.report)
        timeouts = Timeouts(connect=2, acse=2, dimse=5, network=5)
        async with acceptor(services, timeouts=timeouts, **access) as one:
            yield Peer(
                name="keeper",
                aetitle="PACS",
                host="127.0.0.1",
                port=one.port,
                calling_aetitle="NODE",
                timeouts=timeouts,
            )


@asynccontextmanager
async def open_exchange(peer):
    make = partial(Exchange, requesting(peer, [Service.COMMIT]), peer)
    async with exchanging(make, peer) as exchange:
        yield exchange, next(iter(exchange.link.accepted))


def changed(command, **values):
    names = Command.__dataclass_fields__
    return Command(**{name: getattr(command, name) for name in names} | values)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"requested_sop_class_uid": "1.2.840.10008.5.1.1.1"}, Status.NO_SUCH_CLASS),
        ({"requested_sop_class_uid": None}, Status.NO_SUCH_CLASS),
        ({"requested_sop_instance_uid": "1.2.3"}, Status.NO_SUCH_INSTANCE),
        ({"action_type_id": 2}, Status.NO_SUCH_ACTION),
        ({"action_type_id": None}, Status.NO_SUCH_ACTION),
    ],
)
async def test_an_action_that_is_no_request_for_commitment_is_refused(values, status):
    keeper = Keeper()
    async with keeper.running() as peer, open_exchange(peer) as (exchange, context):
        syntax = exchange.link.accepted[context][1]
        command = changed(request_command(exchange.begin()), **values)
        exchange.send(context, command, write_request(ASKED, syntax))
        response = await exchange.response(CommandField.N_ACTION_RSP, "N-ACTION")
        assert response.command.status == status
    assert keeper.requests == []


@pytest.mark.parametrize("dataset", [b"", b"nonsense", b"\x08\x00\x95\x11UI\x02\x001."])
async def test_a_request_that_cannot_be_read_is_an_invalid_argument_with_the_reason(dataset):
    keeper = Keeper()
    async with keeper.running() as peer, open_exchange(peer) as (exchange, context):
        exchange.send(context, request_command(exchange.begin()), dataset)
        response = await exchange.response(CommandField.N_ACTION_RSP, "N-ACTION")
        assert response.command.status == Status.INVALID_ARGUMENT
        assert response.command.error_comment
        assert response.command.action_type_id == 1
    assert keeper.requests == []


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({}, Status.SUCCESS),
        ({"affected_sop_class_uid": "1.2"}, Status.NO_SUCH_CLASS),
        ({"affected_sop_instance_uid": "1.2"}, Status.NO_SUCH_INSTANCE),
        ({"event_type_id": 3}, Status.NO_SUCH_EVENT_TYPE),
    ],
)
async def test_an_event_that_is_no_report_is_refused(values, status):
    keeper = Keeper()
    report = CommitmentReport(transaction_uid="1.2.3", committed=list(WANTED), failed=[])
    async with keeper.running() as peer, open_exchange(peer) as (exchange, context):
        syntax = exchange.link.accepted[context][1]
        command = changed(report_command(exchange.begin(), report), **values)
        exchange.send(context, command, write_request(ASKED, syntax))
        response = await exchange.response(CommandField.N_EVENT_REPORT_RSP, "N-EVENT-REPORT")
        assert response.command.status == status
    assert len(keeper.reports) == (status == Status.SUCCESS)


async def test_only_a_peer_may_be_the_scp_who_reports():
    keeper = Keeper()
    report = CommitmentReport(transaction_uid="1.2.3", committed=list(WANTED), failed=[])
    callers = [KnownCaller(name="node", aetitle="NODE")]
    async with keeper.running(access=Access(callers)) as peer:
        async with associate_to_commit(peer, as_provider=True) as association:
            assert await association.report(report) == Status.SUCCESS
        with pytest.raises(PeerRefused):
            async with associate_to_commit(peer):
                pass
    unnamed = [KnownCaller(aetitle="NODE")]
    async with keeper.running(access=Access(unnamed)) as peer:
        with pytest.raises(PeerRefused):
            async with associate_to_commit(peer, as_provider=True):
                pass
    assert keeper.reports == [report]


async def test_a_request_may_be_longer_than_any_identifier():
    keeper = Keeper()
    many = tuple(Reference(str(CTImageStorage), f"1.2.{10**50 + n}") for n in range(45_000))
    async with keeper.running() as peer:
        async with associate_to_commit(peer) as association:
            asked = CommitmentRequest(transaction_uid="1.2.3", references=many)
            assert await association.request(asked) == Status.SUCCESS
    assert keeper.requests[0].request.references == many


async def test_what_is_longer_than_any_request_ends_the_association(monkeypatch):
    monkeypatch.setattr("node.net.dimse.inbox._MOST_BYTES_OF_LONG", 1 << 20)
    keeper = Keeper()
    async with keeper.running() as peer:
        with pytest.raises(AssociationLost):
            async with open_exchange(peer) as (exchange, context):
                exchange.send(context, request_command(exchange.begin()), bytes(1 << 21))
                await exchange.response(CommandField.N_ACTION_RSP, "N-ACTION")


async def test_a_report_comes_between_two_messages_and_not_within_one():
    keeper = Keeper()
    report = CommitmentReport(transaction_uid="1.2.3", committed=list(WANTED), failed=[])
    taken = []

    async def take(one):
        taken.append(one)
        return Status.SUCCESS

    async with keeper.running() as peer:
        async with associate_to_commit(peer) as association:
            await association.request(ASKED)
            line = keeper.requests[0].line
            reported = asyncio.create_task(line.report(report))
            assert await association.wait_for_report(take)
            assert await reported == Status.SUCCESS
            assert line.is_open
        assert await line.ends_within(5)
        assert await line.report(report) is None
    assert taken == [report]


async def test_who_does_not_answer_a_release_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("node.net.scu.commitment._TO_RELEASE", 0.1)
    kept, ended = [], asyncio.Event()

    async def pass_on(source, sink):
        with suppress(OSError):
            while data := await source.read(1 << 16):
                if data == RELEASE:
                    kept.append(data)
                else:
                    sink.write(data)
        sink.close()

    async def relay(reader, writer):
        there, to_there = await asyncio.open_connection(peer.host, peer.port)
        await asyncio.gather(pass_on(reader, to_there), pass_on(there, writer))
        ended.set()

    async with Keeper().running() as peer:
        async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            patient = Timeouts(connect=2, acse=60, dimse=60, network=60)
            async with asyncio.timeout(20):  # far less than what the peer may wait
                deaf = replace(peer, port=port, timeouts=patient)
                async with associate_to_commit(deaf) as association:
                    assert await association.request(ASKED) == Status.SUCCESS
                await ended.wait()
    assert kept == [RELEASE]


async def test_who_does_not_answer_a_report_is_not_waited_for():
    keeper = Keeper()
    report = CommitmentReport(transaction_uid="1.2.3", committed=list(WANTED), failed=[])
    async with keeper.running() as peer:
        async with associate_to_commit(peer) as association:
            await association.request(ASKED)
            reported = asyncio.create_task(keeper.requests[0].line.report(report))
        async with asyncio.timeout(3):
            assert await reported is None
