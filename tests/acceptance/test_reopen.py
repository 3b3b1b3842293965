"""`dicom-node verify --reopen`: what is condemned is set aside, and comes with the next move."""

import csv
from pathlib import Path

import pytest

from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.received import flip_byte, receive
from tests.support.simulated import simulated


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def node(cli, tmp_path, migrated_url, port) -> Node:
    return Node(cli, tmp_path / "node", migrated_url, peers={"pacs": ("PACS", port)})


def test_damaged_files_are_set_aside_and_fetched_again_beside_a_running_node(node, port, tmp_path):
    made = generate(tmp_path / "pacs", studies=2, images=4)
    first, second = sorted({image.study_uid for image in made})
    original = {image.sop_instance_uid: dataset_bytes(image.path) for image in made}
    with simulated(node, tmp_path / "pacs", port), node.running():
        node.ok("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-02")
        node.ok("move", "pacs")
        paths = node.stored()
        of_first = [paths[image.sop_instance_uid] for image in made if image.study_uid == first]
        flipped, short, gone, unreadable = of_first
        flip_byte(flipped, flipped.stat().st_size - 20)
        short.write_bytes(short.read_bytes()[:-10])
        damaged = sorted(path.read_bytes() for path in (flipped, short))
        gone.unlink()
        away = unreadable.rename(unreadable.with_suffix(".away"))
        unreadable.mkdir()

        found = node.json("verify", "--reopen", code=1)
        assert found["wrong"] == {"changed": 2, "missing": 1, "unreadable": 1}
        assert found["reopened"] == {
            "set_aside": 2,
            "gone": 1,
            "left": 1,
            "studies": [first],
            "unasked": [],
        }
        kept = node.rows("SELECT * FROM quarantine")
        assert {(row["kind"], row["study_uid"]) for row in kept} == {("damaged", first)}
        assert all("found damaged, and is asked for again" in row["reason"] for row in kept)
        assert sorted(Path(row["filepath"]).read_bytes() for row in kept) == damaged
        assert not flipped.exists()
        assert not short.exists()
        row = f"SELECT filepath FROM images WHERE image_uid = '{uid_of(paths, unreadable)}'"
        assert node.value(row) == str(unreadable)
        open_studies = node.rows(
            "SELECT study_uid, state FROM studies_find WHERE retrieved_on IS NULL"
        )
        assert open_studies == [{"study_uid": first, "state": "partial"}]

        unreadable.rmdir()
        away.rename(unreadable)
        again = node.json("verify", "--reopen", "--study", second)
        assert again["reopened"]["studies"] == []
        moved = node.json("move", "pacs")
        assert [(one["study_uid"], one["outcome"]) for one in moved["studies"]] == [
            (first, "complete")
        ]
        verified = node.json("verify")
        assert (verified["correct"], verified["wrong"]) == (8, {})
        stored = node.stored()
        assert {uid: dataset_bytes(path) for uid, path in stored.items()} == original
        assert node.value("SELECT count(*) FROM quarantine") == 2
        files_and_rows_that_are_gone_together_are_told_and_fetched_again(node, second)
        assert {uid: dataset_bytes(path) for uid, path in node.stored().items()} == original


def files_and_rows_that_are_gone_together_are_told_and_fetched_again(node: Node, uid: str) -> None:
    """Whoever compares files with rows sees neither; what the verdict rested on tells."""
    remove(node, uid, 4)
    gone = "4 of 4 images are not here any more"
    told = node("reconcile")
    assert told.code == 1
    (said,) = [line for line in told.stderr.splitlines() if line.startswith("  removed: ")]
    assert said.startswith(f"  removed: {uid}: it was complete on ")
    assert said.endswith(f" UTC; {gone}")
    explained = node("explain", uid)
    assert explained.code == 1
    assert "(MR): not complete any more, 0 images are here." in explained.stdout
    assert f" But {gone}." in explained.stdout
    assert "- Nothing, until it is opened again: `dicom-node reconcile --fix" in explained.stdout
    assert "all is here" not in explained.stdout
    report = node.ok("report", "--fmt", "csv")
    (line,) = [one for one in csv.DictReader(report.stdout.splitlines()) if one["study_uid"] == uid]
    assert (line["whole"], line["here_images"], line["missing_images"]) == ("no", "0", "4")
    assert f"{gone}; `dicom-node reconcile --fix` reopens it" in line["reason"]
    assert "2 studies, 1 whole, 1 not" in report.stderr
    assert "4 missing at least" in report.stderr

    found = node("verify", "--reopen")
    assert found.code == 1
    assert said in found.stderr.splitlines()
    assert "1 study was complete, and images are not here any more" in found.stdout
    (again,) = [one for one in found.stdout.splitlines() if one.startswith("asked for again")]
    assert again.endswith(f": {uid}")
    opened = f"SELECT state FROM studies_find WHERE study_uid = '{uid}' AND retrieved_on IS NULL"
    assert node.value(opened) == "pending"
    assert [one["outcome"] for one in node.json("move", "pacs")["studies"]] == ["complete"]

    remove(node, uid, 1)
    manifest = node.directory.parent / "lost.sha256"
    lacking = node("manifest", "create", "--all", "-o", manifest)
    assert (lacking.code, manifest.read_text().count("\n")) == (1, 7)
    assert "1 study of it lost images after being complete" in lacking.stderr
    done = node.json("reconcile", "--fix", code=1)
    assert (done["found"], done["reopened"]) == ({"removed": 1}, [uid])
    assert node.value(opened) == "partial"
    (tally,) = node.json("status")["peers"]
    assert tally["states"] == {"retrieved": 1, "partial": 1}
    assert [one["outcome"] for one in node.json("move", "pacs")["studies"]] == ["complete"]

    # a file that is still there is indexed: nothing of the study is gone
    (image,) = sorted(uids_of(node, uid))[:1]
    node.change(f"DELETE FROM images WHERE image_uid = '{image}'")
    assert node.json("reconcile", code=1)["found"] == {"unindexed": 1}
    node.ok("reconcile", "--fix")


def uids_of(node: Node, study: str) -> list[str]:
    rows = node.rows(f"SELECT image_uid FROM images WHERE study_uid = '{study}'")
    return [row["image_uid"] for row in rows]


def remove(node: Node, study: str, count: int) -> None:
    """Remove images of a study by hand, files and rows."""
    paths = node.stored()
    for uid in sorted(uids_of(node, study))[:count]:
        paths[uid].unlink()
        node.change(f"DELETE FROM images WHERE image_uid = '{uid}'")


def test_what_no_peer_was_asked_for_is_told_and_nothing_is_touched_that_is_not_ours(
    cli, tmp_path, migrated_sqlite_url
):
    node = Node(cli, tmp_path / "node", migrated_sqlite_url)
    made = generate(tmp_path / "share", studies=1, images=2)
    sent = generate(tmp_path / "sent", studies=1, images=2, seed=7)
    node.ok("parse", "-i", tmp_path / "share")
    receive(node, tmp_path / "sent")
    flip_byte(made[0].path, 2000)
    received = node.stored()[sent[0].sop_instance_uid]
    flip_byte(received, 2000)
    told = node("verify", "--reopen")
    assert told.code == 1
    assert "put into quarantine: 1; files that are gone: 0; left as they are: 1" in told.stdout
    assert f"no peer was ever asked for {sent[0].study_uid}" in told.stderr
    assert made[0].path.exists()
    assert not received.exists()
    receive(node, tmp_path / "sent")
    assert node.json("verify", code=1)["wrong"] == {"changed": 1}

    # a storage directory that is not mounted is no reason to ask for everything again
    node.directory.rename(tmp_path / "unmounted")
    node.directory.mkdir()
    refused = node("verify", "--reopen")
    assert refused.code == 1
    assert "is it mounted?" in refused.stderr
    assert node.value("SELECT count(*) FROM images WHERE filepath IS NULL") == 0


def uid_of(paths: dict[str, Path], path: Path) -> str:
    (uid,) = [uid for uid, one in paths.items() if one == path]
    return uid
