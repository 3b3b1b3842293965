"""`dicom-node find PEER --list`: a question for each line, and the result beside it."""

import asyncio
import csv
import json

import pytest
from pydicom.dataset import Dataset

from schema import Database, record_found
from tests.support.misbehaving import misbehaving_pacs
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.scripted_pacs import ScriptedPacs


@pytest.fixture
def cli(inside):
    return inside


def node_at(cli, tmp_path, url: str, port: int) -> Node:
    return Node(cli, tmp_path / "node", url, peers={"pacs": ("PACS", port)})


async def query(node: Node, sql: str):
    return await asyncio.to_thread(node.rows, sql)


async def find(node: Node, *args, code: int = 0):
    return await asyncio.to_thread(node.json, "find", "pacs", *args, code=code)


def results(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        separator = ";" if ";" in file.readline() else ","
        file.seek(0)
        return list(csv.DictReader(file, delimiter=separator))


def study(uid: str, **values: str) -> Dataset:
    answer = Dataset()
    answer.StudyInstanceUID = uid
    for keyword, value in values.items():
        setattr(answer, keyword, value)
    return answer


HELD = [
    study("1.2.1", AccessionNumber="A1", PatientID="P1", StudyDate="20240131"),
    study("1.2.2", AccessionNumber="A2", PatientID="P1", StudyDate="20240201"),
    study("1.2.3", AccessionNumber="A2", PatientID="P1", StudyDate="20240201"),
    study("1.2.4", AccessionNumber="A3", PatientID="P2", IssuerOfPatientID="CLINIC"),
    study("1.2.5", AccessionNumber="A3", PatientID="P2", IssuerOfPatientID="PRACTICE"),
    study("1.2.6", AccessionNumber="A4", PatientID="P3"),
]


async def hospital(asked):
    """Answer as a PACS does that matches all keys."""
    for one in HELD:
        if all(
            str(one.get(key, "")) in value.split("\\")
            for key in ("AccessionNumber", "PatientID", "StudyDate", "IssuerOfPatientID")
            if (value := str(asked.identifier.get(key, "") or ""))
        ) and (not asked.study_uid or one.StudyInstanceUID in _uids(asked)):
            asked.pending(one)
    if str(asked.identifier.get("PatientID", "")) == "REFUSED":
        asked.done(0xA900)
    else:
        asked.done()


def _uids(asked):
    value = asked.identifier.StudyInstanceUID
    return [value] if isinstance(value, str) else list(value)


LINES = (
    ("1.2.1;;;", "found", "1.2.1", ""),
    ("1.2.9;;;", "not found", "", ""),
    (";A1;;", "found", "1.2.1", ""),
    (";A2;;", "ambiguous", "1.2.2\\1.2.3", "2 studies with this accession number"),
    (";A3;;", "ambiguous", "1.2.4\\1.2.5", "2 studies of 2 patients"),
    (";A9;;", "not found", "", ""),
    (";;P1;", "found", "1.2.1\\1.2.2\\1.2.3", ""),
    (";;P1;2024-01-31", "found", "1.2.1", ""),
    (";;P2;", "ambiguous", "1.2.4\\1.2.5", "2 studies of 2 patients"),
    (" 1.2.1 ;;;", "duplicate", "", "line 2 asks for the same"),
    (";A*;;", "refused", "", "stand for others"),
    (";;;2024-01-31", "refused", "", "alone would bring too many"),
    (";;REFUSED;", "failed", "", "0xA900"),
    ("1.2.6;A4;P3;", "found", "1.2.6", ""),
)


async def test_each_line_of_a_list_has_its_result(cli, tmp_path, migrated_url):
    listed, result = tmp_path / "list.csv", tmp_path / "result.csv"
    lines = "".join(f"{line}\n" for line, *_ in LINES)
    listed.write_text(f"Study UID;Accession;PatientID;StudyDate\n{lines}", encoding="utf-8")
    async with ScriptedPacs(hospital) as pacs:
        node = node_at(cli, tmp_path, migrated_url, pacs.peer().port)
        options = ("--list", listed, "--result", result, "--json")
        first = await asyncio.to_thread(node, "find", "pacs", *options)
        told, progress = json.loads(first.stdout), first.stderr
        asked = len(pacs.asked)
        again = await find(node, "--list", listed, "--result", result, code=1)
        assert len(pacs.asked) == asked, "all lines have a result"
    assert result.read_text(encoding="utf-8").startswith("Study UID;"), "the list's separator"
    for row, (line, outcome, uids, message) in zip(results(result), LINES, strict=True):
        said = (row["find_outcome"], row["find_studies"])
        assert said == (outcome, uids), (line, row)
        assert message in row["find_message"], (line, row)
        assert ";".join(list(row.values())[:4]) == line
    counts = {key: told[key] for key in ("found", "not_found", "ambiguous", "duplicate")}
    assert counts == {"found": 5, "not_found": 2, "ambiguous": 3, "duplicate": 1}
    assert (told["refused"], told["failed"], told["new"]) == (2, 1, 6)
    assert f"find at pacs: {len(LINES)} of {len(LINES)} lines, " in progress
    assert (again["before"], again["questions"], again["found"]) == (14, 0, 5)
    assert len(await query(node, "SELECT 1 FROM studies_find")) == 6
    windows = await query(node, "SELECT outcome, matches FROM find_windows ORDER BY id")
    assert [(row["outcome"], row["matches"]) for row in windows] == [
        ("complete", 1), ("complete", 0), ("complete", 5), ("complete", 0),
    ]  # fmt: skip
    assert len(await query(node, "SELECT 1 FROM cycles WHERE kind = 'find'")) == 2


async def test_an_accession_number_of_several_studies_or_patients_is_told(
    cli, tmp_path, migrated_url
):
    async with ScriptedPacs(hospital) as pacs:
        node = node_at(cli, tmp_path, migrated_url, pacs.peer().port)
        listed = tmp_path / "list.csv"
        listed.write_text("accession\nA1\nA2\nA2\nA3\n", encoding="utf-8")
        for args in (("create", "knee"), ("add", "knee", "--csv", listed)):
            added = await asyncio.to_thread(node.ok, "project", *args)
        assert "3 accession numbers, from column 1; 1 line repeated" in added.stderr
        found = await asyncio.to_thread(node.ok, "find", "--project", "knee")
    assert "number A2 is ambiguous: 2 studies with this accession number\n" in found.stderr
    assert "number A3 is ambiguous: 2 studies of 2 patients\n" in found.stderr
    assert "A1" not in found.stderr
    shown = await asyncio.to_thread(node.ok, "project", "show", "knee")
    assert "number A2 names 2 studies, and all are in the project: 1.2.2, 1.2.3" in shown.stderr
    assert "number A3 names 2 studies of 2 patients, and all" in shown.stderr
    told = await asyncio.to_thread(node.json, "project", "show", "knee")
    assert told["ambiguous_patients"] == {"A3": ["P2 (CLINIC)", "P2 (PRACTICE)"]}

    async with Database(migrated_url) as db, db.begin() as session:
        here = [study(f"1.2.{n}", AccessionNumber="A3", PatientID=f"X{n}") for n in (4, 5)]
        await record_found(session, here, peer="other")
    shown = await asyncio.to_thread(node.ok, "project", "show", "knee")
    said = "A3 names 2 studies, with 4 Patient IDs in all at the PACSs that have them, and all"
    assert said in shown.stderr


async def test_an_accession_number_is_one_question_and_what_proves_that_there_is_none(
    cli, tmp_path, migrated_sqlite_url
):
    async with ScriptedPacs(hospital) as pacs:
        node = node_at(cli, tmp_path, migrated_sqlite_url, pacs.peer().port)
        found = await find(node, "--accession", "A1")
        assert (found["found"], found["failed_windows"], len(pacs.asked)) == (1, 0, 1)
        several = await find(node, "--accession", "A2")
        assert several["ambiguous"] == {"A2": "2 studies with this accession number"}
        pacs.asked.clear()
        nothing = await find(node, "--accession", "A9")
        assert (nothing["found"], nothing["failed_windows"]) == (0, 0)
        asked = [str(one.identifier.AccessionNumber) for one in pacs.asked]
        assert (asked[0], len(asked)) == ("A9", 2), "then one that the peer is known to have"
        assert asked[1] in {"A1", "A2"}
        wild = await find(node, "--accession", "A?")
        assert wild["found"] == 0, "this PACS takes no wildcards"
    rows = await query(node, "SELECT query, outcome FROM find_windows ORDER BY id")
    assert [(row["query"], row["outcome"]) for row in rows[:3]] == [
        ('{"AccessionNumber":"A1"}', "complete"),
        ('{"AccessionNumber":"A2"}', "complete"),
        ('{"AccessionNumber":"A9"}', "complete"),
    ]


async def test_a_find_of_a_list_that_was_killed_goes_on(cli, tmp_path, migrated_sqlite_url):
    listed, result = tmp_path / "list.csv", tmp_path / "result.csv"
    async with misbehaving_pacs() as pacs:
        uids = sorted(pacs.truth())
        listed.write_text("\n".join(["uid", *uids, "1.2.3"]), encoding="utf-8")
        node = node_at(cli, tmp_path, migrated_sqlite_url, pacs.port)
        process = cli.start(
            "find", "pacs", "--list", listed, "--result", result, "--interval", "0.2s",
            "--config", node.config, log=tmp_path / "log",
        )  # fmt: skip
        while not result.exists() or len(result.read_bytes().splitlines()) < 150:
            assert process.running
            await asyncio.sleep(0.02)
        process.kill()
        with result.open("ab") as file:
            file.write(uids[200].encode()[:7])  # torn
        told = await find(node, "--list", listed, "--result", result)
    rows = results(result)
    assert [row["uid"] for row in rows] == [*uids, "1.2.3"]
    assert [row["find_outcome"] for row in rows] == [*["found"] * len(uids), "not found"]
    assert told["before"] == 200
    assert len(await query(node, "SELECT 1 FROM studies_find")) == len(uids)


def test_what_a_list_needs_is_said(cli, tmp_path, migrated_sqlite_url):
    node = node_at(cli, tmp_path, migrated_sqlite_url, free_port())
    listed = tmp_path / "list.csv"
    listed.write_text("PatientID,Acession\nP,1\n", encoding="utf-8")
    ids = ("find", "pacs", "--list", listed)
    for args, code, said in (
        (ids, 2, "did you mean AccessionNumber by 'Acession'?"),
        ((*ids, "--last", "3d"), 2, "alone, not with --last"),
        ((*ids, "--plan"), 2, "not with --plan; a plan is for study dates"),
        (("find", "--list", listed), 2, "whom to ask"),
        (("find", "pacs", "--result", listed), 2, "which list"),
        ((*ids, "--interval", "soon"), 2, "--interval soon"),
        (("find", "pacs", "--list", tmp_path / "none.csv"), 2, "No such file"),
    ):
        refused = node(*args)
        assert (refused.code, said in refused.stderr) == (code, True), refused
    listed.write_text("PatientID\nP\n", encoding="utf-8")
    result = tmp_path / "result.csv"
    assert node(*ids, "--result", result).code == 3
    assert len(result.read_text(encoding="utf-8").splitlines()) == 1
