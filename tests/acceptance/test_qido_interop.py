"""Orthanc's DICOMweb plugin: what a find by QIDO-RS brings is the truth, and what C-FIND brings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

STUDIES = 420
LIMIT = 100
"""With more to tell, Orthanc ends a C-FIND with a failure, and a search as if that were all."""
ABLE = (
    *("dates", "times", "wildcards", "uid_lists", "modalities", "modalities_told", "counts"),
    *("empty_keys", "study_root", "patient_root", "get"),
)
"""What an Orthanc can do."""


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Generated]:
    return generate(tmp_path_factory.mktemp("images"), studies=STUDIES, images=1)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, images: list[Generated]) -> Iterator[Orthanc]:
    settings = dicomweb() | {"LimitFindResults": LIMIT}
    with Orthanc(tmp_path_factory.mktemp("archive"), settings=settings) as pacs:
        pacs.fill([image.path for image in images])
        yield pacs


def node_of(cli, folder: Path, url: str, pacs: Orthanc, **profile: Any) -> Node:
    """Return a node that has an Orthanc as two peers, one for each of its interfaces."""
    dimse = {"aetitle": "ORTHANC", "host": pacs.host, "port": pacs.port, "profile": profile}
    return Node(cli, folder, url, settings={"peers": {"web": {"url": pacs.url}, "dimse": dimse}})


def test_a_find_at_orthanc_s_dicomweb_is_exact_and_what_c_find_brings(
    cli, tmp_path, migrated_sqlite_url, archive, images
):
    node = node_of(cli, tmp_path, migrated_sqlite_url, archive, cap=LIMIT, cap_kind="refused")
    by_web = node.json("find", "web", *DATES)
    by_dimse = node.json("find", "dimse", *DATES)
    for found in (by_web, by_dimse):
        assert (found["found"], found["failed_windows"]) == (STUDIES, 0)
        assert found["windows"] <= 12
    cut = "SELECT count(*) FROM find_windows WHERE peer = 'web' AND matches > {} - 1"
    assert node.value(cut.format(LIMIT)) > 0
    told = node.rows(TOLD.format("web"))
    assert {row["study_uid"] for row in told} == {image.study_uid for image in images}
    assert told == node.rows(TOLD.format("dimse"))
    assert {row["expected_images"] for row in told} == {1}
    one = node.json("find", "web", "--patient-id", told[7]["patient_id"])
    assert (one["found"], one["failed_windows"]) == (1, 0)
    uids = [word for row in told[:60] for word in ("--study", row["study_uid"])]
    assert node.json("find", "web", *uids)["found"] == 60


def test_the_profile_of_an_orthanc_that_limits_its_answers_is_right(
    cli, tmp_path, migrated_sqlite_url, archive
):
    node = node_of(cli, tmp_path, migrated_sqlite_url, archive)
    profile = node.json("probe", "dimse", "--interval", "0")["profile"]
    assert {name: profile[name] for name in ABLE} == dict.fromkeys(ABLE, True)
    assert (profile["cap"], profile["cap_kind"], profile["operations"]) == (LIMIT, "refused", 0)
    assert (profile["combined"], profile["universal"]) == (False, False)
    assert (profile["widest"], profile["repository"], profile["associations"]) == (None,) * 3


@pytest.mark.long
def test_an_answer_of_orthanc_s_dicomweb_that_has_two_pages_is_whole(
    cli, tmp_path, migrated_sqlite_url
):
    made = generate(tmp_path / "images", studies=520, images=1)
    with Orthanc(tmp_path / "orthanc", settings=dicomweb()) as pacs:
        pacs.fill([image.path for image in made])
        node = node_of(cli, tmp_path / "node", migrated_sqlite_url, pacs)
        by_web, by_dimse = (node.json("find", peer, *DATES) for peer in ("web", "dimse"))
        assert (by_web["found"], by_web["failed_windows"]) == (520, 0)
        assert by_web["windows"] == by_dimse["windows"]
        both = node.json("find", "web", "--patient-id", "P0000-*")
    assert (both["found"], both["windows"], both["failed_windows"]) == (520, 1, 0)
