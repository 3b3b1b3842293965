"""What is sent again heals what the index has of it, as seen from outside."""

from pathlib import Path

import pytest

from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.received import SETTINGS, flip_byte, receive


@pytest.fixture
def node(cli, tmp_path, database_url) -> Node:
    node = Node(cli, tmp_path / "node", database_url, settings=SETTINGS)
    node.ok("db", "init")
    return node


def test_a_damaged_file_and_one_of_a_share_that_goes_away_are_whole_again(node, tmp_path):
    received, parsed = (image.path for image in generate(tmp_path / "share", images=2))
    receive(node, received)
    (stored,) = node.stored().values()
    flip_byte(stored, stored.stat().st_size - 1)
    damaged = stored.read_bytes()
    node.ok("parse", "-i", parsed)
    assert node.json("verify", code=1)["wrong"] == {"changed": 1}

    receive(node, received, parsed, quarantined=1)
    assert dataset_bytes(stored) == dataset_bytes(received)
    (kept,) = node.json("quarantine", "list", "--kind", "damaged")["objects"]
    assert Path(kept["filepath"]).read_bytes() == damaged
    rows = node.rows("SELECT filepath, parsed_from FROM images ORDER BY parsed_from IS NULL")
    assert rows[0]["parsed_from"] == str(parsed)
    assert Path(rows[0]["filepath"]).is_relative_to(node.directory)
    parsed.unlink()
    assert node.json("verify")["correct"] == 2
    assert node.json("reconcile")["found"] == {}


def test_an_object_under_the_uid_of_what_cannot_be_compared_is_kept(node, tmp_path):
    (image,) = generate(tmp_path / "share", images=1)
    node.ok("parse", "-i", image.path, "--no-digests")
    whole = tmp_path / "whole.dcm"
    image.path.rename(whole)
    image.path.write_bytes(b"no DICOM any more")
    receive(node, whole, quarantined=1)
    (kept,) = node.json("quarantine", "list")["objects"]
    assert kept["kind"] == "conflict"
    assert dataset_bytes(Path(kept["filepath"])) == dataset_bytes(whole)
    assert image.path.read_bytes() == b"no DICOM any more"


@pytest.mark.parametrize("own", [".spool", ".spool/1-a", ".quarantine"])
def test_a_folder_of_the_nodes_own_is_not_parsed(cli, tmp_path, sqlite_url, own):
    node = Node(cli, tmp_path / "node", sqlite_url)
    node.ok("db", "init")
    generate(node.directory / own, images=1)
    (tmp_path / "alias").symlink_to(node.directory / own)
    for folder in (node.directory / own, tmp_path / "alias"):
        result = node("parse", "-i", folder)
        assert result.code == 2
        assert "folder of the node's own" in result.stderr
    assert node.value("SELECT count(*) FROM images") == 0


def test_a_kind_of_the_quarantine_that_there_is_not_is_an_error(cli, tmp_path, sqlite_url):
    node = Node(cli, tmp_path / "node", sqlite_url)
    node.ok("db", "init")
    result = node("quarantine", "list", "--kind", "conflikt")
    assert result.code == 2
    assert "conflikt" in result.stderr
    assert "damaged" in result.stderr
