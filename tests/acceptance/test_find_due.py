"""`dicom-node find --due`, and what the daemon asks when it is started again."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def port():
    return free_port()


def node_at(cli, folder, url, port):
    """Return a node that knows how many studies its PACS answers with: what is due is the point."""
    pacs = {"aetitle": "PACS", "host": "127.0.0.1", "port": port}
    pacs["profile"] = {"cap": 1000, "cap_kind": "cut"}
    settings = {"find": {"start_date": "2023-12-01", "every": "1h"}, "peers": {"pacs": pacs}}
    return Node(cli, folder, url, settings=settings)


@pytest.fixture
def node(cli, tmp_path, migrated_url, port):
    return node_at(cli, tmp_path / "node", migrated_url, port)


@pytest.fixture
def sqlite_node(cli, tmp_path, migrated_sqlite_url, port):
    return node_at(cli, tmp_path / "node", migrated_sqlite_url, port)


def test_what_is_due_is_asked_for_by_hand_and_what_came_late_is_told(node, tmp_path, port):
    generate(tmp_path / "first", studies=2, images=1)
    generate(tmp_path / "all", studies=3, images=1)
    plan = node.json("find", "--due", "--plan")
    today = datetime.now(UTC).astimezone().date()
    whole = {"window": f"2023-12-01 to {today}", "reason": "newest", "proven_on": None}
    assert plan["peers"][0]["due"] == [whole]
    with simulated(node, tmp_path / "first", port):
        assert node.json("find", "pacs", "--due")["found"] == 2
        again = node.json("find", "pacs", "--due")
        assert (again["found"], again["late"], again["late_dates"]) == (0, 0, [])
    dates = ("--from", "2023-12-01", "--to", "2024-06-30", "--due")
    assert node.ok("find", "pacs", *dates).stdout == "pacs: nothing to ask: nothing is due\n"
    node.change("UPDATE find_windows SET covered_on = '2025-01-02 10:00:00.000000'")
    told = node.ok("find", "pacs", *dates, "--plan").stdout.splitlines()[0]
    assert (
        told == "pacs: due: 2023-12-01 to 2024-06-30 (expired, proven as of 2025-01-02 10:00 UTC)"
    )
    with simulated(node, tmp_path / "all", port):
        result = node.ok("find", "pacs", *dates)
    assert "1 of them new" in result.stdout
    late = "1 study of 2024-01-03 came late: all that pacs had there was known before"
    assert late in result.stderr
    assert node.json("find", "pacs", *dates, "--plan")["peers"][0]["due"] == []


@pytest.mark.parametrize(
    "options", [("--study", "1.2"), ("--patient-id", "P1"), ("--last", "7d", "--only-gaps")]
)
def test_only_study_dates_are_due(sqlite_node, options):
    result = sqlite_node("find", "pacs", "--due", *options)
    assert (result.code, "--due is for study dates" in result.stderr) == (2, True)


def test_the_longest_look_back_that_can_be_configured_ends_on_a_date(cli, tmp_path, migrated_url):
    def configured(longest):
        names = ("recent_every", "past_every", "older_every", "newest", "recent", "past")
        find = {"lookback": longest, "proof": dict.fromkeys(names, longest)}
        peers = {"pacs": ("PACS", free_port())}
        return Node(cli, tmp_path / longest, migrated_url, settings={"find": find}, peers=peers)

    node = configured("36525d")
    (due,) = node.json("find", "--due", "--plan")["peers"][0]["due"]
    today = datetime.now(UTC).astimezone().date()
    assert due["window"] == f"{today - timedelta(days=36525)} to {today}"
    assert node("coverage").code == 1
    refused = configured("36526d")("find", "--due", "--plan")
    assert refused.code == 2
    assert "find.lookback: no duration may be longer than 36525d" in refused.stderr


def test_a_daemon_that_is_started_again_does_not_ask_at_once(sqlite_node, tmp_path, port):
    node = sqlite_node
    generate(tmp_path / "images", studies=2, images=1)
    with simulated(node, tmp_path / "images", port):
        with node.running() as daemon:
            daemon.wait_for_line("Find at pacs: 2 studies, 2 new")
        with node.running() as daemon:
            daemon.wait_for_line(r"The next find cycle begins at \d{4}-")
        assert node.value("SELECT count(*) FROM cycles WHERE kind = 'find'") == 1
        node.change("UPDATE cycles SET outcome = 'interrupted'")
        with node.running() as daemon:
            daemon.wait_for_line("Find at pacs: ")
    assert node.value("SELECT count(*) FROM cycles WHERE kind = 'find'") == 2
