"""A running node gives its images to others: DCMTK, Orthanc and pynetdicom ask, and are sent to."""

import json

import pydicom
import pytest
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    MRImageStorage,
    StudyRootQueryRetrieveInformationModelGet,
)

from tests.support.giving import identifier
from tests.support.images import dataset_bytes, generate, one_per_transfer_syntax
from tests.support.node import Node
from tests.support.peers import dcmtk
from tests.support.peers.orthanc import Orthanc
from tests.support.peers.pynetdicom_race import mend
from tests.support.processes import LOOPBACK, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.peers

DEFLATED = "1.2.840.10008.1.2.1.99"


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("images"), studies=2, images=4)


def node_with(cli, tmp_path, url, stores):
    """Return a node that knows destinations, and lets anybody who calls as VIEWER retrieve."""
    node = Node(
        cli, tmp_path / "node", url, peers={name.lower(): (name, p) for name, p in stores.items()}
    )
    settings = json.loads(node.config.read_text())
    viewer = {"aetitle": "VIEWER", "host": LOOPBACK, "port": 104, "may_retrieve": ["VIEWER"]}
    itself = {"aetitle": node.aetitle, "host": LOOPBACK, "port": node.port}
    settings["peers"] |= {"viewer": viewer, "itself": itself}
    node.config.write_text(json.dumps(settings))
    return node


def received(node, *paths):
    """Have the node receive files, and wait until they are indexed."""
    sent = node.json("send", "itself", *paths)
    assert sent["failed"] == []
    wait_until(lambda: node.value("SELECT count(*) FROM images") == sent["sent"])


def test_movescu_has_a_study_sent_to_storescp_and_orthanc_bit_by_bit(
    cli, tmp_path, migrated_sqlite_url, images
):
    (tmp_path / "storescp").mkdir()
    port = free_port()
    with (
        dcmtk.StoreScp(tmp_path / "storescp") as store,
        Orthanc(tmp_path / "orthanc", port=port, peers={"NODE": 104}) as orthanc,
    ):
        stores = {"STORESCP": store.port, "ORTHANC": port}
        node = node_with(cli, tmp_path, migrated_sqlite_url, stores)
        with node.running():
            received(node, images[0].path.parents[1])
            for called in stores:
                done = dcmtk.movescu(
                    node.port,
                    f"StudyInstanceUID={images[0].study_uid}",
                    called="NODE",
                    calling="VIEWER",
                    destination=called,
                )
                assert done.code == 0, done.output
        wanted = {one.sop_instance_uid: dataset_bytes(one.path) for one in images[:4]}
        assert {uid: dataset_bytes(path) for uid, path in store.files().items()} == wanted
        assert orthanc.count_images() == 4
        for uid, data in wanted.items():
            copy = tmp_path / "copy.dcm"
            copy.write_bytes(orthanc.file(uid))
            assert dataset_bytes(copy) == data


def test_getscu_and_pynetdicom_get_every_byte(cli, tmp_path, migrated_url, images):
    node = node_with(cli, tmp_path, migrated_url, {})
    with node.running():
        received(node, images[0].path.parents[1])
        done, files = dcmtk.getscu(
            node.port,
            f"StudyInstanceUID={images[0].study_uid}",
            called="NODE",
            calling="VIEWER",
            folder=tmp_path / "got",
        )
        assert done.code == 0, done.output
        wanted = sorted(dataset_bytes(one.path) for one in images[:4])
        assert sorted(map(dataset_bytes, files)) == wanted
        assert sorted(pynetdicom_get(node.port, images[0].study_uid)) == wanted


def pynetdicom_get(port, study_uid):
    kept = []
    mend()

    def store(event):
        kept.append(event.request.DataSet.getvalue())
        return 0

    ae = AE("VIEWER")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(MRImageStorage)
    association = ae.associate(
        LOOPBACK,
        port,
        ae_title="NODE",
        ext_neg=[build_role(MRImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    assert association.is_established
    answers = list(
        association.send_c_get(
            identifier(StudyInstanceUID=study_uid), StudyRootQueryRetrieveInformationModelGet
        )
    )
    association.release()
    assert answers[-1][0].Status == 0
    return kept


def test_movescu_has_every_transfer_syntax_sent_as_it_is(cli, tmp_path, migrated_sqlite_url):
    files = one_per_transfer_syntax(tmp_path / "syntaxes")
    headers = {uid: pydicom.dcmread(path, stop_before_pixels=True) for uid, path in files.items()}
    (tmp_path / "storescp").mkdir()
    with dcmtk.StoreScp(tmp_path / "storescp") as store:
        node = node_with(cli, tmp_path, migrated_sqlite_url, {"STORESCP": store.port})
        with node.running():
            received(node, tmp_path / "syntaxes")
            for uid in {str(one.StudyInstanceUID) for one in headers.values()}:
                done = dcmtk.movescu(
                    node.port,
                    f"StudyInstanceUID={uid}",
                    called="NODE",
                    calling="VIEWER",
                    destination="STORESCP",
                )
                assert done.code == 0, done.output
        got = store.files()
    assert {uid: dataset_bytes(path) for uid, path in got.items()} == {
        str(headers[uid].SOPInstanceUID): dataset_bytes(path) for uid, path in files.items()
    }
