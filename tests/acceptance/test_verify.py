"""`dicom-node verify`: what has changed on the disk is found, exactly that."""

import csv
from pathlib import Path

import pytest

from tests.support.images import generate
from tests.support.node import Node
from tests.support.received import flip_byte, receive


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def node(cli, tmp_path, migrated_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_url)


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url) -> Node:
    """Return a node on SQLite alone, where no SQL of its own is at stake."""
    return Node(cli, tmp_path / "node", migrated_sqlite_url)


def listed(document) -> list[dict[str, str]]:
    with open(document["failed_list"], newline="") as file:  # noqa: PTH123
        return list(csv.DictReader(file))


def test_one_flipped_byte_in_a_thousand_files_is_found_exactly_that_one(node):
    made = generate(node.directory, studies=4, series=5, images=50)
    node.ok("parse", "-i", node.directory, "--threads", "2")
    clean = node.json("verify")
    assert (clean["checked"], clean["correct"], clean["wrong"]) == (1000, 1000, {})
    assert clean["failed_list"] is None
    assert clean["bytes"] == sum(image.path.stat().st_size for image in made)
    victim = made[617].path
    before = victim.stat()
    flip_byte(victim, before.st_size - 100)
    assert victim.stat().st_size == before.st_size
    found = node.json("verify", code=1)
    assert (found["checked"], found["correct"], found["wrong"]) == (1000, 999, {"changed": 1})
    (one,) = listed(found)
    assert one == {
        "path": str(victim),
        "kind": "changed",
        "reason": "the SHA-256 of its dataset is another one",
    }
    flip_byte(victim, before.st_size - 100)
    node.ok("verify")


def test_what_is_wrong_is_told_apart_and_printed(node):
    made = [image.path for image in generate(node.folder / "sent", images=6)]
    receive(node, *made)
    paths = sorted(node.stored().values())
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-10])
    paths[2].unlink()
    paths[2].mkdir()
    flip_byte(paths[3], 150)  # in the File Meta Information, which the digest does not cover
    result = node("verify", "--list", "wrong.csv")
    assert result.code == 1
    first, written, where = result.stdout.splitlines()
    assert written == "written down of 1 study: 0 verified"
    assert "MB/s: 2 correct, 2 changed, 1 missing, 1 unreadable" in first
    assert "files/s" in first
    assert where == f"the wrong files are listed in {node.cli.folder / 'wrong.csv'}"
    assert f"{paths[0]}: there is no such file" in result.stderr
    with (node.cli.folder / "wrong.csv").open(newline="") as file:
        reasons = {row["path"]: (row["kind"], row["reason"]) for row in csv.DictReader(file)}
    size = paths[1].stat().st_size
    assert reasons == {
        str(paths[0]): ("missing", "there is no such file"),
        str(paths[1]): ("changed", f"{size} bytes, {size + 10} expected"),
        str(paths[2]): ("unreadable", "it is no regular file"),
        str(paths[3]): ("changed", "its File Meta Information is not as it was written"),
    }


def test_only_what_is_asked_for_is_read(one_node):
    made = generate(one_node.directory, studies=3, images=4)
    one_node.ok("parse", "-i", one_node.directory)
    for image in made[:5]:  # all of the first study, one of the second
        flip_byte(image.path, 2000)
    first, second, third = sorted({image.study_uid for image in made})
    one_node.ok("project", "create", "trial")
    one_node.ok("project", "add", "trial", "--study", second, "--study", third)
    one = one_node.json("verify", "--study", first, "--study", third, code=1)
    assert (one["checked"], one["wrong"]) == (8, {"changed": 4})
    trial = one_node.json("verify", "--project", "trial", code=1)
    assert (trial["checked"], trial["wrong"]) == (8, {"changed": 1})
    assert one_node.json("verify", "--since", "2020-01-01")["checked"] == 0  # none was received
    nobody = one_node.ok("verify", "--since", "2099-01-01")
    assert "nothing was there to check: the index has no such image\n" in nobody.stderr
    assert one_node.json("verify", "--study", third, "--sample", "0.001")["checked"] <= 4
    unknown = one_node("verify", "--project", "tryal")
    assert unknown.code == 2
    assert "'trial'" in unknown.stderr


def test_rows_without_a_digest_are_told_and_get_one(one_node):
    made = generate(one_node.directory, images=3)
    one_node.ok("parse", "-i", one_node.directory, "--no-digests")
    assert "3 of them had no digest to compare with" in one_node.ok("verify").stdout
    assert one_node.value("SELECT count(*) FROM images WHERE sha256 IS NOT NULL") == 0
    filled = one_node.json("verify", "--fill")
    assert (filled["undigested"], filled["filled"]) == (3, 3)
    again = one_node.json("verify", "--fill")
    assert (again["undigested"], again["filled"]) == (0, 0)
    flip_byte(made[0].path, 2000)
    assert one_node.json("verify", code=1)["wrong"] == {"changed": 1}


def test_the_files_of_another_node_may_be_out_of_sight(one_node, tmp_path):
    generate(tmp_path / "sent", images=2)
    receive(one_node, tmp_path / "sent")
    for path in one_node.stored().values():
        path.rename(tmp_path / path.name)
    other = Node(one_node.cli, tmp_path / "other", one_node.database_url, aetitle="OTHER")
    assert one_node.json("verify", code=1)["wrong"] == {"missing": 2}
    seen = other.json("verify")
    assert (seen["checked"], seen["elsewhere"], seen["wrong"]) == (0, 2, {})


def test_an_index_without_tables_is_an_error_that_says_what_to_do(cli, tmp_path, sqlite_url):
    node = Node(cli, tmp_path / "node", sqlite_url)
    for command in ("verify", "reconcile"):
        result = node(command)
        assert result.code == 1
        assert "dicom-node db init" in result.stderr
        assert not Path(cli.folder / f"{command}.csv").exists()


def test_a_list_takes_the_place_of_nothing_but_a_list(cli, tmp_path, migrated_sqlite_url):
    node = Node(cli, tmp_path / "node", migrated_sqlite_url)
    image = generate(tmp_path / "images", images=1)[0].path
    before = image.read_bytes()
    for command in (["verify"], ["reconcile"], ["parse", "-i", str(image)]):
        refused = node(*command, "--list", str(image))
        assert refused.code == 2
        assert "is there already, and is no list of an earlier run" in refused.stderr
    assert image.read_bytes() == before
    node.ok("parse", "-i", image)
    image.write_bytes(before[:-2])
    for _ in range(2):
        assert node("verify", "--list", tmp_path / "list.csv").code == 1
        assert "changed" in (tmp_path / "list.csv").read_text()
