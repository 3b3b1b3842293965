"""`dicom-node quarantine accept` and `discard`: what a person decides, and nothing lost by it."""

from pathlib import Path

import pydicom
import pytest

from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.received import SETTINGS, flip_byte, receive


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def node(cli, tmp_path, migrated_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_url, settings=SETTINGS)


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url) -> Node:
    """Return a node on SQLite alone, where no SQL of its own is at stake."""
    return Node(cli, tmp_path / "node", migrated_sqlite_url, settings=SETTINGS)


@pytest.fixture
def two(tmp_path) -> list[Path]:
    """Make an image, and another one of another series under its UID."""
    (first,) = (image.path for image in generate(tmp_path / "sent", images=1))
    other = pydicom.dcmread(first)
    other.PatientComments = "another"
    other.SeriesInstanceUID = "1.2.3.4"
    other.save_as(tmp_path / "other.dcm")
    return [first, tmp_path / "other.dcm"]


def only(rows):
    (row,) = rows
    return row


def test_an_accepted_object_is_the_image_and_the_other_one_is_kept(node, two):
    receive(node, *two, quarantined=1)
    conflict = only(node.json("quarantine", "list")["objects"])
    for now, before in ((1, 0), (0, 1)):  # there, and back again
        done = node.json("quarantine", "accept", str(conflict["id"]))
        assert [one["outcome"] for one in done["objects"]] == ["accepted"]
        image = only(node.rows("SELECT * FROM images"))
        path = Path(image["filepath"])
        assert dataset_bytes(path) == dataset_bytes(two[now])
        assert (image["node"], image["institution"]) == ("NODE", "Hospital")
        series = only(node.rows("SELECT series_uid FROM series"))["series_uid"]
        assert series == image["series_uid"] == pydicom.dcmread(two[now]).SeriesInstanceUID
        conflict = only(node.json("quarantine", "list")["objects"])
        assert conflict["kind"] == "conflict"
        assert "it was the image until another was accepted" in conflict["reason"]
        assert dataset_bytes(Path(conflict["filepath"])) == dataset_bytes(two[before])
        assert node.files() == sorted([path, Path(conflict["filepath"])])
        assert node.json("verify")["correct"] == 1
    assert node.json("reconcile")["found"] == {}


def test_only_what_is_said_to_go_is_removed(one_node, two):
    node = one_node
    receive(node, *two, quarantined=1)
    conflict = only(node.json("quarantine", "list")["objects"])
    refused = node("quarantine", "discard", str(conflict["id"]))
    assert refused.code == 2
    assert "--yes removes this object for ever; nothing is removed" in refused.stderr
    assert conflict["reason"] in refused.stderr
    assert node.value("SELECT count(*) FROM quarantine") == 1
    assert Path(conflict["filepath"]).exists()
    done = node.json("quarantine", "discard", "--all", "--yes")
    assert [one["discarded"] for one in done["objects"]] == [True]
    assert node.value("SELECT count(*) FROM quarantine") == 0
    assert node.files() == list(node.stored().values())
    assert node.json("verify")["correct"] == 1


def test_what_cannot_be_an_image_is_not_accepted(one_node, two, tmp_path):
    node = one_node
    broken = pydicom.dcmread(two[0])
    del broken.StudyInstanceUID
    broken.SOPInstanceUID = broken.file_meta.MediaStorageSOPInstanceUID = "1.2.3.5"
    broken.save_as(tmp_path / "broken.dcm")
    receive(node, *two, tmp_path / "broken.dcm", quarantined=2)
    image = only(node.stored().values())
    flip_byte(image, image.stat().st_size - 20)
    receive(node, two[0], quarantined=1)  # heals
    ids = {one["kind"]: one["id"] for one in node.json("quarantine", "list")["objects"]}
    for kind in ("undecodable", "damaged"):
        stays = node("quarantine", "accept", str(ids[kind]))
        assert (stays.code, f"{ids[kind]}: stays ({kind})" in stays.stdout) == (1, True), stays

    image.unlink()
    gone = node("quarantine", "accept", str(ids["conflict"]))
    assert gone.code == 1
    assert "--yes replaces it" in gone.stdout
    node.ok("quarantine", "accept", str(ids["conflict"]), "--yes")
    assert dataset_bytes(only(node.stored().values())) == dataset_bytes(two[1])
    assert node.value("SELECT count(*) FROM quarantine") == 2


def test_what_another_storage_directory_holds_is_left_to_it(one_node, two):
    node = one_node
    receive(node, *two, quarantined=1)
    conflict = only(node.json("quarantine", "list")["objects"])
    node.change("UPDATE images SET storage_id = 'elsewhere'")
    for args in (("accept",), ("accept", "--yes")):
        (done,) = node.json("quarantine", *args, str(conflict["id"]), code=1)["objects"]
        assert "held by another storage directory, elsewhere" in done["reason"]
    node.change("UPDATE quarantine SET storage_id = 'elsewhere'")
    (left,) = node.json("quarantine", "discard", "--all", "--yes", code=1)["objects"]
    assert (left["discarded"], left["reason"]) == (
        False,
        "another storage directory holds it, elsewhere: discard it there",
    )
    assert node.value("SELECT count(*) FROM quarantine") == 1
    assert len(node.files()) == 2


def test_a_study_that_loses_an_image_to_another_one_is_open_again(node, two, tmp_path):
    first = pydicom.dcmread(two[0])
    other = pydicom.dcmread(two[1])
    other.StudyInstanceUID = "1.2.3.7"
    other.save_as(two[1])
    receive(node, *two, quarantined=1)
    node.change(
        "INSERT INTO studies_find (study_uid, state, retrieved_on, attempts)"
        f" VALUES ('{first.StudyInstanceUID}', 'retrieved', CURRENT_TIMESTAMP, 1)"
    )
    conflict = only(node.json("quarantine", "list")["objects"])
    node.json("quarantine", "accept", str(conflict["id"]))
    found = only(node.rows("SELECT state, retrieved_on FROM studies_find"))
    assert found == {"state": "pending", "retrieved_on": None}
