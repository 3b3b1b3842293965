"""`dicom-node sample`: studies are retrieved again, and compared with what is held."""

from pydicom import dcmread

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated
from tests.support.wado_server import web_archive

DATES = ("--from", "2024-01-01", "--to", "2024-01-31")


def test_a_sample_says_what_is_the_same_and_what_is_not_and_its_exit_code_says_it_too(
    cli, tmp_path, migrated_sqlite_url
):
    port = free_port()
    settings = {"move": {"settle": "0.3s"}}
    peers = {"pacs": ("PACS", port), "other": ("OTHER", free_port())}
    node = Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers, settings=settings)
    made = generate(tmp_path / "pacs", studies=2, images=2)
    studies = sorted({image.study_uid for image in made})
    with simulated(node, tmp_path / "pacs", port):
        nothing = node("sample", "1", "pacs")
        none = "nothing was compared: no complete study is here"
        assert (nothing.code, none in nothing.stdout) == (1, True)
        node.ok("find", "pacs", *DATES)
        node.ok("move", "pacs")
        files = {path: path.read_bytes() for path in node.files()}
        same = node.ok("sample", "2", "--seed", "7")
        assert "2 of 2 studies the same; images: 4 identical; seed 7" in same.stdout
        assert all(uid in same.stdout for uid in studies)
        with node.running():
            taken = node("sample", "1")
            assert taken.code == 1
            assert taken.stdout.startswith("nothing was compared; seed ")
            assert "stop it while the studies are compared" in taken.stderr
            assert node.json("sample", "1", "--retrieve", "get")["same"]
        few = node.json("sample", "3", "pacs", code=1)
        assert (few["there"], few["wanted"], len(few["studies"])) == (2, 3, 2)
        assert all(study["same"] for study in few["studies"])
        for wrong in (("--ignore", "Nothing"), ("--project", "none"), ("nobody",)):
            assert node("sample", "1", *wrong).code == 2

        path = made[0].path
        dataset = dcmread(path)
        dataset.PatientName = "Doe^John"
        dataset.save_as(path)
        made[1].path.write_bytes(made[1].path.read_bytes()[:-9])
        different = node("sample", "2", "--retrieve", "get", "--seed", "7")
        assert different.code == 1
        assert "PatientName (0010,0010): value, in 1 image" in different.stdout
        assert f"not compared: {made[1].sop_instance_uid}" in different.stdout
        assert "1 of 2 studies the same" in different.stdout
        assert "Doe" not in different.stdout + different.stderr
        ignoring = node("sample", "2", "--retrieve", "get", "--ignore", "PatientName", "--values")
        assert "John" not in ignoring.stdout
        shown = node.json("sample", "2", "--retrieve", "get", "--values", code=1)
        (study,) = [one for one in shown["studies"] if not one["same"]]
        (found,) = [one for one in study["images"] if one["outcome"] == "different"]
        assert found["differences"] == [
            {
                "keyword": "PatientName",
                "tag": "(0010,0010)",
                "path": "PatientName (0010,0010)",
                "items": [],
                "kind": "value",
                "held": "Doe^Jane",
                "at_peer": "Doe^John",
            }
        ]
        assert {path: path.read_bytes() for path in node.files()} == files
    away = node("sample", "1", "pacs")
    assert away.code == 3, "nobody is there"
    assert "pacs" in away.stdout


def test_a_peer_with_a_url_alone_is_asked_by_wado_rs_beside_a_running_node(
    cli, tmp_path, migrated_sqlite_url
):
    made = generate(tmp_path / "web", studies=1, images=2)
    with web_archive(made) as server:
        settings = {"peers": {"web": {"url": server.url}}, "move": {"settle": "2s"}}
        node = Node(cli, tmp_path / "node", migrated_sqlite_url, settings=settings)
        node.ok("find", "web", *DATES)
        node.ok("move", "web")
        with node.running():
            report = node.json("sample", "1")
        (study,) = report["studies"]
        assert (study["method"], study["identical"], study["came"]) == ("WADO-RS", 2, 2)
        assert len(node.files()) == len(made), "nothing else is there"
