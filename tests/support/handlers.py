"""Handlers as pynetdicom's documentation teaches to write them, and both servers that run them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.presentation import build_role
from pynetdicom.sop_class import (
    MRImageStorage,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from node.net import serve

SERVERS = ("serve", "start_server")

FIND = StudyRootQueryRetrieveInformationModelFind
GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove


@contextmanager
def running(kind: str, ae: AE, handlers: list[Any], **options: Any) -> Iterator[int]:
    """Run an entity on one of the two servers, and return its port."""
    start = {"serve": lambda *a, **k: serve(ae, *a, **k), "start_server": ae.start_server}[kind]
    server: Any = start(("127.0.0.1", 0), block=False, evt_handlers=handlers, **options)
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


def entity(title: str = "ARCHIVE") -> AE:
    """Return an entity that has all the services of `archive`."""
    ae = AE(ae_title=title)
    ae.add_supported_context(Verification)
    for model in (PatientRootQueryRetrieveInformationModelFind, FIND, GET, MOVE):
        ae.add_supported_context(model)
    for context in StoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)
    ae.requested_contexts = StoragePresentationContexts
    return ae


def requestor(*models: str, get: bool = False) -> AE:
    """Return an entity that asks for these models, and with `get` takes MR images back."""
    ae = AE(ae_title="ASKS")
    ae.acse_timeout = ae.dimse_timeout = 20
    for model in models:
        ae.add_requested_context(model)
    if get:
        ae.add_requested_context(MRImageStorage, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
    return ae


ROLES = [build_role(MRImageStorage, scp_role=True)]
"""Of who gets images."""


def handle_echo(event: evt.Event) -> int:
    """Answer a C-ECHO."""
    return 0x0000


def handle_store(event: evt.Event, folder: Path) -> int:
    """Keep an object, as the library writes it and as it came."""
    uid = event.request.AffectedSOPInstanceUID
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    dataset.save_as(folder / f"{uid}.dcm", enforce_file_format=True)
    (folder / f"{uid}.raw").write_bytes(event.encoded_dataset())
    return 0x0000


def handle_find(event: evt.Event, folder: Path) -> Iterator[tuple[int, Dataset | None]]:
    """Answer with what matches the Patient ID."""
    query = event.identifier
    if "QueryRetrieveLevel" not in query:
        yield 0xC000, None
        return
    for path in sorted(folder.glob("*.dcm")):
        instance = dcmread(path)
        if event.is_cancelled:
            yield 0xFE00, None
            return
        if query.get("PatientID") and query.PatientID != instance.PatientID:
            continue
        answer = Dataset()
        answer.QueryRetrieveLevel = query.QueryRetrieveLevel
        answer.PatientID = instance.PatientID
        answer.PatientName = instance.PatientName
        answer.StudyInstanceUID = instance.StudyInstanceUID
        yield 0xFF00, answer


def _chosen(event: evt.Event, folder: Path) -> list[Dataset]:
    wanted = event.identifier.StudyInstanceUID
    found = [dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    return [one for one in found if one.StudyInstanceUID == wanted]


def handle_get(event: evt.Event, folder: Path) -> Iterator[Any]:
    """Send what is of the study."""
    chosen = _chosen(event, folder)
    yield len(chosen)
    for instance in chosen:
        if event.is_cancelled:
            yield 0xFE00, None
            return
        yield 0xFF00, instance


def handle_move(event: evt.Event, folder: Path, known: dict[str, tuple[str, int]]) -> Iterator[Any]:
    """Send what is of the study to a destination that is known."""
    if event.move_destination not in known:
        yield None, None
        return
    yield known[event.move_destination]
    chosen = _chosen(event, folder)
    yield len(chosen)
    for instance in chosen:
        if event.is_cancelled:
            yield 0xFE00, None
            return
        yield 0xFF00, instance


def archive(folder: Path, known: dict[str, tuple[str, int]] | None = None) -> list[Any]:
    """Return the handlers of a small archive in a folder."""
    return [
        (evt.EVT_C_ECHO, handle_echo),
        (evt.EVT_C_STORE, handle_store, [folder]),
        (evt.EVT_C_FIND, handle_find, [folder]),
        (evt.EVT_C_GET, handle_get, [folder]),
        (evt.EVT_C_MOVE, handle_move, [folder, known or {}]),
    ]
