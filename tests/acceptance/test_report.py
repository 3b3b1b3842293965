"""`dicom-node report`, from outside: what each study lacks, and why, in every form."""

import asyncio
import csv
import io
import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from schema import Database, StudyFind, add_images, record_found, utcnow
from schema.accounting import sheet
from schema.cycles import finish_cycle, start_cycle
from schema.hierarchy.gone import mark_gone
from schema.moving.attempts import AttemptAnswer, EndedAttempt, begin_attempts
from schema.moving.judging import judge_attempts
from schema.moving.listing import ListedSeries, listing_of
from schema.moving.listings import keep_listings
from schema.moving.patience import FailureKind, RetryLimits
from schema.moving.senders import Senders
from schema.tables.ledger import Cycle
from tests.db.records import finding, record
from tests.support.many_studies import fill
from tests.support.node import Node
from tests.support.processes import free_port

HOSTILE = "=cmd|' /C calc'!A0,\r\n<script>alert(1)</script>"
SENDERS = Senders(peers={"PACS": frozenset({"pacs"})}, ours=frozenset({"NODE"}))
LIMITS = RetryLimits(retry=300, retry_limit=3600, attempts=1)


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def node(cli, tmp_path, migrated_url) -> Node:
    return Node(
        cli,
        tmp_path / "node",
        migrated_url,
        peers={"pacs": ("PACS", free_port()), "other": ("OTHER", free_port())},
        settings={"move": {"every": "1h"}},
    )


async def attempt(db: Database, uid: str, here: int, **answer: Any) -> None:
    """Move a study of three images, of which so many come."""
    images = [f"{uid}.1.{one}" for one in range(3)]
    begun = await db.run(begin_attempts, [uid], peer="pacs", cycle_id=None, node="NODE")
    values = {"filepath": "/file", "size": 100, "source": "PACS", "attempt_id": begun[uid]}
    await db.run(add_images, [record(one, f"{uid}.1", uid, **values) for one in images[:here]])
    series = {f"{uid}.1": ListedSeries(images=dict.fromkeys(images, ""), count=3)}
    listing = listing_of(series, told_images=3, told_series=1)
    await db.run(keep_listings, {uid: (listing, utcnow())}, peer="pacs")
    ended = EndedAttempt(
        attempt_id=begun[uid],
        study_uid=uid,
        answered=AttemptAnswer(started_on=utcnow(), level="STUDY", **answer),
        kind=FailureKind.REFUSED if answer.get("status") else FailureKind.NONE,
        message=HOSTILE if answer.get("status") else "",
    )
    await db.run(judge_attempts, [ended], peer="pacs", senders=SENDERS, limits=LIMITS)


async def migrate(db: Database) -> None:
    """Put a study of each kind into the database: 2.1 is whole."""
    pacs = [finding(f"2.{one}", 3) for one in (1, 2, 3, 4, 5)]
    await db.run(record_found, [*pacs, finding("2.6")], peer="pacs")
    hostile = {"patient_name": HOSTILE, "modalities": "@CT"}
    async with db.begin() as session:
        await session.execute(
            update(StudyFind).where(StudyFind.study_uid == "2.6").values(**hostile)
        )
    await db.run(record_found, [finding("2.7", 4)], peer="stranger")
    await attempt(db, "2.1", 3, status=0)
    await attempt(db, "2.2", 1, status=0)
    await attempt(db, "2.3", 0, status=0xC000, failed=3, refused=("JPEG 2000",))
    await db.run(mark_gone, peer="pacs", study_uids=["2.4"], asked_on=utcnow())


def done_in(node: Node, work: Callable[[Database], Awaitable[Any]]) -> Any:
    """Have something done in a node's database."""

    async def run() -> Any:
        async with Database(node.database_url) as db:
            return await work(db)

    return asyncio.run(run())


def rows_of(text: str) -> dict[str, dict[str, str]]:
    """Read CSV strictly: by Study Instance UID."""
    read = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert all(None not in row and None not in row.values() for row in read)
    return {row["study_uid"]: row for row in read}


def test_each_study_has_a_line_that_says_what_it_lacks_and_why(node):
    done_in(node, migrate)
    result = node.ok("report", "--fmt", "csv")
    assert result.stdout.count("\n") == 8
    rows = rows_of(result.stdout)
    assert list(rows) == [f"2.{one}" for one in range(1, 8)]
    names = ("state", "whole", "here_images", "missing_images", "next")
    told = {uid: tuple(row[name] for name in names) for uid, row in rows.items()}
    assert told == {
        "2.1": ("retrieved", "yes", "3", "0", ""),
        "2.2": ("partial", "no", "1", "2", "due"),
        "2.3": ("failed", "no", "0", "3", "given up"),
        "2.4": ("gone", "no", "0", "3", "nothing: gone there"),
        "2.5": ("pending", "no", "0", "3", "due"),
        "2.6": ("pending", "no", "0", "", "due"),
        "2.7": ("pending", "no", "0", "4", "no peer of the configuration"),
    }
    assert rows["2.1"]["evidence"] == "listed"
    assert rows["2.2"]["missing_uids"] == "2.2.1.1 2.2.1.2"
    assert "2 of 3 images are missing" in rows["2.2"]["reason"]
    refused = rows["2.3"]
    assert (refused["failed_images"], refused["last_status"]) == ("3", "0xC000")
    assert refused["refused_contexts"] == "JPEG 2000"
    assert "\\r\\n<script>" in refused["reason"]
    assert rows["2.6"]["modalities"] == "'@CT"
    assert "stranger is no peer of the configuration" in rows["2.7"]["reason"]
    assert "Doe" not in result.stdout + result.stderr
    assert "7 studies, 1 whole, 6 not." in result.stderr
    assert "15 missing at least (not known of 1 study)" in result.stderr

    patients = rows_of(node.ok("report", "--fmt", "csv", "--patients").stdout)
    assert list(patients["2.1"])[-3:] == ["patient_id", "patient_name", "accession_number"]
    assert patients["2.1"]["patient_name"] == "Doe^Jane"
    assert patients["2.6"]["patient_name"].startswith("'=cmd")
    few = rows_of(node.ok("report", "--fmt", "csv", "--limit", "1").stdout)
    assert few["2.2"]["missing_uids"] == "2.2.1.1 and 1 more"
    assert list(rows_of(node.ok("report", "--fmt", "csv", "--peer", "stranger").stdout)) == ["2.7"]
    none = node("report", "-o", node.folder / "none" / "sheet.csv")
    assert (none.code, "none does not exist" in none.stderr) == (2, True)
    assert not (node.folder / "none").exists()
    nowhere = node("report", "-o", "/proc/sheet.csv")
    assert (nowhere.code, "/proc/sheet.csv" in nowhere.stderr) == (1, True)
    typo = node("report", "--fmt", "csv", "--peer", "pasc", "-o", node.folder / "typo.csv")
    assert (typo.code, typo.stdout) == (2, "")
    assert typo.stderr.startswith("dicom-node: no peer is named 'pasc' (did you mean 'pacs'?); ")
    assert not (node.folder / "typo.csv").exists()

    table = node.ok("report").stdout.splitlines()
    assert table[0].startswith("As of ")
    assert any(line.split()[:2] == ["study", "date"] for line in table)
    assert any(line.startswith("2.2 ") and " partial " in line for line in table)

    page = node.folder / "sheet.html"
    said = node.json("report", "--fmt", "html", "-o", page)
    assert (said["totals"]["studies"], said["totals"]["whole"]) == (7, 1)
    assert said["totals"]["states"] == {
        "retrieved": 1,
        "partial": 1,
        "failed": 1,
        "gone": 1,
        "pending": 3,
    }
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text.replace("http-equiv", "")
    assert "@media print" in text
    assert text.count("<tr") == 8
    assert text.index("7 studies, 1 whole") < text.index("<table>")
    assert node("report", "-o", page).code == 2
    node.ok("report", "-o", page, "--force", "--fmt", "csv")
    data = page.read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") == 8
    assert rows_of(data.decode()) == rows


def test_a_sheet_of_a_project_has_what_no_peer_has_answered(node):
    done_in(node, migrate)
    node.ok("project", "create", "knee")
    for words in (("--study", "2.2"), ("--study", "2.99"), ("--accession", "A9")):
        node.ok("project", "add", "knee", *words)
    read = csv.DictReader(
        io.StringIO(node.ok("report", "--project", "knee", "--fmt", "csv").stdout)
    )
    rows = list(read)
    assert [(row["study_uid"], row["state"]) for row in rows] == [
        ("2.2", "partial"),
        ("2.99", "not found"),
        ("", "not found"),
    ]
    assert "no peer was asked for it yet" in rows[1]["reason"]
    assert node("report", "--project", "elbow").code == 2


async def test_a_sheet_is_read_page_by_page(sqlite, monkeypatch):
    monkeypatch.setattr(sheet, "PAGE", 40)
    await fill(sqlite, 100)
    async with sqlite.session() as session:
        pages = [page async for page in sheet.sheet_pages(session)]
    assert [len(page) for page in pages] == [40, 40, 20]
    assert {one.study_uid for page in pages for one in page} == {f"1.2.{n}" for n in range(1, 101)}


def shut_now() -> str:
    """Return hours of this day that are not now."""
    begin = (utcnow().hour + 6) % 24
    return f"{begin:02}:00-{(begin + 2) % 24:02}:00 UTC"


async def half_an_hour_of_moves(db: Database) -> None:
    async with db.begin() as session:
        cycle = await start_cycle(session, "move", "pacs", "NODE", os.getpid())
        began = utcnow() - timedelta(minutes=30)
        await session.execute(update(Cycle).where(Cycle.id == cycle).values(started_on=began))
        await finish_cycle(session, cycle, "done")


def test_status_and_expect_say_what_is_left_and_how_long_that_takes(node):
    done_in(node, migrate)
    nothing = node.json("expect", "other", code=0)
    assert nothing == {"peers": []}
    assert node("expect", "stranger").code == 1
    done_in(node, half_an_hour_of_moves)
    (said,) = node.json("expect", "pacs")["peers"]
    assert (said["studies"], said["by"], said["given_up"]) == (4, "studies", 1)
    assert said["basis"]["studies"] == 1
    assert said["coming"] == 3
    assert 3 * 1800 <= said["seconds"] < 3 * 1900
    text = node.ok("expect", "pacs").stdout
    assert "left: 4 studies, of 9 images (about 900 bytes); of 1 study nobody says" in text
    assert "1 given up: somebody has to ask for it" in text
    assert "expected: 1 h 30 m of moves, done about " in text
    assert "from 1 study and 4 images in 30 m of moves in the last 7 days, by studies" in text
    document = node.json("status")
    (pacs,) = [one for one in document["peers"] if one["peer"] == "pacs"]
    assert (pacs["ready"], pacs["waiting"], pacs["given_up"]) == (3, 0, 1)
    assert pacs["states"] == {"retrieved": 1, "partial": 1, "failed": 1, "pending": 2}
    assert (pacs["day"]["studies"], pacs["day"]["attempts"]) == (1, 3)
    assert pacs["rest"]["seconds"] == pytest.approx(said["seconds"], rel=0.1)
    assert (pacs["rest"]["why"], pacs["rest"]["ends_on"]) == ("not running", None)
    shown = node.ok("status").stdout
    assert "  queue: 3 ready, 1 given up; by state: 1 failed, 1 partial, 2 pending" in shown
    assert "1 h 30 m of moves, once a node runs: none does here, and nobody moves" in shown
    moving = done_in(node, lambda db: db.run(start_cycle, "move", "pacs", "ELSEWHERE", 1))
    document = node.json("status")
    (pacs,) = [one for one in document["peers"] if one["peer"] == "pacs"]
    assert document["as_of"] < pacs["rest"]["ends_on"], "another node moves"
    assert "  last hour: 1 study complete" in shown
    document = json.loads(node.config.read_text())
    document["move"] |= {"every": "", "budget": {"studies": 1}}
    node.config.write_text(json.dumps(document))
    text = node("expect", "pacs").stdout
    assert "expected: 1 h 30 m of moves, as soon as somebody moves: the daemon moves" in text
    document["move"]["every"] = "1h"
    node.config.write_text(json.dumps(document))
    text = node("expect", "pacs").stdout
    assert "expected: 1 h 30 m of moves, done on 3 days, as move.budget allows, about " in text
    shown = node.ok("status").stdout
    assert "1 h 30 m of moves, done on 3 days, as move.budget allows, about " in shown
    assert "  queue: 3 ready but for the budget, 1 given up; by state: " in shown
    document["move"]["hours"] = shut_now()
    node.config.write_text(json.dumps(document))
    done_in(node, lambda db: db.run(finish_cycle, moving, "done"))
    shown_later = node.ok("status").stdout
    assert "  queue: 3 ready but for the hours, 1 given up; by state: " in shown_later
    assert "once a node runs" in shown_later
    del document["move"]["hours"]
    node.config.write_text(json.dumps(document))
    (line,) = [line for line in shown.splitlines() if line.startswith("  budget: ")]
    assert "the budget of this day is used up, 3 of 1 study (move.budget)" in line
    assert line.count("until") == 1
    node.ok("hold", "2.5", "--reason", "it is migrated")
    node.change("UPDATE study_sources SET next_attempt_on = '2020-01-01'")
    node.change("UPDATE studies_find SET next_attempt_on = '2020-01-01'")
    rows = rows_of(node.ok("report", "--fmt", "csv").stdout)
    assert rows["2.2"]["next"].startswith("waits: the budget of this day is used up, 3 of 1 study")
    assert rows["2.2"]["next_on"] > f"{utcnow():%Y-%m-%d %H:%M}"
    assert rows["2.2"]["reason"].endswith("; due again with the next cycle")
    assert rows["2.5"]["next"] == "held"
    assert rows["2.5"]["reason"].startswith(f"held by an operator on {utcnow():%Y-%m-}")
    assert rows["2.5"]["reason"].endswith(" UTC: it is migrated")
