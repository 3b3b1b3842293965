"""What `serve` promises beside the same answers: nobody stalls, nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, _config, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContextTuple, build_context
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from node.net import Server, serve
from node.net.door.stored import StoreEvent
from tests.support.certificates import Authority
from tests.support.handlers import FIND, GET, MOVE, ROLES, entity, requestor
from tests.support.images import Generated, generate
from tests.support.peers import dcmtk
from tests.support.peers.pynetdicom_race import mend
from tests.support.rawpeer import RawPeer, echo, find
from tests.support.waiting import wait_until

mend()

LOCAL = ("127.0.0.1", 0)


@pytest.fixture
def images(tmp_path: Path) -> list[Generated]:
    return generate(tmp_path / "made", images=3)


def started(*handlers: Any, ae: AE | None = None, **options: Any) -> Server:
    found = serve(ae or entity(), LOCAL, block=False, evt_handlers=list(handlers), **options)
    assert found is not None
    return found


def echoes(port: int) -> int:
    association = requestor(Verification).associate("127.0.0.1", port)
    try:
        return int(association.send_c_echo().Status)
    finally:
        association.release()


def patient() -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.PatientID = "P"
    return identifier


def _mr(uid: str) -> Dataset:
    instance = Dataset()
    instance.SOPClassUID = MRImageStorage
    instance.SOPInstanceUID = uid
    instance.ensure_file_meta()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return instance


# Nobody holds up another


def test_a_handler_that_blocks_holds_up_no_other_association(images: list[Generated]) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def block(event: evt.Event) -> int:
        entered.set()
        go_on.wait(20)
        return 0x0000

    with started((evt.EVT_C_STORE, block)) as server, ExitStack() as stack:
        stack.callback(go_on.set)
        port = server.server_address[1]
        slow = requestor(get=True).associate("127.0.0.1", port)
        statuses: list[int] = []
        instance = dcmread(images[0].path)
        storing = threading.Thread(
            target=lambda: statuses.append(slow.send_c_store(instance).Status)
        )
        storing.start()
        assert entered.wait(10)
        assert [echoes(port) for _ in range(3)] == [0, 0, 0]
        assert not statuses
        go_on.set()
        storing.join(10)
        slow.release()
    assert statuses == [0]


def test_handlers_run_in_no_more_threads_than_associations_may_be_open() -> None:
    ae = entity()
    ae.maximum_associations = 2
    names: set[str] = set()

    def note(event: evt.Event) -> int:
        names.add(threading.current_thread().name)
        return 0x0000

    with started((evt.EVT_C_ECHO, note), ae=ae) as server:
        port = server.server_address[1]
        for _ in range(5):
            assert echoes(port) == 0
    assert 1 <= len(names) <= 2


def test_a_hundred_silent_sockets_do_not_stop_it() -> None:
    seen: list[str] = []
    handlers = [(evt.EVT_CONN_OPEN, lambda event: seen.append(event.address[0]))]
    with started(*handlers) as server, ExitStack() as stack:
        port = server.server_address[1]
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert echoes(port) == 0
        wait_until(lambda: len(seen) >= 101)


@pytest.mark.peers
def test_a_client_that_does_not_read_its_matches_holds_up_only_its_own_handler() -> None:
    given: list[int] = []

    def endless(event: evt.Event) -> Iterator[Any]:
        answer = patient()
        answer.PatientComments = "x" * 10000
        while True:
            given.append(1)
            yield 0xFF00, answer

    async def ask(port: int) -> None:
        async with await RawPeer.associated(port, [str(FIND)]) as peer:
            peer.send(find())
            counts = [-1]
            while given == [] or len(given) != counts[-1]:
                counts.append(len(given))
                await asyncio.sleep(0.3)
            done = await asyncio.to_thread(dcmtk.echoscu, port, called="ARCHIVE")
            assert done.code == 0
            assert len(given) < 10000
            peer.reset()

    with started((evt.EVT_C_FIND, endless)) as server:
        asyncio.run(ask(server.server_address[1]))
        wait_until(lambda: not server.active_associations)


# Ends


def test_a_client_that_vanishes_closes_the_generator() -> None:
    closed = threading.Event()
    begun = threading.Event()

    def endless(event: evt.Event) -> Iterator[Any]:
        try:
            while True:
                yield 0xFF00, patient()
                begun.set()
                time.sleep(0.01)
        finally:
            closed.set()

    with started((evt.EVT_C_FIND, endless)) as server:
        association = requestor(FIND).associate(*server.server_address)
        responses = association.send_c_find(patient(), FIND)
        next(responses)
        assert begun.wait(10)
        association.abort()
        assert closed.wait(10)
        wait_until(lambda: not server.active_associations)


def test_a_cancel_is_seen_once_by_the_handler_that_asks() -> None:
    asked = threading.Event()

    def until_cancelled(event: evt.Event) -> Iterator[Any]:
        while True:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, patient()
            asked.set()
            time.sleep(0.005)

    with started((evt.EVT_C_FIND, until_cancelled)) as server:
        association = requestor(FIND).associate(*server.server_address)
        responses = association.send_c_find(patient(), FIND, msg_id=7)
        status, _ = next(responses)
        assert status.Status == 0xFF00
        assert asked.wait(10)
        association.send_c_cancel(7, query_model=FIND)
        last = [status.Status for status, _ in responses][-1]
        again = association.send_c_find(patient(), FIND, msg_id=7)
        assert next(again)[0].Status == 0xFF00
        association.abort()
    assert last == 0xFE00


def test_an_exception_of_a_notification_ends_nothing() -> None:
    def fail(event: evt.Event) -> None:
        raise ValueError("a mistake of the handler's")

    with started((evt.EVT_ACCEPTED, fail), (evt.EVT_REQUESTED, fail)) as server:
        assert echoes(server.server_address[1]) == 0


def test_a_handler_may_release_the_association() -> None:
    released: list[str] = []

    def release(event: evt.Event) -> int:
        event.assoc.release()
        return 0x0000

    async def ask(port: int) -> list[int]:
        async with await RawPeer.associated(port, [str(Verification)]) as peer:
            peer.send(echo())
            kind, _ = await peer.pdu()
            peer.send(b"\x06\0\0\0\0\x04\0\0\0\0")
            await peer.ends()
            return [kind]

    handlers = [
        (evt.EVT_C_ECHO, release),
        (evt.EVT_RELEASED, lambda event: released.append(event.assoc.requestor.address)),
    ]
    with started(*handlers) as server:
        assert asyncio.run(ask(server.server_address[1])) == [0x05]
        wait_until(lambda: released == ["127.0.0.1"])


def test_shutdown_aborts_and_waits_for_the_handlers_that_run() -> None:
    entered, ended = threading.Event(), threading.Event()

    def slow(event: evt.Event) -> int:
        entered.set()
        wait_until(lambda: not event.assoc.is_established)
        ended.set()
        return 0x0000

    server = started((evt.EVT_C_ECHO, slow))
    port = server.server_address[1]
    association = requestor(Verification).associate("127.0.0.1", port)
    asking = threading.Thread(target=association.send_c_echo)
    asking.start()
    assert entered.wait(10)
    server.shutdown()
    assert ended.is_set()
    asking.join(10)
    wait_until(lambda: association.is_aborted)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    server.shutdown()  # a second time does nothing


def test_shutdown_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.net.door.serving._TO_END", 0.1)
    entered, go_on, told = threading.Event(), threading.Event(), []

    def stubborn(event: evt.Event) -> Iterator[Any]:
        entered.set()
        go_on.wait(20)
        yield 0xFF00, patient()
        told.append("went on")

    server = started((evt.EVT_C_FIND, stubborn))
    association = requestor(FIND).associate(*server.server_address)
    asking = threading.Thread(target=lambda: list(association.send_c_find(patient(), FIND)))
    asking.start()
    assert entered.wait(10)
    server.shutdown()
    go_on.set()
    asking.join(10)
    wait_until(lambda: not any(" handler " in one.name for one in threading.enumerate()))
    assert told == []


def test_a_handler_may_shut_the_server_down() -> None:
    def stop(event: evt.Event) -> int:
        event.assoc.ae.shutdown()
        return 0x0000

    server = started((evt.EVT_C_ECHO, stop))
    association = requestor(Verification).associate(*server.server_address)
    association.send_c_echo()
    server.wait()
    wait_until(lambda: association.is_aborted)


def test_the_entity_shuts_its_servers_down() -> None:
    ae = entity()
    server = started(ae=ae)
    assert server in ae._servers
    ae.shutdown()
    assert server not in ae._servers
    assert not server._thread.is_alive()


def test_a_blocking_server_ends_when_it_is_shut_down() -> None:
    ae = entity()
    serving = threading.Thread(target=serve, args=(ae, LOCAL), daemon=True)
    serving.start()
    wait_until(lambda: ae._servers)
    ae.shutdown()
    serving.join(10)
    assert not serving.is_alive()


def test_nothing_of_an_association_is_kept_once_it_has_ended(images: list[Generated]) -> None:
    requests: list[weakref.ref[Any]] = []
    associations: list[weakref.ref[Any]] = []

    def note(event: evt.Event) -> int:
        requests.append(weakref.ref(event.request))
        associations.append(weakref.ref(event.assoc))
        return 0x0000

    def is_gone(found: list[weakref.ref[Any]]) -> bool:
        gc.collect()
        return all(one() is None for one in found)

    with started((evt.EVT_C_STORE, note)) as server:
        association = requestor(get=True).associate(*server.server_address)
        instance = dcmread(images[0].path)
        for _ in range(3):
            assert association.send_c_store(instance).Status == 0
        wait_until(lambda: is_gone(requests))
        (served,) = server.active_associations
        assert served.requestor.ae_title == "ASKS"
        assert served.is_established
        association.release()
        wait_until(lambda: not server.active_associations)
        assert not served.is_established
        assert served.is_released
        del served
        wait_until(lambda: is_gone(associations))
    assert len(requests) == len(associations) == 3


# What is not supported says so


@pytest.mark.parametrize(
    "event",
    [
        *(evt.EVT_N_ACTION, evt.EVT_N_CREATE, evt.EVT_N_DELETE, evt.EVT_N_EVENT_REPORT),
        *(evt.EVT_N_GET, evt.EVT_N_SET, evt.EVT_USER_ID, evt.EVT_SOP_EXTENDED),
        *(evt.EVT_SOP_COMMON, evt.EVT_ASYNC_OPS, evt.EVT_PDU_RECV, evt.EVT_PDU_SENT),
        *(evt.EVT_DATA_RECV, evt.EVT_DATA_SENT, evt.EVT_DIMSE_RECV, evt.EVT_DIMSE_SENT),
        *(evt.EVT_ACSE_RECV, evt.EVT_ACSE_SENT, evt.EVT_FSM_TRANSITION),
    ],
    ids=str,
)
def test_an_event_that_is_not_supported_is_named(event: evt.EventType) -> None:
    with pytest.raises(NotImplementedError, match=rf"{event.name} is not supported"):
        started((event, print))
    with started() as server, pytest.raises(NotImplementedError, match=event.name):
        server.bind(event, print)


@pytest.mark.parametrize("option", ["STORE_RECV_CHUNKED_DATASET", "PASS_CONTEXTVARS"])
def test_an_option_that_is_not_supported_is_named(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_config, option, True)
    with pytest.raises(NotImplementedError, match=option):
        started()


def test_what_cannot_be_served_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="no event"):
        started(("EVT_C_ECHO", print))
    with pytest.raises(TypeError, match="EVT_C_ECHO cannot be called"):
        started((evt.EVT_C_ECHO, None))
    with pytest.raises(ValueError, match="No supported Presentation Contexts"):
        started(ae=AE("EMPTY"))
    odd = build_context(Verification)
    odd._scu_role = True
    with pytest.raises(ValueError, match=r"only one of scu_role and scp_role.*1\.2\.840\.10008"):
        started(contexts=[odd])


def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    with started() as server, pytest.raises(OSError, match="cannot listen") as raised:
        serve(entity(), server.server_address, block=False)
    assert raised.value.errno


# What handlers may do beside


def test_handlers_can_be_bound_and_unbound_while_it_serves() -> None:
    seen: list[str] = []

    def refuse(event: evt.Event, word: str) -> int:
        seen.append(word)
        return 0x0122

    with started() as server:
        port = server.server_address[1]
        assert echoes(port) == 0
        server.bind(evt.EVT_C_ECHO, refuse, ["bound"])
        assert evt.EVT_C_ECHO in server.get_events()
        assert server.get_handlers(evt.EVT_C_ECHO) == (refuse, ["bound"])
        assert echoes(port) == 0x0122
        server.unbind(evt.EVT_C_ECHO, refuse)
        assert echoes(port) == 0
    assert seen == ["bound"]


def test_what_is_bound_to_one_association_is_not_bound_to_another() -> None:
    seen: list[str] = []

    def note(event: evt.Event) -> None:
        seen.append("all")

    def note_one(event: evt.Event) -> None:
        seen.append("one")

    with started((evt.EVT_RELEASED, note)) as server:
        one = requestor(Verification).associate(*server.server_address)
        wait_until(lambda: server.active_associations)
        server.active_associations[0].bind(evt.EVT_RELEASED, note_one)
        one.release()
        wait_until(lambda: seen == ["all", "one"])
        assert echoes(server.server_address[1]) == 0
        wait_until(lambda: seen == ["all", "one", "all"])
        server.unbind(evt.EVT_RELEASED, note)
        assert server.get_handlers(evt.EVT_RELEASED) == []


def test_images_of_a_get_are_sent_one_at_a_time_and_counted_with_the_answers() -> None:
    taken: list[str] = []

    def give(event: evt.Event) -> Iterator[Any]:
        yield 2
        for number in range(2):
            assert len(taken) == number
            yield 0xFF00, _mr(f"1.2.3.{number}")

    def take(event: evt.Event) -> int:
        taken.append(event.request.AffectedSOPInstanceUID)
        return 0xA700 if len(taken) == 2 else 0x0000

    with started((evt.EVT_C_GET, give)) as server:
        association = requestor(GET, get=True).associate(
            *server.server_address, ext_neg=ROLES, evt_handlers=[(evt.EVT_C_STORE, take)]
        )
        responses = list(association.send_c_get(patient(), GET))
        association.release()
    status, identifier = responses[-1]
    assert (status.Status, status.NumberOfFailedSuboperations) == (0xB000, 1)
    assert identifier.FailedSOPInstanceUIDList == "1.2.3.1"


@pytest.mark.peers
def test_a_destination_may_speak_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("there")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(identity.certificate, identity.key)
    client = ssl.create_default_context(cafile=str(authority.certificate))
    client.check_hostname = False
    taken: list[str] = []

    def take(event: evt.Event) -> int:
        taken.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    def send(event: evt.Event) -> Iterator[Any]:
        wrong = {"tls_args": (client, "there"), **extra}
        yield *there.server_address, wrong
        yield 1
        yield 0xFF00, _mr("1.2.3.4")

    extra: dict[str, Any] = {}
    with (
        started((evt.EVT_C_STORE, take), ssl_context=server) as there,
        started((evt.EVT_C_MOVE, send)) as ours,
    ):
        association = requestor(MOVE).associate(*ours.server_address)
        *_, (status, _) = association.send_c_move(patient(), "THERE", MOVE)
        extra["bind_address"] = ("127.0.0.1", 0)
        *_, (refused, _) = association.send_c_move(patient(), "THERE", MOVE)
        association.release()
    assert (status.Status, taken) == (0x0000, ["1.2.3.4"])
    assert refused.Status == 0xC515


def test_a_service_that_is_not_supported_is_no_operation() -> None:
    ae = entity()
    ae.add_supported_context(StorageCommitmentPushModel)
    client = requestor(StorageCommitmentPushModel, Verification)
    with started(ae=ae) as server:
        association = client.associate(*server.server_address)
        status, _ = association.send_n_action(
            patient(), 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        assert association.send_c_echo().Status == 0x0000
        association.release()
    assert status.Status == 0x0211


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.34", "1.2.840.10008.5.1.4.1.1.4.1"])
def test_an_encoded_dataset_has_the_bytes_of_the_library(uid: str) -> None:
    context = PresentationContextTuple(1, MRImageStorage, ExplicitVRLittleEndian)
    request = C_STORE()
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = MRImageStorage, uid
    request.DataSet = BytesIO(b"a dataset!")
    association = requestor()._servers  # any object does: the event only keeps it
    attributes: dict[str, Any] = {"request": request, "context": context}
    ours = StoreEvent(association, evt.EVT_C_STORE, attributes)  # type: ignore[arg-type]
    theirs = evt.Event(association, evt.EVT_C_STORE, attributes)  # type: ignore[arg-type]
    assert ours.encoded_dataset() == theirs.encoded_dataset()
    assert ours.encoded_dataset(include_meta=False) == b"a dataset!"


def test_the_door_is_loaded_only_when_it_is_asked_for() -> None:
    code = "import sys, node.net; print('pynetdicom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
