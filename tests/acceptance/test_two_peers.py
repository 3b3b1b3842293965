"""Studies at two peers: each one's answer is kept, and what is open at one is never complete."""

import shutil
from pathlib import Path

import pytest

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated

DATES = ("--from", "2024-01-01", "--to", "2024-01-03")


@pytest.fixture
def ports() -> dict[str, int]:
    return {"old": free_port(), "new": free_port(), "spare": free_port()}


@pytest.fixture
def node(cli, tmp_path, migrated_url, ports):
    peers = {name: (name.upper(), port) for name, port in ports.items()}
    return Node(cli, tmp_path / "node", migrated_url, peers=peers)


def test_what_is_open_at_another_peer_is_never_called_complete(node, ports, tmp_path):
    only_old, both, only_new = share(generate(tmp_path / "made", studies=3, images=2), tmp_path)
    nothing = node("move", "old")
    assert nothing.code == 0
    assert "none of the studies asked for was ever found there" in nothing.stdout
    assert "complete" not in nothing.stdout
    with (
        simulated(node, tmp_path / "old", ports["old"], aetitle="OLD"),
        simulated(node, tmp_path / "new", ports["new"], aetitle="NEW"),
    ):
        node.ok("find", "old", *DATES)
        node.ok("find", "new", *DATES)
        node.ok("project", "create", "trial")
        named = (part for uid in (only_old, both, only_new) for part in ("--study", uid))
        node.ok("project", "add", "trial", *named, "--study", "1.2.3.4")
        node.ok("find", "new", "--project", "trial")
        node.ok("find", "old", "--project", "trial")
        members = {
            one["study_uid"]: one for one in node.json("project", "show", "trial")["members"]
        }
        assert [(one["peer"], one["expected_images"]) for one in members[both]["sources"]] == [
            ("new", 2),
            ("old", 1),
        ]
        assert members[both]["found_at"] == "new (2 images), old (1 image)"
        assert members[only_old]["found_at"] == "old"
        nowhere = members["1.2.3.4"]["why"].split("; ")
        assert [one.split(",")[0] for one in nowhere] == ["old", "new"]
        assert all(one.endswith("has no such study") for one in nowhere)

        moved = node.ok("move", "old")
        assert "old: 1 of 1 study complete" in moved.stdout
        assert "2 studies are open at new; `dicom-node move new`" in moved.stderr
        none = node.ok("move", "old").stdout
        assert "Nothing to move from old: of 2 studies found there, 1 is open; another peer" in none
        assert "complete" not in none
        again = node.json("move", "new")
        assert [one["outcome"] for one in again["studies"]] == ["complete"] * 2
        assert again["peers"] == [{"peer": "new", "found": 2, "complete": 2, "open": 0}]
        done = node.ok("move", "old")
        assert "Nothing to move from old: what was found there is complete here" in done.stdout
        assert done.stderr == ""
        spare = node.json("move", "spare")
        assert spare == {
            "studies": [],
            "peers": [{"peer": "spare", "found": 0, "complete": 0, "open": 0}],
        }


def share(images, folder: Path) -> list[str]:
    """Give the old peer the first two studies, but for an image, and the new one the last two."""
    uids = sorted({image.study_uid for image in images})
    for name, wanted in (("old", uids[:2]), ("new", uids[1:])):
        (folder / name).mkdir()
        for number, image in enumerate(images):
            lacks = name == "old" and image is images[3]
            if image.study_uid in wanted and not lacks:
                shutil.copy(image.path, folder / name / f"{number}.dcm")
    return uids
