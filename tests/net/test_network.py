"""The acceptor and the requestor, wired to each other and to peers that misbehave."""

import asyncio
import contextlib
import socket
import threading
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from node.dicom.query import study_move_identifier
from node.dicom.status import Status
from node.errors import (
    AssociationLost,
    ListenError,
    PeerFailure,
    PeerRefused,
    PeerUnreachable,
)
from node.net.dimse.contexts import Service
from node.net.dimse.sinks import whole
from node.net.messages import InstanceFile, MovePlan, Peer, Services, Timeouts
from node.net.scp.access import Access, KnownCaller
from node.net.scu.requestor import associate
from tests.support.acceptors import acceptor
from tests.support.images import dataset_bytes
from tests.support.waiting import wait_until_async

CT = Path(get_testdata_file("CT_small.dcm", download=False))


def peer_at(port, **changes):
    peer = Peer(
        name="pacs",
        aetitle="PACS",
        host="127.0.0.1",
        port=port,
        calling_aetitle="ME",
        timeouts=Timeouts(connect=2, acse=2, dimse=2, network=5),
    )
    return replace(peer, **changes)


def instance_of(path):
    dataset = dcmread(path)
    return InstanceFile(
        path=path,
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
    )


def study(uid):
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "STUDY"
    dataset.StudyInstanceUID = uid
    return dataset


async def test_an_echo_is_answered():
    async with acceptor() as pacs, associate(peer_at(pacs.port), Service.ECHO) as association:
        await association.echo()


async def test_another_called_title_is_refused_and_can_be_allowed():
    async with acceptor() as pacs:
        with pytest.raises(PeerRefused, match="called ae title not recognised"):
            async with associate(peer_at(pacs.port, aetitle="OTHER"), Service.ECHO):
                pass
    async with acceptor(require_called_aetitle=False) as pacs:
        async with associate(peer_at(pacs.port, aetitle="OTHER"), Service.ECHO) as association:
            await association.echo()


async def test_an_unknown_calling_title_is_refused_where_there_is_a_list():
    async with acceptor(allowed_calling=["FRIEND"]) as pacs:
        with pytest.raises(PeerRefused, match="calling ae title not recognised"):
            async with associate(peer_at(pacs.port), Service.ECHO):
                pass
        friend = peer_at(pacs.port, calling_aetitle="FRIEND")
        async with associate(friend, Service.ECHO) as association:
            await association.echo()


async def test_the_log_says_which_setting_keeps_a_caller_out(caplog):
    network = ip_network("10.1.0.0/16")
    viewer = KnownCaller(name="viewer", aetitle="ME", networks=(network,))
    listed, known = {"allowed_calling": ["FRIEND"]}, {"access": Access([viewer])}
    for settings in (listed, known):
        async with acceptor(**settings) as pacs:
            with pytest.raises(PeerRefused, match="calling ae title not recognised"):
                async with associate(peer_at(pacs.port), Service.ECHO):
                    pass
    said = "Rejected ME at 127.0.0.1, which called PACS: calling AE title not recognised: ME is"
    assert f"{said} not in node.allowed_calling" in caplog.text
    assert f"{said} peers.viewer, which may call from 10.1.0.0/16 only" in caplog.text


async def test_more_associations_than_the_limit_are_refused_for_the_moment():
    async with acceptor(max_associations=1) as pacs:
        async with associate(peer_at(pacs.port), Service.ECHO):
            with pytest.raises(PeerRefused, match="transient.*local limit exceeded"):
                async with associate(peer_at(pacs.port), Service.ECHO):
                    pass
        await wait_until_async(lambda: pacs.open_associations == 0)
        async with associate(peer_at(pacs.port), Service.ECHO) as association:
            await association.echo()


async def test_nobody_listening_is_unreachable(free_port):
    with pytest.raises(PeerUnreachable, match="nobody answers"):
        async with associate(peer_at(free_port()), Service.ECHO):
            pass


async def test_a_host_that_does_not_exist_is_unreachable():
    with pytest.raises(PeerUnreachable, match=r"pacs \(PACS at no-such-host\.invalid"):
        async with associate(peer_at(104, host="no-such-host.invalid"), Service.ECHO):
            pass


@contextlib.contextmanager
def silent_server():
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_port_that_never_answers_is_unreachable_within_the_deadline():
    with silent_server() as port, pytest.raises(PeerUnreachable, match="is that a DICOM port"):
        async with asyncio.timeout(15), associate(peer_at(port), Service.ECHO):
            pass


async def test_a_service_that_the_peer_lacks_is_refused():
    async with acceptor() as pacs:
        with pytest.raises(PeerRefused, match="none of what we need.*FIND"):
            async with associate(peer_at(pacs.port), Service.FIND):
                pass
        with pytest.raises(PeerRefused, match="does not offer Study Root C-MOVE"):
            async with associate(peer_at(pacs.port), Service.ECHO, Service.MOVE):
                pass


@pytest.mark.parametrize(
    ("service", "right"),
    [(Service.FIND, "query"), (Service.GET, "retrieve"), (Service.COMMIT, "commit")],
)
async def test_the_right_that_a_refusal_may_come_of_is_said(service, right):
    async with acceptor() as pacs:
        with pytest.raises(PeerRefused, match=f"; perhaps it does not let ME {right}$"):
            async with associate(peer_at(pacs.port), service):
                pass


async def test_a_port_that_is_taken_is_named():
    async with acceptor() as pacs:
        with pytest.raises(ListenError, match=f"port {pacs.port}: Address already in use"):
            await acceptor(port=pacs.port).start()


async def test_matches_arrive_one_by_one_and_a_failure_comes_after_them():
    async def find(request):
        assert request.caller.aetitle == "ME"
        for number in range(3):
            yield study(f"1.2.{number}")
        if request.identifier.StudyInstanceUID == "1.2.666":
            raise RuntimeError("the database burns")

    async with acceptor(Services(find=find)) as pacs:
        async with associate(peer_at(pacs.port), Service.FIND) as association:
            uids = [m.StudyInstanceUID async for m in association.find(study(""))]
            assert uids == ["1.2.0", "1.2.1", "1.2.2"]
            seen = []
            with pytest.raises(PeerFailure, match="0xC000") as failure:
                async for match in association.find(study("1.2.666")):
                    seen.append(match)
            assert failure.value.status == Status.UNABLE_TO_PROCESS
            assert len(seen) == 3


async def test_a_peer_that_dies_in_the_middle_of_a_find_is_an_error_not_an_end():
    async with contextlib.AsyncExitStack() as stack:
        pacs = acceptor()

        async def find(request):
            yield study("1.2.3")
            asyncio.get_running_loop().call_soon(
                lambda: stopping.append(asyncio.create_task(pacs.stop()))
            )
            await asyncio.sleep(30)
            yield study("1.2.4")

        stopping = []
        pacs = acceptor(Services(find=find))
        await stack.enter_async_context(pacs)
        seen = []
        with pytest.raises(AssociationLost):
            async with associate(peer_at(pacs.port), Service.FIND) as association:
                async for match in association.find(study("")):
                    seen.append(match.StudyInstanceUID)
        assert seen == ["1.2.3"]


async def test_a_peer_that_stops_answering_is_given_up_at_the_deadline():
    waiting = asyncio.Event()

    async def find(request):
        yield study("1.2.3")
        await waiting.wait()

    async with acceptor(Services(find=find)) as pacs:
        try:
            with pytest.raises(AssociationLost):
                async with (
                    asyncio.timeout(15),
                    associate(peer_at(pacs.port), Service.FIND) as association,
                ):
                    async for _ in association.find(study("")):
                        pass
        finally:
            waiting.set()


async def test_cancelling_a_find_aborts_the_association():
    waiting = asyncio.Event()

    async def find(request):
        yield study("1.2.3")
        await waiting.wait()

    async def ask(port, begun):
        async with associate(
            peer_at(port, timeouts=Timeouts(dimse=600, network=600)), Service.FIND
        ) as association:
            async for _ in association.find(study("")):
                begun.set()

    async with acceptor(Services(find=find)) as pacs:
        begun = asyncio.Event()
        task = asyncio.create_task(ask(pacs.port, begun))
        await asyncio.wait_for(begun.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        waiting.set()
        await wait_until_async(lambda: pacs.open_associations == 0)


async def test_a_stored_object_arrives_bit_for_bit_with_its_context():
    received = []

    async def store(request, dataset):
        received.append((request, dataset))
        return Status.SUCCESS

    instance = instance_of(CT)
    async with acceptor(Services(store=whole(store))) as pacs:
        pairs = [(instance.sop_class_uid, instance.transfer_syntax_uid)]
        async with associate(peer_at(pacs.port), storage=pairs) as association:
            assert association.accepted_storage == set(pairs)
            assert await association.store(CT) == Status.SUCCESS
    ((request, dataset),) = received
    assert dataset == dataset_bytes(CT)
    assert request.sop_class_uid == instance.sop_class_uid
    assert request.sop_instance_uid == instance.sop_instance_uid
    assert request.transfer_syntax_uid == instance.transfer_syntax_uid
    assert request.caller.aetitle == "ME"


async def test_private_sop_classes_and_transfer_syntaxes_are_taken_and_plain_ones_preferred():
    async def store(*_):
        return Status.SUCCESS

    async with acceptor(Services(store=whole(store))) as pacs:
        pairs = [("1.2.3.4.5.6", "1.2.3.4.5.7"), ("1.2.3.4.5.6", "1.2.840.10008.1.2.1")]
        async with associate(peer_at(pacs.port), storage=pairs) as association:
            assert association.accepted_storage == set(pairs)


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.31",  # Modality Worklist - FIND
        "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
        "1.2.840.10008.5.1.4.1.2.2.3",  # Study Root - GET
    ],
)
async def test_a_class_of_the_standard_that_is_no_storage_class_is_not_taken_for_one(sop_class):
    async def store(*_):
        return Status.SUCCESS

    async with acceptor(Services(store=whole(store))) as pacs:
        with pytest.raises(PeerRefused, match="none of what we need"):
            async with associate(peer_at(pacs.port), storage=[(sop_class, "1.2.840.10008.1.2.1")]):
                pass


async def test_a_store_handler_that_raises_answers_processing_failure_and_the_next_works():
    answers = iter([RuntimeError("no"), Status.SUCCESS])

    async def store(*_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    instance = instance_of(CT)
    async with acceptor(Services(store=whole(store))) as pacs:
        pairs = [(instance.sop_class_uid, instance.transfer_syntax_uid)]
        async with associate(peer_at(pacs.port), storage=pairs) as association:
            assert await association.store(CT) == Status.PROCESSING_FAILURE
            assert await association.store(CT) == Status.SUCCESS


async def test_a_move_sends_the_planned_files_as_they_are_and_counts_them():
    received = []

    async def store(_, dataset):
        received.append(dataset)
        return Status.SUCCESS

    async with acceptor(Services(store=whole(store)), aetitle="DEST") as destination:

        async def move(request):
            if request.destination != "DEST":
                return MovePlan(target=None)
            target = peer_at(destination.port, aetitle="DEST")
            return MovePlan(target=target, instances=[instance_of(CT)] * 2)

        async with acceptor(Services(move=move)) as pacs:
            async with associate(peer_at(pacs.port), Service.MOVE) as association:
                identifier = study_move_identifier("1.2.3")
                responses = [r async for r in association.move(identifier, "DEST")]
                unknown = [r async for r in association.move(identifier, "NOWHERE")]
    assert [r.pending for r in responses] == [True, True, False]
    assert responses[-1].status == Status.SUCCESS
    assert responses[-1].completed == 2
    assert [r.status for r in unknown] == [Status.MOVE_DESTINATION_UNKNOWN]
    assert received == [dataset_bytes(CT)] * 2


async def test_draining_lets_a_running_association_end_and_takes_no_new_one():
    async with acceptor() as pacs:
        port = pacs.port
        async with associate(peer_at(port), Service.ECHO) as association:
            draining = asyncio.create_task(pacs.drain(10))
            await wait_until_async(lambda: not _listens(port))
            assert not draining.done()
            await association.echo()
        await asyncio.wait_for(draining, 5)


async def test_stopping_aborts_what_outlives_the_grace_time():
    async with acceptor() as pacs:
        with pytest.raises(AssociationLost):
            async with associate(peer_at(pacs.port), Service.ECHO) as association:
                await asyncio.wait_for(pacs.drain(0.2), 10)
                await asyncio.wait_for(pacs.stop(), 10)
                await association.echo()


def _listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


async def test_rubbish_on_the_port_does_not_disturb_the_others():
    async with acceptor() as pacs:
        for rubbish in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x01\x00\x00\x00\x00\x04\xff\xff\xff\xff",
            b"",
        ):
            with socket.create_connection(("127.0.0.1", pacs.port), 2) as connection:
                connection.sendall(rubbish)
        async with associate(peer_at(pacs.port), Service.ECHO) as association:
            await association.echo()


async def test_nothing_is_left_running_after_a_stop():
    async with acceptor() as pacs, associate(peer_at(pacs.port), Service.ECHO) as association:
        await association.echo()

    def only_the_loop_s_own_are_left():
        names = [thread.name for thread in threading.enumerate()]
        return not [
            n for n in names if n.startswith(("accept", "Acceptor", "Requestor", "associate-"))
        ]

    await wait_until_async(only_the_loop_s_own_are_left, describe=threading.enumerate)
