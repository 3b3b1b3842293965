"""`dicom-node probe`: what a peer can do is found out, kept, shown, and set otherwise."""

import asyncio
from datetime import UTC, datetime

import pytest

from node.config import load
from node.dicom.profile import CapKind
from node.ops.probing.facts import Fact, to_document
from node.ops.probing.knowledge import effective_profile
from schema import Database
from schema.finding.profiles import keep_probe, mark_stale
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def node(cli, tmp_path, migrated_url, port):
    return Node(cli, tmp_path / "node", migrated_url, peers={"pacs": ("PACS", port)})


def configure(node, port, **profile):
    """Let the configuration say what is known of the peer."""
    peer = {"aetitle": "PACS", "host": "127.0.0.1", "port": port, "profile": profile}
    node._settings = {"peers": {"pacs": peer}}
    node.configure({})


def contradict(node, reason):
    async def mark():
        async with Database(node.database_url) as database, database.begin() as session:
            assert await mark_stale(session, "pacs", reason)

    asyncio.run(mark())


def in_force(node):
    async def ask():
        config = load(node.config, environ={}).config
        async with Database(node.database_url) as database:
            return await effective_profile(config, database, "pacs")

    return asyncio.run(ask())


def test_a_probe_that_has_learned_nothing_is_not_done(node, tmp_path, port):
    (tmp_path / "images").mkdir()
    with simulated(node, tmp_path / "images", port):
        told = node.json("probe", "pacs", "--interval", "0", code=1)
        assert told["facts"]["dates"]["value"] is None
        said = node("probe", "pacs", "--interval", "0")
    assert said.code == 1
    why = "pacs: nothing was learned of how it answers queries: no study was found in "
    assert why in said.stderr
    assert node("probe", "pacs", "--show").code == 0


def test_a_probe_is_kept_shown_overridden_and_contradicted(node, tmp_path, port):
    assert node.ok("probe", "pacs", "--show").stdout == "pacs was never probed\n"
    assert node.json("status")["peers"][0]["probed_on"] is None
    generate(tmp_path / "images", studies=12, images=1)
    with simulated(node, tmp_path / "images", port):
        told = node.json("probe", "pacs", "--interval", "0")
        assert told["profile"]["dates"] is told["profile"]["uid_lists"] is True
        assert (told["profile"]["repository"], told["profile"]["cap"]) == (False, None)
        assert told["facts"]["cap"]["value"] is None
        assert "no limit was met" in told["facts"]["cap"]["how"]
        assert told["facts"]["dates"]["learned_on"].endswith("Z")
        assert (told["configured"], told["stale_on"]) == ([], None)
        assert 0 < told["questions"] <= 60
        table = node.ok("probe", "pacs", "--interval", "0s")
        assert "wildcards" in table.stdout
        assert "unknown" in table.stdout
        assert "probe of pacs" in table.stderr
        assert node.ok("probe", "pacs", "--interval", "0", "--quiet").stdout == ""
    assert node.value("SELECT count(*) FROM peer_probes") == 3
    shown = node.json("probe", "pacs", "--show")
    assert shown["facts"].keys() == told["facts"].keys()
    assert in_force(node).dates is True

    configure(node, port, cap=500, cap_kind="cut", dates="no", times="unknown")
    shown = node.json("probe", "pacs", "--show")
    assert shown["configured"] == ["cap", "cap_kind", "dates"]
    profile = in_force(node)
    assert (profile.cap, profile.cap_kind, profile.dates) == (500, CapKind.CUT, False)
    assert profile.uid_lists is True
    assert "configured" in node.ok("probe", "pacs", "--show").stdout

    said = node.ok("status").stdout
    assert "probed on" in said
    contradict(node, "it answered 501 studies\x1b[2J")
    shown = node("probe", "pacs", "--show")
    assert "is stale since" in shown.stderr
    assert "it answered 501 studies\\e[2J" in shown.stderr
    (peer,) = node.json("status")["peers"]
    assert peer["stale_reason"] == "it answered 501 studies\x1b[2J"
    assert "its probe is stale: it answered 501 studies" in node.ok("status").stdout
    profile = in_force(node)
    assert (profile.cap, profile.uid_lists) == (500, None)


def test_a_find_that_sees_a_peer_do_otherwise_than_its_probe_says_marks_that_stale(
    node, tmp_path, port
):
    node.ok("db", "init")
    limit = Fact(value=5, how="seen", learned_on=datetime(2024, 1, 1, tzinfo=UTC))

    async def keep():
        async with Database(node.database_url) as database, database.begin() as session:
            await keep_probe(session, peer="pacs", facts=to_document({"cap": limit}), questions=9)

    asyncio.run(keep())
    assert in_force(node).cap == 5
    generate(tmp_path / "images", studies=12, images=1)
    with simulated(node, tmp_path / "images", port):
        node("find", "pacs", "--from", "1990-01-01", "--to", "2030-12-31", "--quiet")
    shown = node.json("probe", "pacs", "--show")
    assert shown["stale_reason"].startswith("cap: it answered")
    assert in_force(node).cap is None


def test_a_probe_of_who_is_not_there_or_is_nobody_is_an_error_and_keeps_nothing(node, port):
    gone = node("probe", "pacs")
    assert (gone.code, "nobody answers" in gone.stderr) == (3, True)
    assert node.json("probe", "pacs", code=3)["error"]["kind"] == "peer"
    assert node("probe", "pacz").code == 2
    assert node("probe", "pacs", "--show", "--load").code == 2
    assert node("probe", "pacs", "--interval", "often").code == 2
    assert node.value("SELECT count(*) FROM peer_probes") == 0


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ({"cap": -1}, "peers.pacs.profile.cap: a whole number, 0 for any number, or unknown"),
        ({"cap_kind": "all"}, "peers.pacs.profile.cap_kind: cut, empty, refused, announced or"),
        ({"dates": "perhaps"}, "peers.pacs.profile.dates: true, false or unknown is needed"),
        ({"date": True}, "peers.pacs.profile.date: unknown key (did you mean"),
    ],
    ids=str,
)
def test_a_profile_that_cannot_be_is_refused(cli, tmp_path, profile, said):
    node = Node(cli, tmp_path / "node", "sqlite:///x.db")
    configure(node, 104, **profile)
    refused = node("config", "check")
    assert (refused.code, said in refused.stderr) == (2, True), refused
