"""What of studies is wanted: only that is asked for, and complete says under which policy."""

import csv
import io

from pydicom import dcmread

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated

SR = "1.2.840.10008.5.1.4.1.1.88.11"


def before_the_first_move(node, mixed, other):
    """The policy of now refuses a study before anybody has judged it."""
    planned = node.json("move", "--plan")
    assert [one["study_uid"] for one in planned["would_move"]] == [mixed]
    why = "it has MR, and wanted is CT"
    assert planned["not_wanted"] == [{"study_uid": other, "peer": "pacs", "reason": why}]
    shown = node.ok("move", "--plan").stdout.splitlines()
    assert shown[-3:] == [
        "1 study would be asked for, in this order; nobody was asked",
        f"pacs: 1 study is not wanted: {why}. `move.want`, or `peers.pacs.want`, says what is",
        "pacs: wanted is modality CT; series description '*thorax*'; what of each study is, if "
        "anything, is decided when the peer has listed its series",
    ]
    told = node("explain", other).stdout
    assert f"pacs is not asked: the policy (`move.want`) wants nothing of it ({why})." in told
    assert "What is missing" not in told
    assert "What is missing" in node("explain", mixed).stdout
    (unwanted,) = [row for row in sheet(node) if row["study_uid"] == other]
    assert (unwanted["state"], unwanted["whole"]) == ("pending", "")
    assert unwanted["next"] == "nothing: not wanted"
    left = node("expect").stdout
    assert "is wanted (modality CT; series description '*thorax*') is decided when" in left


def when_the_wanted_is_here(node, mixed, other):
    """What is not wanted is counted beside, and keeps nothing open."""
    state = node.json("status")
    assert (state["summary"]["to_move"], state["summary"]["unwanted"]) == (0, 1)
    (peer,) = state["peers"]
    assert (peer["complete"], peer["open"], peer["unwanted"]) == (1, 0, 1)
    shown = node("status").stdout
    assert "2 studies found, 1 retrieved, 0 to move, 1 not wanted\n" in shown
    assert "pacs: 2 found, 1 complete, 0 open, 1 not wanted" in shown
    assert node("expect").stdout.endswith("left: 0 studies; 1 study beside is not wanted\n")
    assert node.ok("move", "pacs").stdout == (
        "Nothing to move from pacs: of 2 studies found there, 1 is complete here; "
        "1 is not wanted (`move.want`)\n"
    )
    (unwanted,) = [row for row in sheet(node) if row["study_uid"] == other]
    assert {name: unwanted[name] for name in ("state", "whole", "missing_images", "reason")} == {
        "state": "unwanted",
        "whole": "",
        "missing_images": "",
        "reason": "not wanted (`move.want`): it has MR, and wanted is CT",
    }
    table = node.ok("report").stdout
    assert "2 studies, 1 whole, 0 not, 1 not wanted.\n" in table
    assert "8 images expected, 4 of them not wanted, 2 here, none missing.\n" in table
    page = node.ok("report", "--fmt", "html").stdout
    assert 'class="open"' not in page
    named = node("move", "pacs", "--study", other)
    assert named.code == 1, "it was named, and is not here"
    assert "pacs: 0 of 0" not in named.stdout
    assert "1 study is not wanted: it has MR, and wanted is CT. `move.want`, or" in named.stdout
    assert node("move", "pacs", "--study", mixed, "--study", other).code == 1


def sheet(node):
    return list(csv.DictReader(io.StringIO(node.ok("report", "--fmt", "csv").stdout, newline="")))


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
        if "sqlite" in migrated_url:
            before_the_first_move(node, mixed, other)
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
        if "sqlite" in migrated_url:
            when_the_wanted_is_here(node, mixed, other)

        settings["move"]["want"] = {"sop_class": ["Basic Text SR"]}
        node.configure(peers, settings=settings)
        anew = "2 studies would be judged anew first: the policy was another one\n"
        assert anew in node.ok("move", "--plan").stderr
        again = {one["study_uid"]: one for one in node.json("move", "pacs")["studies"]}
        assert (again[mixed]["outcome"], again[other]["outcome"]) == ("complete", "unwanted")
        assert node.value("SELECT count(*) FROM move_attempts WHERE arrived > 0") == 1
        settings["move"].pop("want")
        node.configure(peers, settings=settings)
        whole = node.json("move", "pacs")
        assert [one["outcome"] for one in whole["studies"]] == ["complete"] * 2
        assert node.value("SELECT count(*) FROM images") == 8
        assert node.value("SELECT count(*) FROM study_sources WHERE policy IS NOT NULL") == 0
