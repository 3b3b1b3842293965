"""Other makers' clients query the running node and fetch from it, plain and over TLS.

The node holds three studies: an image in each transfer syntax that pydicom's files have, and names
in Latin-1, Greek and Japanese. Each client is to see the names as they are, and to get the datasets
with the SHA-256 that they were stored with; where one does not keep the bytes that it gets, its
test says what it does keep.
"""

from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.support.asked_node import asked_node, digest, digests, make_holdings
from tests.support.certificates import Authority
from tests.support.cli import CommandLine
from tests.support.images import dataset_bytes
from tests.support.peers import ctn, dcmjs_dimse, dcmtk, gdcm, pixelmed, pynetdicom_apps
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.pynetdicom_race import mend
from tests.support.peers.qrscp import client_context
from tests.support.received import spooled
from tests.support.waiting import wait_until

pytestmark = pytest.mark.peers

BOTH = pytest.mark.parametrize("transport", ["plain", "TLS"])


@pytest.fixture(scope="module")
def asked(request, tmp_path_factory, background_pids, forks):
    """Nodes that are asked, by transport, each from its first use on.

    The plain one has SQLite, that with TLS has PostgreSQL.
    """
    started = {}
    held = make_holdings(tmp_path_factory.mktemp("held"), greek=(pixelmed.STUDY, pixelmed.SERIES))

    def start(transport):
        if transport not in started:
            folder = tmp_path_factory.mktemp("node")
            (folder / "cli").mkdir()
            url, secure = f"sqlite:///{folder / 'node.db'}", {}
            if transport == "TLS":
                server = request.getfixturevalue("postgresql")
                url = server.url(server.create_database())
                authority = Authority(folder / "authority")
                theirs = authority.issue("NODE", names="IP:127.0.0.1,DNS:localhost")
                secure = {
                    "theirs": theirs,
                    "ours": authority.issue("CLIENT", names="IP:127.0.0.1"),
                    "authority": authority,
                }
            cli = CommandLine(folder / "cli", forks)
            context = asked_node(cli, folder / "node", url, held, **secure)
            started[transport], process = stack.enter_context(context)
            background_pids.add(process.pid)
            background_pids.add(started[transport].destination.process.pid)
        return started[transport]

    with ExitStack() as stack:
        yield start


def names(matches):
    return {str(match.StudyInstanceUID): str(match.PatientName) for match in matches}


# DCMTK


@BOTH
def test_findscu_finds(transport, asked):
    node = asked(transport)
    called = {"called": node.aetitle, "calling": "DCMTK", "options": node.dcmtk}
    done, matches = dcmtk.findscu(
        node.port, "StudyDate=20240101-20240201", "StudyInstanceUID", "PatientName", **called
    )
    assert done.code == 0, done.output
    assert names(matches) == node.held.names
    patient = node.held.greek.patient_id
    done, (match,) = dcmtk.findscu(
        node.port, f"PatientID={patient}", "PatientName", level="PATIENT", model="-P", **called
    )
    assert (match.PatientID, match.PatientName) == (patient, node.held.greek.name)


def test_movescu_and_getscu_retrieve(asked, tmp_path):
    """DCMTK 3.6.7 has no TLS in these two."""
    node = asked("plain")
    called = {"called": node.aetitle, "calling": "DCMTK"}
    study = node.held.every_syntax
    key = f"StudyInstanceUID={study.uid}"
    done = dcmtk.movescu(node.port, key, destination="STORESCP", **called)
    assert done.code == 0, done.output
    assert node.moved(study) == study.digests
    study = node.held.uncompressed
    keys = (f"StudyInstanceUID={study.uid}", f"PatientID={study.patient_id}")
    done, files = dcmtk.getscu(node.port, *keys, model="-P", folder=tmp_path, **called)
    assert done.code == 0, done.output
    assert digests(files) == study.digests


# Orthanc


@pytest.mark.parametrize("transport", [pytest.param("plain", marks=pytest.mark.long), "TLS"])
def test_orthanc_finds_and_moves_to_itself_and_to_others(transport, asked, tmp_path):
    """Orthanc 1.10.1 keeps what it gets as DCMTK writes it: uncompressed ones keep their bytes.

    It has no C-GET to ask by. Of an answer it keeps what its own default character set has, which
    is Latin-1; the one that speaks TLS has UTF-8.
    """
    node = asked(transport)
    options = {
        "port": node.ports["ORTHANC"],
        "peers": {node.aetitle: node.port},
        "tls": node.ours,
        "settings": {"DefaultEncoding": "Utf8"} if node.ours else {},
    }
    with Orthanc(tmp_path, **options) as orthanc:
        query, matches = orthanc.find(node.aetitle, "Study", StudyDate="20240131", PatientName="")
        found = {match["StudyInstanceUID"]: match["PatientName"] for match in matches}
        assert found.keys() == node.held.names.keys()
        readable = node.held.studies if node.ours else [node.held.every_syntax]
        assert {study.uid: study.name for study in readable}.items() <= found.items()
        for number in range(len(matches)):
            orthanc.retrieve(query, number)
        held = [uid for study in node.held.studies for uid in study.images]
        assert orthanc.count_images() == len(held)
        for study in (node.held.uncompressed, node.held.greek):
            for uid in study.images:
                path = tmp_path / uid
                path.write_bytes(orthanc.file(uid))
                assert digest(dataset_bytes(path)) == study.digests[uid]
        study = node.held.uncompressed
        orthanc.move(node.aetitle, "STORESCP", StudyInstanceUID=study.uid)
        assert node.moved(study) == study.digests


# pynetdicom


@pytest.fixture
def mended(monkeypatch):
    """Take pynetdicom's race out of this process, for the length of a test."""
    monkeypatch.setattr(Association, "__init__", Association.__init__)
    mend()


@BOTH
@pytest.mark.usefixtures("mended")
def test_pynetdicom_finds_moves_and_gets_every_transfer_syntax(transport, asked):
    node = asked(transport)
    study, kept = node.held.every_syntax, {}

    def store(event):
        request = event.request
        kept[str(request.AffectedSOPInstanceUID)] = digest(request.DataSet.getvalue())
        return 0x0000

    entity = AE("PYNETDICOM")
    models = {
        "find": StudyRootQueryRetrieveInformationModelFind,
        "patients": PatientRootQueryRetrieveInformationModelFind,
        "move": StudyRootQueryRetrieveInformationModelMove,
        "get": StudyRootQueryRetrieveInformationModelGet,
    }
    for model in models.values():
        entity.add_requested_context(model)
    pairs = {pair_of(path) for path in study.images.values()}
    for sop_class, syntax in pairs:
        entity.add_requested_context(sop_class, syntax)
    tls = {"tls_args": (client_context(*node.ours), None)} if node.ours else {}
    association = entity.associate(
        *("127.0.0.1", node.port),
        ae_title=node.aetitle,
        ext_neg=[build_role(sop_class, scp_role=True) for sop_class, _ in pairs],
        evt_handlers=[(evt.EVT_C_STORE, store)],
        **tls,
    )
    assert association.is_established
    try:
        wanted = identifier("STUDY", StudyInstanceUID="", PatientName="", StudyDate="20240131")
        found = list(association.send_c_find(wanted, models["find"]))
        assert [status.Status for status, _ in found] == [0xFF00] * 3 + [0x0000]
        assert names(match for _, match in found if match) == node.held.names
        found = association.send_c_find(
            identifier("PATIENT", PatientID="ID-g*"), models["patients"]
        )
        patients = [str(match.PatientID) for _, match in found if match]
        assert patients == [node.held.greek.patient_id]
        wanted = identifier("STUDY", StudyInstanceUID=study.uid)
        *_, (last, _) = association.send_c_move(wanted, "STORESCP", models["move"])
        assert (last.Status, last.NumberOfCompletedSuboperations) == (0x0000, len(study.images))
        *_, (last, _) = association.send_c_get(wanted, models["get"])
        assert (last.Status, last.NumberOfCompletedSuboperations) == (0x0000, len(study.images))
    finally:
        association.release()
    assert kept == study.digests
    assert node.moved(study) == study.digests


@pytest.mark.long
def test_pynetdicoms_programs_find_move_get_and_store(asked, tmp_path):
    node = asked("plain")
    called = {"called": node.aetitle}
    study = node.held.uncompressed
    keys = pynetdicom_apps.keys("STUDY", StudyInstanceUID=study.uid)
    done = pynetdicom_apps.app("findscu", node.port, "-S", *keys, **called)
    assert (done.code, done.output.count("0xFF00 (Pending)")) == (0, 1), done.output
    done = pynetdicom_apps.app("movescu", node.port, "-S", "-aem", "STORESCP", *keys, **called)
    assert "Move SCP Result: 0x0000 (Success)" in done.output
    assert node.moved(study) == study.digests
    done = pynetdicom_apps.app("getscu", node.port, "-S", "-od", tmp_path, *keys, **called)
    assert "Get SCP Result: 0x0000 (Success)" in done.output
    assert digests(list(tmp_path.iterdir())) == study.digests
    sent = sendable(tmp_path / "sent", "9.1")
    done = pynetdicom_apps.app("storescu", node.port, "-v", "-cx", sent, **called)
    assert "Status: 0x0000 - Success" in done.output
    assert kept_by(node, "9.1") == digest(dataset_bytes(sent))


# dcmjs-dimse


@BOTH
def test_dcmjs_finds_moves_and_gets(transport, asked):
    """What it gets it decodes at once: its pixel data is what is left to compare.

    It does not know code extensions: of Japanese names it has what is ASCII.
    """
    node = asked(transport)
    study = node.held.uncompressed
    told = dcmjs_dimse.ask(
        node.port,
        find={"StudyDate": "20240131", "StudyInstanceUID": "", "PatientName": ""},
        move=("STORESCP", study.uid),
        get=study.uid,
        called=node.aetitle,
        tls=node.ours,
    )
    assert told.errors == []
    assert (told.find, told.move, told.get) == (0x0000, 0x0000, 0x0000)
    found = {match["StudyInstanceUID"]: match["PatientName"] for match in told.matches}
    assert {uid: name["Alphabetic"] for uid, (name,) in found.items()} == {
        uid: name.split("=")[0] for uid, name in node.held.names.items()
    }
    assert node.moved(study) == study.digests
    assert told.images == {uid: dcmread(path).PixelData for uid, path in study.images.items()}


# GDCM


def test_gdcm_echoes_finds_moves_and_stores(asked, tmp_path):
    node = asked("plain")
    called = {"called": node.aetitle}
    study = node.held.uncompressed
    assert gdcm.statuses(gdcm.gdcmscu("echo", node.port, **called)) == [0x0000]
    keys = ("--studyroot", "--study", "--key", "20,d=", "--key", "8,20=20240131")
    done = gdcm.gdcmscu("find", node.port, *keys, **called)
    assert gdcm.statuses(done) == [0xFF00] * len(node.held.studies) + [0x0000]
    keys = ("--studyroot", "--study", "--key", f"20,d={study.uid}")
    port = ("--port-scp", str(node.gdcm_port))
    done = gdcm.gdcmscu("move", node.port, *keys, *port, "--output", tmp_path, **called)
    assert digests(list(tmp_path.iterdir())) == study.digests, done.output
    sent = sendable(tmp_path / "sent", "9.2")
    done = gdcm.gdcmscu("store", node.port, files=[sent], **called)
    assert gdcm.statuses(done) == [0x0000]
    assert kept_by(node, "9.2") == digest(dataset_bytes(sent))


# PixelMed


def test_pixelmed_echoes_finds_moves_and_stores(asked, tmp_path):
    node = asked("plain")
    called = {"called": node.aetitle}
    done = pixelmed.scu("Verification", node.port, "NONSECURE", **called)
    assert "was successful" in done.output
    done = pixelmed.scu("Find", node.port, **called)
    assert next(iter(node.held.greek.images)) in done.output, done.output
    study = node.held.every_syntax
    done = pixelmed.scu("Move", node.port, "STORESCP", "STUDY", study.uid, **called)
    assert "final status = 0x0" in done.output
    assert node.moved(study) == study.digests
    sent = sendable(tmp_path, "9.3")
    done = pixelmed.scu("Storage", node.port, sent, **called)
    assert done.code == 0, done.output
    assert kept_by(node, "9.3") == digest(dataset_bytes(sent))


# CTN


def test_ctn_echoes_and_stores(asked, tmp_path):
    """Its other clients take a database of their own, and a server for it."""
    node = asked("plain")
    done = ctn.dicom_echo(node.port, called=node.aetitle)
    assert "Successful operation" in done.output
    sent = sendable(tmp_path, "9.4")
    done = ctn.send_image(node.port, sent, called=node.aetitle)
    assert done.code == 0, done.output
    assert kept_by(node, "9.4") == digest(dataset_bytes(sent))


def identifier(level, **keys):
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def pair_of(path):
    meta = dcmread(path, stop_before_pixels=True).file_meta
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


def sendable(folder, uid):
    """Write an image that the node does not hold, in Explicit VR Little Endian.

    Data Set Trailing Padding is what CTN and DCMTK leave out.
    """
    folder.mkdir(exist_ok=True)
    ds = dcmread(get_testdata_file("MR_small.dcm", download=False))
    del ds.DataSetTrailingPadding
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{uid}"
    path = folder / "sent.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def kept_by(node, uid):
    """Return what the node holds of an image, once nothing waits for its index."""
    wait_until(lambda: spooled(node.node) == [], describe=lambda: spooled(node.node))
    path = node.node.value(f"SELECT filepath FROM images WHERE image_uid = '1.2.3.{uid}'")
    return digest(dataset_bytes(Path(path)))
