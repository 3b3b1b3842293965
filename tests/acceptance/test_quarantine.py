"""`dicom-node quarantine`: what is in it, why it stays, how it leaves."""

import asyncio
import csv
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import text

from schema import Database
from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.received import SETTINGS, receive


@pytest.fixture
def node(cli, tmp_path, migrated_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_url, settings=SETTINGS)


@pytest.fixture
def odd(tmp_path) -> dict[str, Path]:
    """Make an image, another one under its UID, and one that has no study."""
    first, second = (image.path for image in generate(tmp_path / "sent", images=2))
    conflict = pydicom.dcmread(first)
    conflict.PatientComments = "another"
    conflict.save_as(tmp_path / "conflict.dcm")
    broken = pydicom.dcmread(second)
    del broken.StudyInstanceUID
    broken.save_as(tmp_path / "broken.dcm")
    return {
        "image": first,
        "conflict": tmp_path / "conflict.dcm",
        "undecodable": tmp_path / "broken.dcm",
    }


def execute(node: Node, sql: str) -> None:
    async def run() -> None:
        async with Database(node.database_url) as database, database.begin() as session:
            await session.execute(text(sql))

    asyncio.run(run())


def test_objects_are_listed_stay_with_a_reason_and_leave_when_they_can(node, odd):
    receive(node, *odd.values(), quarantined=2)
    objects = {one["kind"]: one for one in node.json("quarantine", "list")["objects"]}
    assert objects.keys() == {"conflict", "undecodable"}
    assert "StudyInstanceUID" in objects["undecodable"]["reason"]
    conflict = objects["conflict"]
    assert (conflict["source"], len(conflict["sha256"])) == ("NODE", 64)
    (image,) = node.stored().values()
    kept = image.read_bytes()

    stays = node("quarantine", "retry", "--all")
    assert stays.code == 1
    assert f"{conflict['id']}: stays (conflict): another object with this SOP" in stays.stdout
    assert "stays (undecodable): the dataset has no StudyInstanceUID" in stays.stdout
    assert "0 of these left the quarantine, 2 stay in it" in stays.stdout
    assert image.read_bytes() == kept
    assert node.files() == sorted([image, *(Path(one["filepath"]) for one in objects.values())])

    # Whoever decides for the other object takes the first one out of the index, and away.
    execute(node, "DELETE FROM images")
    image.unlink()
    left = node.json("quarantine", "retry", str(conflict["id"]))
    assert [one["outcome"] for one in left["objects"]] == ["indexed"]
    (row,) = node.rows("SELECT * FROM images")
    assert row["filepath"] == str(image)
    assert (row["source"], row["node"], row["sha256"]) == ("NODE", "NODE", conflict["sha256"])
    assert row["institution"] == "Hospital"
    assert dataset_bytes(image) == dataset_bytes(odd["conflict"])
    assert not Path(conflict["filepath"]).exists()
    assert node.rows("SELECT kind FROM quarantine") == [{"kind": "undecodable"}]


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url) -> Node:
    """Return a node on SQLite alone, where no SQL of its own is at stake."""
    return Node(cli, tmp_path / "node", migrated_sqlite_url, settings=SETTINGS)


def test_copies_are_taken_with_a_list_of_reasons(one_node, odd, tmp_path):
    node = one_node
    receive(node, *odd.values(), quarantined=2)
    target = tmp_path / "export" / "here"
    (one,) = node.json("quarantine", "list", "--kind", "conflict")["objects"]
    assert one["kind"] == "conflict"
    done = node.ok("quarantine", "export", "--all", "-o", target)
    assert "2 files copied" in done.stdout
    with (target / "quarantine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(path.name for path in target.iterdir()) == sorted(
        ["quarantine.csv", *(row["file"] for row in rows)]
    )
    for row in rows:
        assert row["reason"]
        assert (target / row["file"]).read_bytes() == Path(row["filepath"]).read_bytes()
        assert dataset_bytes(target / row["file"]) == dataset_bytes(odd[row["kind"]])

    conflict = next(row for row in rows if row["kind"] == "conflict")
    Path(conflict["filepath"]).unlink()
    kept = node("quarantine", "export", conflict["id"], "-o", target)
    assert kept.code == 2
    assert "quarantine.csv is there already" in kept.stderr
    some = node("quarantine", "export", conflict["id"], "-o", target, "--force")
    assert some.code == 1
    assert f"{conflict['id']}: its file cannot be read" in some.stderr
    gone = node("quarantine", "retry", conflict["id"])
    assert gone.code == 1
    assert "stays (conflict): its file is gone" in gone.stdout
    assert "unkept" in node("reconcile").stdout
    assert node.value("SELECT count(*) FROM quarantine") == 2


def test_keys_have_to_be_given_and_right(one_node):
    node = one_node
    assert node.ok("quarantine", "list").stdout == "0 objects in quarantine\n"
    for arguments in (("retry",), ("export", "7", "--all", "-o", "x")):
        result = node("quarantine", *arguments)
        assert result.code == 2
        assert "--all" in result.stderr
    unknown = node("quarantine", "retry", "7")
    assert unknown.code == 2
    assert "not in quarantine: 7" in unknown.stderr
