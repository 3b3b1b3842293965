"""Orthanc's DICOMweb plugin: what a find by QIDO-RS brings is the truth, and what C-FIND brings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.images import Generated, generate
from tests.support.node import Node
from tests.support.peers.orthanc import Orthanc, dicomweb

pytestmark = pytest.mark.peers

DATES = ("--from", "2024-01-01", "--to", "2024-12-31")
TOLD = (
    "SELECT f.study_uid, s.patient_name, s.patient_id, s.patient_birth_date, s.study_date,"
    " s.study_time, s.accession_number, s.modalities, s.study_description, s.expected_series,"
    " s.expected_images FROM study_sources s JOIN studies_find f ON f.id = s.study_find_id"
    " WHERE s.peer = '{}' ORDER BY f.study_uid"
)

Archive = tuple[Orthanc, list[Generated]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    made = generate(folder / "images", studies=200, images=1)
    with Orthanc(folder / "orthanc", settings=dicomweb()) as pacs:
        pacs.fill([image.path for image in made])
        yield pacs, made


def test_a_find_at_orthanc_s_dicomweb_is_exact_and_what_c_find_brings(
    cli, tmp_path, migrated_url, archive
):
    pacs, made = archive
    peers = {
        "web": {"url": pacs.url},
        "dimse": {"aetitle": "ORTHANC", "host": pacs.host, "port": pacs.port},
    }
    node = Node(cli, tmp_path / "node", migrated_url, settings={"peers": peers})
    by_web = node.json("find", "web", *DATES)
    by_dimse = node.json("find", "dimse", *DATES)
    assert (by_web["found"], by_web["failed_windows"]) == (200, 0)
    assert by_web["windows"] == by_dimse["windows"]
    told = node.rows(TOLD.format("web"))
    assert {row["study_uid"] for row in told} == {image.study_uid for image in made}
    assert told == node.rows(TOLD.format("dimse"))
    assert {row["expected_images"] for row in told} == {1}
    one = node.json("find", "web", "--patient-id", told[7]["patient_id"])
    assert (one["found"], one["failed_windows"]) == (1, 0)
    uids = [word for row in told[:60] for word in ("--study", row["study_uid"])]
    assert node.json("find", "web", *uids)["found"] == 60


@pytest.mark.long
def test_an_orthanc_that_limits_its_answers_is_found_exactly(cli, tmp_path, migrated_sqlite_url):
    made = generate(tmp_path / "images", studies=30, images=1)
    with Orthanc(tmp_path / "orthanc", settings=dicomweb() | {"LimitFindResults": 9}) as pacs:
        pacs.fill([image.path for image in made])
        settings = {"peers": {"web": {"url": pacs.url}}}
        node = Node(cli, tmp_path / "node", migrated_sqlite_url, settings=settings)
        found = node.json("find", "web", "--from", "2024-01-01", "--to", "2024-03-01")
    assert (found["found"], found["failed_windows"]) == (30, 0)
