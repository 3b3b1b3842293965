"""`dicom-node verify` writes down which studies are verified, and `report` and `explain` say it."""

import asyncio
import csv
import io
from threading import Event

import pytest

from node.ops.checking import recording, verify
from node.ops.checking.home import Home
from node.ops.checking.verify import Verification
from schema import Database, record_found
from schema.errors import DatabaseReadOnly, DatabaseUnavailable
from schema.inventory import Selection
from schema.verifying.files import keep_readings
from tests.db.records import finding
from tests.support.images import generate
from tests.support.node import Node
from tests.support.received import flip_byte, receive
from tests.support.waiting import wait_until_async


@pytest.fixture
def node(cli, tmp_path, migrated_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_url)


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_sqlite_url)


def found(node: Node, *uids: str) -> None:
    """Let a PACS have studies, all of which has come."""

    async def fill() -> None:
        async with Database(node.database_url) as database:
            await database.run(record_found, [finding(uid) for uid in uids], peer="pacs")

    asyncio.run(fill())
    node.change("UPDATE studies_find SET retrieved_on = '2026-01-02 03:04:05', state = 'retrieved'")


def sheet(node: Node, *args: str) -> dict[str, dict[str, str]]:
    text = node.ok("report", "--fmt", "csv", *args).stdout
    return {row["study_uid"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}


def stands(node: Node, *args: str) -> list[tuple[str, str, str, str]]:
    """Return of each study how many images are here and verified, not sound, and if it is whole."""
    names = ("here_images", "verified", "unsound_images", "whole")
    rows = sheet(node, *args)
    assert all((row["verified"] == "") == (row["verified_on"] == "") for row in rows.values())
    return [tuple(rows[uid][name] for name in names) for uid in sorted(rows)]


def verification(node: Node, database: Database, **options) -> Verification:
    home = Home(node.directory, aetitle=node.aetitle)
    options = {"selection": Selection(), "threads": 1} | options
    return Verification(database, home=home, **options)


def test_the_sheet_says_what_is_verified_for_as_long_as_it_is(node, tmp_path):
    made = generate(node.directory, studies=2, images=3)
    first, second = sorted({image.study_uid for image in made})
    node.ok("parse", "-i", node.directory)
    found(node, first, second)
    assert stands(node) == [("3", "", "", "yes"), ("3", "", "", "yes")]
    assert "erified" not in node("explain", first).stdout.partition("What is here")[2]

    some = node.json("verify", "--study", first, "--sample", "0.001")
    assert (some["recorded"], some["unrecorded"], some["refusal"]) == (0, 0, None)
    done = node.json("verify", "--study", first)
    assert (done["recorded"], done["verified"]) == (1, 1)
    assert stands(node) == [("3", "3", "", "yes"), ("3", "", "", "yes")]
    assert "all 3 files were read, and are sound" in node("explain", first).stdout
    assert "written down of 2 studies: 2 verified" in node.ok("verify").stdout
    assert stands(node) == [("3", "3", "", "yes"), ("3", "3", "", "yes")]
    totals = node.json("report")["totals"]
    names = ("studies", "retrieved", "verified", "verified_images", "here", "unsound_images")
    assert [totals[name] for name in names] == [2, 2, 2, 6, 6, 0]
    table = node.ok("report").stdout
    assert "2 studies retrieved, 2 of them verified (6 images read again, all sound)." in table
    assert "verified on (UTC)" in table
    of_first = f"WHERE study_uid = '{first}'"
    node.change(f"UPDATE studies_find SET retrieved_on = NULL, state = 'partial' {of_first}")
    told = "1 study retrieved, 1 verified (3 images read again, all sound); what is here of 1 other"
    assert f"{told} verified." in node.ok("report").stdout
    node.change(f"UPDATE studies_find SET retrieved_on = found_on, state = 'retrieved' {of_first}")

    more = generate(tmp_path / "more", studies=1, images=4)[3]
    node.ok("parse", "-i", more.path)
    assert stands(node) == [("4", "", "", "yes"), ("3", "3", "", "yes")]
    assert "not verified as it is" in node("explain", first).stdout

    victim = next(image.path for image in made if image.study_uid == second)
    flip_byte(victim, victim.stat().st_size - 100)
    done = node.json("verify", code=1)
    assert (done["recorded"], done["verified"]) == (2, 1)
    assert stands(node) == [("4", "4", "", "yes"), ("3", "", "1", "no")]
    unsound = sheet(node)[second]
    assert "1 file was not sound when read last" in unsound["reason"]
    assert unsound["next"] == "nothing, until it is set aside"
    told = node("explain", second).stdout
    assert "1 file was not sound" in told
    assert "until what is not sound is set aside" in told
    node.ok("project", "create", "knee")
    for study in (second, "2.99"):
        node.ok("project", "add", "knee", "--study", study)
    totals = node.json("report", "--project", "knee")["totals"]
    assert [totals[name] for name in names] == [2, 1, 0, 0, 3, 1]
    assert node.json("verify", "--project", "knee", code=1)["recorded"] == 1

    node("verify", "--reopen")
    assert stands(node, "--project", "knee")[0] == ("2", "", "", "no")
    page = tmp_path / "sheet.html"
    node.ok("report", "--fmt", "html", "-o", page)
    assert "<th>verified on</th>" in page.read_text()


def test_what_reconcile_finds_makes_a_study_no_longer_verified(one_node):
    node = one_node
    made = generate(node.directory, studies=2, images=2)
    node.ok("parse", "-i", node.directory)
    found(node, *{image.study_uid for image in made})
    node.ok("verify")
    made[0].path.write_bytes(made[0].path.read_bytes()[:-10])
    made[3].path.unlink()
    assert node("reconcile").code == 1
    assert stands(node) == [("2", "2", "", "yes")] * 2  # it was not to change anything
    assert node("reconcile", "--fix").code == 1
    after = stands(node)
    assert after[0] == ("2", "", "1", "no")
    assert after[1][1] == ""


def test_a_study_at_two_nodes_is_verified_when_both_have_read_their_files(node, cli, tmp_path):
    made = generate(tmp_path / "sent", images=3)
    other = Node(cli, tmp_path / "other", node.database_url, aetitle="OTHER")
    receive(node, made[0].path, made[1].path)
    receive(other, made[2].path)
    away = node.directory.rename(tmp_path / "elsewhere")  # a disk that only its own node sees
    found(node, made[0].study_uid)
    seen = other.json("verify")
    assert (seen["checked"], seen["elsewhere"], seen["recorded"], seen["verified"]) == (1, 2, 1, 0)
    assert stands(node) == [("3", "", "", "yes")]
    away.rename(node.directory)
    other.directory.rename(tmp_path / "elsewhere")
    node.ok("verify")
    assert stands(node) == [("3", "3", "", "yes")]


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
async def test_of_a_verification_that_ends_early_what_was_read_whole_stays(
    node, monkeypatch, killed
):
    made = await asyncio.to_thread(generate, node.directory, studies=3, images=2)
    await asyncio.to_thread(node.ok, "parse", "-i", node.directory)
    await asyncio.to_thread(found, node, *{image.study_uid for image in made})
    flip_byte(made[4].path, 2000)
    reached, go_on = Event(), Event()
    read = verify._inspected

    def until_the_last(portion):
        if portion[0].image_uid == made[5].sop_instance_uid:
            reached.set()
            go_on.wait()
        return read(portion)

    async def nothing_more(self, *, early):
        assert early

    monkeypatch.setattr(verify, "_PORTION", 1)
    monkeypatch.setattr(verify, "_inspected", until_the_last)
    if killed:
        monkeypatch.setattr(recording, "_BATCH", 1)
        monkeypatch.setattr(recording.Readings, "finish", nothing_more)
    async with Database(node.database_url) as database:
        run = verification(node, database)
        task = asyncio.create_task(run.run())
        await asyncio.to_thread(reached.wait)
        if killed:
            await wait_until_async(lambda: run.report().recorded == 2)
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    after = await asyncio.to_thread(stands, node)
    whole = ("2", "2", "", "yes")
    assert after == [whole, whole, ("2", "", "" if killed else "1", "yes" if killed else "no")]


async def test_a_database_that_refuses_writes_is_verified_all_the_same(node, monkeypatch):
    made = await asyncio.to_thread(generate, node.directory, studies=2, images=1)
    await asyncio.to_thread(node.ok, "parse", "-i", node.directory)
    await asyncio.to_thread(found, node, *{image.study_uid for image in made})
    errors = [DatabaseReadOnly("it may only be read here")]

    async def refused(session, readings):
        if errors:
            raise errors.pop()
        return await keep_readings(session, readings)

    monkeypatch.setattr(recording, "keep_readings", refused)
    async with Database(node.database_url) as database:
        report = await verification(node, database).run()
        assert (report.correct, report.recorded, report.unrecorded) == (2, 0, 2)
        assert report.refusal == "it may only be read here"
        errors.append(DatabaseUnavailable("it is locked"))
        monkeypatch.setattr(recording, "_BATCH", 1)  # at the end it is tried again
        report = await verification(node, database).run()
    assert (report.recorded, report.verified, report.unrecorded, report.refusal) == (2, 2, 0, "")
    assert await asyncio.to_thread(stands, node) == [("1", "1", "", "yes")] * 2
