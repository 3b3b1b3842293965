"""Study dates after today: what is asked of them, and that nothing is proven of them."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pydicom
import pytest
from sqlalchemy import insert

from node.config import FindSettings
from node.ops.finding.due import configured_queries
from schema import Database, FindWindow
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated

FOR_EVER = dict.fromkeys(("recent_every", "past_every", "older_every"), "off")


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def node(cli, tmp_path, migrated_url, port):
    settings = {"find": {"proof": FOR_EVER}}
    return Node(
        cli, tmp_path / "node", migrated_url, peers={"pacs": ("PACS", port)}, settings=settings
    )


def ago(days):
    return datetime.now(UTC).astimezone().date() - timedelta(days=days)


def write_studies(folder, *days):
    """Write an image of a study of each of these days."""
    for image, day in zip(generate(folder, studies=len(days), images=1), days, strict=True):
        dataset = pydicom.dcmread(image.path)
        dataset.StudyDate = f"{day:%Y%m%d}"
        dataset.save_as(image.path)


def test_a_find_ends_today_and_asks_for_later_dates_when_it_is_told_to(node, tmp_path, port):
    today, tomorrow = ago(0), ago(-1)
    write_studies(tmp_path / "images", ago(2), ago(-400))
    dates = ("--from", f"{ago(5)}", "--to", "3000-01-01")
    with simulated(node, tmp_path / "images", port):
        result = node("find", "pacs", *dates, "--json")
        said = f"--to 3000-01-01 is after today: asked for until {today}"
        assert (result.code, said in result.stderr) == (0, True)
        document = node.json("find", "pacs", *dates)
        assert (document["found"], said in document["notes"][0]) == (1, True)
        (scope,) = node.json("coverage", "pacs")["peers"][0]["scopes"]
        assert (scope["first_date"], scope["last_date"]) == (f"{ago(5)}", f"{today}")
        found = node.json("find", "pacs", "--last", "5d", "--ahead")
        assert (found["found"], found["new"], found["notes"]) == (2, 1, [])
        # it is recorded, and nothing is proven of a day that is still to come
        assert node.json("coverage", "pacs")["peers"][0]["scopes"][0]["last_date"] == f"{today}"
        plan = node.json("find", "pacs", *dates, "--plan")
        assert (plan["peers"][0]["windows"][0], len(plan["notes"])) == (f"{ago(5)} to {today}", 1)
    for options, why in (
        (("--from", f"{tomorrow}"), "is after today"),
        (("--from", f"{tomorrow}", "--to", "3000-01-01"), "--ahead asks for all later dates"),
        (("--patient-id", "P1", "--ahead"), "--ahead goes with study dates"),
    ):
        refused = node("find", "pacs", *options)
        assert (refused.code, why in refused.stderr) == (2, True), refused


def test_what_the_daemon_asks_for_has_later_dates_in_it_where_the_configuration_says_so(
    cli, tmp_path, migrated_sqlite_url, port
):
    write_studies(tmp_path / "images", ago(2), ago(-400))
    node = Node(
        cli,
        tmp_path / "node",
        migrated_sqlite_url,
        peers={"pacs": ("PACS", port)},
        settings={"find": {"ahead": True}},
    )
    (plan,) = node.json("find", "--due", "--plan")["peers"]
    assert [one["reason"] for one in plan["due"]] == ["newest", "ahead"]
    assert plan["due"][1]["window"].startswith(f"{ago(-1)}")
    with simulated(node, tmp_path / "images", port):
        for new in (2, 0):
            (found,) = node.json("find", "--due")["peers"]
            assert (found["found"], found["new"]) == (2, new)
        # dates that were typed are all that is asked for
        assert node.json("find", "pacs", "--due", "--last", "2d")["found"] == 1


def test_a_ledger_that_reaches_into_the_future_vouches_for_nothing_there(node):
    now = datetime.now(UTC).replace(tzinfo=None)
    asked_on = now - timedelta(days=3)
    window = {
        "peer": "pacs",
        "query": {},
        "start_date": ago(10),
        "end_date": date(3000, 1, 1),
        "asked_on": asked_on,
        "covered_on": asked_on,
        "outcome": "complete",
        "matches": 10,
    }
    refused = {"covered_on": None, "outcome": "refused", "start_date": ago(-1)}

    async def write():
        async with Database(node.database_url) as db, db.begin() as session:
            for row in (window, window | refused):
                await session.execute(insert(FindWindow), [row])

    asyncio.run(write())
    (scope,) = node.json("coverage", "pacs")["peers"][0]["scopes"]
    assert (scope["first_date"], scope["last_date"]) == (f"{ago(10)}", f"{ago(3)}")
    assert sum(month["proven_days"] for month in scope["months"]) == 8
    dates = ("--from", f"{ago(10)}", "--to", f"{ago(0)}")
    (plan,) = node.json("find", "pacs", *dates, "--only-gaps", "--plan")["peers"]
    assert plan["windows"][0] == f"{ago(2)} to {ago(0)}"
    assert plan["studies_per_day"] == 10 / 8
    told = node("coverage", "pacs").stdout
    assert ("3000" in told, told.startswith(f"pacs: {ago(10)} to {ago(3)}")) == (False, True)


def test_the_daemon_covers_no_day_that_is_still_to_come():
    today = ago(0)
    (query,) = configured_queries(FindSettings(start_date=ago(9), end_date=ago(-99)), today)
    assert (query.window.start, query.window.end) == (ago(9), today)
    (query,) = configured_queries(FindSettings(start_date=ago(9), end_date=ago(3)), today)
    assert query.window.end == ago(3)
    assert configured_queries(FindSettings(start_date=ago(-1)), today) == []
