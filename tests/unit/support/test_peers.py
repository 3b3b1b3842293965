"""The peers start, hold what they are given, and move it; the images are what they promise."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from tests.support.images import (
    dataset_bytes,
    generate,
    one_per_transfer_syntax,
)
from tests.support.peers import dcmtk
from tests.support.peers.dcmtk import DcmQrScp, StoreScp
from tests.support.peers.orthanc import Orthanc


@pytest.mark.parametrize(("size", "least", "most"), [("small", 9e3, 11e3), ("large", 524e3, 528e3)])
def test_generated_images_are_valid_and_distinct(
    tmp_path: Path, size: str, least: float, most: float
) -> None:
    images = generate(tmp_path, studies=2, series=2, images=3, size=size, seed=7)
    assert len({image.sop_instance_uid for image in images}) == 12
    assert len({image.study_uid for image in images}) == 2
    for image in images:
        ds = pydicom.dcmread(image.path)
        assert least < image.path.stat().st_size < most
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert ds.SOPInstanceUID == image.sop_instance_uid
        assert ds.SeriesInstanceUID == image.series_uid
        assert ds.StudyInstanceUID == image.study_uid
        assert (ds.PatientID, ds.StudyDate) == (image.patient_id, image.study_date)
        assert all(pydicom.uid.UID(ds[tag].value).is_valid for tag in ("SOPInstanceUID",))
        assert len(ds.PixelData) == ds.Rows * ds.Columns * 2


def test_the_dataset_of_a_file_is_what_follows_its_file_meta(tmp_path: Path) -> None:
    [image] = generate(tmp_path, images=1)
    encoded = dataset_bytes(image.path)
    assert encoded[:2] == b"\x08\x00"
    bare = tmp_path / "bare"
    bare.write_bytes(encoded)
    assert dataset_bytes(bare) == encoded
    assert image.path.read_bytes().endswith(encoded)


def test_storescu_can_propose_every_transfer_syntax_that_pydicom_ships(tmp_path: Path) -> None:
    assert set(dcmtk.PROPOSE) == set(one_per_transfer_syntax(tmp_path / "shipped"))


@pytest.mark.peers
def test_dcmqrscp_is_filled_queried_and_moves(tmp_path: Path) -> None:
    images = generate(tmp_path / "images", studies=2, images=3)
    with (
        StoreScp(tmp_path / "scp") as scp,
        DcmQrScp(tmp_path / "qr", peers={scp.aetitle: scp.port}) as pacs,
    ):
        assert dcmtk.echoscu(pacs.port, called=pacs.aetitle).code == 0
        pacs.fill(tmp_path / "images")
        done, answers = dcmtk.findscu(
            pacs.port, "StudyInstanceUID", "NumberOfStudyRelatedInstances", called=pacs.aetitle
        )
        assert done.code == 0
        assert {answer.StudyInstanceUID for answer in answers} == {i.study_uid for i in images}
        moved = dcmtk.movescu(
            pacs.port,
            f"StudyInstanceUID={images[0].study_uid}",
            called=pacs.aetitle,
            destination=scp.aetitle,
        )
        assert moved.code == 0, moved.output
        assert set(scp.files()) == {image.sop_instance_uid for image in images[:3]}


@pytest.mark.peers
def test_orthanc_is_filled_queried_and_moves_the_same_bytes(tmp_path: Path) -> None:
    images = generate(tmp_path / "images", studies=2, images=3)
    with StoreScp(tmp_path / "scp") as scp, Orthanc(tmp_path / "orthanc") as pacs:
        pacs.add_peer(scp.aetitle, scp.port)
        pacs.fill(image.path for image in images)
        assert pacs.count_images() == 6
        pacs.delete("instance", images[0].sop_instance_uid)
        assert pacs.count_images() == 5
        moved = dcmtk.movescu(
            pacs.port,
            f"StudyInstanceUID={images[-1].study_uid}",
            called=pacs.aetitle,
            destination=scp.aetitle,
        )
        assert moved.code == 0, moved.output
        received = scp.files()
        assert set(received) == {image.sop_instance_uid for image in images[3:]}
        for image in images[3:]:
            assert dataset_bytes(received[image.sop_instance_uid]) == dataset_bytes(image.path)


@pytest.mark.peers
def test_storescp_keeps_the_bytes_of_every_transfer_syntax(tmp_path: Path) -> None:
    with StoreScp(tmp_path) as scp:
        for uid, path in one_per_transfer_syntax(tmp_path / "shipped").items():
            sent = dcmtk.storescu(
                scp.port, path, called=scp.aetitle, options=["-R", *dcmtk.PROPOSE[uid]]
            )
            assert sent.code == 0, f"{uid}\n{sent.output}"
            stored = scp.files()[pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID]
            assert pydicom.dcmread(stored).file_meta.TransferSyntaxUID == uid
