"""One node mirrors another: by C-MOVE and by C-GET, while a third party stores into the first."""

import shutil
import threading

import pytest

from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.processes import LOOPBACK, free_port
from tests.support.waiting import wait_until

DATES = ("--from", "2024-01-01", "--to", "2024-01-31")
MIRRORS = {"moves": ("MOVES", "move"), "gets": ("GETS", "get")}


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def nodes(cli, tmp_path, migrated_url, sqlite_template):
    """Return the first node, and those that mirror it, by their names."""
    ports = {name: free_port() for name in ("first", *MIRRORS)}
    rights = {
        name: {
            "aetitle": aetitle,
            "host": LOOPBACK,
            "port": ports[name],
            "may_query": aetitle,
            "may_retrieve": aetitle,
            "retrieve_associations": 2,
        }
        for name, (aetitle, _) in MIRRORS.items()
    }
    first = Node(
        cli,
        tmp_path / "first",
        migrated_url,
        aetitle="FIRST",
        port=ports["first"],
        settings={"peers": rights},
    )
    mirrors = {}
    for name, (aetitle, way) in MIRRORS.items():
        source = {"aetitle": "FIRST", "host": LOOPBACK, "port": ports["first"], "retrieve": way}
        folder = tmp_path / name
        mirrors[name] = Node(
            cli,
            folder,
            f"sqlite:///{folder / 'node.db'}",
            aetitle=aetitle,
            port=ports[name],
            settings={"peers": {"first": source}},
        )
        shutil.copy(sqlite_template, folder / "node.db")
    return first, mirrors


def digests(node):
    return {
        row["image_uid"]: row["sha256"] for row in node.rows("SELECT image_uid, sha256 FROM images")
    }


def mirrored(mirror):
    """Find and move once; return what is left."""
    mirror("find", "first", *DATES)
    mirror("move", "first")
    return mirror.value("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL")


def test_a_node_is_mirrored_while_others_store_into_it(nodes, cli, tmp_path):
    first, mirrors = nodes
    before = generate(tmp_path / "before", studies=3, series=2, images=4)
    meanwhile = generate(tmp_path / "meanwhile", studies=4, images=5, seed=7)
    destination = {"first": {"aetitle": "FIRST", "host": LOOPBACK, "port": first.port}}
    sender = Node(
        cli, tmp_path / "third", "sqlite:///x.db", aetitle="THIRD", settings={"peers": destination}
    )
    with first.running():
        sender.ok("send", "first", tmp_path / "before")
        wait_until(lambda: first.value("SELECT count(*) FROM images") == len(before))
        storing = threading.Thread(target=sender.ok, args=("send", "first", tmp_path / "meanwhile"))
        storing.start()
        for mirror in mirrors.values():
            mirrored(mirror)
        storing.join()
        whole = len(before) + len(meanwhile)
        wait_until(lambda: first.value("SELECT count(*) FROM images") == whole)
        for mirror in mirrors.values():
            left = mirrored(mirror)
            assert left == 0, mirror.rows("SELECT study_uid, state, last_error FROM studies_find")
    expected = digests(first)
    contents = {
        image.sop_instance_uid: dataset_bytes(image.path) for image in (*before, *meanwhile)
    }
    for name, mirror in mirrors.items():
        assert digests(mirror) == expected, name
        assert {uid: dataset_bytes(path) for uid, path in mirror.stored().items()} == contents, name
        assert mirror.value("SELECT count(*) FROM studies_find") == 7
        evidence = {row["evidence"] for row in mirror.rows("SELECT evidence FROM studies_find")}
        assert evidence == {"listed"}, name
