"""What was proven of a PACS, as `dicom-node coverage` reads it from the ledger."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import insert

from node.cli.ledger import calendar
from schema import Database, FindWindow
from tests.support.node import Node

FIRST = datetime.fromisoformat("2026-01-01T02:00")
SECOND = FIRST + timedelta(days=7)


@pytest.fixture
def cli(inside):
    return inside


def window(start, end=None, *, asked_on=FIRST, proven=True, **columns):
    """Return a row of the ledger; of a day as 2024-01-31."""
    return {
        "peer": "pacs",
        "query": {},
        "start_date": start and date.fromisoformat(start),
        "end_date": (end or start) and date.fromisoformat(end or start),
        "outcome": "complete" if proven else "refused",
        "asked_on": asked_on,
        "covered_on": asked_on if proven else None,
    } | columns


FOR_EVER = dict.fromkeys(("recent_every", "past_every", "older_every"), "off")


def node_with(cli, folder, url, **proof):
    """Return a node with this policy for the age of proofs."""
    peers = {"pacs": ("PACS", 11112), "other": ("OTHER", 11113)}
    return Node(cli, folder, url, peers=peers, settings={"find": {"proof": proof}})


@pytest.fixture
def node(cli, tmp_path, migrated_url):
    return node_with(cli, tmp_path / "node", migrated_url, **FOR_EVER)


@pytest.fixture
def ledger(node):
    """Return what writes rows of the ledger."""

    async def write(rows):
        async with Database(node.database_url) as db, db.begin() as session:
            for row in rows:
                await session.execute(insert(FindWindow), [row])

    return lambda *rows: asyncio.run(write(rows))


def scopes(document, peer="pacs"):
    (found,) = [one for one in document["peers"] if one["peer"] == peer]
    return found["scopes"]


def spans(scope):
    return [(gap["first_date"], gap["last_date"], gap["outcome"]) for gap in scope["gaps"]]


def test_a_peer_that_was_never_asked_has_no_proof_and_no_gap(node, ledger):
    result = node("coverage")
    assert (result.code, result.stdout.splitlines()) == (
        1,
        ["pacs: never asked for any date", "other: never asked for any date"],
    )
    ledger(window("2024-01-01"))
    assert node.ok("coverage").stdout.endswith(
        "other: never asked for any date\n" + calendar.LEGEND + "\n"
    )
    document = node.json("coverage", "other", code=1)
    assert [(one["asked"], one["scopes"]) for one in document["peers"]] == [(False, [])]
    before = node("coverage", "pacs", "--as-of", "2000-01-01T12:00:00Z")
    until = "pacs: never asked for any date until 2000-01-01 12:00 UTC\n"
    assert (before.code, before.stdout) == (1, until)
    unknown = node("coverage", "elsewhere")
    assert unknown.code == 2
    assert "elsewhere" in unknown.stderr


def test_a_proven_year_is_a_calendar_without_gaps(node, ledger):
    ledger(
        window("2023-11-01", "2024-02-10"),
        window("2024-01-01", "2024-01-31", asked_on=SECOND),
        window(None, undated=True),
    )
    document = node.json("coverage", "pacs")
    assert document["gaps"] == 0
    (scope,) = scopes(document)
    assert (scope["query"], scope["first_date"], scope["last_date"]) == (
        {},
        "2023-11-01",
        "2024-02-10",
    )
    assert scope["proven_on"] == "2026-01-01T02:00:00Z"
    assert scope["undated"]["proven_on"] == "2026-01-01T02:00:00Z"
    assert [(month["month"], month["state"]) for month in scope["months"]] == [
        ("2023-11", "proven"),
        ("2023-12", "proven"),
        ("2024-01", "proven"),
        ("2024-02", "part"),
    ]
    assert scope["months"][2]["oldest_proof_on"] == "2026-01-08T02:00:00Z"
    told = node.ok("coverage", "pacs", "--as-of", "2026-01-04T02:00:00Z").stdout
    head, columns, one, other, undated, legend = told.splitlines()
    assert head == "pacs: 2023-11-01 to 2024-02-10, oldest proof 2026-01-01 02:00 UTC, 0 gaps"
    assert columns.split()[:3] == ["year", "Jan", "Feb"]
    assert one.split() == ["2023", *["."] * 10, "=", "3d", "=", "3d"]
    assert other.split() == ["2024", "=", "3d", "+", "3d", *["."] * 10]
    assert undated == "studies without a date: proven as of 2026-01-01 02:00 UTC"
    assert legend.startswith("= every day is proven")


def test_what_was_refused_or_cut_off_is_a_gap_that_says_why(node, ledger):
    ledger(
        window("2024-01-01", "2024-01-31", id=101, proven=False, outcome="truncated"),
        window("2024-01-01", "2024-01-15", parent_id=101, asked_on=FIRST + timedelta(seconds=1)),
        window(
            "2024-01-16",
            "2024-01-31",
            parent_id=101,
            asked_on=FIRST + timedelta(seconds=2),
            proven=False,
            status=0xA700,
            comment="out of\x1b[2J resources",
        ),
        window("2024-02-10", "2024-02-29"),
    )
    (scope,) = scopes(node.json("coverage", "pacs", code=1))
    assert spans(scope) == [("2024-01-16", "2024-01-31", "refused")]
    result = node("coverage", "pacs")
    assert result.code == 1
    assert "2024-01-16 to 2024-01-31  refused  0xA700" in result.stdout
    assert "\x1b" not in result.stdout
    again = "dicom-node find pacs --from 2024-01-16 --to 2024-01-31 --only-gaps"
    assert f"to ask again: {again}" in result.stdout


def test_it_is_said_for_which_gaps_it_is_of_no_use_to_ask_again(node, ledger):
    many = "5 studies, and it answers no more than 5"
    ignored = "the peer ignores dates: whether it has more than the 5 studies is not known"
    ledger(
        window("2024-01-01", proven=False, outcome="truncated", message=many),
        window("2024-01-03", proven=False, outcome="suspect", message=ignored),
        window("2024-01-05", proven=False, outcome="failed"),
        window("2024-01-07", proven=False, outcome="truncated", message=many),
    )
    (scope,) = scopes(node.json("coverage", "pacs", code=1))
    remedies = ["limit", "probe", "ask again", "limit"]
    assert [gap["remedy"] for gap in scope["gaps"]] == remedies
    told = node("coverage", "pacs").stdout
    assert "to ask again: dicom-node find pacs --from 2024-01-05 --to 2024-01-05 --only" in told
    assert "2 gaps stay: pacs has more there than it answers at once. Raise its limit" in told
    assert "1 gap stays: nothing shows that pacs has answered all. Find out how" in told


def test_a_find_of_one_day_leaves_no_gap_behind_between_it_and_the_others(node, ledger):
    ledger(window("2022-01-01", "2022-01-31"), window("2024-02-10", "2024-02-10"))
    (scope,) = scopes(node.json("coverage", "pacs"))
    between = {"first_date": "2022-02-01", "last_date": "2024-02-09"}
    assert (scope["gaps"], scope["unasked"]) == ([], [between])
    assert [month["month"] for month in scope["months"]] == ["2022-01", "2024-02"]
    told = node.ok("coverage", "pacs").stdout
    assert "never asked for, which is no gap: 2022-02-01 to 2024-02-09\n" in told
    assert ("to ask again" in told, told.count("!"), told.count("\n2023  .")) == (False, 1, 1)


def test_the_parts_of_a_day_that_are_not_proven_stand_in_its_place(node, ledger):
    seconds = iter(range(1, 99))

    def part(first, last, **columns):
        moment = FIRST + timedelta(seconds=next(seconds))
        times = {"start_time": time(first), "end_time": time(last, 59, 59)}
        return window("1900-01-01", parent_id=101, asked_on=moment, **times, **columns)

    ledger(
        window("1900-01-01", id=101, proven=False, outcome="truncated"),
        part(0, 11),
        part(12, 12, id=103, proven=False, outcome="truncated"),
        part(12, 12, axes={"ModalitiesInStudy": "CT"}) | {"parent_id": 103},
        part(12, 12, axes={"ModalitiesInStudy": "MR"}, proven=False) | {"parent_id": 103},
        part(13, 23, proven=False, outcome="failed", message="no answer"),
        part(13, 23),
    )
    document = node.json("coverage", "pacs", code=1)
    (gap,) = scopes(document)[0]["gaps"]
    # whatever the modalities bring: a study without one is in none of them
    assert (gap["start_time"], gap["end_time"], gap["keys"]) == ("12:00:00", "12:59:59", None)
    told = node("coverage", "pacs").stdout
    assert "1900-01-01 12:00:00 to 12:59:59" in told
    assert "ModalitiesInStudy" not in told


def test_a_find_with_keys_vouches_for_nothing_else_and_one_without_for_all(node, ledger):
    only = {"query": {"ModalitiesInStudy": "CT"}}
    ledger(
        window("2024-01-01", "2024-01-10", proven=False, **only),
        window("2024-01-01", "2024-01-05", asked_on=SECOND),
        window("2024-01-06", "2024-01-10", asked_on=SECOND, proven=False),
        window("2024-01-06", asked_on=SECOND + timedelta(days=1), **only),
        window(None, query={"StudyInstanceUID": "1.2"}, proven=False),
        window(None, query={"AccessionNumber": "17"}, proven=False),
    )
    everything, of_ct = scopes(node.json("coverage", "pacs", code=1))
    assert spans(everything) == [("2024-01-06", "2024-01-10", "refused")]
    assert of_ct["query"] == {"ModalitiesInStudy": "CT"}
    assert spans(of_ct) == [("2024-01-07", "2024-01-10", "refused")]
    assert "pacs, only ModalitiesInStudy CT: " in node("coverage").stdout


def test_what_was_proven_at_a_moment_is_what_had_been_answered_until_then(node, ledger):
    later = FIRST + timedelta(hours=2)
    ledger(
        window("2024-01-01", "2024-01-31", id=101, outcome="truncated"),
        window("2024-01-01", "2024-01-15", parent_id=101, asked_on=FIRST + timedelta(hours=1)),
        window("2024-01-16", "2024-01-31", parent_id=101, asked_on=later),
        window("2024-01-16", "2024-01-31", asked_on=SECOND, proven=False),
    )
    assert spans(scopes(node.json("coverage", code=1))[0]) == [
        ("2024-01-16", "2024-01-31", "refused")
    ]
    between = node.json("coverage", "--as-of", "2026-01-02T00:00:00+00:00")
    assert scopes(between)[0]["gaps"] == []
    half = node.json("coverage", "--as-of", "2026-01-01T03:30:00Z", code=1)
    assert spans(scopes(half)[0]) == [("2024-01-16", "2024-01-31", "truncated")]
    before = node.json("coverage", "--as-of", "2025-12-31", code=1)
    assert scopes(before) == []
    assert node.json("coverage", "--as-of", f"{date.today()}", code=1)["gaps"] == 1  # noqa: DTZ011
    for moment, why in (
        ("yesterday", "is no moment"),
        ("9999-12-31", "is still to come"),
        ("3000-01-01T08:30:00Z", "is still to come"),
        ("1492-10-12", "is before 1900-01-01"),
        ("0001-01-01", "is no moment"),
    ):
        wrong = node("coverage", "--as-of", moment)
        assert (wrong.code, why in wrong.stderr) == (2, True), wrong


def test_studies_without_a_date_that_were_refused_are_a_gap(node, ledger):
    ledger(window("2024-01-01"), window(None, undated=True, proven=False, outcome="failed"))
    (scope,) = scopes(node.json("coverage", code=1))
    assert [(gap["undated"], gap["outcome"]) for gap in scope["gaps"]] == [(True, "failed")]
    told = node("coverage", "pacs").stdout
    assert "studies without a date: not proven: failed" in told
    assert "studies without a date are asked for with find.undated: true alone" in told
    find = {"proof": FOR_EVER, "undated": True}
    node.configure({"pacs": ("PACS", 11112)}, settings={"find": find})
    told = node("coverage", "pacs").stdout
    assert "to ask again: dicom-node find pacs --last 1d --only-gaps" in told


def test_a_peer_that_left_the_configuration_is_still_accounted_for(node, ledger):
    ledger(
        window("2024-01-01", peer="old pacs", proven=False),
        window("2024-01-01", peer="older pacs"),
        window("2024-01-01", peer="older pacs", query={"ModalitiesInStudy": "CT"}),
    )
    result = node("coverage", "old pacs")
    assert (result.code, "to ask again" in result.stdout) == (1, False)
    assert "old pacs is no peer of the configuration: nobody can ask it" in result.stdout
    told = node.ok("coverage", "older pacs").stdout
    assert told.count("older pacs is no peer of the configuration: nobody can ask it") == 1


def test_dates_that_are_named_are_looked_at_alone_and_each_has_to_be_proven(node, ledger):
    ledger(
        window("2010-05-05"),
        window("2024-01-01", "2024-03-31"),
        window(None, undated=True, proven=False),
    )
    everything = node("coverage", "pacs")
    between = "never asked for, which is no gap: 2010-05-06 to 2023-12-31"
    assert (everything.code, between in everything.stdout) == (1, True), "for those without a date"
    quarter = ("--from", "2024-01-15", "--to", "2024-03-31")
    (scope,) = scopes(node.json("coverage", "pacs", *quarter))
    assert (scope["first_date"], scope["last_date"]) == ("2024-01-15", "2024-03-31")
    assert (scope["gaps"], len(scope["months"])) == ([], 3)
    assert "studies without a date" not in node.ok("coverage", "pacs", *quarter).stdout
    (scope,) = scopes(
        node.json("coverage", "pacs", "--from", "2023-12-30", "--to", "2024-04-02", code=1)
    )
    assert spans(scope) == [
        ("2023-12-30", "2023-12-31", "not asked"),
        ("2024-04-01", "2024-04-02", "not asked"),
    ]
    beside = node("coverage", "pacs", "--from", "2010-05-04", "--to", "2010-05-31")
    assert (beside.code, "to ask: dicom-node find" in beside.stdout) == (1, True)
    assert "no gap" not in beside.stdout
    early = node("coverage", "pacs", "--from", "2001-01-01", "--to", "2024-04-02").stdout
    years = [line.split("  ")[0] for line in early.splitlines() if line.count("  .") > 5]
    assert (years[0], years[-1]) == ("2001 to 2009", "2024"), "also those that are gaps alone"
    of_2009 = ("--from", "2009-01-01", "--to", "2009-12-31")
    never = node("coverage", "pacs", *of_2009)
    said, to_ask = never.stdout.splitlines()
    assert (never.code, said) == (1, "pacs: never asked for any of these dates")
    assert to_ask.startswith("to ask: dicom-node find pacs --from 2009-01-01 --to 2009-12-31")
    for peer in ("pacs", "other"):
        document = node.json("coverage", peer, *of_2009, code=1)
        (scope,) = scopes(document, peer)
        assert (document["gaps"], spans(scope)) == (1, [("2009-01-01", "2009-12-31", "not asked")])
    document = node.json("coverage", *quarter, code=1)
    assert document["gaps"] == 1, "one of the peers was never asked"
    assert spans(scopes(document, "other")[0]) == [("2024-01-15", "2024-03-31", "not asked")]


def test_expired_proof_is_due_and_no_gap(node, ledger, cli, tmp_path):
    now = datetime.now(UTC).replace(tzinfo=None)
    today = now.date()
    old, young = today - timedelta(days=3000), today - timedelta(days=400)
    since = [now - timedelta(days=days) for days in (400, 40, 1)]
    ledger(
        window(f"{old}", f"{young}", asked_on=since[0]),
        window(f"{young + timedelta(days=1)}", f"{today - timedelta(days=200)}", asked_on=since[1]),
        window(
            f"{today - timedelta(days=199)}", f"{today - timedelta(days=100)}", asked_on=since[2]
        ),
    )
    assert "due" not in node.ok("coverage", "pacs").stdout.replace("~ is due", "")
    aged = node_with(cli, tmp_path / "aged", node.database_url)
    document = aged.json("coverage", "pacs")
    assert (document["gaps"], document["stale"]) == (0, 1)
    (scope,) = scopes(document)
    (stale,) = scope["stale"]
    assert (stale["first_date"], stale["last_date"]) == (
        f"{old}",
        f"{today - timedelta(days=200)}",
    )
    assert stale["proven_on"].startswith(f"{since[0]:%Y-%m-%dT%H:%M}")
    states = {
        month["month"]: (month["state"], month["stale_days"] > 0) for month in scope["months"]
    }
    assert states[f"{old + timedelta(days=60):%Y-%m}"] == ("stale", True)
    assert states[f"{today - timedelta(days=150):%Y-%m}"] == ("proven", False)
    told = aged.ok("coverage", "pacs").stdout
    assert f"due, as the proof has expired: {old} to {today - timedelta(days=200)}" in told
    assert " ~ " in told
    before = aged.json(
        "coverage", "pacs", "--as-of", f"{since[1] - timedelta(days=1):%Y-%m-%dT%H:%MZ}"
    )
    assert before["stale"] == 1
    plan = aged.json("find", "pacs", "--from", f"{old}", "--to", f"{today}", "--due", "--plan")
    due = {one["window"]: one["reason"] for one in plan["peers"][0]["due"]}
    assert due[f"{old} to {today - timedelta(days=200)}"] == "expired"
    assert due[f"{today - timedelta(days=99)} to {today}"] == "newest"
