"""Our requestor with other makers' archives, plain and over TLS: what it asks is answered.

Each archive is filled by our own C-STOREs, one object in each transfer syntax that pydicom's files
have, and a study of small images; then it is asked to give them back. What it gives has to be the
bytes that it was given, but for what it encodes anew, which the table says.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from node.dicom.query import StudyQuery, Window, study_identifier, study_move_identifier
from node.dicom.status import Status
from node.net.dimse.contexts import Service
from node.net.dimse.sinks import whole
from node.net.messages import Peer, Services, Timeouts
from node.net.scu.requestor import associate
from node.net.transport.tls import AcceptorTLS, RequestorTLS
from tests.support.acceptors import acceptor
from tests.support.certificates import Authority
from tests.support.forks import Forks
from tests.support.images import dataset_bytes, generate, one_per_transfer_syntax
from tests.support.peers import dcmtk
from tests.support.peers.dcmjs_dimse import DcmjsScp
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.qrscp import QrScp
from tests.support.processes import Process, children, free_port

pytestmark = pytest.mark.peers

IMAGES = 20
UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
EXTENDED, JPEG_LS, J2K_LOSSLESS, J2K = (
    f"1.2.840.10008.1.2.4.{number}" for number in (51, 80, 90, 91)
)
NEAR_LOSSLESS = "1.2.840.10008.1.2.4.81"

TLS = tuple[Any, Authority] | None


@dataclass(frozen=True, kw_only=True)
class Maker:
    """How to start an archive, and what is known of it.

    Attributes
    ----------
    takes
        The transfer syntaxes that it accepts; None for all.
    anew
        Those in which it gives back other bytes for the same elements: DCMTK writes undefined
        lengths of sequences as defined ones, and drops Data Set Trailing Padding; `dcmqrscp` sends
        uncompressed images of a C-MOVE in whatever uncompressed transfer syntax it likes.
    unasked
        Those whose object it cannot find again: it has no Patient ID.
    universal
        Whether an empty key matches everything (PS3.4 C.2.2.2.3).
    """

    start: Callable[[Path, dict[str, int], TLS, Forks], AbstractContextManager[Any]]
    takes: set[str] | None = None
    anew: frozenset[str] = frozenset()
    unasked: frozenset[str] = frozenset()
    universal: bool = True


class Simulate:
    """`dicom-node simulate` over an empty folder."""

    def __init__(self, folder: Path, peers: dict[str, int], forks: Forks) -> None:
        self.aetitle = "PACS"
        self._forks = forks
        self._folder = folder
        self._peers = [f"--destination={name}=127.0.0.1:{port}" for name, port in peers.items()]

    def __enter__(self):
        self._folder.mkdir(parents=True)
        command = [sys.executable, "-m", "node", "simulate", self._folder, "--port", "0"]
        log = self._folder.with_suffix(".log")
        self._process = Process([*command, *self._peers], log=log, forks=self._forks)
        try:
            self.port = int(self._process.wait_for_line(r"^listening on .*:(\d+)$")[1])
        except BaseException:
            self._process.terminate()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()


def _dcmqrscp(folder, peers, _tls, _forks):
    folder.mkdir(parents=True)
    return dcmtk.DcmQrScp(folder, peers=peers, options=["--bit-preserving"])


DCMTK_ENCODES = frozenset({EXTENDED, JPEG_LS, J2K_LOSSLESS, J2K})

MAKERS = {
    # Debian's dcmqrscp has no TLS; it takes compressed images only one transfer syntax at a time.
    "dcmqrscp": Maker(start=_dcmqrscp, takes=UNCOMPRESSED, anew=frozenset(UNCOMPRESSED)),
    "Orthanc": Maker(
        start=lambda folder, peers, tls, _: Orthanc(folder, peers=peers, tls=tls),
        anew=DCMTK_ENCODES,
    ),
    "pynetdicom": Maker(
        start=lambda folder, peers, tls, forks: QrScp(folder, peers=peers, tls=tls, forks=forks),
        unasked=frozenset({NEAR_LOSSLESS}),
        universal=False,
    ),
    "simulate": Maker(start=lambda folder, peers, _, forks: Simulate(folder, peers, forks)),
}
ARCHIVES = [
    ("dcmqrscp", "plain"),
    ("Orthanc", "plain"),
    ("pynetdicom", "plain"),
    ("simulate", "plain"),
    ("Orthanc", "TLS"),
    ("pynetdicom", "TLS"),
]
PLAIN = [archive for archive in ARCHIVES if archive[1] == "plain"]


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A running archive that has been filled, and what it was filled with."""

    maker: Maker
    peer: Peer
    destination: dict[str, Any]
    files: dict[str, Path]
    images: dict[str, Path]
    study_uid: str
    statuses: dict[str, int]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and the identities of a peer and of ourselves."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    return authority, authority.issue("PACS", names="IP:127.0.0.1"), authority.issue("NODE")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("interop")


def peer_at(port, aetitle, certificates, *, secure):
    authority, _, ours = certificates
    tls = RequestorTLS(ca=authority.certificate, certificate=ours.certificate, key=ours.key)
    return Peer(
        name="pacs",
        aetitle=aetitle,
        host="127.0.0.1",
        port=port,
        calling_aetitle="NODE",
        timeouts=Timeouts(connect=5, acse=10, dimse=20, network=30),
        tls=tls if secure else None,
    )


@pytest.fixture(scope="module", params=ARCHIVES, ids=[" ".join(archive) for archive in ARCHIVES])
def archive(request, folder, certificates, forks, background_pids):
    name, transport = request.param
    secure = transport == "TLS"
    maker = MAKERS[name]
    authority, theirs, _ = certificates
    here = folder / f"{name}-{transport}"
    files = one_per_transfer_syntax(here / "files")
    images = generate(here / "images", images=IMAGES)
    port = free_port()
    tls = AcceptorTLS(certificate=theirs.certificate, key=theirs.key, ca=authority.certificate)
    with maker.start(
        here / "archive", {"NODE": port}, (theirs, authority) if secure else None, forks
    ) as it:
        background_pids.update(children(forks.pid) if forks.pid else ())
        peer = peer_at(it.port, it.aetitle, certificates, secure=secure)
        by_uid = {image.sop_instance_uid: image.path for image in images}
        yield Archive(
            maker=maker,
            peer=peer,
            destination={"port": port, "tls": tls if secure else None},
            files=files,
            images=by_uid,
            study_uid=images[0].study_uid,
            statuses=asyncio.run(_filled(peer, maker, files, [*by_uid.values()])),
        )


async def _filled(peer, maker, files, images):
    """Store all that the archive takes; return the statuses by transfer syntax."""
    pairs = contexts_of([*files.values(), *images])
    statuses = {}
    async with associate(peer, storage=pairs) as association:
        accepted = {syntax for _, syntax in association.accepted_storage}
        assert accepted == (maker.takes or set(files))
        for uid, path in files.items():
            if uid in accepted:
                statuses[uid] = await association.store(path)
        for path in images:
            assert await association.store(path) == Status.SUCCESS
    return statuses


def contexts_of(paths):
    return sorted({pair_of(path) for path in paths})


def pair_of(path):
    ds = dcmread(path, stop_before_pixels=True)
    return str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)


class Received:
    """Takes images: what has come, by SOP Instance UID."""

    def __init__(self):
        self.objects = {}
        self.handler = whole(self._store)

    async def _store(self, request, dataset):
        self.objects[request.sop_instance_uid] = (request.transfer_syntax_uid, dataset)
        return Status.SUCCESS


def listening(archive, received):
    return acceptor(Services(store=received.handler), aetitle="NODE", **archive.destination)


def stored_as(path):
    return pair_of(path)[1], dataset_bytes(path)


async def test_it_is_there_and_has_taken_all_that_it_was_sent(archive):
    assert archive.statuses == dict.fromkeys(archive.statuses, Status.SUCCESS)
    assert set(archive.statuses) == (archive.maker.takes or set(archive.files))
    async with associate(archive.peer, Service.ECHO) as association:
        await association.echo()


async def test_it_finds_a_study(archive):
    if archive.maker.universal:
        identifier = study_identifier(StudyQuery(patient_id="P0000-0000"), Window())
    else:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID, identifier.PatientID = archive.study_uid, "P0000-0000"
    async with associate(archive.peer, Service.FIND) as association:
        answers = [answer async for answer in association.find(identifier)]
        missing = study_move_identifier("1.2.3.4.5")
        assert [answer async for answer in association.find(missing)] == []
    assert {answer.StudyInstanceUID for answer in answers} == {archive.study_uid}
    assert {answer.PatientID for answer in answers} == {"P0000-0000"}


@pytest.mark.parametrize("service", [Service.MOVE, Service.GET], ids=["move", "get"])
async def test_it_gives_a_study_as_it_was(archive, service):
    received = Received()
    identifier = study_move_identifier(archive.study_uid)
    async with retrieving(archive, service, archive.images.values(), received) as retrieve:
        last = await retrieve(identifier)
    assert (last.status, last.completed) == (Status.SUCCESS, IMAGES)
    assert received.objects == {uid: stored_as(path) for uid, path in archive.images.items()}


# What is sent does not depend on how it is protected: over TLS, a study is enough.
@pytest.mark.parametrize("archive", PLAIN, indirect=True, ids=[" ".join(one) for one in PLAIN])
@pytest.mark.parametrize("service", [Service.MOVE, Service.GET], ids=["move", "get"])
async def test_it_gives_single_images_of_every_transfer_syntax_as_they_were(archive, service):
    different = set()
    asked = sorted(set(archive.statuses) - archive.maker.unasked)
    received = Received()
    paths = [archive.files[uid] for uid in asked]
    async with retrieving(archive, service, paths, received) as retrieve:
        for uid, path in zip(asked, paths, strict=True):
            received.objects.clear()
            ds = dcmread(path, stop_before_pixels=True)
            identifier = study_move_identifier(ds.StudyInstanceUID)
            identifier.QueryRetrieveLevel = "IMAGE"
            identifier.SeriesInstanceUID = ds.SeriesInstanceUID
            identifier.SOPInstanceUID = ds.SOPInstanceUID
            last = await retrieve(identifier)
            assert (last.status, last.completed) == (Status.SUCCESS, 1), uid
            assert received.objects.keys() == {ds.SOPInstanceUID}
            if received.objects[ds.SOPInstanceUID] != stored_as(path):
                different.add(uid)
    assert different <= archive.maker.anew


@asynccontextmanager
async def retrieving(archive, service, paths, received):
    """Associate; yield what retrieves. A C-GET is offered the contexts of these files."""
    receive = contexts_of(paths) if service is Service.GET else ()

    async def retrieve(identifier):
        if service is Service.GET:
            answers = [p async for p in association.get(identifier, received.handler)]
        else:
            answers = [p async for p in association.move(identifier, "NODE")]
        return answers[-1]

    async with (
        listening(archive, received),
        associate(archive.peer, service, receive=receive) as association,
    ):
        yield retrieve


@pytest.mark.parametrize("service", [Service.FIND, Service.MOVE, Service.GET])
async def test_it_is_asked_to_stop_and_the_association_can_be_used_again(archive, service):
    received = Received()
    receive = contexts_of(archive.images.values()) if service is Service.GET else ()
    identifier = study_move_identifier(archive.study_uid)
    async with (
        listening(archive, received),
        associate(archive.peer, service, Service.ECHO, receive=receive) as association,
    ):
        if service is Service.FIND:
            if archive.maker.universal:
                identifier.QueryRetrieveLevel = "IMAGE"
                identifier.SeriesInstanceUID = f"{archive.study_uid}.1000"
                identifier.SOPInstanceUID = ""
            running = association.find(identifier)
        elif service is Service.MOVE:
            running = association.move(identifier, "NODE")
        else:
            running = association.get(identifier, received.handler)
        count = 0
        async for answer in running:  # noqa: B007 - the last one is looked at
            count += 1
            if count == 1:
                await association.cancel()
        assert 0 < count <= IMAGES + 1
        if service is not Service.FIND:
            # Who has sent everything by the time that it hears of it may say Success.
            last = answer.status
            assert last == Status.CANCEL or (last, len(received.objects)) == (0, IMAGES)
        await association.echo()


# Peers that only store


STORES = [("storescp", "plain"), ("storescp", "TLS"), ("dcmjs", "plain"), ("dcmjs", "TLS")]


@pytest.mark.parametrize(("name", "transport"), STORES, ids=[" ".join(one) for one in STORES])
async def test_every_transfer_syntax_is_stored_byte_for_byte(
    name, transport, tmp_path, certificates
):
    authority, theirs, _ = certificates
    secure = transport == "TLS"
    files = one_per_transfer_syntax(tmp_path / "files")
    options = dcmtk.tls_options(theirs, authority) if secure else ()
    tls = (theirs, authority) if secure else None
    server = {
        "storescp": lambda: dcmtk.StoreScp(tmp_path / "scp", options=options),
        "dcmjs": lambda: DcmjsScp(tmp_path / "scp", tls=tls),
    }[name]()
    await asyncio.to_thread(server.__enter__)
    try:
        peer = peer_at(server.port, server.aetitle, certificates, secure=secure)
        pairs = contexts_of(files.values())
        async with associate(peer, Service.ECHO, storage=pairs) as association:
            await association.echo()
            for uid, path in files.items():
                assert await association.store(path) == Status.SUCCESS, uid
        if name == "dcmjs":
            stored = server.datasets()
        else:
            stored = {uid: dataset_bytes(path) for uid, path in server.files().items()}
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
    expected = [(dcmread(p, stop_before_pixels=True).SOPInstanceUID, p) for p in files.values()]
    assert stored == {str(uid): dataset_bytes(path) for uid, path in expected}


async def test_a_deflated_dataset_of_odd_length_is_made_even_as_the_standard_asks(
    tmp_path, certificates
):
    """DCMTK aborts the association, and Orthanc hangs, when it is not."""
    path = Path(get_testdata_file("image_dfl.dcm", download=False))
    assert len(dataset_bytes(path)) % 2 == 1
    server = dcmtk.StoreScp(tmp_path / "scp")
    await asyncio.to_thread(server.__enter__)
    try:
        peer = peer_at(server.port, server.aetitle, certificates, secure=False)
        async with associate(peer, storage=[pair_of(path)]) as association:
            assert await association.store(path) == Status.SUCCESS
        (stored,) = server.files().values()
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
    assert dataset_bytes(stored) == dataset_bytes(path) + b"\0"
