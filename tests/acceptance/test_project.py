"""Projects as a user works with them: the console script, a PACS, lists in CSV."""

import csv
import json

import pytest

from tests.support.cli import Result
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port


@pytest.fixture
def cli(inside):
    return inside


def run_all(node: Node, *commands: tuple[str, ...]) -> list[Result]:
    return [node(*command) for command in commands]


@pytest.fixture
def node(cli, tmp_path, migrated_url):
    return Node(cli, tmp_path / "node", migrated_url, peers={"pacs": ("PACS", free_port())})


@pytest.fixture
def local_node(cli, tmp_path, migrated_sqlite_url):
    """Return a node for what does not depend on the database."""
    peers = {"pacs": ("PACS", free_port())}
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)


@pytest.fixture
def serve(cli, tmp_path):
    """Start the demonstration PACS over a folder, as the node's peer."""
    started = []

    def start(folder, node):
        port = json.loads(node.config.read_text())["peers"]["pacs"]["port"]
        process = cli.start(
            "simulate",
            folder,
            "--aetitle",
            "PACS",
            "--port",
            str(port),
            "--destination",
            f"NODE=127.0.0.1:{node.port}",
            log=tmp_path / "simulate.log",
        )
        started.append(process)
        process.wait_for_port(port)
        return process

    yield start
    for process in started:
        process.terminate()


def test_a_project_goes_from_a_list_to_complete_studies(node, serve, tmp_path):
    images = generate(tmp_path / "images", studies=4, images=3)
    uids = sorted({image.study_uid for image in images})
    table = tmp_path / "list.csv"
    table.write_text(f"Patient;Study Instance UID\nx;{uids[0]}\ny;{uids[1]}\nz;1.2.3.4\n")
    add = ("project", "add", "knee", "--csv", str(table))
    made, added, again, shown, moved = run_all(
        node,
        ("project", "create", "knee", "--description", "for Anna"),
        (*add, "--accession", "A000000002", "--json"),
        (*add, "--accession", "NOWHERE"),
        ("project", "show", "knee", "--json"),
        ("move", "--project", "knee"),
    )
    assert made.stdout.startswith("knee: created")
    told = {"new": 4, "known_already": 0, "skipped": 0, "left_out": []}
    assert json.loads(added.stdout) == told
    assert again.stdout == "knee: 1 new, 3 known already\n"
    document = json.loads(shown.stdout)
    assert {row["why"] for row in document["members"]} == {"no peer was asked for it yet"}
    assert document["project"]["studies"] == 5
    assert moved.code == 0
    assert "5 of 5 studies are not found anywhere yet" in moved.stderr
    assert moved.stdout.startswith("Nothing to move")

    serve(tmp_path / "images", node)
    found = node("find", "--project", "knee")
    assert found.code == 0, found
    assert "pacs: 3 studies found, 3 of them new" in found.stdout
    assert "knee: 5 studies, 3 found, 2 not" in found.stderr
    windows = node.rows("SELECT outcome, matches, start_date FROM find_windows ORDER BY id")
    assert {row["start_date"] for row in windows} == {None}
    outcomes = [row["outcome"] for row in windows]
    assert outcomes == ["suspect", *["complete"] * 5], (
        "a list of UIDs and the one that it did not bring, two accession numbers, and a study and "
        "a number that are there, to see that nothing is nothing"
    )

    _, shown = run_all(
        node,
        ("find", "pacs", "--last", "1d"),  # a question about dates names no study
        ("project", "show", "knee", "--missing", "--json"),
    )
    members = json.loads(shown.stdout)["members"]
    why = {row["study_uid"] or row["accession_number"]: row["why"] for row in members}
    assert why[uids[0]] == "found at pacs, not moved yet"
    for key in ("1.2.3.4", "NOWHERE"):
        assert why[key].startswith("pacs, asked ")
        assert why[key].endswith("has no such study")

    moved = node("move", "--project", "knee", "--json")
    assert moved.code == 0
    assert {study["outcome"] for study in json.loads(moved.stdout)["studies"]} == {"complete"}
    assert "2 of 5 studies are not found anywhere yet" in moved.stderr
    assert node.value("SELECT count(*) FROM images") == 9, "the fourth study is not in the project"

    folder = tmp_path / "export"
    listed, shown, exported = run_all(
        node,
        ("project", "list"),
        ("project", "show", "knee"),
        ("project", "export", "knee", "-o", str(folder)),
    )
    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["project", "studies", "found", "received", "complete", "images"],
        ["knee", "5", "3", "3", "3", "9"],
    ]
    assert "knee: 5 studies, 3 found, 3 received, 3 complete; 9 images" in shown.stdout
    assert "for Anna" in shown.stdout
    assert exported.stdout.splitlines() == [
        f"{folder}/studies.csv: 5 rows",
        f"{folder}/images.csv: 9 rows",
    ]
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["filepath"] for row in rows} == {str(path) for path in node.stored().values()}
    assert "meta" not in rows[0]
    with (folder / "studies.csv").open(newline="", encoding="utf-8") as file:
        states = [row["state"] for row in csv.DictReader(file)]
    assert sorted(states) == ["not found"] * 2 + ["retrieved"] * 3


def test_what_a_query_finds_is_added_to_the_project(local_node, serve, tmp_path):
    images = generate(tmp_path / "images", studies=3, images=1)
    serve(tmp_path / "images", local_node)
    dates = ("--from", "2024-01-01", "--to", "2024-01-02", "--project", "first days")
    *done, shown, complete = run_all(
        local_node,
        ("project", "create", "first days"),
        ("find", "pacs", *dates),
        ("find", "pacs", *dates),
        ("project", "show", "first days", "--json"),
        ("find", "pacs", "--project", "first days"),
    )
    assert [result.code for result in done] == [0, 0, 0]
    assert "first days: 2 studies, 2 found" in done[-1].stderr
    members = json.loads(shown.stdout)["members"]
    assert {member["study_uid"] for member in members} == {image.study_uid for image in images[:2]}
    assert complete.stdout == "pacs: nothing to ask: every study of the project is found\n"

    add = ("project", "add", "by criteria", "--json")
    *_, patient, day, peer, everything = run_all(
        local_node,
        ("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-05"),
        ("project", "create", "by criteria"),
        (*add, "--patient-id", "P0000-0002"),
        (*add, "--from", "2024-01-02", "--to", "2024-01-03", "--modality", "MR"),
        (*add, "--peer", "pacs"),
        (*add, "--all"),
    )
    new = [json.loads(result.stdout)["new"] for result in (patient, day, peer, everything)]
    assert new == [1, 1, 1, 0]


def test_nothing_is_added_from_a_list_that_is_wrong_unless_told_so(local_node, tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("study_uid\n1.2.3\n1.23E+05\n\n1.2.x\n1.2.4\n")
    add = ("project", "add", "p", "--csv", str(table))
    _, refused, shown, part, document, removed = run_all(
        local_node,
        ("project", "create", "p"),
        add,
        ("project", "show", "p"),
        (*add, "--skip-invalid"),
        (*add, "--skip-invalid", "--json"),
        ("project", "remove", "p", "--study", "1.2.3", "--study", "1.2.9"),
    )
    assert refused.code == 2
    assert f"{table}, line 3: '1.23E+05'" in refused.stderr
    assert f"{table}, line 5: '1.2.x' is no Study Instance UID" in refused.stderr
    assert shown.stdout.startswith("p: 0 studies")
    assert (part.code, part.stdout) == (0, "p: 2 new, 0 known already\n")
    assert part.stderr.startswith(f"{table}: 2 Study UIDs, from column 1\n")
    assert "line 5 is left out" in part.stderr
    told = json.loads(document.stdout)
    assert (told["skipped"], [one["line"] for one in told["left_out"]]) == (2, [3, 5])
    assert "no Study Instance UID" in told["left_out"][1]["message"]
    assert removed.stdout == "p: 1 removed, 1 was not in it\n"


def test_a_list_comes_from_the_standard_input_too(two_projects):
    config = two_projects.config
    arguments = ("project", "add", "hip", "--csv", "-", "--config", config)
    piped = two_projects.cli(*arguments, stdin="1.2.840.1.5\n\n1.2.840.1.6\n")
    assert (piped.code, piped.stdout) == (0, "hip: 2 new, 0 known already\n")


REFUSED = (
    (("create", "knee"), 1, "there is a project 'knee' already"),
    (("create", " "), 2, "needs a name"),
    (("add", "knee"), 2, "--csv FILE"),
    (("add", "knee", "--study", "1.2.x"), 2, "no Study Instance UID"),
    (("add", "knee", "--accession", "A*"), 2, "stand for others"),
    (("add", "knee", "--column", "x"), 2, "--csv FILE"),
    (("add", "knee", "--csv", "missing.csv"), 2, "missing.csv: No such file"),
    (("add", "knee", "--all", "--modality", "CT"), 2, "without other criteria"),
    (("add", "knee", "--peer", "nobody"), 2, "no peer is named 'nobody'"),
    (("add", "knee", "--last", "12h"), 2, "whole days or weeks"),
    (("show", "kne"), 2, "known are: 'knee', 'hip'"),
    (("export", "shoulder", "-o", "."), 2, "known are: "),
    (("remove", "knee"), 2, "say what to remove"),
    (("delete", "knee"), 2, "--yes"),
    (("delete", "knee", "--yes"), 0, ""),
)


def test_what_makes_no_sense_is_refused_with_a_reason(two_projects):
    results = run_all(two_projects, *(("project", *arguments) for arguments, _, _ in REFUSED))
    for (arguments, code, said), result in zip(REFUSED, results, strict=True):
        assert (result.code, said in result.stderr) == (code, True), (arguments, result)


@pytest.fixture
def two_projects(local_node):
    create = ("project", "create")
    made = run_all(local_node, (*create, "hip"), (*create, "knee"))
    assert [result.code for result in made] == [0, 0]
    return local_node


def test_files_of_an_earlier_export_are_replaced_only_when_told_so(two_projects, tmp_path):
    folder = tmp_path / "out"
    export = ("project", "export", "hip", "-o", str(folder))
    add = ("project", "add", "hip", "--study", "1.2.3", "--accession", "=1+1")
    run_all(two_projects, add, export)
    before = (folder / "studies.csv").read_bytes()
    assert b",=1+1," in before
    (refused,) = run_all(two_projects, (*export, "--safe"))
    assert (refused.code, "--force" in refused.stderr) == (2, True)
    assert (folder / "studies.csv").read_bytes() == before
    (replaced,) = run_all(two_projects, (*export, "--safe", "--force", "--meta"))
    assert replaced.code == 0
    assert b",'=1+1," in (folder / "studies.csv").read_bytes()
    assert b",meta," in (folder / "images.csv").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["images.csv", "studies.csv"]


def test_a_pacs_is_never_asked_for_everything_at_once(local_node):
    asked = [
        (),
        ("--modality", "CT"),
        ("--patient-id", "*"),
        ("--accession", "?*", "--modality", "CT"),
        ("--project", "knee", "--modality", "CT"),
    ]
    for refused in run_all(local_node, *(("find", "pacs", *options) for options in asked)):
        assert refused.code == 2
        assert "never asked for everything" in refused.stderr
        for option in ("--last", "--from", "--to", "--modality", "--patient-id", "--study"):
            assert option in refused.stderr
        assert "--accession" in refused.stderr
        assert "--project" in refused.stderr
    blank = local_node("find", "pacs", "--study", " ")
    assert (blank.code, "no Study Instance UID" in blank.stderr) == (2, True)
    assert local_node.value("SELECT count(*) FROM find_windows") == 0


NO_DAYS = ("12h", "36h", "90", "0d", "1.5d", "x")


def test_study_dates_are_asked_for_in_whole_days(local_node):
    for last, refused in zip(
        NO_DAYS,
        run_all(local_node, *(("find", "pacs", "--last", last) for last in NO_DAYS)),
        strict=True,
    ):
        assert refused.code == 2
        assert f"--last {last}" in refused.stderr


def test_a_find_without_a_peer_asks_all_of_them(two_projects):
    refused, unknown, added, away = run_all(
        two_projects,
        ("find", "--last", "7d"),
        ("find", "--project", "shoulder"),
        ("project", "add", "hip", "--study", "1.2.3"),
        ("find", "--project", "hip"),
    )
    assert (refused.code, "nobody answers" in refused.stderr) == (3, True)
    assert (unknown.code, "no project is named 'shoulder'" in unknown.stderr) == (2, True)
    assert added.code == 0
    assert (away.code, "nobody answers" in away.stderr) == (3, True)
    (member,) = two_projects.json("project", "show", "hip")["members"]
    assert "gave no answer: " in member["why"]


def test_a_move_of_a_study_outside_the_project_is_refused(two_projects):
    _, refused = run_all(
        two_projects,
        ("project", "add", "hip", "--study", "1.2.3"),
        ("move", "--project", "hip", "--study", "1.2.4"),
    )
    assert (refused.code, "is not in the project 'hip'" in refused.stderr) == (2, True)
