"""Which storage directory holds a file is a fact of its own: nodes may share all but that."""

from pathlib import Path

import pytest

from tests.support.images import generate
from tests.support.node import Node
from tests.support.received import SETTINGS, receive


@pytest.fixture
def node(cli, tmp_path, migrated_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_url, settings=SETTINGS)


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url) -> Node:
    """Return a node on SQLite alone, where no SQL of its own is at stake."""
    return Node(cli, tmp_path / "node", migrated_sqlite_url, settings=SETTINGS)


def on_another_host(node: Node) -> Path:
    """Let the path of the storage directory be another directory, as it is on another machine."""
    away = node.directory.with_name("on the first host")
    node.directory.rename(away)
    return away


def id_of(directory: Path) -> str:
    return (directory / ".storage-id").read_text().strip()


def test_a_node_of_the_same_title_and_directory_on_another_host_clears_no_path(node, tmp_path):
    images = generate(tmp_path / "sent", studies=2, images=2)
    receive(node, *(image.path for image in images if image.study_uid == images[0].study_uid))
    node.change(
        "INSERT INTO studies_find (study_uid, retrieved_on, state)"
        f" VALUES ('{images[0].study_uid}', '2026-11-01 00:00:00', 'retrieved')",
    )
    first = on_another_host(node)
    theirs = node.stored()

    # the second host: the same configuration, the same database, a directory of its own
    receive(node, *(image.path for image in images if image.study_uid != images[0].study_uid))
    ids = {row["storage_id"] for row in node.rows("SELECT storage_id FROM images")}
    assert ids == {id_of(first), id_of(node.directory)}
    report = node.json("reconcile", "--fix")
    assert (report["found"], report["reopened"]) == ({"elsewhere": 2}, [])
    assert theirs.items() <= node.stored().items()
    assert node.value("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL") == 0
    checked = node.json("verify")
    assert (checked["correct"], checked["elsewhere"]) == (2, 2)

    # what is its own, it misses as ever
    own = next(path for path in node.stored().values() if path.exists())
    own.unlink()
    assert node.json("reconcile", "--fix", code=1)["found"] == {"missing": 1, "elsewhere": 2}


def test_a_row_that_does_not_say_whose_it_is_is_never_cleared_unless_somebody_says(node, tmp_path):
    receive(node, *(image.path for image in generate(tmp_path / "sent", images=3)))
    node.change("UPDATE images SET storage_id = NULL")  # as before there were ids
    gone = min(node.stored().values())
    gone.unlink()
    for _ in range(2):
        report = node.json("reconcile", "--fix", code=1)
        assert (report["found"], report["left"]) == ({"unclaimed": 1}, 1)
        assert gone in node.stored().values()
        # what was seen is ours, and is missed from now on
        known = node.rows("SELECT storage_id FROM images WHERE storage_id IS NOT NULL")
        assert {row["storage_id"] for row in known} == {id_of(node.directory)}
        assert len(known) == 2
    told = node.json("reconcile", "--claim", "unknown", code=1)
    assert (told["found"], told["claimed"]) == ({"missing": 1}, 1)
    assert gone in node.stored().values()
    done = node.json("reconcile", "--fix", "--claim", "unknown", code=1)
    assert (done["found"], done["claimed"]) == ({"missing": 1}, 1)
    assert node.value("SELECT count(*) FROM images WHERE filepath IS NULL") == 1


def test_a_directory_that_was_restored_without_its_id_takes_its_rows_when_told(one_node, tmp_path):
    node = one_node
    images = generate(tmp_path / "sent", images=3)
    receive(node, images[0].path, images[1].path)
    former = id_of(node.directory)
    (node.directory / ".storage-id").unlink()
    receive(node, images[2].path)
    assert id_of(node.directory) != former
    report = node.json("reconcile", "--fix")
    assert (report["found"], report["claimed"]) == ({"elsewhere": 2}, 0)
    assert node.json("verify")["elsewhere"] == 2
    wrong = node("reconcile", "--claim", "0" * 32)
    assert wrong.code != 0
    assert former in wrong.stderr
    assert node.json("reconcile", "--fix", "--claim", former)["claimed"] == 2
    assert node.json("reconcile")["found"] == {}
    assert node.json("verify")["correct"] == 3


def test_an_id_that_is_none_stops_what_would_rely_on_it(one_node, tmp_path):
    node = one_node
    receive(node, *(image.path for image in generate(tmp_path / "sent", images=1)))
    (node.directory / ".storage-id").write_text("restored by hand")
    for command in ("reconcile", "verify"):
        result = node(command)
        assert result.code != 0
        assert "does not hold the id of the storage directory" in result.stderr


def test_the_nodes_own_files_are_no_files_that_are_no_images(one_node, tmp_path):
    node = one_node
    receive(node, *(image.path for image in generate(tmp_path / "sent", images=1)))
    (node.directory / ".move-pacs.lock").write_text("4711\n")
    (node.directory / ".storage-id.0123456789abcdef").write_text("of one that was killed")
    report = node.json("reconcile")
    assert (report["files"], report["skipped"], report["found"]) == (1, 0, {})
    result = node.ok("reconcile")
    assert "no images" not in result.stdout
    (node.directory / "notes.txt").write_text("somebody's")
    assert node.json("reconcile")["skipped"] == 1
