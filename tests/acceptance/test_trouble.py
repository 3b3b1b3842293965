"""What goes wrong: peers that are away, refuse, or deliver only part; wrong input."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.dicom.status import Status
from schema import Database, add_images, record_found
from schema.cycles import finish_cycle, start_cycle
from schema.moving.attempts import begin_attempts
from tests.db.records import finding, record
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import Process, free_port
from tests.support.scripted_pacs import ScriptedPacs
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url):
    """Return a node on SQLite alone, where no SQL of its own is at stake."""
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers={"pacs": ("PACS", free_port())})


@pytest.fixture
def node_of_both(cli, tmp_path, migrated_url):
    """Return a node on each database, where rows that others change decide."""
    return Node(cli, tmp_path / "node", migrated_url, peers={"pacs": ("PACS", free_port())})


@pytest.fixture
def serve(cli, tmp_path):
    """Start the demonstration PACS over a folder, on a port."""
    started = []

    def start(folder, port, node, *options):
        process = cli.start(
            "simulate",
            folder,
            "--aetitle",
            "PACS",
            "--port",
            str(port),
            "--destination",
            f"NODE=127.0.0.1:{node.port}",
            *options,
            log=tmp_path / f"simulate-{len(started)}.log",
        )
        started.append(process)
        process.wait_for_port(port)
        return process

    yield start
    for process in started:
        process.terminate()


async def test_a_find_that_cannot_say_whether_studies_are_gone_is_not_done(
    cli, tmp_path, migrated_sqlite_url
):
    days = {f"1.2.{day}": f"202401{day:02}" for day in (3, 11, 19, 27)}

    async def by_date_alone(asked):
        first, _, last = str(asked.identifier.StudyDate).partition("-")
        for uid, day in days.items():
            if not asked.study_uid and first <= day <= (last or first):
                answer = Dataset()
                answer.StudyInstanceUID, answer.StudyDate = uid, day
                asked.pending(answer)
        asked.done()

    async with ScriptedPacs(by_date_alone) as pacs:
        peers = {"pacs": ("PACS", pacs.peer().port)}
        node = Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)
        january = ("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-31")
        await asyncio.to_thread(node.ok, *january)
        del days["1.2.19"]
        second = await asyncio.to_thread(node, *january)
        told = await asyncio.to_thread(node.json, *january, code=1)
    assert second.code == 1
    assert "1 study did not come again: whether pacs still has it is not known" in second.stderr
    assert (told["unconfirmed"], told["failed_windows"], told["gone"]) == (1, 0, 0)
    outcomes = await asyncio.to_thread(node.rows, "SELECT outcome FROM cycles ORDER BY id")
    assert [row["outcome"] for row in outcomes] == ["done", "partial", "partial"]


def port_of(node):
    return json.loads(node.config.read_text())["peers"]["pacs"]["port"]


def test_an_unreachable_peer_is_an_error_and_never_zero_studies(node):
    for command in (("echo", "pacs"), ("find", "pacs", "--last", "3d")):
        result = node(*command)
        assert result.code == 3
        assert result.stdout == ""
        assert "nobody answers" in result.stderr
        assert "0 studies" not in result.stderr.replace("0 studies, 1 answer not whole", "")
        assert "Traceback" not in result.stderr
    windows = node.rows("SELECT outcome, matches, message FROM find_windows")
    assert [row["outcome"] for row in windows] == ["failed"], "the rest is not tried"
    assert all("nobody answers" in row["message"] for row in windows)
    assert node.value("SELECT outcome FROM cycles") == "failed"


def test_a_peer_that_refuses_our_call_is_told_apart(node, serve, tmp_path):
    generate(tmp_path / "images", images=1)
    serve(tmp_path / "images", port_of(node), node)
    node.configure({"pacs": ("WRONG", port_of(node))})
    result = node("echo", "pacs")
    assert result.code == 3
    assert "called ae title not recognised" in result.stderr


def test_a_part_is_not_a_whole_and_a_later_move_completes_it(node_of_both, serve, tmp_path):
    node = node_of_both
    images = generate(tmp_path / "images", studies=2, images=10)
    port = port_of(node)
    withholding = serve(tmp_path / "images", port, node, "--withhold", "3")
    node.configure({"pacs": ("PACS", port)}, settings={"move": {"settle": "0.5s"}})
    assert node.json("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-03")["found"] == 2
    moved = node.json("move", code=1)
    assert [study["outcome"] for study in moved["studies"]] == ["partial", "partial"]
    assert all("3 of 10 images are missing" in study["message"] for study in moved["studies"])
    rows = node.rows("SELECT retrieved_on, state, attempts, last_error FROM studies_find")
    assert [(row["retrieved_on"], row["state"], row["attempts"]) for row in rows] == [
        (None, "partial", 2)  # the second time in vain, and for those that are missing alone
    ] * 2
    assert node.rows("SELECT level, requested, arrived FROM move_attempts ORDER BY id") == [
        {"level": "STUDY", "requested": None, "arrived": 7},
        {"level": "STUDY", "requested": None, "arrived": 7},
        {"level": "IMAGE", "requested": 3, "arrived": 0},
        {"level": "IMAGE", "requested": 3, "arrived": 0},
    ]
    assert all("3 of 10" in row["last_error"] for row in rows)
    assert withholding.terminate() == 0
    serve(tmp_path / "images", port, node)
    moved = node.json("move")
    assert [study["outcome"] for study in moved["studies"]] == ["complete", "complete"]
    assert len(node.stored()) == len(images) == 20
    assert node.value("SELECT count(*) FROM studies_find WHERE retrieved_on IS NULL") == 0


def test_a_study_that_another_node_is_moving_is_left_to_it_and_no_failure(
    node_of_both, serve, tmp_path
):
    node = node_of_both
    images = generate(tmp_path / "images", studies=2, images=2)
    theirs = images[0].study_uid
    serve(tmp_path / "images", port_of(node), node)
    node.ok("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-03")

    async def while_another_node_moves():
        async with Database(node.database_url) as database:
            other = await database.run(start_cycle, "move", peer="pacs", node="OTHER")
            await database.run(begin_attempts, [theirs], peer="pacs", cycle_id=other, node="OTHER")
            moved = await asyncio.to_thread(node.json, "move")
            again = await asyncio.to_thread(node, "move")
            await database.run(finish_cycle, other, "interrupted")
            return moved, again

    moved, again = asyncio.run(while_another_node_moves())
    assert {one["study_uid"]: one["outcome"] for one in moved["studies"]} == {
        images[-1].study_uid: "complete",
        theirs: "skipped",
    }
    assert "another node is moving it" in {one["message"] for one in moved["studies"]}
    assert again.code == 0
    assert "left to another node" in again.stderr
    assert node.value("SELECT sum(attempts) FROM studies_find") == 1
    assert [one["outcome"] for one in node.json("move")["studies"]] == ["complete"]


def test_a_move_beside_a_node_whose_disk_is_full_asks_for_nothing_and_says_why(
    node, serve, tmp_path
):
    generate(tmp_path / "images", studies=2, images=2)
    serving = serve(tmp_path / "images", port_of(node), node)
    node.ok("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-03")
    command = (sys.executable, "-m", "tests.support.faulty_node", "full", "move")
    with node.running():
        move = Process(
            [*command, "--config", node.config],
            log=tmp_path / "move.log",
            cwd=ROOT,
            env=node.cli.env(),
            forks=node.cli.forks,
        )
        move.wait_for_line("waiting: less than .* MB are free below the storage directory")
        why = "SELECT message FROM cycles WHERE kind = 'move'"
        wait_until(lambda: "waiting: less than" in (node.value(why) or ""))
        move.signal(signal.SIGINT)
        assert move.wait() == 130
    assert "C-MOVE" not in serving.output()
    assert node.value("SELECT outcome FROM cycles WHERE kind = 'move'") == "interrupted"
    assert node.value("SELECT sum(attempts) FROM studies_find") == 0


def test_a_destination_that_the_peer_does_not_know_stops_the_move_and_says_what_to_do(
    node, serve, tmp_path
):
    generate(tmp_path / "images", studies=2, images=1)
    serve(tmp_path / "images", port_of(node), node, "--destination", "OTHER=127.0.0.1:104")
    node.ok("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-03")
    stranger = {"node": {"aetitle": "STRANGER"}}
    node.configure({"pacs": ("PACS", port_of(node))}, settings=stranger)
    result = node("move", "pacs")
    assert result.code == 3
    assert "0xA801 (move destination unknown)" in result.stderr
    assert "STRANGER" in result.stderr
    assert node.value("SELECT sum(attempts) FROM studies_find") == 0  # it is no fault of a study
    assert node.value("SELECT count(*) FROM move_attempts WHERE failure = 'configuration'") == 1


async def test_what_was_done_before_the_peer_ended_a_move_is_told_and_counted(node):
    async def script(asked):
        if asked.study_uid != "1.1":
            asked.done(Status.MOVE_DESTINATION_UNKNOWN)
            return
        async with Database(node.database_url) as database:
            await database.run(add_images, [record("1.1.1.1", "1.1.1", "1.1", source="PACS")])
        asked.done()

    async with Database(node.database_url) as database:
        answers = [finding(f"1.{number}", 1) for number in (1, 2, 3)]
        await database.run(record_found, answers, peer="pacs")
    async with ScriptedPacs(script) as pacs:
        node.configure({"pacs": ("PACS", pacs.port)}, settings={"move": {"concurrency": 1}})
        result = await asyncio.to_thread(node, "move", "pacs", "--json")
    assert result.code == 3
    document = json.loads(result.stdout)
    told = [(study["study_uid"], study["outcome"]) for study in document["studies"]]
    assert told == [("1.1", "complete"), ("1.2", "failed")]
    assert "0xA801" in document["error"]["message"]
    status = await asyncio.to_thread(node.json, "status")
    (cycle,) = [one for one in status["summary"]["last_cycles"] if one["kind"] == "move"]
    assert (cycle["counts"]["complete"], cycle["counts"]["incomplete"]) == (1, 1)


def test_a_study_that_nobody_has_found_cannot_be_moved(node):
    result = node("move", "pacs", "--study", "1.2.3")
    assert result.code == 2
    assert "no find has recorded the study 1.2.3" in result.stderr


def test_a_port_that_another_program_has_is_an_error(node, tmp_path, serve):
    generate(tmp_path / "images", images=1)
    serve(tmp_path / "images", port_of(node), node)
    node.ok("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-01")

    async def occupied():
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", node.port)
        async with server:
            return await asyncio.to_thread(node, "move"), await asyncio.to_thread(node, "run")

    move, run = asyncio.run(occupied())
    assert move.code == 1
    assert f"cannot listen at 127.0.0.1 port {node.port}: Address already in use" in move.stderr
    assert f"(process {os.getpid()})" in move.stderr
    assert f"(process {os.getpid()})" in run.stderr
    assert "does not answer as NODE" in move.stderr
    assert run.code == 1
    assert "Address already in use" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("find", "pacs"), "say what to find"),
        (("find", "pcas", "--last", "7d"), "did you mean"),
        (("find", "pacs", "--last", "soon"), "--last soon"),
        (("find", "pacs", "--from", "2024-02-02", "--to", "2024-01-01"), "is before"),
        (("find", "pacs", "--to", "2024-01-01"), "--from"),
        (("find", "pacs", "--from", "yesterday"), "--from"),
        (("echo", "nobody"), "no peer is named 'nobody'"),
        (("move", "nobody"), "no peer is named 'nobody'"),
        (("move", "--limit", "0"), "invalid value for '--limit': at least 1 is needed"),
        (("move", "--limit", "x"), "invalid value for '--limit': a whole number is needed"),
        (("db", "dump", "--fmt", "x"), "invalid value for '--fmt': 'x' is not one of 'csv', 'par"),
        (("probe", "pacs", "--interval", ""), "--interval '': a duration is needed"),
        (("move", "--study", "x"), "has recorded the study x, which is no Study Instance UID"),
        (("send", "pacs", "/no/such/file"), "/no/such/file"),
        (("status", "--limit", "-1"), "limit"),
        (("status", "--limit", "9" * 20), "no number here may be larger than 2147483647"),
        (("cycles", "show", "2147483648"), "2147483648: no number here may be larger"),
        (("cycles", "pause", "1", "9" * 20), "no number here may be larger"),
    ],
)
def test_wrong_usage_says_what_is_wrong_with_exit_code_2(node, arguments, message):
    result = node(*arguments)
    assert result.code == 2, result
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_commands_that_need_the_database_say_how_to_make_one(cli, tmp_path, database_url):
    node = Node(cli, tmp_path / "new", database_url, peers={"pacs": ("PACS", free_port())})
    for command in (("run",), ("move",), ("status",), ("find", "pacs", "--last", "1d")):
        result = node(*command)
        assert result.code == 1
        assert "dicom-node db init" in result.stderr
        assert "Traceback" not in result.stderr


def test_status_tells_what_is_here_and_what_is_missing(node, serve, tmp_path):
    images = generate(tmp_path / "images", studies=2, images=4)
    serve(tmp_path / "images", port_of(node), node)
    assert node.json("status")["running"] is False
    node.ok("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-03")
    with node.running():
        node.ok("move", "--limit", "1")
        status = node.json("status")
    assert status["running"] is True
    assert status["summary"]["images"] == 4
    by_uid = {study["study_uid"]: study for study in status["studies"]}
    assert by_uid.keys() == {image.study_uid for image in images}
    received = sorted(
        (study["received_images"], study["expected_images"]) for study in by_uid.values()
    )
    assert received == [(0, 4), (4, 4)]
    assert images[0].study_uid in node.ok("status").stdout


def test_files_are_sent_as_they_are_and_those_that_cannot_be_are_named(node, serve, tmp_path):
    images = generate(tmp_path / "images", images=3)
    (tmp_path / "pacs").mkdir()
    serve(tmp_path / "pacs", port_of(node), node)
    (tmp_path / "images" / "notes.txt").write_text("not DICOM")
    result = node("send", "pacs", tmp_path / "images")
    assert result.code == 1
    assert "3 of 4 files sent" in result.stdout
    assert "notes.txt: " in result.stderr
    found = node.json("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-01")
    assert found["found"] == 1
    node.ok("move")
    assert node.stored().keys() == {image.sop_instance_uid for image in images}
