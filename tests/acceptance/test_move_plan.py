"""What a move would ask for, in which order, and what is known of each peer: nobody is asked."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from node.ops.probing.facts import Fact, to_document
from node.storage.locks import exclusive
from schema import Database, record_found, utcnow
from schema.finding.profiles import keep_probe
from tests.db.records import finding
from tests.support.node import Node
from tests.support.processes import free_port

STUDIES = {"zoo": ("1.2.1", "1.2.2", "1.2.3"), "air": ("1.2.3", "1.2.4")}
"""What each peer answers, one after the other."""

HOUR = timedelta(hours=1)


@pytest.fixture
def node(cli, tmp_path, migrated_url):
    return a_node(cli, tmp_path, migrated_url)


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url):
    return a_node(cli, tmp_path, migrated_sqlite_url)


def a_node(cli, tmp_path, url):
    peers = {name: (name.upper(), free_port()) for name in ("zoo", "air", "mid")}
    node = Node(cli, tmp_path / "node", url, peers=peers)

    async def find() -> None:
        async with Database(url) as database:
            for peer, uids in STUDIES.items():
                async with database.begin() as session:
                    await record_found(session, [finding(uid, 3) for uid in uids], peer=peer)

    asyncio.run(find())
    return node


def order(node, *options):
    planned = node.json("move", *options, "--dry-run")["would_move"]
    return [(one["study_uid"], one["peer"]) for one in planned]


def test_a_dry_run_shows_what_would_be_asked_for_and_priorities_are_given_by_command(node):
    at_zoo = [("1.2.1", "zoo"), ("1.2.2", "zoo"), ("1.2.3", "zoo")]
    usual = [*at_zoo, ("1.2.3", "air"), ("1.2.4", "air")]
    assert order(node) == usual
    assert order(node, "zoo", "--limit", "1") == usual[:1]
    shown = node.ok("move", "--dry-run").stdout.splitlines()
    assert shown[0].split() == [
        *("study", "peer", "date", "modalities", "received", "expected", "priority")
    ]
    assert shown[-1] == "4 studies would be asked for, in this order; nobody was asked"

    node.ok("project", "create", "trial")
    node.ok("project", "add", "trial", "--study", "1.2.2", "--study", "1.2.4", "--study", "1.9")
    told = node("project", "priority", "trial", "5")
    assert told.stdout == "trial: 2 studies have priority 5\n"
    assert "1 of its studies are not found anywhere yet" in told.stderr
    assert order(node, "zoo") == [("1.2.2", "zoo"), ("1.2.1", "zoo"), ("1.2.3", "zoo")]
    assert order(node, "air") == [("1.2.4", "air"), ("1.2.3", "air")]
    assert order(node, "--study", "1.2.1", "--priority", "9") == [("1.2.1", "zoo")]
    third = ("1.2.3", "zoo")
    both = ("zoo", "--study", "1.2.1", "--study", "1.2.2", "--priority", "9")
    assert order(node, *both) == [("1.2.1", "zoo"), ("1.2.2", "zoo")], "none is before the other"
    assert order(node, *both, "--limit", "1") == [("1.2.1", "zoo")]
    would = node.json("move", *both, "--dry-run")["would_move"]
    assert [one["priority"] for one in would] == [9, 9]
    unchanged = [("1.2.2", "zoo"), ("1.2.1", "zoo"), third]
    assert order(node, "zoo") == unchanged, "a dry run changes nothing"
    assert node("move", "zoo", "--study", "1.2.1", "--priority", "9").code == 3, "nobody answers"
    assert order(node, "zoo") == [("1.2.1", "zoo"), ("1.2.2", "zoo"), third]
    with exclusive(node.directory / ".move-zoo.lock", "a move from zoo"):
        busy = node("move", "zoo", "--study", "1.2.3")
        assert (busy.code, "with its next studies: those that are given" in busy.stderr) == (
            1,
            True,
        )
        busy = node("move", "zoo", "--study", "1.2.3", "--priority", "7")
        assert (busy.code, "their priority is 7" in busy.stderr) == (1, True)
        kept = node.value("SELECT priority FROM studies_find WHERE study_uid = '1.2.3'")
        assert kept == 7
    node.change("UPDATE studies_find SET priority = 0 WHERE study_uid = '1.2.3'")
    refused = node("move", "--priority", "9")
    assert (refused.code, "--priority goes with --study" in refused.stderr) == (2, True)
    assert node.value("SELECT count(*) FROM cycles") == 1


def test_a_dry_run_says_what_is_open_elsewhere_and_where_nothing_can_be_moved_from(one_node):
    node = one_node
    accepted = {"Study Root Query/Retrieve Information Model - FIND": ["Implicit VR Little Endian"]}
    contexts = Fact(value=accepted, how="accepted", learned_on=datetime.now(UTC))
    facts = {"contexts": contexts}

    async def probed() -> None:
        async with Database(node.database_url) as database, database.begin() as session:
            await keep_probe(session, peer="zoo", facts=to_document(facts), questions=1)

    asyncio.run(probed())
    told = node.ok("move", "zoo", "--dry-run").stderr.splitlines()
    assert told == [
        f"2 studies are open at air; `dicom-node move air -f {node.config}` asks for what is open",
        "zoo accepted no C-MOVE when it was probed",
    ]


def test_status_shows_every_peer_in_a_fixed_order_or_the_one_that_is_named(node):
    document = node.json("status")
    assert [(one["peer"], one["found"], one["open"]) for one in document["peers"]] == [
        ("zoo", 3, 3),
        ("air", 2, 2),
        ("mid", 0, 0),
    ]
    shown = node.ok("status").stdout.splitlines()
    assert [line for line in shown if line.partition(":")[0] in {"zoo", "air", "mid"}] == [
        "zoo: 3 found, 0 complete, 3 open",
        "air: 2 found, 0 complete, 2 open",
        "mid: 0 found, 0 complete, 0 open",
    ]
    assert "peer" in next(line for line in shown if line.startswith("study")).split()
    node.change(
        "INSERT INTO peer_breakers"
        " (peer, state, cause, message, outages, trips, opened_on, retry_on)"
        " VALUES ('air', 'open', 'configuration', 'it does not know us', 0, 1,"
        f" '2026-11-23 03:00:00', '{(soon := utcnow() + HOUR):%Y-%m-%d %H:%M:%S}')"
    )
    now, before = (f"{utcnow() - ago:%Y-%m-%d %H:%M:%S}" for ago in (0 * HOUR, HOUR / 10))
    for name, written in (("NODE", now), ("OLD", before)):
        node.change(
            "INSERT INTO peer_throttles (peer, node, level, reason, since, updated_on)"
            f" VALUES ('air', '{name}', 0.5, 'it takes 0.1 s to answer, 0.02 s alone',"
            f" '2026-11-23 03:00:00', '{written}')"
        )
    held_back = node.ok("status", "air").stdout
    until = f"until {soon:%Y-%m-%d %H:%M:%S} UTC"
    assert f"  breaker: it does not know us; {until}\n" in held_back
    assert (
        "  throttle: NODE asks for one retrieval at a time, 50% of the time"
        " since 2026-11-23 03:00:00 UTC, for it takes 0.1 s to answer, 0.02 s alone;"
        f" as of {now} UTC\n"
    ) in held_back
    assert "throttle: OLD" not in held_back  # it does not ask any more
    alone = node.json("status", "air")
    assert alone["peers"][0]["wait"]["what"] == "breaker"
    assert [one["level"] for one in alone["peers"][0]["throttles"]] == [0.5, 0.5]
    settings = json.loads(node.config.read_text())
    settings["move"] |= {"throttle": False, "every": "1h"}
    node.config.write_text(json.dumps(settings))
    shown = node.ok("status", "air").stdout
    assert "throttle: " not in shown
    why = "nothing is moved from it now: it does not know us; one study is tried about"
    for said in (shown, node("expect", "air").stdout):
        assert f"  expected: nobody knows when; {why} {soon:%Y-%m-%d %H:%M:%S} UTC" in said
    assert [one["peer"] for one in alone["peers"]] == ["air"]
    assert {one["study_uid"] for one in alone["studies"]} == {"1.2.3", "1.2.4"}
    unknown = node("status", "nobody")
    assert (unknown.code, "no peer is named 'nobody'" in unknown.stderr) == (2, True)
