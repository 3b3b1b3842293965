"""`dicom-node query`: any level and any keys, asked of one peer, and what it says of them."""

import asyncio
import csv
import json
import signal
from contextlib import contextmanager

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.cli import app as cli_app
from node.dicom.status import Status
from tests.support.images import generate
from tests.support.node import Node, uids
from tests.support.peers.dcmtk import DcmQrScp
from tests.support.peers.orthanc import Orthanc
from tests.support.processes import free_port
from tests.support.scripted_pacs import ScriptedPacs
from tests.support.simulated import simulated
from tests.support.wado_server import web_archive
from tests.support.waiting import wait_until_async


@pytest.fixture
def node(cli, tmp_path, sqlite_url) -> Node:
    """Return a node without a database: nobody who only asks needs one."""
    return Node(cli, tmp_path / "node", sqlite_url, peers={"pacs": ("PACS", free_port())})


@contextmanager
def pacs(node, folder, *options):
    port = json.loads(node.config.read_text())["peers"]["pacs"]["port"]
    with simulated(node, folder, port, options=options) as process:
        yield process


def test_a_query_shows_what_a_peer_has_at_each_level_as_table_document_and_csv(node, tmp_path):
    made = generate(tmp_path / "pacs", studies=3, series=2, images=2)
    one = made[0]
    with pacs(node, tmp_path / "pacs"):
        shown = node.ok("query", "pacs", "-k", "studydate=2024-", "-k", "PatientAge")
        head, *lines = shown.stdout.splitlines()
        assert head.split()[:3] == ["date", "time", "patient"]
        assert "PatientAge" in head, "what was named is shown, though nobody says it"
        assert sum("2024-01-0" in line for line in lines) == 3
        assert lines[-1] == "3 studies at pacs"
        patients = node.json("query", "pacs", "--level", "patient", "-k", "PatientName=doe*")
        assert (patients["level"], patients["model"], patients["count"]) == (
            "PATIENT",
            "patient",
            3,
        )
        series = node.json("query", "pacs", "-k", f"0020000D={one.study_uid}", "-k", "modality=mr")
        assert (series["level"], series["count"], series["complete"]) == ("SERIES", 2, True)
        assert series["keys"] == {"StudyInstanceUID": one.study_uid, "Modality": "MR"}
        named = ("-k", f"StudyInstanceUID={one.study_uid}", "-k", f"0020,000E={one.series_uid}")
        images = node.json("query", "pacs", *named, "--level", "image", "-k", "Rows")
        expected = {image.sop_instance_uid for image in made if image.series_uid == one.series_uid}
        assert {match["SOPInstanceUID"] for match in images["matches"]} == expected
        assert all(match["Rows"] > 0 for match in images["matches"])
        both = node.json("query", "pacs", "-k", "ModalitiesInStudy=CT,MR")
        assert both["count"] == 3, "each modality is asked for by itself, and a study told once"
        assert both["ignored"] == []
        inner = ("-k", "RequestAttributesSequence[0].RequestedProcedureID=x")
        unheard = node("query", "pacs", *inner, "--json")
        said = json.loads(unheard.stdout)
        name = "RequestAttributesSequence.RequestedProcedureID"
        assert (said["count"], said["ignored"]) == (3, [{"key": name, "differing": 0}])
        assert f"pacs may have ignored {name}: none of 3 matches says what it has" in unheard.stderr
        none = node("query", "pacs", "-k", "PatientID=nobody")
        assert (none.code, none.stdout) == (0, "no studies at pacs\n")

        path = tmp_path / "found.csv"
        limited = node.json(
            "query", "pacs", "-k", "StudyDate=2024", "--limit", "2", "--result", path
        )
        assert (limited["count"], limited["limited"], limited["complete"]) == (2, True, False)
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["StudyInstanceUID"] for row in rows] == [
            match["StudyInstanceUID"] for match in limited["matches"]
        ]
        again = node("query", "pacs", "-k", "StudyDate=2024", "--result", path)
        assert (again.code, "--force" in again.stderr) == (2, True)
        assert "--limit" in node.ok("query", "pacs", "--limit", "1").stdout

        fuzzy = node.ok("query", "pacs", "-k", "PatientName=DOE*", "--fuzzy")
        assert "pacs does not agree to fuzzy matching of names" in fuzzy.stderr
        refused = node("query", "pacs", "-k", "Modality=MR", "--relational", "--json")
        error = json.loads(refused.stdout)["error"]
        assert (refused.code, error["kind"]) == (3, "peer")
        assert "does not agree to relational queries" in error["message"]
    away = node("query", "pacs", "-k", "StudyDate=2024")
    assert (away.code, away.stdout) == (3, "")


def test_what_cannot_be_asked_is_refused_before_anybody_is_asked(node, capsys):
    for args, said in (
        (("pacs",), "say what has to match"),
        (("pacs", "-k", "PatientID"), "--limit N"),
        (("pacs", "-k", "PatientNam=x"), "did you mean PatientName"),
        (("pacs", "-k", "StudyDate=2024-13"), "StudyDate: '2024-13'"),
        (("pacs", "-k", "Modality=CT"), "-k ModalitiesInStudy=CT"),
        (
            ("pacs", "-k", "StudyDescription=ct*", "-k", "ProtocolName=x"),
            "ProtocolName is an attribute of series: to ask for series, name the one study",
        ),
        (("pacs", "--level", "series", "-k", "ProtocolName=x"), "dicom-node: to ask for series"),
        (
            ("pacs", "-k", "PatientID=1", "--level", "patient", "--model", "study"),
            "--model patient",
        ),
        (("pacs", "-k", "PatientID=1", "--model", "patient", "--repository"), "Study Root"),
        (("pasc", "-k", "PatientID=1"), "pasc"),
        (("pasc",), "no peer is named 'pasc'"),
        (("pasc", "-k", "PatientNam=x"), "no peer is named 'pasc'"),
    ):
        code = cli_app.run(["query", *args, "-f", str(node.config)])
        result = capsys.readouterr()
        assert (code, result.out) == (2, ""), args
        assert said in result.err


@pytest.mark.parametrize("kind", ["announced", "refused"])
def test_an_answer_that_is_not_whole_is_never_shown_as_one(node, tmp_path, kind):
    generate(tmp_path / "pacs", studies=3, images=1)
    behaviour = tmp_path / "behaviour.yaml"
    cap = {"studies": 2, "kind": kind, "comment": "too many for me"}
    if kind == "refused":
        cap |= {"status": "0xA700", "first": True}
    behaviour.write_text(json.dumps({"cap": cap, "repository": True}))
    with pacs(node, tmp_path / "pacs", "--behaviour", behaviour):
        result = node("query", "pacs", "-k", "StudyDate=2024-")
        assert result.code == 1
        assert "2 studies at pacs: this is not all" in result.stdout
        status = "0xB001" if kind == "announced" else "0xA700"
        assert status in result.stderr
        document = node.json("query", "pacs", "-k", "StudyDate=2024-", code=1)
        assert (document["complete"], document["status"], document["count"]) == (False, status, 2)
        assert status in document["error"]["message"]
        if kind == "announced":
            assert Status.RESPONSE_LIMIT.meaning in result.stderr
            whole = node.json("query", "pacs", "-k", "StudyDate=2024-", "--repository")
            assert (whole["complete"], whole["count"]) == (True, 3), "page after page"


def test_a_peer_with_a_url_alone_is_searched_or_says_what_it_is_not_asked(node, tmp_path):
    made = generate(tmp_path / "web", studies=2, images=2)
    with web_archive(made) as server:
        node.configure({}, settings={"peers": {"web": {"url": server.url}}})
        found = node.json("query", "web", "-k", "StudyDate=2024")
        assert (found["operation"], found["count"]) == ("QIDO-RS", 2)
        level = ("--level", "series", "-k", f"StudyInstanceUID={made[0].study_uid}")
        assert node.json("query", "web", *level)["count"] == 1
        for args in (
            ("--level", "patient", "-k", "PatientID=1"),
            ("-k", "PatientName=D", "--fuzzy"),
        ):
            refused = node("query", "web", *args)
            assert (refused.code, "QIDO-RS" in refused.stderr) == (2, True)


def test_the_nodes_own_index_is_asked_as_a_peer_is(cli, tmp_path, migrated_url):
    made = generate(tmp_path / "images", studies=3, images=2)
    named = dcmread(made[0].path)
    named.SpecificCharacterSet, named.PatientName = "ISO_IR 100", "Müller^Jörg"
    named.save_as(made[0].path)
    node = Node(cli, tmp_path / "node", migrated_url)
    node.ok("parse", "-i", tmp_path / "images")
    assert node.ok("query", "here").stdout.endswith("3 studies here\n")
    found = node.json("query", "here", "-k", "PatientName=müller*", "--fuzzy")
    (match,) = found["matches"]
    assert (match["StudyInstanceUID"], match["PatientName"]) == (made[0].study_uid, "Müller^Jörg")
    assert (found["operation"], found["not_agreed"]) == ("index", ["fuzzy matching of names"])
    relational = node.json("query", "here", "-k", "Rows", "-k", "StudyDate=2024", "--relational")
    assert {one["SOPInstanceUID"] for one in relational["matches"]} == uids(made)
    patients = node.json("query", "here", "--level", "patient", "--limit", "2")
    assert (patients["count"], patients["limited"]) == (2, True)


def test_a_node_that_answers_agrees_to_relational_questions(cli, tmp_path, migrated_sqlite_url):
    made = generate(tmp_path / "images", studies=2, series=2, images=1)
    node = Node(cli, tmp_path / "node", migrated_sqlite_url)
    me = {"aetitle": "NODE", "host": "127.0.0.1", "port": node.port, "may_query": ["NODE"]}
    node.configure({}, settings={"peers": {"me": me}})
    node.ok("parse", "-i", tmp_path / "images")
    asked = ("-k", "Modality=MR", "-k", "StudyDate=2024-01", "--relational", "--combined")
    with node.running():
        found = node.json("query", "me", *asked)
        assert (found["level"], found["not_agreed"], found["complete"]) == ("SERIES", [], True)
        series = {match["SeriesInstanceUID"] for match in found["matches"]}
        assert series == {image.series_uid for image in made}
        assert "StudyInstanceUID" in found["matches"][0], "which study is told"
        here = node.json("query", "here", *asked)
        assert here["matches"] == found["matches"], "over the network and not"


async def test_who_is_interrupted_has_what_had_come_and_is_told_that_it_is_not_all(node, tmp_path):
    async def script(asked):
        if asked.number == 2:
            await asyncio.Event().wait()
        for number in range(3):
            answer = Dataset()
            answer.StudyInstanceUID = f"1.2.{number}"
            asked.pending(answer)
        asked.done()

    path = tmp_path / "found.csv"
    args = ("query", "pacs", "-k", "ModalitiesInStudy=CT,MR", "--json", "--result", path)
    async with ScriptedPacs(script) as peer:
        node.configure({"pacs": ("PACS", peer.peer().port)})
        log = tmp_path / "query.log"
        process = node.cli.start(*args, "--config", node.config, log=log)
        try:
            await wait_until_async(lambda: len(peer.asked) == 2)
            process.signal(signal.SIGINT)
            assert await asyncio.to_thread(process.wait, 20) == 130
        finally:
            process.terminate()
    said = process.output()
    document = json.loads(said[said.index("{\n") : said.rindex("}") + 1])
    assert (document["count"], document["complete"], document["status"]) == (3, False, None)
    assert document["error"]["kind"] == "interrupted"
    assert path.read_text().count("\n") == 4


@pytest.mark.peers
@pytest.mark.parametrize("server", [DcmQrScp, Orthanc])
def test_names_that_are_not_ascii_are_asked_for_and_answered_right(node, tmp_path, server):
    made = generate(tmp_path / "images", studies=2, images=1)
    for image, name, charset in zip(
        made, ("Müller^Jörg", "Łódź^Zofia"), ("ISO_IR 100", "ISO_IR 101"), strict=True
    ):
        dataset = dcmread(image.path)
        dataset.SpecificCharacterSet, dataset.PatientName = charset, name
        dataset.save_as(image.path)
    (tmp_path / "archive").mkdir()
    with server(tmp_path / "archive") as running:
        node.configure({"pacs": (running.aetitle, running.port)})
        node.ok("send", "pacs", tmp_path / "images")
        for name, image in (("Müller*", made[0]), ("Łódź^Z*", made[1])):
            found = node.json("query", "pacs", "-k", f"PatientName={name}")
            (match,) = found["matches"]
            assert (match["StudyInstanceUID"], found["ignored"]) == (image.study_uid, [])
            if server is DcmQrScp or image is made[0]:  # Orthanc answers in ISO_IR 100, without Ł
                assert match["PatientName"].startswith(name[:4])
        keys = ("StudyDate=2024-", "StudyTime=00-23", "PatientID=*", "PatientName=M*")
        many = node.json("query", "pacs", *(word for key in keys for word in ("-k", key)))
        assert (many["count"], many["ignored"]) == (1, [])
        inner = "RequestAttributesSequence[0].RequestedProcedureID=x"
        (ignored,) = node.json("query", "pacs", "-k", inner)["ignored"]
        assert ignored["differing"] == 0
        series = node.json("query", "pacs", "-k", f"StudyInstanceUID={made[0].study_uid}",
                           "--level", "series")  # fmt: skip
        assert series["matches"][0]["SeriesInstanceUID"] == made[0].series_uid
