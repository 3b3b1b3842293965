"""`dicom-node parse`, as it is typed: a mixture of files, interruption, CSV and JSON."""

import csv
import json
import os
import shutil
import signal
import sqlite3
import struct
from contextlib import closing, suppress
from datetime import date
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from tests.support.images import dataset_bytes, generate
from tests.support.processes import Process
from tests.support.waiting import wait_until


@pytest.fixture
def config(cli, database_url) -> Path:
    """Write the configuration of the guide: three keys."""
    path = cli.folder / "conf.yaml"
    settings = {"resources": database_url, "resources_meta": "", "directory": ""}
    path.write_text(json.dumps({"storage": settings}))
    return path


@pytest.fixture
def sqlite(cli) -> Path:
    """Write a configuration with a SQLite database, and return the database's path."""
    database = cli.folder / "node.db"
    (cli.folder / "dicom-node.yaml").write_text(f'storage: {{resources: "sqlite:///{database}"}}')
    return database


def rows(database: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def mixture(tmp_path) -> Path:
    """Make a folder with files of every kind: 6 images, and what is none."""
    folder = tmp_path / "mixture"
    made = [image.path for image in generate(folder, images=6)]
    made[1].rename(folder / "IM0001")
    (folder / "no-preamble").write_bytes(made[2].read_bytes()[132:])
    made[2].unlink()
    (folder / "dataset-alone").write_bytes(dataset_bytes(made[3]))
    made[3].unlink()
    deep = folder / "a" / "very" / "deep" / "folder with spaces"
    deep.mkdir(parents=True)
    made[4].rename(deep / "ünïcode \U0001f9b4.DCM")
    raw = os.fsencode(folder) + b"/caf\xe9.dcm"
    os.rename(made[5], raw)  # noqa: PTH104 - a name that is no text
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty.dcm").touch()
    directory = get_testdata_file("dicomdirtests/DICOMDIR", download=False)
    shutil.copyfile(str(directory), folder / "DICOMDIR")
    whole = made[0].read_bytes()
    (folder / "truncated.dcm").write_bytes(whole[: len(whole) // 2])
    end_of_meta = 144 + struct.unpack_from("<L", whole, 140)[0]
    (folder / "no-dataset.dcm").write_bytes(whole[:end_of_meta])
    (folder / "loop").symlink_to(folder)
    (folder / "gone.dcm").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "fifo")
    return folder


def test_a_mixture_is_counted_by_kind_and_the_images_are_indexed(cli, config, mixture):
    result = cli("parse", "-i", mixture, "-f", config, "--create-tables", "-t", "2", "--json")
    assert result.code == 1
    counts = json.loads(result.stdout)
    assert counts["indexed"] == 6
    assert counts["skipped"] == {
        "DICOMDIR": 1,
        "FIFO": 1,
        "link to a folder": 1,
        "empty": 1,
        "not DICOM": 1,
    }
    assert counts["failed"] == {"invalid": 2, "unreadable": 1}
    assert counts["files"] == 14
    assert counts["institution"] == f"unknown_{date.today():%Y%m%d}"  # noqa: DTZ011
    with open(counts["failed_list"], newline="") as file:  # noqa: PTH123
        listed = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    assert {name: row["kind"] for name, row in listed.items()} == {
        "truncated.dcm": "invalid",
        "no-dataset.dcm": "invalid",
        "gone.dcm": "unreadable",
    }
    assert "bytes expected" in listed["truncated.dcm"]["reason"]
    assert "Traceback" not in result.stderr
    assert "Warning" not in result.stderr
    again = json.loads(cli("parse", "-i", mixture, "-f", config, "--json").stdout)
    assert (again["known"], again["indexed"]) == (6, 0)


def test_what_is_printed_says_how_fast_how_many_and_why(cli, sqlite, mixture):
    result = cli("parse", "-i", mixture, "--institution-name", "Here", "--create-tables")
    assert result.code == 1
    first, skipped, failed, listed = result.stdout.splitlines()
    assert "14 files in" in first
    assert "files/s: 6 indexed, 0 known, 5 skipped, 3 failed" in first
    assert skipped == ("skipped: 1 DICOMDIR, 1 FIFO, 1 empty, 1 link to a folder, 1 not DICOM")
    assert failed == "failed: 2 invalid, 1 unreadable"
    assert listed.endswith(str(cli.folder / "parse-failed.csv"))
    assert "truncated.dcm: (7FE0,0010)" in result.stderr
    assert rows(sqlite, "SELECT DISTINCT institution FROM images") == [("Here",)]


def test_without_failures_the_exit_code_is_0_and_nothing_is_listed(cli, sqlite, tmp_path):
    (image,) = generate(tmp_path / "one", images=1)
    result = cli("parse", "--input", image.path, "--create-tables", "--list", "list.csv")
    assert result.code == 0
    assert not list(cli.folder.glob("*list.csv*"))
    assert rows(sqlite, "SELECT filepath FROM images") == [(str(image.path),)]


def test_the_institution_of_the_configuration_is_the_default(cli, tmp_path):
    generate(tmp_path / "one", images=1)
    (cli.folder / "dicom-node.yaml").write_text("node: {institution: Clinic}")
    result = cli("parse", "-i", tmp_path / "one", "--fmt", "json")
    assert json.loads(result.stdout)[0]["institution"] == "Clinic"
    result = cli("parse", "-i", tmp_path / "one", "--fmt", "json", "--institution-name", "")
    assert json.loads(result.stdout)[0]["institution"] is None


def test_missing_tables_are_one_message_that_says_what_to_do(cli, sqlite, tmp_path):
    generate(tmp_path / "one", images=1)
    result = cli("parse", "-i", tmp_path / "one")
    assert (result.code, result.stdout) == (1, "")
    assert "dicom-node db init" in result.stderr
    assert "--create-tables" in result.stderr
    assert not sqlite.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "nowhere"], "there is no such folder"),
        (["-i", "/dev/null"], "neither a folder nor a file"),
        (["-i", ".", "-t", "0"], "--threads"),
        (["-i", ".", "--fmt", "xml"], "xml"),
        (["-i", ".", "-o", "x.csv"], "--output goes with"),
        (["-i", ".", "--fmt", "csv", "--create-tables"], "--create-tables goes with"),
        (["-i", ".", "--fmt", "json", "--json"], "--json needs --output"),
        ([], "--input"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_touches_nothing(cli, arguments, message):
    result = cli("parse", *arguments)
    assert result.code == 2
    assert bool(result.stdout) == ("--json" in arguments)
    assert message in result.stderr
    assert list(cli.folder.iterdir()) == []


def test_csv_and_json_are_the_rows_of_the_database(cli, sqlite, tmp_path):
    generate(tmp_path / "images", studies=2, images=10)
    where = ("parse", "-i", tmp_path / "images", "--institution-name", "Here")
    assert cli(*where, "--create-tables").code == 0
    as_json = cli(*where, "--fmt", "json")
    as_csv = cli(*where, "--fmt", "csv", "-o", "images.csv", "--json")
    assert (as_json.code, as_csv.code) == (0, 0)
    assert "20 indexed" in as_json.stderr
    assert json.loads(as_csv.stdout)["indexed"] == 20
    with closing(sqlite3.connect(sqlite)) as connection:
        connection.row_factory = sqlite3.Row
        kept = connection.execute("SELECT * FROM images ORDER BY filepath").fetchall()
    written = json.loads(as_json.stdout)
    with (cli.folder / "images.csv").open(newline="", encoding="utf-8") as file:
        tabular = list(csv.DictReader(file))
    assert len(kept) == len(written) == len(tabular) == 20
    for row, document, cells in zip(kept, written, tabular, strict=True):
        assert list(document) == list(cells)
        assert document["meta"] == json.loads(cells["meta"]) == json.loads(row["meta"])
        for name in document.keys() - {"meta", "study_date", "acquisition_time"}:
            assert document[name] == row[name], name
            assert cells[name] == ("" if row[name] is None else str(row[name])), name
        assert document["study_date"] == row["study_date"].partition(" ")[0]


def test_whoever_stops_reading_the_output_ends_it_without_a_traceback(cli, tmp_path):
    generate(tmp_path / "images", images=100)
    command = " ".join(cli.args("parse", "-i", tmp_path / "images", "--fmt", "csv"))
    process = Process(
        ["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"],
        log=tmp_path / "pipe.log",
        cwd=cli.folder,
        env=cli.env(),
    )
    assert process.wait() == 1
    assert "Traceback" not in process.output()


def images_in(database: Path) -> int:
    if not database.exists():
        return 0
    try:
        return rows(database, "SELECT count(*) FROM images")[0][0]
    except sqlite3.OperationalError:
        return 0


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Return a folder with many images, which are only read."""
    folder = tmp_path_factory.mktemp("many")
    generate(folder, studies=3, images=500)
    return folder


@pytest.fixture
def parsing(cli, sqlite, many, tmp_path):
    """Start to parse many images, and wait until the first are committed."""
    args = cli.args("parse", "-i", many, "-t", "1", "--json", "--create-tables")
    log = tmp_path / "parse.log"
    with Process(args, log=log, cwd=cli.folder, env=cli.env(), forks=cli.forks) as process:
        wait_until(lambda: images_in(sqlite), 30, interval=0.005, describe=process.output)
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_control_c_and_sigterm_keep_what_is_committed_and_the_next_run_does_the_rest(
    number, cli, sqlite, many, parsing
):
    parsing.signal(number)
    assert parsing.wait() == 130
    part = images_in(sqlite)
    assert 0 < part < 1500
    assert f'"indexed": {part}' in parsing.output()
    assert '"interrupted": true' in parsing.output()
    assert "Traceback" not in parsing.output()
    rest = json.loads(cli("parse", "-i", many, "--json").stdout)
    assert (rest["known"], rest["indexed"]) == (part, 1500 - part)


def test_kill_9_keeps_what_is_committed_and_leaves_no_process(cli, sqlite, many, parsing):
    (worker,) = workers_of(parsing.pid)
    os.kill(parsing.pid, signal.SIGKILL)
    parsing.wait()
    wait_until(lambda: has_ended(worker))
    part = images_in(sqlite)
    rest = json.loads(cli("parse", "-i", many, "--json").stdout)
    assert (rest["known"], rest["indexed"]) == (part, 1500 - part)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_file_of_an_interrupted_run_never_takes_the_place_of_an_earlier_one(
    cli, many, tmp_path, number
):
    folder = tmp_path / "lists"
    folder.mkdir()
    target = folder / "images.csv"
    target.write_bytes(b"of yesterday")
    args = cli.args("parse", "-i", many, "-t", "1", "--fmt", "csv", "-o", target, "--force")
    log = tmp_path / "log"
    with Process(args, log=log, cwd=cli.folder, env=cli.env(), forks=cli.forks) as process:
        wait_until(
            lambda: any(one.stat().st_size > 5000 for one in folder.glob(".*.part/*.csv")),
            30,
            interval=0.002,
            describe=process.output,
        )
        process.signal(number)
        assert process.wait() == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert target.read_bytes() == b"of yesterday"
    assert len(list(folder.iterdir())) == (1 if number == signal.SIGINT else 2)
    (one,) = [path for path in many.rglob("*") if path.is_file()][:1]
    refused = cli("parse", "-i", one, "--fmt", "csv", "-o", target)
    assert (refused.code, target.read_bytes()) == (2, b"of yesterday")
    assert cli("parse", "-i", one, "--fmt", "csv", "-o", target, "--force").code == 0
    assert target.read_bytes().startswith(b"institution,")
    assert list(folder.iterdir()) == [target]  # nor does the draft of a dead process stay


def test_the_process_that_reads_leaves_sigterm_to_its_parent(sqlite, parsing):
    """A service manager sends it to every process of a service."""
    (worker,) = workers_of(parsing.pid)
    before = images_in(sqlite)
    os.kill(worker, signal.SIGTERM)
    wait_until(lambda: images_in(sqlite) >= min(before + 300, 1500), 30)
    assert workers_of(parsing.pid) in ([worker], [])
    assert parsing.wait(60) == 0
    assert images_in(sqlite) == 1500


def test_a_process_that_is_killed_from_outside_costs_no_file(sqlite, parsing):
    (worker,) = workers_of(parsing.pid)
    os.kill(worker, signal.SIGKILL)
    assert parsing.wait(60) == 0
    assert images_in(sqlite) == 1500


def workers_of(pid: int) -> list[int]:
    """Return the processes that read files for another one; each is a group of its own."""
    children = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            with suppress(ProcessLookupError):
                children += [child] if os.getpgid(child) == child else []
    return children


def has_ended(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
