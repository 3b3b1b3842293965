"""The main job, as a user does it: the installed console script, a real PACS, SQL."""

import signal
import time
from pathlib import Path

import pytest

from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.peers.dcmtk import DcmQrScp, StoreScp, movescu
from tests.support.peers.orthanc import Orthanc
from tests.support.processes import Process, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.peers

DATES = ("--from", "2024-01-01", "--to", "2024-01-10")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """72 images: 6 studies, each with 2 series, on six days of January 2024."""
    return generate(tmp_path_factory.mktemp("corpus"), studies=6, series=2, images=6)


@pytest.fixture(scope="module")
def large_corpus(tmp_path_factory):
    """300 images of such studies."""
    return generate(tmp_path_factory.mktemp("corpus"), studies=6, series=2, images=25)


@pytest.fixture
def make_node(cli, tmp_path, migrated_url):
    def make(**options):
        return Node(cli, tmp_path / "node", migrated_url, **options)

    return make


@pytest.fixture
def on_sqlite(cli, tmp_path, migrated_sqlite_url):
    """Make a node where the archive is what differs from the tests on both databases."""

    def make(**options):
        return Node(cli, tmp_path / "node", migrated_sqlite_url, **options)

    return make


def references(folder: Path, pacs, studies) -> dict[str, bytes]:
    """Return the dataset bytes that a bit-preserving storescp receives from the same move."""
    folder.mkdir()
    with StoreScp(folder, port=pacs.peers["REFERENCE"], aetitle="REFERENCE") as reference:
        for study in sorted(studies):
            done = movescu(
                pacs.port,
                f"StudyInstanceUID={study}",
                called=pacs.aetitle,
                destination="REFERENCE",
            )
            assert done.code == 0, done.output
        return {uid: dataset_bytes(path) for uid, path in reference.files().items()}


def assert_complete(node: Node, expected: dict[str, bytes]) -> None:
    assert node.value("SELECT count(*) FROM images") == len(expected)
    stored = node.stored()
    assert stored.keys() == expected.keys()
    assert sorted(stored.values()) == node.files()
    different = [uid for uid, path in stored.items() if dataset_bytes(path) != expected[uid]]
    assert different == []
    assert node.value("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL") == 0
    assert (
        node.value("SELECT count(*) FROM images WHERE received_on IS NULL OR sha256 IS NULL") == 0
    )


def find_by_list(node, folder, corpus):
    """Ask for the studies of the corpus by their UIDs, and for two that nobody has."""
    uids = sorted({image.study_uid for image in corpus})
    lines = "".join(f"{uid},\n" for uid in (*uids, "1.2.3.4.5"))
    (folder / "list.csv").write_text(f"uid,accession\n{lines},NOWHERE\n", encoding="utf-8")
    result = folder / "result.csv"
    told = node.json("find", "pacs", "--list", folder / "list.csv", "--result", result)
    assert (told["found"], told["not_found"], told["failed"]) == (6, 2, 0)
    # two studies to try lists with, the list, what it did not bring, and one that the peer has, to
    # see that nothing is nothing; the same for accession numbers
    assert told["questions"] == 6


def test_studies_of_orthanc_are_found_and_moved_bit_for_bit(make_node, corpus, tmp_path):
    node = make_node()
    peers = {"NODE": node.port, "REFERENCE": free_port()}
    with Orthanc(tmp_path / "orthanc", peers=peers) as pacs:
        pacs.fill([image.path for image in corpus])
        node.configure({"pacs": ("ORTHANC", pacs.port)})
        assert "ORTHANC" in node.ok("echo", "pacs").stdout
        found = node.json("find", "pacs", *DATES)
        assert (found["windows"] < 10, found["failed_windows"]) == (True, 0)
        assert (found["found"], found["new"], found["changed"]) == (6, 6, 0)
        again = node.json("find", "pacs", *DATES)
        assert (again["found"], again["new"], again["changed"]) == (6, 0, 0)
        assert node.value("SELECT sum(expected_images) FROM studies_find") == len(corpus)
        find_by_list(node, tmp_path, corpus)
        first = sorted({image.study_uid for image in corpus})[:3]
        alone = node.json("move", "pacs", *(part for uid in first for part in ("--study", uid)))
        assert {study["study_uid"] for study in alone["studies"]} == set(first)
        with node.running():
            beside = node.json("move", "pacs")
        moved = alone["studies"] + beside["studies"]
        assert [study["outcome"] for study in moved] == ["complete"] * 6
        expected = references(tmp_path / "reference", pacs, {i.study_uid for i in corpus})
        assert len(expected) == len(corpus)
        assert_complete(node, expected)
        assert node.json("move", "pacs") == {
            "studies": [],
            "peers": [{"peer": "pacs", "found": 6, "complete": 6, "open": 0, "unwanted": 0}],
        }
        assert {path.stat().st_mode & 0o777 for path in node.files()} == {0o600}
        assert node.rows("SELECT DISTINCT source, node FROM images") == [
            {"source": "ORTHANC", "node": "NODE"}
        ]


def test_studies_of_dcmqrscp_are_found_and_moved_bit_for_bit(on_sqlite, corpus, tmp_path):
    node = on_sqlite()
    peers = {"NODE": node.port, "REFERENCE": free_port()}
    with DcmQrScp(tmp_path / "dcmqrscp", peers=peers) as pacs:
        pacs.fill(*{image.path.parent for image in corpus})
        node.configure({"pacs": ("DCMQRSCP", pacs.port)})
        found = node.json("find", "pacs", *DATES)
        assert (found["found"], found["new"], found["failed_windows"]) == (6, 6, 0)
        find_by_list(node, tmp_path, corpus)
        moved = node.json("move", "pacs")
        assert [study["outcome"] for study in moved["studies"]] == ["complete"] * 6
        expected = references(tmp_path / "reference", pacs, {i.study_uid for i in corpus})
        assert_complete(node, expected)


def test_a_study_that_grows_at_the_pacs_is_moved_again(on_sqlite, tmp_path):
    images = generate(tmp_path / "images", images=6)
    node = on_sqlite()
    with Orthanc(tmp_path / "orthanc", peers={"NODE": node.port}) as pacs:
        pacs.fill([image.path for image in images[:4]])
        node.configure({"pacs": ("ORTHANC", pacs.port)})
        node.ok("find", "pacs", *DATES)
        node.ok("move")
        assert node.value("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL") == 0
        pacs.fill([image.path for image in images])
        grown = node.json("find", "pacs", *DATES)
        assert (grown["new"], grown["changed"]) == (0, 1)
        assert node.value("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL") == 1
        assert node.json("move")["studies"][0]["received"] == 6
        assert node.value("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL") == 0


def test_what_has_arrived_is_indexed_before_its_study_is_judged(make_node, tmp_path):
    # settling is over long before the processes that read headers have even started
    images = generate(tmp_path / "images", images=3)
    node = make_node(settings={"move": {"settle": "0.01s"}})
    with Orthanc(tmp_path / "orthanc", peers={"NODE": node.port}) as pacs:
        pacs.fill([image.path for image in images])
        node.configure({"pacs": ("ORTHANC", pacs.port)})
        node.ok("find", "pacs", *DATES)
        (moved,) = node.json("move")["studies"]
    assert (moved["outcome"], moved["received"]) == ("complete", 3)


@pytest.mark.long
def test_a_kill_in_the_middle_of_a_move_loses_nothing_and_doubles_nothing(
    make_node, large_corpus, tmp_path
):
    corpus = large_corpus
    node = make_node()
    with Orthanc(tmp_path / "orthanc", peers={"NODE": node.port}) as pacs:
        pacs.fill([image.path for image in corpus])
        node.configure({"pacs": ("ORTHANC", pacs.port)})
        node.ok("find", "pacs", *DATES)
        daemon = node.start()
        mover = None
        try:
            mover = Process(
                node.cli.args("move", "--config", node.config),
                log=tmp_path / "move.log",
                env=node.cli.env(),
            )
            wait_until(lambda: node.value("SELECT count(*) FROM images") >= 40, 60)
            daemon.signal(signal.SIGKILL)
            mover.signal(signal.SIGKILL)
            daemon.wait()
            mover.wait()
        finally:
            daemon.kill()
            if mover is not None:
                mover.kill()
        survivors = node.stored()
        assert 40 <= len(survivors) < 300
        original = {image.sop_instance_uid: dataset_bytes(image.path) for image in corpus}
        assert all(dataset_bytes(path) == original[uid] for uid, path in survivors.items())
        with node.running():
            moved = node.json("move")
        assert {study["outcome"] for study in moved["studies"]} == {"complete"}
        assert node.stored().keys() == original.keys()
        assert survivors.items() <= node.stored().items()
        assert sorted(node.stored().values()) == node.files()
        assert all(dataset_bytes(path) == original[uid] for uid, path in node.stored().items())
        assert node.value("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL") == 0
        outcomes = {row["outcome"] for row in node.rows("SELECT outcome FROM cycles")}
        assert "running" not in outcomes


def test_the_daemon_finds_and_moves_by_itself(make_node, tmp_path):
    images = generate(tmp_path / "images", studies=2, images=3)
    node = make_node(
        peers={"pacs": ("ORTHANC", free_port())},
        settings={
            "find": {"every": "1h", "start_date": "2024-01-01", "end_date": "2024-01-03"},
            "move": {"every": "1s", "settle": "3s"},
        },
    )
    with Orthanc(tmp_path / "orthanc", peers={"NODE": node.port}) as pacs:
        pacs.fill([image.path for image in images])
        node.configure({"pacs": ("ORTHANC", pacs.port)})
        with node.running() as daemon:
            wait_until(
                lambda: (
                    node.value("SELECT count(*) FROM studies_find WHERE retrieved_on IS NOT NULL")
                    == 2
                ),
                60,
                describe=daemon.output,
            )
            began = time.monotonic()
        assert time.monotonic() - began < 30
        assert len(node.stored()) == 6
        log = daemon.output()
        assert "Doe" not in log
        assert "P0000-0000" not in log
