"""One entity with its handlers on `serve` and on `AE.start_server`: same clients, same answers.

Each scenario is played to both, and what came of it has to be equal, besides being what it should.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
)
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context, build_role
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AddressInformation, AssociationSocket

from tests.support.certificates import Authority
from tests.support.handlers import (
    FIND,
    GET,
    MOVE,
    ROLES,
    SERVERS,
    archive,
    entity,
    requestor,
    running,
)
from tests.support.images import Generated, generate
from tests.support.peers import dcmtk
from tests.support.peers.pynetdicom_race import mend
from tests.support.waiting import wait_until

mend()


def on_both(scenario: Callable[[str], Any]) -> Any:
    """Play a scenario to both servers, and return what came of both."""
    ours, theirs = (scenario(kind) for kind in SERVERS)
    assert ours == theirs
    return ours


@contextmanager
def associated(ae: AE, port: int, title: str = "ARCHIVE", **options: Any) -> Iterator[Association]:
    association = ae.associate("127.0.0.1", port, ae_title=title, **options)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


@pytest.fixture
def images(tmp_path: Path) -> list[Generated]:
    return generate(tmp_path / "made", studies=2, images=3)


@pytest.fixture
def filled(tmp_path: Path, images: list[Generated]) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    for image in images:
        (folder / image.path.name.replace("000-", image.patient_id)).write_bytes(
            image.path.read_bytes()
        )
    return folder


def told(responses: Any) -> list[tuple[dict[str, Any], Any]]:
    """Return what came of a C-FIND, C-GET or C-MOVE: statuses, counters and identifiers."""
    return [
        (
            {element.keyword: element.value for element in status},
            identifier.to_json_dict() if identifier is not None else None,
        )
        for status, identifier in responses
    ]


def study(uid: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = uid
    return identifier


def patient(value: str = "") -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.PatientID = value
    return identifier


@pytest.mark.peers
def test_dcmtk_verifies_and_stores_alike(tmp_path: Path, images: list[Generated]) -> None:
    def scenario(kind: str) -> Any:
        folder = tmp_path / kind
        folder.mkdir()
        with running(kind, entity(), archive(folder)) as port:
            echoed = dcmtk.echoscu(port, called="ARCHIVE")
            stored = dcmtk.storescu(port, tmp_path / "made", called="ARCHIVE")
        assert (echoed.code, stored.code) == (0, 0), stored.output
        statuses = [line for line in stored.output.splitlines() if "Store Response" in line]
        return statuses, {path.name: path.read_bytes() for path in folder.iterdir()}

    statuses, kept = on_both(scenario)
    assert len(statuses) == 6
    assert len(kept) == 12
    assert all("Success" in status for status in statuses)


@pytest.mark.peers
def test_dcmtk_finds_alike(filled: Path, images: list[Generated]) -> None:
    def scenario(kind: str) -> Any:
        with running(kind, entity(), archive(filled)) as port:
            done, answers = dcmtk.findscu(
                port, f"PatientID={images[0].patient_id}", called="ARCHIVE"
            )
        assert done.code == 0, done.output
        return [answer.to_json_dict() for answer in answers]

    assert len(on_both(scenario)) == 3


@pytest.mark.peers
def test_dcmtk_gets_alike(tmp_path: Path, filled: Path, images: list[Generated]) -> None:
    def scenario(kind: str) -> Any:
        with running(kind, entity(), archive(filled)) as port:
            done, paths = dcmtk.getscu(
                port,
                f"StudyInstanceUID={images[0].study_uid}",
                called="ARCHIVE",
                folder=tmp_path / kind,
            )
        assert done.code == 0, done.output
        return {path.name: path.read_bytes() for path in paths}

    assert len(on_both(scenario)) == 3


@pytest.mark.peers
def test_dcmtk_moves_alike(tmp_path: Path, filled: Path, images: list[Generated]) -> None:
    def scenario(kind: str) -> Any:
        with dcmtk.StoreScp(tmp_path / kind, aetitle="THERE") as there:
            known = {"THERE": ("127.0.0.1", there.port)}
            with running(kind, entity(), archive(filled, known)) as port:
                key = f"StudyInstanceUID={images[0].study_uid}"
                moved = dcmtk.movescu(port, key, called="ARCHIVE", destination="THERE")
                lost = dcmtk.movescu(port, key, called="ARCHIVE", destination="NOWHERE")
            files = {uid: path.read_bytes() for uid, path in there.files().items()}
        lines = [
            [line for line in done.output.splitlines() if "Final Move Response" in line]
            for done in (moved, lost)
        ]
        return moved.code, lost.code, lines, files

    moved, lost, lines, files = on_both(scenario)
    assert moved == 0
    assert lost != 0
    assert len(files) == 3, lines


def test_an_scu_of_the_library_has_the_same_answers(
    tmp_path: Path, filled: Path, images: list[Generated]
) -> None:
    def scenario(kind: str) -> Any:
        there = tmp_path / kind
        there.mkdir()
        received: dict[str, bytes] = {}

        def take(event: evt.Event) -> int:
            received[str(event.request.AffectedSOPInstanceUID)] = event.encoded_dataset()
            return 0xB000 if len(received) == 2 else 0x0000

        taken = [(evt.EVT_C_STORE, take)]
        ends = entity("THERE")
        with running("start_server", ends, taken) as destination:
            known = {"THERE": ("127.0.0.1", destination)}
            with (
                running(kind, entity(), archive(filled, known)) as port,
                associated(
                    requestor(Verification, FIND, GET, MOVE, get=True),
                    port,
                    ext_neg=ROLES,
                    evt_handlers=taken,
                ) as association,
            ):
                results = {
                    "echo": association.send_c_echo(),
                    "find": told(association.send_c_find(patient(), FIND)),
                    "nothing": told(association.send_c_find(patient("none"), FIND)),
                    "invalid": told(association.send_c_find(study_without_level(), FIND)),
                    "get": told(association.send_c_get(study(images[0].study_uid), GET)),
                    "none": told(association.send_c_get(study("1.2.3"), GET)),
                    "move": told(
                        association.send_c_move(study(images[3].study_uid), "THERE", MOVE)
                    ),
                    "lost": told(association.send_c_move(study("1.2.3"), "NOWHERE", MOVE)),
                }
        return results, received

    results, received = on_both(scenario)
    assert results["echo"].Status == 0
    assert [status["Status"] for status, _ in results["find"]] == [0xFF00] * 6 + [0]
    assert [status["Status"] for status, _ in results["nothing"]] == [0]
    assert [status["Status"] for status, _ in results["invalid"]] == [0xC000]
    assert results["get"][-1][0]["Status"] == 0xB000
    assert results["get"][-1][0]["NumberOfWarningSuboperations"] == 1
    assert results["move"][-1][0]["NumberOfCompletedSuboperations"] == 3
    assert results["lost"][-1][0]["Status"] == 0xA801
    assert sorted(received) == sorted(image.sop_instance_uid for image in images)


def study_without_level() -> Dataset:
    identifier = Dataset()
    identifier.PatientID = "P"
    return identifier


def _status(value: int, comment: str = "") -> Dataset:
    status = Dataset()
    status.Status = value
    if comment:
        status.ErrorComment = comment
        status.OffendingElement = [0x00100010, 0x00100020]
    return status


def _raises(*_: object) -> Any:
    raise ValueError("a mistake of the handler's")


def _yields(*values: Any, then: Callable[[], None] = lambda: None) -> Callable[..., Iterator[Any]]:
    def handler(event: evt.Event) -> Iterator[Any]:
        yield from values
        then()

    return handler


_STORE: dict[str, tuple[Any, int | None]] = {
    "a status": (lambda event: 0xA700, 0xA700),
    "a warning": (lambda event: 0xB000, 0xB000),
    "a status that is unknown": (lambda event: 0x1234, 0x1234),
    "a status dataset": (lambda event: _status(0xA900, "because"), 0xA900),
    "a status dataset without a status": (lambda event: Dataset(), 0xC001),
    "no status": (lambda event: None, 0xC002),
    "an exception": (_raises, 0xC211),
}


def each(
    kind: str, event: evt.EventType, cases: dict[str, Any], ask: Callable[[int], Any]
) -> dict[str, Any]:
    """Ask for each case's answer, of one server."""
    current: list[Any] = []

    def handler(event: evt.Event) -> Any:
        return current[-1](event)

    answers: dict[str, Any] = {}
    with running(kind, entity(), [(event, handler)]) as port:
        for name, (made, _) in cases.items():
            current.append(made)
            answers[name] = ask(port)
    return answers


def statuses(answers: dict[str, Any]) -> dict[str, int]:
    return {name: told_[-1][0]["Status"] for name, told_ in answers.items()}


def wanted(cases: dict[str, Any]) -> dict[str, int]:
    return {name: status for name, (_, status) in cases.items()}


def test_what_a_store_handler_says_is_answered_alike(images: list[Generated]) -> None:
    instance = dcmread(images[0].path)

    def ask(port: int) -> Any:
        with associated(requestor(get=True), port) as association:
            return told([(association.send_c_store(instance), None)])

    answers = on_both(lambda kind: each(kind, evt.EVT_C_STORE, _STORE, ask))
    assert statuses(answers) == wanted(_STORE)


def test_services_without_a_handler_are_answered_alike(images: list[Generated]) -> None:
    instance = dcmread(images[0].path)
    client = requestor(Verification, FIND, GET, MOVE, get=True)

    def scenario(kind: str) -> Any:
        with (
            running(kind, entity(), []) as port,
            associated(client, port, ext_neg=[build_role(MRImageStorage, scu_role=True)]) as asks,
        ):
            return [
                asks.send_c_echo().Status,
                asks.send_c_store(instance).Status,
                *(status.Status for status, _ in asks.send_c_find(patient(), FIND)),
                *(status.Status for status, _ in asks.send_c_get(patient(), GET)),
                *(status.Status for status, _ in asks.send_c_move(patient(), "THERE", MOVE)),
            ]

    assert on_both(scenario) == [0x0000, 0xC211, 0xC311, 0xC411, 0xC511]


_ASKED: dict[str, tuple[Any, int]] = {
    "an exception before the first yield": (_raises, 0xC311),
    "an exception after a match": (_yields((0xFF00, patient("A")), then=_raises), 0xC311),
    "a status dataset": (_yields((_status(0xA700, "because"), None)), 0xA700),
    "an unknown status": (_yields((0x1234, None)), 0x1234),
    "no status": (_yields((None, None)), 0xC002),
    "a match that cannot be encoded": (_yields((0xFF00, Dataset())), 0xC312),
    "success": (_yields((0x0000, None), (0xFF00, patient("never"))), 0x0000),
    "cancelled": (_yields((0xFF00, patient("A")), (0xFE00, None)), 0xFE00),
    "a warning": (_yields((0xFF01, patient("A"))), 0x0000),
    "nothing": (_yields(), 0x0000),
}


def test_what_a_find_handler_yields_is_answered_alike() -> None:
    def ask(port: int) -> Any:
        with associated(requestor(FIND), port) as association:
            return told(association.send_c_find(patient(), FIND))

    answers = on_both(lambda kind: each(kind, evt.EVT_C_FIND, _ASKED, ask))
    assert statuses(answers) == wanted(_ASKED)


def test_the_exception_of_a_handler_is_in_the_log_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def ask(port: int) -> Any:
        with associated(requestor(FIND), port) as association:
            return told(association.send_c_find(patient(), FIND))

    each("serve", evt.EVT_C_FIND, {"an exception": (_raises, 0xC311)}, ask)
    assert {one.levelno for one in caplog.records} == {logging.ERROR}
    assert "Traceback (most recent call last):" in caplog.text
    assert "in _raises" in caplog.text
    assert "ValueError: a mistake of the handler's" in caplog.text


def _mr(uid: str = "1.2.3.4") -> Dataset:
    instance = Dataset()
    instance.SOPClassUID, instance.SOPInstanceUID = MRImageStorage, uid
    instance.PatientName = "Doe^Jane"
    instance.ensure_file_meta()
    instance.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return instance


def _of_nobody(uid: str = "1.2.3.5") -> Dataset:
    instance = _mr(uid)
    instance.SOPClassUID = CTImageStorage
    return instance


_GOT: dict[str, tuple[Any, int]] = {
    "an exception at once": (_raises, 0xC411),
    "no number": (_yields("many"), 0xC413),
    "nothing at all": (_yields(), 0xC413),
    "an exception after the number": (_yields(2, then=_raises), 0xC411),
    "too many": (_yields(65536), 0xC416),
    "none": (_yields(0), 0x0000),
    "all failed": (_yields(1, (0xFF00, _of_nobody())), 0xA702),
    "one failed": (_yields(2, (0xFF00, _mr()), (0xFF00, _of_nobody())), 0xB000),
    "no dataset": (_yields(1, (0xFF00, "text")), 0xA702),
    "fewer than said": (_yields(3, (0xFF00, _mr())), 0x0000),
    "more than said": (_yields(1, (0xFF00, _mr()), (0xFF00, _mr("1.2.3.6"))), 0x0000),
    "a failure in between": (_yields(3, (0xFF00, _mr()), (0xA701, None)), 0xA701),
    "cancelled": (_yields(3, (0xFF00, _mr()), (0xFE00, None)), 0xFE00),
    "success before the end": (_yields(3, (0xFF00, _mr()), (0x0000, None)), 0x0000),
}


def test_what_a_get_handler_yields_is_answered_alike() -> None:
    taken = [(evt.EVT_C_STORE, lambda event: 0x0000)]

    def ask(port: int) -> Any:
        client = requestor(GET, get=True)
        with associated(client, port, ext_neg=ROLES, evt_handlers=taken) as association:
            return told(association.send_c_get(study("1.2.3"), GET))

    answers = on_both(lambda kind: each(kind, evt.EVT_C_GET, _GOT, ask))
    assert statuses(answers) == wanted(_GOT)


_MOVED: dict[str, tuple[Callable[[Any], Any], int]] = {
    "an exception at once": (lambda there: _raises, 0xC511),
    "nothing at all": (lambda there: _yields(), 0xC514),
    "no destination": (lambda there: _yields((None, None)), 0xA801),
    "an invalid destination": (lambda there: _yields(5), 0xC515),
    "a destination that is no address": (lambda there: _yields((5, 5), 1), 0xC515),
    "an address that cannot be resolved": (
        lambda there: _yields(("no.such.invalid", 104), 1),
        0xC515,
    ),
    "no number": (lambda there: _yields(there, "many"), 0xC513),
    "none": (lambda there: _yields(there, 0), 0x0000),
    "an exception": (lambda there: _yields(there, 2, then=_raises), 0xC511),
    "one": (lambda there: _yields(there, 1, (0xFF00, _mr())), 0x0000),
    "one that is not taken": (
        lambda there: _yields(there, 2, (0xFF00, _mr()), (0xFF00, _of_nobody())),
        0xB000,
    ),
    "its own contexts": (
        lambda there: _yields(
            (*there, {"contexts": [build_context(MRImageStorage)], "ae_title": "OTHER"}),
            1,
            (0xFF00, _mr()),
        ),
        0x0000,
    ),
    "cancelled": (lambda there: _yields(there, 2, (0xFF00, _mr()), (0xFE00, None)), 0xFE00),
}


def _taking(requests: list[Any]) -> Callable[[evt.Event], int]:
    def take(event: evt.Event) -> int:
        request = event.request
        requests.append(
            (
                event.assoc.requestor.primitive.called_ae_title,
                request.MoveOriginatorApplicationEntityTitle,
                request.MoveOriginatorMessageID,
                event.encoded_dataset(),
            )
        )
        return 0x0000

    return take


@pytest.fixture
def closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the sockets that the library makes: it leaves those open that it does not connect."""
    made: list[socket.socket] = []
    make = AssociationSocket._create_socket

    def noted(self: AssociationSocket, address: AddressInformation) -> socket.socket:
        made.append(make(self, address))
        return made[-1]

    monkeypatch.setattr(AssociationSocket, "_create_socket", noted)
    yield
    for one in made:
        one.close()


_TITLED: dict[str, tuple[Callable[[Any], Any], int]] = {
    "a title that is too long": (
        lambda there: _yields((*there, {"ae_title": "LONGLONGLONGLONGLONG"}), 1),
        0xC515,
    ),
    "a title of spaces": (lambda there: _yields((*there, {"ae_title": " "}), 1), 0xC515),
    "a title that is none": (lambda there: _yields((*there, {"ae_title": 5}), 1), 0xC515),
    "a title with spaces around it": (
        lambda there: _yields((*there, {"ae_title": " SPACED "}), 1, (0xFF00, _mr())),
        0x0000,
    ),
}


@pytest.mark.parametrize(
    ("moved", "other"), [(_MOVED, ["OTHER"]), (_TITLED, ["SPACED"])], ids=["yielded", "titles"]
)
@pytest.mark.usefixtures("closed_at_the_end")
def test_what_a_move_handler_yields_is_answered_alike(
    moved: dict[str, Any], other: list[str]
) -> None:
    ends = AE("THERE")
    ends.add_supported_context(MRImageStorage)

    def scenario(kind: str) -> Any:
        requests: list[Any] = []
        with running("serve", ends, [(evt.EVT_C_STORE, _taking(requests))]) as there:
            cases = {
                name: (make(("127.0.0.1", there)), status) for name, (make, status) in moved.items()
            }

            def ask(port: int) -> Any:
                with associated(requestor(MOVE), port) as association:
                    return told(association.send_c_move(study("1.2.3"), "THERE", MOVE))

            return each(kind, evt.EVT_C_MOVE, cases, ask), requests

    answers, requests = on_both(scenario)
    assert statuses(answers) == wanted(moved)
    assert [one[0] for one in requests if one[0] != "THERE"] == other


def test_a_destination_where_nobody_listens_is_unknown() -> None:
    handler = _yields(("127.0.0.1", 1), 1, (0xFF00, _mr()))
    with (
        running("serve", entity(), [(evt.EVT_C_MOVE, handler)]) as port,
        associated(requestor(MOVE), port) as association,
    ):
        (answer,) = told(association.send_c_move(study("1.2.3"), "THERE", MOVE))
    assert answer[0]["Status"] == 0xA801


def test_contexts_and_roles_are_agreed_on_alike() -> None:
    ours = AE("ARCHIVE")
    ours.add_supported_context(Verification)
    ours.add_supported_context(CTImageStorage, [ExplicitVRLittleEndian])
    ours.add_supported_context(MRImageStorage, [JPEGBaseline8Bit], scu_role=True, scp_role=False)
    client = requestor()
    for context in (
        build_context(Verification),
        build_context(CTImageStorage, [ImplicitVRLittleEndian, ExplicitVRLittleEndian]),
        build_context(CTImageStorage, [ImplicitVRLittleEndian]),
        build_context(MRImageStorage, [JPEGBaseline8Bit]),
        build_context("1.2.3.4"),
    ):
        client.add_requested_context(str(context.abstract_syntax), context.transfer_syntax)
    roles = [
        build_role(one, scu_role=True, scp_role=True) for one in (MRImageStorage, CTImageStorage)
    ]

    def scenario(kind: str) -> Any:
        with (
            running(kind, ours, []) as port,
            associated(client, port, ext_neg=roles) as association,
        ):
            acceptor = association.acceptor
            return (
                [
                    (str(one.abstract_syntax), one.transfer_syntax, one.as_scu, one.as_scp)
                    for one in association.accepted_contexts
                ],
                [(str(one.abstract_syntax), one.result) for one in association.rejected_contexts],
                acceptor.maximum_length,
                str(acceptor.implementation_class_uid),
                acceptor.implementation_version_name,
            )

    assert len(on_both(scenario)[0]) >= 2


def test_any_class_is_stored_without_restriction(
    monkeypatch: pytest.MonkeyPatch, images: list[Generated]
) -> None:
    monkeypatch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", True)
    instance = dcmread(images[0].path)
    instance.SOPClassUID = "1.2.3.4.5"
    client = requestor()
    client.add_requested_context("1.2.3.4.5", ExplicitVRLittleEndian)

    def scenario(kind: str) -> Any:
        seen: list[bytes] = []

        def take(event: evt.Event) -> int:
            seen.append(event.encoded_dataset())
            return 0x0000

        with (
            running(kind, AE("ARCHIVE"), [(evt.EVT_C_STORE, take)]) as port,
            associated(client, port) as association,
        ):
            return association.send_c_store(instance), seen

    assert len(on_both(scenario)[1]) == 1


def _rejection(client: AE, port: int, title: str) -> Any:
    """Return result, source and reason; the library's client overlooks a rejection now and then."""

    def answer() -> Any:
        association = client.associate("127.0.0.1", port, ae_title=title)
        assert not association.is_established
        return association.acceptor.primitive

    found = wait_until(answer)
    return found.result, found.result_source, found.diagnostic


def test_titles_are_refused_alike() -> None:
    def scenario(kind: str) -> Any:
        strict = entity()
        strict.require_called_aet = True
        strict.require_calling_aet = ["ASKS"]
        stranger = requestor(Verification)
        stranger.ae_title = "STRANGER"
        with running(kind, strict, [], ae_title="OTHER") as port:
            with associated(requestor(Verification), port, "OTHER"):
                pass
            return [
                _rejection(requestor(Verification), port, "ARCHIVE"),
                _rejection(stranger, port, "OTHER"),
            ]

    assert on_both(scenario) == [(1, 1, 7), (1, 1, 3)]


def test_one_association_too_many_is_refused_alike() -> None:
    def scenario(kind: str) -> Any:
        strict = entity()
        strict.maximum_associations = 1
        client = requestor(Verification)
        with running(kind, strict, []) as port, associated(client, port):
            return _rejection(client, port, "ARCHIVE")

    assert on_both(scenario) == (2, 3, 2)


def test_notifications_come_in_the_same_order_with_what_they_document() -> None:
    events = (
        *(evt.EVT_CONN_OPEN, evt.EVT_REQUESTED, evt.EVT_ACCEPTED, evt.EVT_ESTABLISHED),
        *(evt.EVT_REJECTED, evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE),
    )

    def scenario(kind: str) -> Any:
        seen: dict[Association, list[Any]] = {}

        def note(event: evt.Event, word: str) -> None:
            of = event.assoc.requestor
            title = of.primitive.calling_ae_title if event.event is not events[0] else ""
            assert event.assoc.ae is ours
            assert event.assoc.acceptor.ae_title == "ARCHIVE"
            where = getattr(event, "address", (None,))[0]
            seen.setdefault(event.assoc, []).append(
                (event.event.name, title, of.address, where, word)
            )

        ours = entity()
        ours.require_calling_aet = ["ASKS"]
        handlers = [(event, note, ["said"]) for event in events]
        stranger = requestor(Verification)
        stranger.ae_title = "STRANGER"
        with running(kind, ours, handlers) as port:
            with associated(requestor(Verification), port):
                pass
            client = requestor(Verification).associate("127.0.0.1", port)
            client.abort()
            _rejection(stranger, port, "ARCHIVE")
            wait_until(lambda: sum(map(is_over, list(seen.values()))) >= 3)
        found = list(seen.values())[:3]
        if kind == "serve":  # the library's threads tell an end and its connection's as they come
            assert [[one[0] for one in told] for told in found] == [
                [*begun, "EVT_ACCEPTED", "EVT_ESTABLISHED", "EVT_RELEASED", "EVT_CONN_CLOSE"],
                [*begun, "EVT_ACCEPTED", "EVT_ESTABLISHED", "EVT_ABORTED", "EVT_CONN_CLOSE"],
                [*begun, "EVT_REJECTED", "EVT_CONN_CLOSE"],
            ]
        return [sorted(told, key=str) for told in found]

    begun = ("EVT_CONN_OPEN", "EVT_REQUESTED")

    def is_over(told: list[Any]) -> bool:
        names = {one[0] for one in told}
        return "EVT_CONN_CLOSE" in names and bool(
            names & {"EVT_RELEASED", "EVT_ABORTED", "EVT_REJECTED"}
        )

    on_both(scenario)


def test_a_handler_that_aborts_is_obeyed_alike() -> None:
    def scenario(kind: str) -> Any:
        seen: list[str] = []

        def abort(event: evt.Event) -> int:
            event.assoc.abort()
            return 0x0000

        handlers = [
            (evt.EVT_C_ECHO, abort),
            (evt.EVT_ABORTED, lambda event: seen.append("aborted")),
        ]
        with running(kind, entity(), handlers) as port:
            client = requestor(Verification).associate("127.0.0.1", port)
            echoed = client.send_c_echo()
            wait_until(lambda: client.is_aborted and seen)
        return echoed, seen

    echoed, seen = on_both(scenario)
    assert "Status" not in echoed
    assert seen == ["aborted"]


@pytest.mark.peers
def test_a_context_for_tls_is_used(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")

    def scenario(kind: str) -> Any:
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate)
        )
        context.load_cert_chain(server.certificate, server.key)
        context.verify_mode = ssl.CERT_REQUIRED
        with running(kind, entity(), [], ssl_context=context) as port:
            options = dcmtk.tls_options(client, authority)
            secure = dcmtk.echoscu(port, called="ARCHIVE", options=options)
            plain = dcmtk.echoscu(port, called="ARCHIVE", options=("-ta", "2"))
        return secure.code, plain.code != 0

    assert on_both(scenario) == (0, True)
