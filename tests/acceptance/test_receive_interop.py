"""Whatever sends images with DCMTK's tools is served, alone and eight at a time."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.peers import dcmtk

pytestmark = pytest.mark.peers

SENDERS = 8
IMAGES_EACH = 200


@pytest.fixture
def node(cli, tmp_path, migrated_url):
    return Node(cli, tmp_path / "node", migrated_url)


def statuses(output: str) -> list[str]:
    """Return the status of every C-STORE response that a `storescu -v` shows."""
    return re.findall(r"Received Store Response \((.*)\)", output)


def test_a_wrong_called_ae_title_is_rejected(node):
    with node.running():
        done = dcmtk.echoscu(node.port, called="ANOTHER")
    assert done.code != 0
    assert "Called AE Title Not Recognized" in done.output


def test_images_sent_twice_are_kept_once(node, tmp_path):
    generate(tmp_path / "images", images=5)
    with node.running():
        for _ in range(2):
            sent = dcmtk.storescu(node.port, tmp_path / "images", called="NODE")
            assert statuses(sent.output) == ["Success"] * 5
    assert node.value("SELECT count(*) FROM images") == 5
    assert len(node.files()) == 5


def test_eight_senders_at_once_leave_one_row_and_one_file_for_each_image(node, tmp_path):
    folders = [tmp_path / f"sender-{number}" for number in range(SENDERS)]
    expected: dict[str, Path] = {}
    for seed, folder in enumerate(folders):
        for image in generate(folder, studies=2, images=IMAGES_EACH // 2, seed=seed):
            expected[image.sop_instance_uid] = image.path

    def send(folder: Path) -> list[str]:
        sent = dcmtk.storescu(node.port, folder, called="NODE", timeout=240)
        assert sent.code == 0, sent.output[-2000:]
        return statuses(sent.output)

    with node.running(), ThreadPoolExecutor(SENDERS) as pool:
        answers = [status for answer in pool.map(send, folders) for status in answer]
    assert answers == ["Success"] * SENDERS * IMAGES_EACH
    assert node.value("SELECT count(*) FROM images") == SENDERS * IMAGES_EACH
    stored = node.stored()
    assert stored.keys() == expected.keys()
    assert sorted(stored.values()) == node.files()
    different = [
        uid for uid, path in stored.items() if dataset_bytes(path) != dataset_bytes(expected[uid])
    ]
    assert different == []
