"""Finds and moves are listed, paused, resumed and cancelled from another process."""

import signal
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.waiting import wait_until

DAY = ("--from", "2024-01-01", "--to", "2024-01-01")


@pytest.fixture
def silent():
    """A PACS that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


@pytest.fixture
def node(cli, tmp_path, migrated_url, silent):
    peers = {"pacs": ("PACS", silent.getsockname()[1])}
    return Node(cli, tmp_path / "node", migrated_url, peers=peers)


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url, silent):
    """Return a node of which what it says is the point, on one database."""
    peers = {"pacs": ("PACS", silent.getsockname()[1])}
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)


@pytest.fixture
def find(cli, node, silent, tmp_path):
    """Return a find that is under way: it waits for the PACS."""
    process = cli.start("find", "pacs", *DAY, "--config", node.config, log=tmp_path / "find.log")
    try:
        with silent.accept()[0]:
            yield process
    finally:
        process.kill()


def test_a_find_is_cancelled_from_outside_and_its_command_says_so(node, find):
    (cycle,) = node.json("cycles", "list")["cycles"]
    assert (cycle["kind"], cycle["peer"], cycle["outcome"], cycle["silent"]) == (
        "find",
        "pacs",
        "running",
        False,
    )
    listed = node.ok("cycles", "list").stdout
    assert listed.split()[:4] == ["id", "kind", "peer", "outcome"]
    assert listed.splitlines()[1].split()[:4] == ["1", "find", "pacs", "running"]
    assert listed.splitlines()[1].rstrip().endswith("  2024-01-01")
    waiting = node.ok("cycles", "pause", "1").stdout
    assert waiting == "cycle 1, the find at pacs, pauses when what it is at has ended\n"
    assert node.ok("cycles", "resume", "1").stdout == "cycle 1, the find at pacs, is running\n"
    began = time.monotonic()
    cancelled = node.ok("cycles", "cancel", "1")
    assert cancelled.stdout == "cycle 1, the find at pacs, has ended: cancelled\n"
    assert find.wait(10) == 1
    assert time.monotonic() - began < 10
    assert "dicom-node: cycle 1 was cancelled by an operator" in find.output()
    again = node("cycles", "cancel", "1")
    assert (again.code, again.stderr) == (1, "cycle 1 has ended already: cancelled\n")
    document = node.json("cycles", "pause", "1", code=1)
    assert document["ended"] == ["cycle 1 has ended already: cancelled"]
    shown = node.json("cycles", "show", "1")
    assert (shown["outcome"], shown["wanted"], shown["windows"]) == ("cancelled", None, [])


def test_a_cycle_whose_process_was_killed_is_interrupted_for_whoever_looks(node, find):
    find.signal(signal.SIGKILL)
    find.wait(10)
    shown = node.json("cycles", "show", "1")
    assert (shown["outcome"], shown["silent"], shown["finished_on"] is None) == (
        "interrupted",
        False,
        False,
    )
    assert node.ok("cycles", "list").stdout.splitlines()[1].split()[3] == "interrupted"
    for command in ("pause", "resume", "cancel"):
        ended = node("cycles", command, "1")
        on = "the same find, begun again within a day, goes on with its answers"
        said = f"cycle 1 has ended already: interrupted; {on}\n"
        assert (ended.code, ended.stderr) == (1, said)
    assert on in node.ok("cycles", "show", "1").stdout
    assert node.json("cycles", "show", "1")["message"] == on
    assert node.json("cycles", "list")["cycles"][0]["message"] == on


def test_the_pause_of_a_find_that_was_killed_is_the_next_ones(cli, node, find, silent, tmp_path):
    node.ok("cycles", "pause", "1")
    find.signal(signal.SIGKILL)
    find.wait(10)
    log = tmp_path / "next.log"
    following = cli.start("find", "pacs", *DAY, "--config", node.config, log=log)
    try:
        wait_until(lambda: node.value("SELECT count(*) FROM cycles WHERE outcome = 'paused'") == 1)
        first, second = node.rows("SELECT outcome, wanted FROM cycles ORDER BY id")
        assert (first["outcome"], first["wanted"]) == ("interrupted", None)
        assert (second["outcome"], second["wanted"]) == ("paused", "pause")
        resume = f"`dicom-node cycles resume 2 -f {node.config}`"
        assert f"Cycle 2 is paused; {resume}" in following.output()
        late = node("cycles", "resume", "1")
        said = "cycle 1 has ended already: interrupted; cycle 2 is paused in its place\n"
        assert (late.code, late.stderr) == (1, said)
        following.signal(signal.SIGKILL)
        following.wait(10)
        resumed = node.ok("cycles", "resume", "2").stdout
        assert resumed.endswith("has ended: interrupted; the next one does not begin paused\n")
        assert node.json("cycles", "show", "2")["wanted"] is None
    finally:
        following.kill()


def test_a_cycle_of_another_node_that_is_not_heard_of_is_ended_by_cancel(node, find):
    node.change("UPDATE cycles SET node = 'OTHER', heard_on = '2026-01-01 00:00:00'")
    find.signal(signal.SIGKILL)
    find.wait(10)
    assert "running, not heard of" in node.ok("cycles", "list").stdout
    document = node.json("cycles", "cancel", "1")
    assert [cycle["outcome"] for cycle in document["cycles"]] == ["cancelled"]
    assert node.rows("SELECT outcome FROM cycles") == [{"outcome": "cancelled"}]


def test_a_second_find_at_a_peer_is_refused_and_the_other_peers_are_asked(node, find, silent):
    peers = {"pacs": ("PACS", silent.getsockname()[1]), "other": ("OTHER", free_port())}
    node.configure(peers)
    (row,) = node.rows("SELECT pid FROM cycles")
    who = f"another find at pacs is running, cycle 1, begun by process {row['pid']} of NODE at 20"
    hands = ("`dicom-node cycles show 1", "`dicom-node cycles cancel 1")
    refused = node("find", "pacs", *DAY)
    assert (refused.code, refused.stdout) == (1, "")
    assert f"dicom-node: {who}" in refused.stderr
    assert all(hand in refused.stderr for hand in hands)
    assert who in node.json("find", "pacs", *DAY, code=1)["error"]["message"]
    both = node("find", *DAY)
    assert (both.code, who in both.stderr) == (1, True)
    assert node.rows("SELECT peer FROM cycles WHERE id > 1") == [{"peer": "other"}]
    find.signal(signal.SIGKILL)
    find.wait(10)
    silent.settimeout(0.01)
    node.configure({"pacs": ("PACS", free_port())})
    assert node("find", "pacs", *DAY).code == 3, "who was killed does not hold the peer"


def test_an_id_that_does_not_exist_is_an_error_and_nothing_is_done(node, find):
    for command in ("show", "pause", "resume", "cancel"):
        ids = ("99",) if command == "show" else ("1", "99")
        result = node("cycles", command, *ids)
        assert result.code == 2
        assert (
            f"there is no cycle 99; `dicom-node cycles list -f {node.config}` shows them"
            in result.stderr
        )
    assert node.rows("SELECT outcome, wanted FROM cycles") == [
        {"outcome": "running", "wanted": None}
    ]


def test_what_a_cycle_did_is_shown(one_node):
    node = one_node
    node.configure({"pacs": ("PACS", free_port())})
    assert node("find", "pacs", *DAY).code == 3
    shown = node.json("cycles", "show", "1")
    assert (shown["outcome"], len(shown["windows"])) == ("failed", 1)
    assert shown["windows"][0]["start_date"] == "2024-01-01"
    told = node.ok("cycles", "show", "1").stdout
    assert "2024-01-01  failed" in told
    nowhere = node("cycles", "list", "--peer", "elsewhere")
    assert (nowhere.code, "no peer is named 'elsewhere'" in nowhere.stderr) == (2, True)
    node.configure({"other": ("OTHER", free_port())})
    assert len(node.json("cycles", "list", "--peer", "pacs")["cycles"]) == 1
    assert node.json("cycles", "list", "--peer", "other") == {"cycles": []}


def test_a_daemon_goes_on_with_its_next_cycles_in_the_hours_of_each_peer(one_node, silent):
    node = one_node
    later = datetime.now(UTC) + timedelta(hours=2)
    hours = f"{later:%H:%M}-{later + timedelta(hours=1):%H:%M} UTC"
    node._settings |= {
        "find": {"every": "1s", "start_date": "2024-01-01"},
        "move": {"every": "1h"},
        "peers": {
            "night": {"aetitle": "N", "host": "127.0.0.1", "port": free_port(), "hours": hours}
        },
    }
    node.configure({"pacs": ("PACS", silent.getsockname()[1])})
    with node.running() as daemon, silent.accept()[0]:
        node.ok("cycles", "cancel", "1")
        with silent.accept()[0]:
            wait_until(lambda: node.value("SELECT count(*) FROM cycles") == 2)
            node.ok("cycles", "cancel", "2")
    assert "Find at pacs: cycle 1 was cancelled by an operator" in daemon.output()
    assert "failed" not in daemon.output()
    told = [f"The next {kind} (night) cycle begins at {{}}" for kind in ("find", "move")]
    begins = later.replace(second=0).astimezone()
    for line in told:
        assert line.format(f"{begins:%Y-%m-%d %H:%M:}") in daemon.output()
    outcomes = {row["outcome"] for row in node.rows("SELECT outcome FROM cycles WHERE id < 3")}
    assert outcomes == {"cancelled"}


def test_a_peer_that_was_removed_and_has_nothing_but_cycles_is_said_to_be_none(
    cli, tmp_path, migrated_sqlite_url
):
    peers = {"pacs": ("PACS", free_port()), "other": ("OTHER", free_port())}
    node = Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)
    assert node.ok("cycles", "list").stdout == "No find or move has run yet\n"
    assert node.json("cycles", "list") == {"cycles": []}
    assert node("find", "pacs", *DAY).code == 3
    said = node.ok("cycles", "list", "--peer", "other").stdout
    assert said == "No find or move at other has run yet\n"
    node.configure({"other": peers["other"]})
    told = node.ok("status").stdout
    assert "pacs: 0 found, 0 complete, 0 open; it is no peer of the configuration" in told
    assert "other: 0 found, 0 complete, 0 open\n" in told
    for options in ((), ("pacs",)):
        (one,) = [one for one in node.json("status", *options)["peers"] if one["peer"] == "pacs"]
        assert (one["configured"], one["found"]) == (False, 0)
