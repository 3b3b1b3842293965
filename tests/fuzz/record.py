"""Records the seed corpus: what DCMTK, Orthanc and pynetdicom say to each other.

    python -m tests.fuzz.record [FOLDER]

A proxy stands between each pair. What the requestor says becomes an input for our acceptor, what
the acceptor says one for our requestor (see `tests.fuzz.target`). The one image that is sent is
made up here: no patient is behind it.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.fuzz.target import ACCEPTOR, REQUESTOR
from tests.support.peers.dcmtk import DcmQrScp, StoreScp, run
from tests.support.peers.orthanc import Orthanc
from tests.support.processes import LOOPBACK

CORPUS = Path(__file__).with_name("corpus")

LONGEST = 16384
"""Bytes of an input; what is longer is cut."""

UID = "1.2.826.0.1.3680043.8.498.77.1"


class Proxy:
    """Forwards the connections to a port of its own to another one, and keeps what passes."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self.requested: list[bytearray] = []
        self.answered: list[bytearray] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((LOOPBACK, self._target))
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.requested.append(bytearray())
                self.answered.append(bytearray())
                self._start(self._copy, client, server, self.requested[-1])
                self._start(self._copy, server, client, self.answered[-1])

    def _copy(self, source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        with suppress(OSError), closing(source):
            while data := source.recv(65536):
                kept += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Listen no more, and wait for the connections' ends."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


class Recorder:
    """Runs one exchange after the other, and writes what each side said."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def through(self, port: int, name: str, *, requestor: bool = True) -> Iterator[int]:
        """Give the port of a proxy, and keep what passes, of the acceptor or of both."""
        proxy = Proxy(port)
        try:
            yield proxy.port
        finally:
            proxy.close()
        for number, (asked, answered) in enumerate(
            zip(proxy.requested, proxy.answered, strict=True)
        ):
            if requestor:
                self._keep(f"{name}-{number}-requestor", ACCEPTOR, asked)
            self._keep(f"{name}-{number}-acceptor", REQUESTOR, answered)

    def _keep(self, name: str, role: int, stream: bytes) -> None:
        if stream:
            (self._folder / name).write_bytes(bytes((role, 0)) + stream[:LONGEST])


def image(path: Path) -> Path:
    """Write a tiny image."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MRImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = UID + ".3"
    made.StudyInstanceUID, made.SeriesInstanceUID = UID, UID + ".2"
    made.PatientName, made.PatientID, made.Modality = "Nobody", "0", "MR"
    made.Rows = made.Columns = 4
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation, made.SamplesPerPixel = 7, 0, 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.PixelData = bytes(16)
    made.save_as(path, enforce_file_format=True)
    return path


def query() -> Dataset:
    """Return the identifier of a study-level query."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = UID
    return identifier


@contextmanager
def pynetdicom_server() -> Iterator[int]:
    """Run an SCP of pynetdicom that answers a query with one match."""
    ae = AE(ae_title="PYNET")
    for uid in (
        Verification,
        MRImageStorage,
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelMove,
        StorageCommitmentPushModel,
    ):
        ae.add_supported_context(uid)

    def find(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, query()

    def act(event: evt.Event) -> tuple[int, None]:
        arguments = (event.assoc, event.action_information)
        threading.Thread(target=report, args=arguments, daemon=True).start()
        return 0, None

    def move(_: evt.Event) -> Iterator[object]:
        yield None, None

    server = ae.start_server(
        (LOOPBACK, 0),
        block=False,
        evt_handlers=[
            (evt.EVT_C_STORE, lambda _: 0),
            (evt.EVT_C_FIND, find),
            (evt.EVT_C_MOVE, move),
            (evt.EVT_N_ACTION, act),
        ],
    )
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def report(association: Association, request: Dataset) -> None:
    """Report that what was asked for is committed, over the association that asked."""
    association.send_n_event_report(
        request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )


def commit_with_pynetdicom(port: int, called: str) -> None:
    """Ask for storage commitment, and take the report."""
    asked = Dataset()
    asked.TransactionUID = UID + ".9"
    asked.ReferencedSOPSequence = [Dataset()]
    asked.ReferencedSOPSequence[0].ReferencedSOPClassUID = MRImageStorage
    asked.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = UID + ".3"
    reported = threading.Event()

    def take(_: evt.Event) -> tuple[int, None]:
        reported.set()
        return 0, None

    ae = AE(ae_title="PYSCU")
    ae.add_requested_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_N_EVENT_REPORT, take)]
    association = ae.associate(LOOPBACK, port, ae_title=called, evt_handlers=handlers)
    if association.is_established:
        association.send_n_action(
            asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        reported.wait(1)
        association.release()


def with_pynetdicom(port: int, called: str, file: Path) -> None:
    """Echo, store and find with pynetdicom's requestor."""
    ae = AE(ae_title="PYSCU")
    for uid in (Verification, MRImageStorage, StudyRootQueryRetrieveInformationModelFind):
        ae.add_requested_context(uid)
    association = ae.associate(LOOPBACK, port, ae_title=called)
    if association.is_established:
        association.send_c_echo()
        association.send_c_store(file)
        list(association.send_c_find(query(), StudyRootQueryRetrieveInformationModelFind))
        association.release()


def record(recorder: Recorder, name: str, port: int, called: str, file: Path) -> None:
    """Let every requestor speak to one acceptor."""
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + UID)
    names = ("-aet", "FUZZ", "-aec", called)
    exchanges: dict[str, tuple[str | Path, ...]] = {
        "echoscu": ("echoscu",),
        "echoscu-many-contexts": ("echoscu", "-ppc", "40", "-pts", "2"),
        "echoscu-abort": ("echoscu", "--abort"),
        "storescu": ("storescu", "-R", file),
        "storescu-small-pdu": ("storescu", "-R", "-pdu", "4096", "--max-send-pdu", "4096", file),
        "dcmsend": ("dcmsend", file),
        "findscu": ("findscu", *keys),
        "movescu": ("movescu", *keys, "-aem", "STORESCP"),
    }
    for program, (tool, *options) in exchanges.items():
        files = [one for one in options if isinstance(one, Path)]
        flags = [one for one in options if not isinstance(one, Path)]
        # What DCMTK's tools ask is the same whomever they ask.
        asked = called == "ORTHANC"
        with recorder.through(port, f"{program}-to-{name}", requestor=asked) as proxy:
            run(tool, *names, *flags, LOOPBACK, str(proxy), *files, timeout=20)
    with recorder.through(port, f"echoscu-wrong-title-to-{name}") as proxy:
        run("echoscu", "-aec", "WRONG", LOOPBACK, str(proxy), timeout=20)
    with recorder.through(port, f"pynetdicom-to-{name}") as proxy:
        with_pynetdicom(proxy, called, file)
    with recorder.through(port, f"commit-by-pynetdicom-to-{name}") as proxy:
        commit_with_pynetdicom(proxy, called)


def main() -> None:
    """Record, and write the corpus."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS
    folder.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(folder)
    with tempfile.TemporaryDirectory(prefix="record-") as place:
        root = Path(place)
        file = image(root / "image.dcm")
        (root / "storescp").mkdir()
        with StoreScp(root / "storescp") as store:
            # what Orthanc and DCMTK say when they are asked to move
            with (
                recorder.through(store.port, "orthanc-to-storescp") as port,
                Orthanc(
                    root / "orthanc",
                    peers={"STORESCP": port},
                    settings={"DicomCheckCalledAet": True, "DicomCheckModalityHost": False},
                ) as orthanc,
            ):
                orthanc.fill([file])
                record(recorder, "orthanc", orthanc.port, orthanc.aetitle, file)
            (root / "dcmqrscp").mkdir()
            with (
                recorder.through(store.port, "dcmqrscp-to-storescp") as port,
                DcmQrScp(root / "dcmqrscp", peers={"STORESCP": port}) as archive,
            ):
                archive.fill(file)
                record(recorder, "dcmqrscp", archive.port, archive.aetitle, file)
        with pynetdicom_server() as port:
            record(recorder, "pynetdicom", port, "PYNET", file)
    print(f"{len(list(folder.iterdir()))} inputs in {folder}")


if __name__ == "__main__":
    main()
