"""`dicom-node get` and `fetch`: studies of a peer come into a folder, and nothing else changes."""

import json
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless

from node.cli import app as cli_app
from tests.support.images import dataset_bytes, generate
from tests.support.node import Node
from tests.support.peers.dcmtk import DcmQrScp
from tests.support.peers.orthanc import Orthanc
from tests.support.processes import free_port
from tests.support.simulated import simulated
from tests.support.wado_server import web_archive
from tests.support.waiting import wait_until


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def node(cli, tmp_path, sqlite_url) -> Node:
    """Return a node without a database: who only fetches needs none."""
    settings = {"move": {"settle": "0.3s"}}
    peers = {"pacs": ("PACS", free_port())}
    return Node(cli, tmp_path / "node", sqlite_url, peers=peers, settings=settings)


@contextmanager
def pacs(node, folder, *options):
    port = json.loads(node.config.read_text())["peers"]["pacs"]["port"]
    with simulated(node, folder, port, options=options) as process:
        yield process


def behaving(tmp_path, find=None, **retrieval):
    path = tmp_path / "behaviour.yaml"
    path.write_text(json.dumps({**(find or {}), "retrieval": retrieval}))
    return "--behaviour", path


def files(folder):
    """Return all files below a folder, hidden ones too."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def brought(folder, images):
    """Tell whether a folder has these images, byte by byte, under their names, and nothing else."""
    there = {path.name: dataset_bytes(path) for path in files(folder)}
    return there == {f"{image.sop_instance_uid}.dcm": dataset_bytes(image.path) for image in images}


def test_a_study_comes_whichever_way_it_is_asked_for_and_again_is_the_same(node, tmp_path):
    made = generate(tmp_path / "pacs", studies=2, series=2, images=2)
    one = [image for image in made if image.study_uid == made[0].study_uid]
    study = ("--study", made[0].study_uid)
    out = tmp_path / "out"
    port = free_port()
    tools = ("--destination", f"TOOLS=127.0.0.1:{port}")
    with pacs(node, tmp_path / "pacs", *tools):
        shown = node.ok("get", "pacs", *study, "-o", out)
        assert brought(out, one)
        assert f"4 images of 1 study from pacs in {out}" in shown.stdout
        header = dcmread(files(out)[0]).file_meta
        assert (header.SourceApplicationEntityTitle, header.ImplementationVersionName) == (
            "PACS",
            "DICOM_NODE",
        )
        again = node.json("fetch", "pacs", *study, "-o", out, "--retrieve", "move")
        (said,) = again["studies"]
        assert (said["by"], said["new"], said["there"]) == ([], 0, 4), "nothing is missing"
        assert brought(out, one)

        other = files(out)[0]
        changed = dcmread(other)
        changed.SeriesInstanceUID = "1.2.3"
        changed.save_as(other)
        kept = other.read_bytes()
        files(out)[1].unlink()
        apart = node.ok("fetch", "pacs", *study, "-o", out)
        row = dict(zip(*(line.split() for line in apart.stdout.splitlines()[:2]), strict=True))
        assert (row["new"], row["there"], row["apart"]) == ("1", "2", "1")
        beside = other.with_name(f"{other.stem}-2.dcm")
        assert f"another file has its name, so it is apart: {beside}" in apart.stdout
        assert other.read_bytes() == kept
        wanted = next(image for image in one if image.sop_instance_uid == other.stem)
        assert dataset_bytes(beside) == dataset_bytes(wanted.path)
        kept_apart = node.ok("fetch", "pacs", *study, "-o", out)
        assert f"another file has its name, so it is apart: {beside}" in kept_apart.stdout
        assert f"4 images of 1 study from pacs in {out}: 4 were there already" in kept_apart.stdout
        assert "fetch from pacs: 0 images, 1 study, 4 there already, " in kept_apart.stderr

        every = tmp_path / "patient"
        patient = ("--patient-id", made[-1].patient_id)
        node.ok("fetch", "pacs", *patient, "-o", every, "--layout", "study")
        last = made[-1]
        assert every / last.study_uid / last.series_uid / f"{last.sop_instance_uid}.dcm" in files(
            every
        )
        assert brought(every, [image for image in made if image not in one])

        few = tmp_path / "few"
        image = ("--image", one[-1].sop_instance_uid)
        assert node.json("get", "pacs", *study, *image, "-o", few)["complete"]
        assert brought(few, [one[-1]]), "its series was found out"
        node.ok("fetch", "pacs", *study, "--series", one[0].series_uid, "-o", few)
        assert brought(few, [one[-1], *one[:2]])

        node.ok("db", "init")
        with node.running():
            beside_it = tmp_path / "beside"
            move = ("fetch", "pacs", *study, "-o", beside_it, "--retrieve", "move")
            taken = node(*move)
            assert (taken.code, "--aetitle AET --port PORT" in taken.stdout) == (1, True)
            assert files(beside_it) == []
            node.ok(*move, "--aetitle", "TOOLS", "--port", str(port))
            assert brought(beside_it, one)
            for wrong, why in (
                (("--study", "1.2.3"), "pacs sent nothing of it, and lists no image of it"),
                ((*study, "--series", "1.2.3"), "pacs lists no image of 1 series, and sent none"),
                ((*study, "--image", "1.2.3"), "missing: 1.2.3 (pacs lists no such image)"),
            ):
                lacking = node("fetch", "pacs", *wrong, "-o", tmp_path / "none")
                assert (lacking.code, why in lacking.stdout) == (1, True), lacking.stdout
                assert "C-MOVE" not in lacking.stdout, "it is not the reason"
            unheard = node("fetch", "pacs", "--study", "1.2.3", *move[4:], "-o", tmp_path / "none")
            assert "1.2.3:\n  pacs lists no image of it\n" in unheard.stdout
        assert node.files() == [], "the node has taken nothing of it"

        nothing = node("fetch", "pacs", "--study", "1.2.3", "-o", tmp_path / "none")
        assert (nothing.code, "sent nothing of it" in nothing.stdout) == (1, True)
        nobody = node("fetch", "pacs", "--patient-id", "X", "-o", tmp_path / "none", "--json")
        assert (nobody.code, "no study of the patient X" in nobody.stdout) == (1, True)
    away = node("fetch", "pacs", *study, "-o", tmp_path / "none")
    assert (away.code, "nobody answers" in away.stderr) == (3, True)
    assert "fetch from pacs: 0 images, 1 study, " in away.stderr
    assert away.stdout == "nothing of 1 study came from pacs: NOT ALL\n"
    assert not (tmp_path / "none").exists(), "it was made for what did not come"
    before = node("fetch", "pacs", *study, "-o", out)
    as_it_was = f"nothing of 1 study came from pacs, and what was in {out} is as it was: NOT ALL\n"
    assert (before.code, before.stdout) == (3, as_it_was)
    (tmp_path / "mine").mkdir()
    assert node("get", "pacs", *study, "-o", tmp_path / "mine" / "a" / "b").code == 3
    assert list((tmp_path / "mine").iterdir()) == []
    assert node("get", "pacs", *study, "-o", tmp_path / "mine").code == 3
    assert (tmp_path / "mine").is_dir(), "it was there"


@pytest.mark.parametrize("left", [500, -2])
def test_a_file_that_is_not_whole_is_named_each_time_and_its_image_fetched_once(
    node, tmp_path, left
):
    made = generate(tmp_path / "pacs", images=3)
    out = tmp_path / "out"
    get = ("get", "pacs", "--study", made[0].study_uid, "-o", out)
    with pacs(node, tmp_path / "pacs"):
        node.ok(*get)
        broken = out / f"{made[1].sop_instance_uid}.dcm"
        cut = broken.read_bytes()[:left]
        broken.write_bytes(cut)
        for came in (["C-GET"], [], []):
            document = node.json(*get)
            (said,) = document["studies"]
            assert (said["by"], said["broken"]) == (came, [str(broken)])
            assert (said["apart"], said["there"]) == ((1, 2) if came else (0, 3))
            shown = node.ok(*get).stdout
            assert f"  {broken} is not a whole DICOM file, and stays\n" in shown
            beside = broken.with_name(f"{broken.stem}-2.dcm")
            assert f"another file has its name, so it is apart: {beside}\n" in shown
    assert broken.read_bytes() == cut
    assert dataset_bytes(beside) == dataset_bytes(made[1].path)
    assert len(files(out)) == 4


def test_a_move_that_is_refused_is_not_waited_for_and_the_port_of_the_command_is_named(
    node, tmp_path
):
    made = generate(tmp_path / "pacs", images=2)
    node.configure({"pacs": ("PACS", free_port())}, settings={"move": {"settle": "600s"}})
    port = str(free_port())
    move = ("fetch", "pacs", "--study", made[0].study_uid, "--retrieve", "move")
    with pacs(node, tmp_path / "pacs"):
        result = node(*move, "-o", tmp_path / "out", "--aetitle", "TOOLS", "--port", port)
    assert result.code == 3
    where = f"the AE title TOOLS and this machine's address, port {port}, as a destination"
    assert where in result.stdout
    assert "nothing of 1 study came from pacs: 2 images are missing: NOT ALL" in result.stdout
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_fetched_is_refused_before_anybody_is_asked(node, tmp_path, capsys):
    out = ("-o", str(tmp_path / "out"))
    for args, said in (
        (("get", "pacs"), "--study UID"),
        (("get", "pacs", "--series", "1.2"), "--series goes with the --study"),
        (
            ("fetch", "pacs", "--study", "1.2", "--study", "1.3", "--image", "1.4"),
            "the one --study",
        ),
        (("fetch", "pacs", "--study", "1.2", "--patient-id", "1"), "leave out --study"),
        (("fetch", "pacs", "--study", "1.2.x"), "--study"),
        (("fetch", "pacs", "--patient-id", "P*"), "without wildcards"),
        (("fetch", "pacs", "--study", "1.2", "--aetitle", "far too long a title"), "AE title"),
        (("fetch", "pacs", "--study", "1.2", "--port", "1", "--retrieve", "get"), "for C-MOVE"),
        (("fetch", "pasc", "--study", "1.2"), "pasc"),
    ):
        code = cli_app.run([*args, *out, "-f", str(node.config)])
        result = capsys.readouterr()
        assert (code, result.out) == (2, ""), args
        assert said in result.err
    assert not (tmp_path / "out").exists()
    archive = Path(json.loads(node.config.read_text())["storage"]["directory"])
    (tmp_path / "link").symlink_to(archive)
    for folder in (archive, archive / "below", tmp_path / "link" / "below"):
        for way in ("get", "fetch"):
            args = (way, "pacs", "--study", "1.2", "-o", str(folder), "-f", str(node.config))
            assert cli_app.run(list(args)) == 2
            assert f"{folder} is in this node's archive" in capsys.readouterr().err
    assert not archive.exists()


def test_what_does_not_come_is_said_whatever_the_peer_says_of_it(node, tmp_path):
    made = generate(tmp_path / "pacs", images=6)
    study, out = ("--study", made[0].study_uid), tmp_path / "out"
    left_out = {"images": 0.5, "told": "completed", "share": 1.0, "first": 0}
    with pacs(node, tmp_path / "pacs", *behaving(tmp_path, left_out=left_out)):
        document = node.json("fetch", "pacs", *study, "-o", out, code=1)
    (said,) = document["studies"]
    assert (document["complete"], said["complete"], said["by"]) == (
        False,
        False,
        ["C-GET", "C-MOVE"],
    )
    there = {path.stem for path in files(out)}
    assert said["listed"] == 6
    assert 0 < said["here"] == len(there) < 6
    missing = {one["image"] for one in said["missing"]}
    assert missing == {image.sop_instance_uid for image in made} - there


COUNTS = ["NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"]


@pytest.mark.parametrize("untold", [[], COUNTS[:1], COUNTS[1:]])
def test_a_list_that_is_known_to_be_short_is_no_proof(node, tmp_path, untold):
    made = generate(tmp_path / "pacs", images=6)
    study, out = ("--study", made[0].study_uid), tmp_path / "out"
    left_out = {"images": 0.5, "told": "completed", "share": 1.0, "first": 0}
    find = {"short": {"IMAGE": 1}, "omit": untold}
    with pacs(node, tmp_path / "pacs", *behaving(tmp_path, find, left_out=left_out)):
        document = node.json("get", "pacs", *study, "-o", out, code=1)
        shown = node("get", "pacs", *study, "-o", out)
    (said,) = document["studies"]
    assert (said["listed"], said["missing"], said["errors"]) == (1, [], [])
    assert 1 < said["here"] < 6
    assert (document["complete"], said["complete"]) == (False, False)
    assert said["short"].startswith("counts 6 images of the ")
    assert (shown.code, ": NOT ALL" in shown.stdout) == (1, True)
    assert f"pacs {said['short']}" in shown.stdout


def test_what_a_short_list_does_not_name_comes_all_the_same(node, tmp_path):
    made = generate(tmp_path / "pacs", series=2, images=3)
    out = tmp_path / "out"
    study = ("--study", made[0].study_uid)
    failures = {"status": 0xC000, "comment": "not today", "share": 1.0, "first": 1}
    with pacs(node, tmp_path / "pacs", *behaving(tmp_path, {"short": {"IMAGE": 1}})):
        series = ("--series", made[0].series_uid)
        assert node.json("get", "pacs", *study, *series, "-o", out)["complete"]
        assert brought(out, made[:3])
    find = {"short": {"IMAGE": 1, "SERIES": 1}}
    with pacs(node, tmp_path / "pacs", *behaving(tmp_path, find, failures=failures)):
        document = node.json("fetch", "pacs", *study, "-o", out)
        (said,) = document["studies"]
        assert (said["by"], said["short"]) == (["C-GET", "C-MOVE"], None)
        assert brought(out, made)


@pytest.mark.parametrize("handling", ["honest", "nothing"])
def test_only_what_is_missing_comes_but_from_a_peer_that_sends_whole_studies(
    node, tmp_path, handling
):
    made = generate(tmp_path / "pacs", series=2, images=3)
    out = tmp_path / "out"
    study = ("--study", made[0].study_uid, "-o", out)
    with pacs(node, tmp_path / "pacs", *behaving(tmp_path, levels={"IMAGE": handling})):
        node.ok("fetch", "pacs", *study)
        for gone in (made[0], made[4]):
            (out / f"{gone.sop_instance_uid}.dcm").unlink()
        (out / f"{made[1].sop_instance_uid}.dcm").write_bytes(b"no image")
        (said,) = node.json("fetch", "pacs", *study)["studies"]
    there, same = (3, 0) if handling == "honest" else (0, 3)
    assert (said["new"], said["there"], said["same"], said["apart"]) == (2, there, same, 1)
    assert said["complete"]


def test_a_class_in_two_transfer_syntaxes_comes_whole_by_c_get(node, tmp_path):
    """One of them is seldom seen of it: nobody converts, so all that there are are proposed."""
    folder = tmp_path / "pacs"
    folder.mkdir()
    source = get_testdata_file("SC_rgb_jpeg_lossy_gdcm.dcm")  # JPEG Baseline
    for number, syntax in enumerate((JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless), start=1):
        dataset = dcmread(source)
        dataset.file_meta.TransferSyntaxUID = syntax  # the bytes are not looked at
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        dataset.save_as(folder / f"{number}.dcm")
    out = tmp_path / "out"
    with pacs(node, folder):
        node.ok("get", "pacs", "--study", dataset.StudyInstanceUID, "-o", out)
    assert sorted(path.name for path in files(out)) == [f"1.2.3.{n}.dcm" for n in (1, 2, 3)]


def test_what_one_way_leaves_out_comes_by_the_next(node, tmp_path):
    made = generate(tmp_path / "pacs", images=3)
    study, out = ("--study", made[0].study_uid), tmp_path / "out"
    failures = {"status": 0xC000, "comment": "not today", "share": 1.0, "first": 1}
    with pacs(node, tmp_path / "pacs", *behaving(tmp_path, failures=failures)):
        document = node.json("fetch", "pacs", *study, "-o", out)
    (said,) = document["studies"]
    assert said["by"] == ["C-GET", "C-MOVE"]
    assert any("not today" in error for error in said["errors"])
    assert brought(out, made)


def test_a_peer_with_a_url_alone_is_asked_by_wado_rs(node, tmp_path):
    made = generate(tmp_path / "web", studies=2, images=2)
    out = tmp_path / "out"
    with web_archive(made) as server:
        node.configure({}, settings={"peers": {"web": {"url": server.url}}})
        document = node.json("fetch", "web", "--study", made[0].study_uid, "-o", out)
        assert [study["by"] for study in document["studies"]] == [["WADO-RS"]]
        refused = node("get", "web", "--study", made[0].study_uid, "-o", out)
        assert (refused.code, "has a url alone" in refused.stderr) == (2, True)
    assert brought(out, made[:2])


@pytest.mark.parametrize("way", ["get", "move"])
def test_who_is_interrupted_leaves_whole_files_alone(node, tmp_path, way):
    made = generate(tmp_path / "pacs", images=4)
    out = tmp_path / "out"
    stall = {"images": 2, "at": "pdu", "share": 1.0, "first": 0}
    options = ("--study", made[0].study_uid, "-o", out, "--retrieve", way, "--json")
    with pacs(node, tmp_path / "pacs", *behaving(tmp_path, stall=stall)):
        process = node.cli.start(
            "fetch", "pacs", *options, "-f", node.config, log=tmp_path / "fetch.log"
        )
        try:
            wait_until(lambda: len(list(out.glob("*.dcm"))) == 2)
            process.signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            process.terminate()
    assert "Traceback" not in process.output()
    assert {path.suffix for path in out.iterdir()} == {".dcm"}, "no hidden folder is left"
    assert brought(out, made[:2])


@pytest.mark.peers
@pytest.mark.parametrize("server", [DcmQrScp, Orthanc])
def test_other_makers_archives_are_fetched_from_by_get_and_move(node, tmp_path, server):
    made = generate(tmp_path / "images", series=2, images=2)
    (tmp_path / "archive").mkdir()
    options = {"peers": {"NODE": node.port}} if server is DcmQrScp else {}
    with server(tmp_path / "archive", **options) as running:
        node.configure({"pacs": (running.aetitle, running.port)})
        if server is Orthanc:
            running.add_peer("NODE", node.port)
        node.ok("send", "pacs", tmp_path / "images")
        for way in ("get", "move"):
            out = tmp_path / way
            study = ("--study", made[0].study_uid, "--series", made[0].series_uid)
            document = node.json("fetch", "pacs", *study, "-o", out, "--retrieve", way)
            assert document["complete"], document
            came = {path.stem: dcmread(path) for path in files(out)}
            assert came == {image.sop_instance_uid: dcmread(image.path) for image in made[:2]}
