"""What of studies is wanted: only that is asked for, and complete says under which policy."""

from pydicom import dcmread

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated

SR = "1.2.840.10008.5.1.4.1.1.88.11"


def test_only_what_is_wanted_comes_until_the_policy_is_another(cli, tmp_path, migrated_url):
    made = generate(tmp_path / "pacs", studies=2, images=4)
    mixed, other = sorted({image.study_uid for image in made})
    for number, image in enumerate(one for one in made if one.study_uid == mixed):
        dataset = dcmread(image.path)
        if number < 2:  # a series of its own, of which one image has another class
            dataset.Modality, dataset.SeriesInstanceUID = "CT", f"{mixed}.9"
            dataset.SeriesDescription = "Thorax"
        if number == 1:
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SR
        dataset.save_as(image.path)
    port = free_port()
    peers = {"pacs": ("PACS", port)}
    want = {"modality": ["CT"], "series_description": "*thorax*"}
    settings = {"move": {"settle": "0.3s", "want": want}}
    node = Node(cli, tmp_path / "node", migrated_url, peers=peers, settings=settings)
    with simulated(node, tmp_path / "pacs", port):
        node.ok("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-31")
        moved = node.json("move", "pacs")
        outcomes = {one["study_uid"]: one["outcome"] for one in moved["studies"]}
        assert outcomes == {mixed: "complete", other: "unwanted"}
        (attempt,) = node.rows("SELECT level, arrived, expected FROM move_attempts")
        assert attempt == {"level": "SERIES", "arrived": 2, "expected": 2}
        policy = "modality CT; series description '*thorax*'"
        rows = "SELECT state, policy FROM study_sources ORDER BY state"
        assert node.rows(rows) == [
            {"state": "retrieved", "policy": policy},
            {"state": "unwanted", "policy": policy},
        ]
        told = node("explain", mixed).stdout
        assert f"(listed), under the policy: {policy}." in told
        told = node("explain", other).stdout
        assert f"State: unwanted, under the policy: {policy}." in told
        assert "the policy (`move.want`) wants nothing of it (it has MR, and wanted is CT)." in told
        assert node.json("move", "pacs")["studies"] == []

        settings["move"]["want"] = {"sop_class": ["Basic Text SR"]}
        node.configure(peers, settings=settings)
        again = {one["study_uid"]: one for one in node.json("move", "pacs")["studies"]}
        assert (again[mixed]["outcome"], again[other]["outcome"]) == ("complete", "unwanted")
        assert node.value("SELECT count(*) FROM move_attempts WHERE arrived > 0") == 1
        settings["move"].pop("want")
        node.configure(peers, settings=settings)
        whole = node.json("move", "pacs")
        assert [one["outcome"] for one in whole["studies"]] == ["complete"] * 2
        assert node.value("SELECT count(*) FROM images") == 8
        assert node.value("SELECT count(*) FROM study_sources WHERE policy IS NOT NULL") == 0
