"""`dicom-node explain`, from outside: what a PACS withholds and sends later, what is damaged."""

import signal

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port

DATES = ("--from", "2024-01-01", "--to", "2024-01-02")

KEYS = {
    *("text", "kind", "also", "complete", "waiting", "heads", "studies", "names", "series"),
    *("image", "files"),
}


def test_a_study_is_explained_from_before_it_is_found_until_a_file_of_it_is_damaged(
    cli, tmp_path, migrated_sqlite_url
):
    port = free_port()
    made = generate(tmp_path / "pacs", studies=1, images=10)
    uid = made[0].study_uid
    node = Node(
        cli,
        tmp_path / "node",
        migrated_sqlite_url,
        peers={"pacs": ("PACS", port)},
        settings={"move": {"settle": 0.3}},
    )
    unknown = node("explain", uid)
    assert unknown.code == 1
    assert "- pacs was never asked for any date." in unknown.stdout
    assert f"`dicom-node find pacs --study {uid} -f {node.config}` asks for it." in unknown.stdout
    wrong = [node("explain", *words) for words in (("A*",), (), ("1.2", "--patient-id", "P"))]
    assert [result.code for result in wrong] == [2, 2, 2]
    assert "'A*' has wildcards" in wrong[0].stderr

    arguments = ("simulate", tmp_path / "pacs", "--port", str(port), "--withhold", "3")
    destination = ("--destination", f"NODE=127.0.0.1:{node.port}")
    pacs = cli.start(*arguments, *destination, log=tmp_path / "pacs.log")
    try:
        pacs.wait_for_port(port)
        node.ok("find", "pacs", *DATES)
        node("move", "pacs")
        partial = node("explain", uid)
        assert partial.code == 1
        assert f"Study {uid} of 2024-01-01 (MR): partial, 7 of 10 images here." in partial.stdout
        assert "The answer was 0x0000 (success): 7 sent, 0 failed." in partial.stdout
        assert "- 3 of 10 images of series" in partial.stdout
        told = node.json("explain", uid, code=1)
        assert told.keys() == KEYS
        (study,) = told["studies"]
        missing = set(study["story"]["missing"][0]["images"])
        assert missing < {image.sop_instance_uid for image in made}
        assert len(missing) == 3
        assert [one["level"] for one in study["story"]["attempts"]] == ["STUDY", "IMAGE"]
        assert [step["step"] for step in study["next"]] == ["by command"]
        image = min(missing)
        assert node("explain", image).code == 1
        assert "- pacs lists it" in node("explain", image, "--study", uid).stdout
        pacs.signal(signal.SIGUSR1)
        node.ok("move", "pacs")
    finally:
        pacs.terminate()
    done = node.ok("explain", "--study", uid).stdout
    assert f"Study {uid} of 2024-01-01 (MR): complete, 10 images." in done
    assert "- Nothing: all is here." in done
    assert made[0].patient_id not in done
    assert f"Study {uid}" in node.ok("explain", made[0].patient_id).stdout
    whole = node.json("explain", image)["image"]
    assert (whole["attempt"]["peer"], whole["row"]["source"]) == ("pacs", "PACS")
    file = node.stored()[image]
    file.write_bytes(b"")
    damaged = node("explain", image)
    study = node("explain", uid)
    assert damaged.code == study.code == 1
    assert "all is here" not in study.stdout
    assert "- Nothing, until what is not sound is set aside: `dicom-node verify -" in study.stdout
    assert f"{file} is changed: 0 bytes" in damaged.stdout
