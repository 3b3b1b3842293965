"""`dicom-node reconcile`: index and storage directory brought together, nothing dropped."""

import asyncio
import csv
import errno
import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import update

from node.config import Config
from node.ops.checking import reconcile
from node.storage.inspect import Fault
from schema import Database, Image
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.received import SETTINGS, flip_byte, kinds, natural_rows, receive


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def node(cli, tmp_path, migrated_url) -> Node:
    return Node(cli, tmp_path / "node", migrated_url, settings=SETTINGS)


@pytest.fixture
def one_node(cli, tmp_path, migrated_sqlite_url) -> Node:
    """Return a node on SQLite alone, where no SQL of its own is at stake."""
    return Node(cli, tmp_path / "node", migrated_sqlite_url, settings=SETTINGS)


def listed(document) -> dict[str, str]:
    with open(document["list"], newline="") as file:  # noqa: PTH123
        return kinds(list(csv.DictReader(file)))


def changed(path: Path, target: Path, **values: str | None) -> Path:
    """Write a copy of an image whose attributes are others, or none; the UID stays."""
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(target)
    return target


async def forget_sizes(node: Node) -> None:
    async with Database(node.database_url) as database, database.begin() as session:
        await session.execute(update(Image).values(size=None))


async def forget_digests(node: Node) -> None:
    async with Database(node.database_url) as database, database.begin() as session:
        await session.execute(update(Image).values(sha256=None))


def comparable(rows):
    """Return rows without when they came, and that by itself."""
    bare = {
        table: [{key: value for key, value in row.items() if key != "received_on"} for row in rows]
        for table, rows in rows.items()
    }
    times = [
        datetime.fromisoformat(str(row["received_on"]))
        for table in ("images", "quarantine")
        for row in rows[table]
    ]
    return bare, times


def test_an_empty_database_and_the_archive_alone_give_the_same_rows(node, cli, tmp_path, fresh_url):
    made = [image.path for image in generate(tmp_path / "sent", studies=2, series=2, images=3)]
    (tmp_path / "odd").mkdir()
    conflict = changed(made[0], tmp_path / "odd" / "conflict.dcm", PatientComments="another")
    broken = changed(made[1], tmp_path / "odd" / "broken.dcm", StudyInstanceUID=None)
    receive(node, tmp_path / "sent", conflict, broken, quarantined=2)
    before, received = comparable(natural_rows(node))
    assert len(before["images"]) == 12
    assert {row["kind"] for row in before["quarantine"]} == {"conflict", "undecodable"}
    files = {path: path.stat().st_ino for path in node.files()}

    rebuilt = Node(cli, tmp_path / "node", fresh_url, settings=SETTINGS)
    rebuilt.ok("db", "init")
    told = rebuilt.json("reconcile", code=1)
    assert told["found"] == {"unindexed": 12, "stray": 2}
    assert rebuilt.value("SELECT count(*) FROM images") == 0
    assert rebuilt.value("SELECT count(*) FROM quarantine") == 0
    done = rebuilt.json("reconcile", "--fix")
    assert (done["found"], done["left"]) == (told["found"], 0)
    after, written = comparable(natural_rows(rebuilt))
    assert after == before
    gaps = [abs(one - other) for one, other in zip(received, written, strict=True)]
    assert max(gaps) < timedelta(seconds=10)
    assert {path: path.stat().st_ino for path in node.files()} == files
    again = rebuilt.json("reconcile", "--fix")
    assert (again["found"], again["files"], again["rows"]) == ({}, 12, 14)
    assert rebuilt.json("verify")["correct"] == 12


@pytest.fixture
def fresh_url(request, migrated_url) -> Iterator[str]:
    """Return the URL of a second database, an empty one of the same kind."""
    if migrated_url.startswith("sqlite"):
        yield migrated_url.replace("node.db", "rebuilt.db")
        return
    server = request.getfixturevalue("postgresql")
    name = server.create_database()
    yield str(server.url(name))
    server.drop_database(name)


def test_a_row_whose_file_is_gone_is_fetched_by_the_next_move(one_node, tmp_path, cli):
    node = one_node
    images = generate(tmp_path / "pacs", studies=2, images=3)
    port = free_port()
    options = ("--aetitle", "PACS", "--destination", f"NODE=127.0.0.1:{node.port}")
    serve = ("simulate", tmp_path / "pacs", "--port", str(port))
    pacs = cli.start(*serve, *options, log=tmp_path / "pacs.log")
    try:
        pacs.wait_for_port(port)
        node.configure({"pacs": ("PACS", port)})
        node.ok("find", "pacs", "--from", "2024-01-01", "--to", "2024-01-02")
        node.ok("move", "pacs")
        victim = images[1]
        path = node.stored()[victim.sop_instance_uid]
        bytes_before = path.read_bytes()
        path.unlink()

        told = node.json("reconcile", code=1)
        assert (told["found"], told["reopened"]) == ({"missing": 1}, [])
        assert node.stored()[victim.sop_instance_uid] == path
        done = node.json("reconcile", "--fix", code=1)
        assert (done["found"], done["reopened"]) == ({"missing": 1}, [victim.study_uid])
        (study,) = node.rows("SELECT * FROM studies_find WHERE retrieved_on IS NULL")
        assert study["study_uid"] == victim.study_uid
        assert study["state"] == "partial"
        assert "gone from the storage directory" in study["last_error"]
        assert node.value("SELECT count(*) FROM images") == 6
        assert node.json("reconcile", code=1)["found"] == {"lost": 1}

        moved = node.json("move", "pacs")
        assert [(one["study_uid"], one["outcome"]) for one in moved["studies"]] == [
            (victim.study_uid, "complete")
        ]
        assert node.stored()[victim.sop_instance_uid] == path
        assert path.read_bytes() == bytes_before
    finally:
        pacs.terminate()


def test_what_lies_in_the_directory_is_indexed_or_kept_with_a_reason(one_node, tmp_path):
    node = one_node
    made = [image.path for image in generate(tmp_path / "sent", images=5)]
    receive(node, *made[:3])
    stored = sorted(node.stored().values())
    folder = stored[0].parent
    shutil.copy(made[3], folder / "new.dcm")
    shutil.copy(stored[0], folder / "copy.dcm")
    changed(made[1], folder / "conflict.dcm", PatientComments="another")
    (folder / "truncated.dcm").write_bytes(made[4].read_bytes()[:3000])
    (folder / "notes.txt").write_text("no image")
    stored[2].rename(folder / "renamed.dcm")

    told = node.json("reconcile", code=1)
    expected = {
        "unindexed": 1,
        "relocated": 1,
        "duplicate": 1,
        "conflict": 1,
        "undecodable": 1,
    }
    assert told["found"] == expected
    assert told["skipped"] == 1
    assert node.value("SELECT count(*) FROM images") == 3
    done = node.json("reconcile", "--fix")
    assert (done["found"], done["left"]) == (expected, 0)
    assert listed(done) == {
        "new.dcm": "unindexed",
        "renamed.dcm": "relocated",
        "copy.dcm": "duplicate",
        "conflict.dcm": "conflict",
        "truncated.dcm": "undecodable",
    }
    assert set(node.stored().values()) == {
        stored[0],
        stored[1],
        folder / "renamed.dcm",
        folder / "new.dcm",
    }
    kept = node.rows("SELECT filepath, kind, reason, sha256 FROM quarantine ORDER BY kind")
    assert [(Path(row["filepath"]).name, row["kind"]) for row in kept] == [
        ("conflict.dcm", "conflict"),
        ("truncated.dcm", "undecodable"),
    ]
    assert str(stored[1]) in kept[0]["reason"]
    assert all(row["sha256"] for row in kept)
    again = node("reconcile", "--fix")
    assert again.code == 0
    assert "duplicate" in again.stdout
    assert "1 file: no image" in again.stdout
    assert node.json("verify")["correct"] == 4

    with stored[0].open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    told = node.json("reconcile", code=1)
    assert listed(told)["copy.dcm"] == "spare"


def test_what_the_node_is_about_to_index_is_left_alone(one_node, tmp_path):
    node = one_node
    (image,) = generate(tmp_path / "sent", images=1)
    spooled = node.directory / ".spool" / "1-dead" / "entry.dcm"
    spooled.parent.mkdir(parents=True)
    shutil.copy(image.path, spooled)
    placed = node.directory / "1.2" / "1.2.3.dcm"
    placed.parent.mkdir()
    os.link(spooled, placed)
    aside = node.directory / ".quarantine" / "x.dcm"
    aside.parent.mkdir()
    os.link(spooled, aside)
    report = node.json("reconcile", "--fix")
    assert (report["found"], report["waiting"], report["files"]) == ({}, 2, 1)
    assert node.value("SELECT count(*) FROM images") == 0
    assert spooled.exists()


def test_a_directory_that_is_not_mounted_changes_no_row(one_node, tmp_path):
    node = one_node
    generate(node.directory, images=2)
    node.ok("parse", "-i", node.directory)
    before = natural_rows(node)
    node.directory.rename(tmp_path / "unmounted")
    for there in (False, True):
        if there:
            node.directory.mkdir()
            (node.directory / "lost+found.txt").write_text("no image")
        result = node("reconcile", "--fix")
        assert result.code == 1
        assert "is it mounted?" in result.stderr
        assert "agree" not in result.stdout
        assert ("this is not all: it ended early" in result.stdout) == there
        assert there or result.stdout == ""
    assert natural_rows(node) == before


def test_an_archive_that_has_moved_is_found_again(one_node, tmp_path):
    node = one_node
    generate(node.directory, images=2)
    node.ok("parse", "-i", node.directory)
    moved = tmp_path / "new place"
    node.directory.rename(moved)
    settings = json.loads(node.config.read_text())
    settings["storage"]["directory"] = str(moved)
    node.config.write_text(json.dumps(settings))
    assert node.json("reconcile", code=1)["found"] == {"relocated": 2}
    assert node.json("reconcile", "--fix")["left"] == 0
    assert {path.is_relative_to(moved) for path in node.stored().values()} == {True}
    assert node.json("verify")["correct"] == 2


def test_a_file_that_comes_while_reconcile_looks_keeps_its_path(node, tmp_path, monkeypatch):
    receive(node, *(image.path for image in generate(tmp_path / "sent", images=2)))
    before = natural_rows(node)
    path = min(node.stored().values())
    content = path.read_bytes()
    path.unlink()
    look, seen = reconcile.looked_at, []

    def looking(page):
        found = look(page)
        seen.append([one.fault for one in found])
        path.write_bytes(content)  # as it is received again, a moment later
        return found

    monkeypatch.setattr(reconcile, "looked_at", looking)
    config = Config.model_validate({"storage": {"directory": str(node.directory)}})

    async def run():
        async with Database(node.database_url) as database:
            return await reconcile.Reconciliation(config, database, fix=True).run()

    report = asyncio.run(run())
    assert seen[0].count(Fault.MISSING) == 1
    assert (dict(report.found), report.reopened) == ({}, ())
    assert natural_rows(node) == before


def test_rows_outside_the_directory_are_counted_and_never_opened_again(one_node):
    node = one_node
    generate(node.directory, images=1)
    outside = generate(node.folder / "outside", images=2, seed=1)
    node.ok("parse", "-i", node.folder)
    assert node.json("reconcile")["outside"] == 2
    outside[0].path.unlink()
    report = node.json("reconcile", "--fix")
    assert (report["found"], report["outside"]) == ({"elsewhere": 1}, 1)
    assert node.stored()[outside[0].sop_instance_uid] == outside[0].path


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
def test_a_damaged_file_of_a_row_is_changed_and_never_in_quarantine(one_node, tmp_path, sized):
    node = one_node
    receive(node, *(image.path for image in generate(tmp_path / "sent", images=4)))
    victims = sorted(node.stored().values())[:3]
    whole = [victim.read_bytes() for victim in victims]
    for victim, damage in zip(victims, (b"", b"hello" * 50, whole[2][:400]), strict=True):
        victim.write_bytes(damage)
    if not sized:  # as before sizes were kept
        asyncio.run(forget_sizes(node))
    before = natural_rows(node)
    for options in ((), ("--fix",)):
        report = node.json("reconcile", *options, code=1)
        assert (report["found"], report["left"], report["skipped"]) == ({"changed": 3}, 3, 0)
        assert listed(report) == {victim.name: "changed" for victim in victims}
    assert natural_rows(node) == before
    assert node.json("verify", code=1)["wrong"] == {"changed": 3}
    for victim, intact in zip(victims, whole, strict=True):
        victim.write_bytes(intact)
    node.ok("reconcile", "--fix")


def test_after_a_damaged_file_was_healed_nothing_names_it_in_quarantine(one_node, tmp_path):
    node = one_node
    (image,) = generate(tmp_path / "sent", images=1)
    receive(node, image.path)
    (victim,) = node.stored().values()
    victim.write_bytes(victim.read_bytes()[:400])
    assert node.json("reconcile", "--fix", code=1)["found"] == {"changed": 1}
    receive(node, image.path, quarantined=1)  # what was damaged
    (kept,) = node.rows("SELECT filepath, kind FROM quarantine")
    assert kept["kind"] == "damaged"
    assert Path(kept["filepath"]).is_relative_to(node.directory / ".quarantine")
    node.ok("reconcile")
    node.ok("verify")


@pytest.mark.parametrize("decodable", [True, False])
def test_a_damaged_file_that_is_being_set_aside_is_left_to_whoever_does_it(
    one_node, tmp_path, decodable
):
    node = one_node
    (image,) = generate(tmp_path / "sent", images=1)
    receive(node, image.path)
    (victim,) = node.stored().values()
    flip_byte(victim, victim.stat().st_size - 1 if decodable else 128)
    aside = node.directory / ".quarantine" / f"{image.sop_instance_uid}~0123~damaged.dcm"
    aside.parent.mkdir(exist_ok=True)
    os.link(victim, aside)
    assert node.json("reconcile", "--fix")["found"] == {}
    assert node.rows("SELECT filepath FROM quarantine") == []


def test_another_image_in_a_files_place_does_not_take_its_name(one_node, tmp_path):
    node = one_node
    images = generate(tmp_path / "sent", images=2)
    receive(node, images[0].path)
    (victim,) = node.stored().values()
    victim.write_bytes(images[1].path.read_bytes() + bytes(2))
    assert node.json("reconcile", "--fix", code=1)["found"] == {"changed": 1}
    assert node.stored() == {images[0].sop_instance_uid: victim}


def test_a_row_without_digest_takes_no_file_of_another_object_that_was_received(node, tmp_path):
    (image,) = generate(tmp_path / "sent", images=1)
    other = changed(image.path, tmp_path / "other.dcm", PatientName="Another^One")
    receive(node, image.path)
    asyncio.run(forget_digests(node))
    (path,) = node.stored().values()
    there = path.with_name("unindexed.dcm")
    shutil.copy(other, there)
    path.unlink()
    before = natural_rows(node)["images"]
    for options in ((), ("--fix",)):
        report = node.json("reconcile", *options, code=1)
        assert report["found"] == {"conflict": 1, "missing": 1}
    assert [row["kind"] for row in node.rows("SELECT kind FROM quarantine")] == ["conflict"]
    (row,) = natural_rows(node)["images"]
    assert row["meta"] == before[0]["meta"]
    assert (row["filepath"], row["sha256"]) == (None, None)


def test_files_that_cannot_be_looked_at_are_not_missing(one_node, tmp_path):
    node = one_node
    receive(node, *(image.path for image in generate(tmp_path / "sent", studies=2, images=2)))
    before = natural_rows(node)
    folder = min(node.stored().values()).parents[1]
    assert folder.parent == node.directory
    away = tmp_path / "away"
    folder.rename(away)
    folder.symlink_to(folder)
    for options in ((), ("--fix",)):
        report = node.json("reconcile", *options, code=1)
        assert (report["found"], report["reopened"]) == ({"unreadable": 3}, [])  # with the folder
        with open(report["list"], newline="") as file:  # noqa: PTH123
            assert {row["reason"] for row in csv.DictReader(file)} == {os.strerror(errno.ELOOP)}
    assert natural_rows(node) == before
    folder.unlink()
    away.rename(folder)
    node.ok("reconcile", "--fix")


def test_a_quarantine_that_cannot_be_looked_at_is_told(one_node, tmp_path):
    node = one_node
    (image,) = generate(tmp_path / "sent", images=1)
    broken = changed(image.path, tmp_path / "broken.dcm", StudyInstanceUID=None)
    receive(node, image.path, broken, quarantined=1)
    quarantine = node.directory / ".quarantine"
    quarantine.rename(tmp_path / "away")
    quarantine.symlink_to(quarantine)
    report = node.json("reconcile", "--fix", code=1)
    assert set(report["found"]) == {"unreadable"}
    quarantine.unlink()
    assert node.json("reconcile", "--fix", code=1)["found"] == {"unkept": 1}


def test_where_nothing_was_received_there_is_nothing_to_miss(one_node, tmp_path):
    node = one_node
    nothing = f"nothing has been received here: there is no storage directory {node.directory}\n"
    assert node.ok("reconcile").stdout == nothing
    images = generate(tmp_path / "elsewhere", images=2)
    node.ok("parse", "-i", tmp_path / "elsewhere")
    assert not node.directory.exists()
    result = node.ok("reconcile", "--fix")
    assert result.stdout.startswith(f"{nothing}0 files and 2 rows compared: they agree\n")
    assert "is it mounted?" not in result.stderr
    images[0].path.write_bytes(b"")
    report = node.json("reconcile", code=1)
    assert (report["found"], report["complete"]) == ({"changed": 1}, True)


def test_a_row_in_quarantine_needs_the_directory_too(one_node, tmp_path):
    node = one_node
    (image,) = generate(tmp_path / "sent", images=1)
    receive(
        node, changed(image.path, tmp_path / "broken.dcm", StudyInstanceUID=None), quarantined=1
    )
    node.directory.rename(tmp_path / "unmounted")
    result = node("reconcile", "--fix")
    assert (result.code, result.stdout) == (1, "")
    assert "is it mounted?" in result.stderr


def test_a_directory_that_cannot_be_looked_at_is_an_error(one_node, tmp_path):
    node = one_node
    node.directory.symlink_to(node.directory)
    result = node("reconcile")
    assert (result.code, result.stdout) == (1, "")
    assert os.strerror(errno.ELOOP) in result.stderr
    node.directory.unlink()
    node.directory.write_text("a file")
    assert "is no directory" in node("reconcile").stderr
