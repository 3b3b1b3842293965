"""The requestor: odd answers, C-CANCEL and C-GET, and what it leaves when it is cancelled."""

import asyncio
import contextlib
import gc
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelGet,
)

from node.dicom.status import Status
from node.errors import AssociationLost, PeerRefused, StorageError
from node.net.dimse.contexts import Service
from node.net.dimse.identifiers import write_identifier
from node.net.dimse.sendable import Sendable
from node.net.dimse.sinks import whole
from node.net.messages import Peer, Services, Timeouts
from node.net.scu.requestor import associate
from node.upperlayer import (
    AssociateAccept,
    Association,
    Command,
    CommandField,
    ContextResult,
    Role,
    State,
    UserInformation,
    response_to,
)
from node.upperlayer.dimse import DATASET
from node.upperlayer.events import CommandReceived, Released, Requested
from tests.support.acceptors import acceptor
from tests.support.images import dataset_bytes
from tests.support.peers import dcmtk
from tests.support.waiting import wait_until_async

CT = Path(get_testdata_file("CT_small.dcm", download=False))


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


def peer_at(port, **changes):
    peer = Peer(
        name="pacs",
        aetitle="PACS",
        host="127.0.0.1",
        port=port,
        calling_aetitle="ME",
        timeouts=Timeouts(connect=2, acse=2, dimse=1, network=5),
    )
    return replace(peer, **changes)


def study(uid):
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "STUDY"
    dataset.StudyInstanceUID = uid
    return dataset


class Script:
    """A peer that accepts everything, and answers each message as a function says."""

    def __init__(self, answer):
        self.answer = answer
        self.heard = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        core = Association(Role.ACCEPTOR, maximum_length=131072)
        core.transport_opened()
        while data := await reader.read(1 << 16):
            for event in core.receive(data):
                if isinstance(event, Requested):
                    contexts = [
                        ContextResult(id=c.id, result=0, transfer_syntax=c.transfer_syntaxes[0])
                        for c in event.request.contexts
                    ]
                    core.accept(
                        AssociateAccept(
                            called_aetitle="PACS",
                            calling_aetitle="ME",
                            contexts=tuple(contexts),
                            user=UserInformation(maximum_length=16384),
                        )
                    )
                else:
                    self.heard.append(event)
                    self.answer(core, event)
                    if core.state is State.AWAITING_LOCAL_RELEASE_RESPONSE:
                        core.respond_to_release()
            for part in core.take_output():
                writer.write(part)
        writer.close()

    @property
    def commands(self):
        return [e.command.field for e in self.heard if isinstance(e, CommandReceived)]


def matching(core, event, count, final=Status.SUCCESS):
    """Answer a C-FIND with so many matches."""
    if not isinstance(event, CommandReceived) or event.command.field != CommandField.C_FIND_RQ:
        return
    syntax = core.contexts[event.context_id].transfer_syntax
    for number in range(count):
        match = write_identifier(study(f"1.2.{number}"), syntax)
        pending = response_to(event.command, Status.PENDING, dataset=True)
        core.send(event.context_id, pending, match)
    if final is not None:
        core.send(event.context_id, response_to(event.command, final))


async def test_leaving_a_find_early_cancels_it_and_the_next_one_has_its_own_answers():
    async with (
        Script(lambda core, event: matching(core, event, 5)) as pacs,
        associate(peer_at(pacs.port), Service.FIND) as association,
    ):
        async for match in association.find(study("")):
            assert match.StudyInstanceUID == "1.2.0"
            break
        again = [match.StudyInstanceUID async for match in association.find(study(""))]
        assert again == [f"1.2.{number}" for number in range(5)]
    assert pacs.commands == [
        CommandField.C_FIND_RQ,
        CommandField.C_CANCEL_RQ,
        CommandField.C_FIND_RQ,
    ]


async def test_a_cancelled_find_ends_without_an_error_when_the_peer_says_so():
    def answer(core, event):
        matching(core, event, 1, final=None)
        if isinstance(event, CommandReceived) and event.command.field == CommandField.C_CANCEL_RQ:
            last = Command(
                field=CommandField.C_FIND_RSP,
                responding_to=event.command.responding_to,
                status=Status.CANCEL,
            )
            core.send(event.context_id, last)

    async with (
        Script(answer) as pacs,
        associate(peer_at(pacs.port), Service.FIND, Service.ECHO) as association,
    ):
        await association.cancel()  # nothing is running: nothing happens
        seen = []
        async for match in association.find(study("")):
            seen.append(match)
            await association.cancel()
        assert len(seen) == 1
    assert pacs.commands == [CommandField.C_FIND_RQ, CommandField.C_CANCEL_RQ]


async def test_an_acceptor_of_ours_obeys_a_cancel():
    async def find(request):
        for number in range(1_000_000):
            yield study(f"1.2.{number}")

    async with acceptor(Services(find=find)) as pacs:
        async with associate(peer_at(pacs.port), Service.FIND, Service.ECHO) as association:
            count = 0
            async for _ in association.find(study("")):
                count += 1
                if count == 10:
                    await association.cancel()
            assert 10 <= count < 100_000
            await association.echo()


async def test_another_operation_during_an_iteration_is_a_mistake_that_is_named():
    def answer(core, event):
        matching(core, event, 2)
        if isinstance(event, CommandReceived) and event.command.field == CommandField.C_ECHO_RQ:
            core.send(event.context_id, response_to(event.command, Status.SUCCESS))

    async with Script(answer) as pacs:
        async with associate(peer_at(pacs.port), Service.FIND, Service.ECHO) as association:
            with pytest.raises(RuntimeError, match="another operation"):
                async for _ in association.find(study("")):
                    await association.echo()
            await association.echo()


async def test_an_answer_to_another_message_ends_the_association():
    def answer(core, event):
        strange = Command(field=CommandField.C_ECHO_RSP, responding_to=77, status=0)
        if isinstance(event, CommandReceived):
            core.send(event.context_id, strange)

    async with Script(answer) as pacs:
        with pytest.raises(AssociationLost, match="something else"):
            async with associate(peer_at(pacs.port), Service.ECHO) as association:
                await association.echo()


async def test_after_a_time_out_the_association_is_over_and_a_late_answer_is_nobody_s():
    async with Script(lambda core, event: None) as pacs:
        async with associate(peer_at(pacs.port), Service.ECHO) as association:
            with pytest.raises(AssociationLost, match="nothing came for 1 s"):
                await association.echo()
            assert association.is_over
            with pytest.raises(AssociationLost):
                await association.echo()


async def test_a_peer_that_asks_for_the_release_first_is_agreed_with():
    released = asyncio.Event()

    def answer(core, event):
        if isinstance(event, CommandReceived):
            core.send(event.context_id, response_to(event.command, Status.SUCCESS))
            core.release()
        elif isinstance(event, Released):
            released.set()

    async with Script(answer) as pacs:
        async with associate(peer_at(pacs.port), Service.ECHO) as association:
            await association.echo()
        await asyncio.wait_for(released.wait(), 5)


async def test_a_file_that_ends_too_early_aborts_and_is_not_sent_as_something_else(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Sendable, "read", lambda self, size: b"")
    heard = []

    async def store(request, dataset):
        heard.append(request)
        return Status.SUCCESS

    dataset = dcmread(CT)
    pairs = [(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]
    async with acceptor(Services(store=whole(store))) as pacs:
        async with associate(peer_at(pacs.port), storage=pairs) as association:
            with pytest.raises(StorageError, match="became shorter"):
                await association.store(CT)
            assert association.is_over
        await wait_until_async(lambda: pacs.open_connections == 0)
    assert heard == []


async def test_an_object_is_named_as_its_dataset_names_it_whatever_the_file_meta_says(tmp_path):
    dataset = dcmread(CT)
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    dataset.save_as(tmp_path / "renamed.dcm")
    named = []

    async def store(request, encoded):
        named.append(request.sop_instance_uid)
        return Status.SUCCESS

    pairs = [(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]
    async with acceptor(Services(store=whole(store))) as pacs:
        async with associate(peer_at(pacs.port), storage=pairs) as association:
            assert await association.store(tmp_path / "renamed.dcm") == Status.SUCCESS
    assert named == [dataset.SOPInstanceUID]


async def test_a_peer_that_stops_reading_is_given_up():
    stalled = asyncio.Event()

    async def serve(reader, writer):
        core = Association(Role.ACCEPTOR, maximum_length=131072)
        core.transport_opened()
        (event,) = core.receive(await reader.read(1 << 16))
        contexts = tuple(
            ContextResult(id=c.id, result=0, transfer_syntax=c.transfer_syntaxes[0])
            for c in event.request.contexts
        )
        core.accept(AssociateAccept(called_aetitle="", calling_aetitle="", contexts=contexts))
        writer.writelines(core.take_output())
        writer.transport.pause_reading()
        await stalled.wait()
        writer.transport.abort()

    big = dcmread(CT)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        pairs = [(big.SOPClassUID, big.file_meta.TransferSyntaxUID)]
        with pytest.raises(AssociationLost, match="not a byte moved"):
            async with associate(peer_at(port), storage=pairs) as association:
                for _ in range(1000):
                    await _send_without_waiting(association)
        stalled.set()


async def _send_without_waiting(association):
    """Send an object as `store` does, but wait for no answer."""
    (context_id,) = association._link.accepted
    command = Command(
        field=CommandField.C_STORE_RQ,
        message_id=1,
        affected_sop_class_uid="1.2",
        affected_sop_instance_uid="1.2.3",
        priority=0,
        dataset_type=DATASET,
    )
    association._exchange.send(context_id, command, more=True)
    await association._exchange.send_part(context_id, bytes(1 << 20), last=True)


# Cancelling at each step


@pytest.mark.parametrize("operation", ["echo", "find", "store"])
async def test_a_task_can_be_cancelled_anywhere_and_nothing_is_left(operation):
    async def find(request):
        for number in range(5):
            yield study(f"1.2.{number}")

    async def store(request, dataset):
        return Status.SUCCESS

    dataset = dcmread(CT)
    pairs = [(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]

    async def work(port):
        async with associate(
            peer_at(port), Service.ECHO, Service.FIND, storage=pairs
        ) as association:
            if operation == "echo":
                await association.echo()
            elif operation == "find":
                async for _ in association.find(study("")):
                    pass
            else:
                await association.store(CT)

    services = Services(find=find, store=whole(store))
    async with acceptor(services) as pacs:
        steps = finished = 0
        while not finished:
            task = asyncio.create_task(work(pacs.port))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)
                finished += 1
            steps += 1 if operation != "store" else 3
        assert steps > 10
        await wait_until_async(lambda: pacs.open_connections == 0)
    gc.collect()  # an open file or socket that nobody has would be a warning, hence an error


# C-GET


@contextlib.contextmanager
def get_scp(files):
    """Run pynetdicom as a C-GET SCP that sends these files."""
    entity = AE("PACS")
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    entity.add_supported_context(
        CTImageStorage, ["1.2.840.10008.1.2.1"], scu_role=True, scp_role=True
    )

    def handle_get(event):
        yield len(files)
        for file in files:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, dcmread(file)

    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_GET, handle_get)]
    )
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


async def test_a_get_brings_images_over_its_own_association():
    received = []

    async def store(request, dataset):
        received.append((request, dataset))
        return Status.SUCCESS

    with get_scp([CT, CT, CT]) as port:
        peer = peer_at(port, timeouts=Timeouts(connect=5, acse=5, dimse=5, network=5))
        receive = [(str(CTImageStorage), "1.2.840.10008.1.2.1")]
        async with associate(peer, Service.GET, receive=receive) as association:
            seen = [p async for p in association.get(study("1.2.3"), whole(store))]
    assert seen[-1].status == Status.SUCCESS
    assert (seen[-1].completed, seen[-1].failed) == (3, 0)
    assert len(received) == 3
    request, dataset = received[0]
    assert dataset == dataset_bytes(CT)
    assert request.caller.aetitle == "PACS"
    assert request.transfer_syntax_uid == "1.2.840.10008.1.2.1"


async def test_the_status_of_each_image_of_a_get_is_what_the_store_says():
    answers = iter([Status.OUT_OF_RESOURCES, RuntimeError("no"), Status.SUCCESS])

    async def store(request, dataset):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with get_scp([CT, CT, CT]) as port:
        peer = peer_at(port, timeouts=Timeouts(connect=5, acse=5, dimse=5, network=5))
        receive = [(str(CTImageStorage), "1.2.840.10008.1.2.1")]
        async with associate(peer, Service.GET, receive=receive) as association:
            seen = [p async for p in association.get(study("1.2.3"), whole(store))]
    assert seen[-1].status == Status.SUBOPERATIONS_WITH_FAILURES
    assert (seen[-1].completed, seen[-1].failed) == (1, 2)


async def test_a_peer_that_does_not_offer_a_service_beside_get_is_named():
    with get_scp([CT]) as port:
        with pytest.raises(PeerRefused, match="Study Root C-FIND"):
            async with associate(peer_at(port), Service.GET, Service.FIND):
                pass


async def test_a_get_can_be_cancelled_and_its_association_be_used_again():
    received = []

    async def store(request, dataset):
        received.append(dataset)
        return Status.SUCCESS

    with get_scp([CT] * 200) as port:
        peer = peer_at(port, timeouts=Timeouts(connect=5, acse=5, dimse=5, network=5))
        receive = [(str(CTImageStorage), "1.2.840.10008.1.2.1")]
        async with associate(peer, Service.GET, receive=receive) as association:
            async for progress in association.get(study("1.2.3"), whole(store)):
                if progress.pending:
                    await association.cancel()
            assert progress.status == Status.CANCEL
            assert 0 < len(received) < 200


@pytest.mark.parametrize("when", ["the peer", "our task"])
async def test_an_image_of_a_get_that_does_not_come_to_its_end_is_discarded(when):
    ends = []
    begun = asyncio.Event()

    class Sink:
        full = False

        def write(self, data):
            begun.set()

        async def drained(self):
            pass

        async def finish(self):
            ends.append("finish")
            return Status.SUCCESS

        def discard(self):
            ends.append("discard")

    def answer(core, event):
        if isinstance(event, CommandReceived):
            command = Command(
                field=CommandField.C_STORE_RQ,
                message_id=9,
                affected_sop_class_uid=str(CTImageStorage),
                affected_sop_instance_uid="1.2.3",
                dataset_type=DATASET,
            )
            context_id = max(core.contexts)
            core.send(context_id, command)
            core.send_part(context_id, b"half", last=False)
        elif when == "the peer":
            core.abort()

    async def get(port):
        receive = [(str(CTImageStorage), "1.2.840.10008.1.2.1")]
        async with associate(peer_at(port), Service.GET, receive=receive) as association:
            async for _ in association.get(study("1.2.3"), lambda request: Sink()):
                pass

    async with Script(answer) as pacs:
        task = asyncio.create_task(get(pacs.port))
        await asyncio.wait_for(begun.wait(), 5)
        if when == "our task":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(AssociationLost):
                await task
    assert ends == ["discard"]


async def test_an_image_of_a_get_is_taken_in_a_context_of_its_class_that_we_wanted_to_be_scp_of():
    ct, mr, explicit = str(CTImageStorage), "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"
    stored = [(ct, 1), (ct, 5), (mr, 5), (mr, 3), (ct, 3)]  # contexts: C-GET, CT, MR
    received, statuses, asked = [], [], []

    async def store(request, dataset):
        received.append(request.sop_class_uid)
        return Status.SUCCESS

    def answer(core, event):
        if not isinstance(event, CommandReceived):
            return
        if event.command.field == CommandField.C_GET_RQ:
            asked.append(event.command)
            for sop_class, context_id in stored:
                command = Command(
                    field=CommandField.C_STORE_RQ,
                    message_id=9,
                    affected_sop_class_uid=sop_class,
                    affected_sop_instance_uid="1.2.3",
                    dataset_type=DATASET,
                )
                core.send(context_id, command, b"")
            return
        statuses.append(event.command.status)
        if len(statuses) == len(stored):
            core.send(1, response_to(asked[0], Status.SUCCESS))

    async with Script(answer) as pacs:
        async with associate(
            peer_at(pacs.port), Service.GET, storage=[(mr, explicit)], receive=[(ct, explicit)]
        ) as association:
            async for _ in association.get(study("1.2.3"), whole(store)):
                pass
    assert statuses == [Status.SOP_CLASS_NOT_SUPPORTED] * 4 + [Status.SUCCESS]
    assert received == [ct]


@pytest.mark.peers
async def test_dcmtk_s_archive_is_emptied_by_a_get(tmp_path):
    received = []

    async def store(request, dataset):
        received.append(dataset)
        return Status.SUCCESS

    dataset = dcmread(CT)

    def filled():
        archive = dcmtk.DcmQrScp(tmp_path)
        archive.start()
        archive.fill(CT)
        return archive

    archive = await asyncio.to_thread(filled)
    try:
        peer = peer_at(archive.port, aetitle=archive.aetitle)
        receive = [(str(CTImageStorage), "1.2.840.10008.1.2.1")]
        async with associate(peer, Service.GET, receive=receive) as association:
            identifier = study(dataset.StudyInstanceUID)
            seen = [p async for p in association.get(identifier, whole(store))]
    finally:
        await asyncio.to_thread(archive.stop)
    assert (seen[-1].status, seen[-1].completed) == (Status.SUCCESS, 1)
    (got,) = received
    assert dcmread(BytesIO(got), force=True).SOPInstanceUID == dataset.SOPInstanceUID


def test_the_services_have_names():
    assert [str(service) for service in Service] == [
        "Verification",
        "Study Root C-FIND",
        "Study Root C-MOVE",
        "Study Root C-GET",
        "Repository Query",
        "Patient Root C-FIND",
        "Storage Commitment",
    ]
