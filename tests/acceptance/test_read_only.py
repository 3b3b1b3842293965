"""A database that its user may only read, and what is no database file."""

import asyncio
import re
import sys
from contextlib import contextmanager

import pytest
from pandas import read_sql
from sqlalchemy import select

from schema import Database, Project, SyncDatabase
from schema.engine.sqlite import file as database_file
from schema.errors import DatabaseReadOnly, DatabaseUnavailable
from schema.project.entries import create_project
from schema.project.reports import list_projects
from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import Process, free_port

UNPRIVILEGED = """
import ctypes, os, struct, sys
if os.geteuid() == 0:  # who may write everywhere gives that up
    assert ctypes.CDLL(None).capset(struct.pack("=Ii", 0x20080522, 0), bytes(24)) == 0
from node.cli.app import run
for command in sys.argv[2:]:
    code = run([*command.split(), "-f", sys.argv[1]])
    print(f"{command}: {code}", flush=True)
"""
READING = (
    "status",
    "coverage pacs --last 3d",
    "cycles list",
    "cycles show 1",
    "hooks list",
    "project list",
    "project show knee",
    "db current",
    "find pacs --last 3d --plan",
    "move pacs --dry-run",
    "report",
    "verify",  # which writes down what it finds, where it can
)
CHANGING = (
    "project create new",
    "cycles cancel 1",
    "hooks retry",
    "probe pacs",  # nobody answers there: before anybody is asked it is seen
    "find pacs --study 1.2.3",
    "db upgrade",
)


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url):
    node = Node(cli, tmp_path / "node", migrated_sqlite_url, peers={"pacs": ("PACS", free_port())})
    node.ok("project", "create", "knee")
    node.ok("parse", "-i", generate(node.directory, images=1)[0].path)
    node.change(
        "INSERT INTO cycles (kind, peer, node, pid, process, started_on, outcome) VALUES "
        "('find', 'pacs', 'NODE', 999999999, 'dead', '2026-01-01 00:00:00', 'running')"
    )
    return node


@contextmanager
def protected(node):
    """Let nobody write to the database for the length of the block, nor to its folder."""
    path = Database(node.database_url).path
    files = [path, *path.parent.glob(f"{path.name}-*")]
    for one in files:
        one.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        yield
    finally:
        path.parent.chmod(0o755)
        for one in files:
            if one.exists():
                one.chmod(0o644)


def codes(cli, node, *commands) -> tuple[dict[str, int], str]:
    """Run commands as a user who may do nothing that files do not allow; return their codes."""
    log = node.folder / "unprivileged.log"
    log.unlink(missing_ok=True)
    program = [sys.executable, "-c", UNPRIVILEGED, str(node.config), *commands]
    process = Process(program, log=log, env=cli.env(), forks=cli.forks)
    assert process.wait(60) == 0, process.output()
    said = process.output()
    found = {name: int(code) for name, code in re.findall(r"^(.*): (\d+)$", said, re.MULTILINE)}
    return {name: found[name] for name in commands}, said


async def test_what_only_looks_needs_only_to_read(cli, node):
    expected = dict.fromkeys(READING, 0) | {"coverage pacs --last 3d": 1}
    with protected(node):
        found, said = codes(cli, node, *READING, *CHANGING)
    refused = dict.fromkeys(CHANGING, 1)
    assert found == expected | refused, said
    assert said.count("the database may only be read here") == len(CHANGING) + 1
    assert "not written down of 1 study: the database may only be read here" in said
    async with Database(node.database_url) as database:
        async with database.begin() as session:
            await create_project(session, "shoulder")
        async with database.session() as session:
            await list_projects(session)
            with protected(node):  # somebody has it open: what was committed last is beside it
                found, said = codes(cli, node, *READING)
    assert found == expected, said
    assert "shoulder" in said
    assert "Traceback" not in said


async def test_a_database_that_may_be_written_again_is_written(node, monkeypatch):
    async with Database(node.database_url) as database:
        with monkeypatch.context() as protected_now:
            protected_now.setattr(database_file, "_may_write", lambda _: False)
            async with database.session() as session:
                await list_projects(session)
            with pytest.raises(DatabaseReadOnly):
                async with database.begin() as session:
                    await create_project(session, "shoulder")
        async with database.begin() as session:
            await create_project(session, "shoulder")


async def test_what_was_changed_while_it_was_read_is_no_answer(node, monkeypatch):
    monkeypatch.setattr(database_file, "_may_write", lambda _: False)
    async with Database(node.database_url) as reader, reader.session() as session:
        assert [one.name for one in await list_projects(session)] == ["knee"]
        await asyncio.to_thread(node.ok, "project", "list")
    async with Database(node.database_url) as reader:
        with pytest.raises(DatabaseUnavailable, match="was changed while it was read"):
            async with reader.session() as session:
                await list_projects(session)
                await asyncio.to_thread(node.ok, "project", "create", "shoulder")


def test_it_is_no_answer_to_synchronous_code_either(node, monkeypatch):
    monkeypatch.setattr(database_file, "_may_write", lambda _: False)
    with SyncDatabase(node.database_url) as reader:
        with reader.session() as session:
            assert session.scalars(select(Project.name)).all() == ["knee"]
        with pytest.raises(DatabaseUnavailable, match="was changed"), reader.session() as session:
            session.scalars(select(Project.name)).all()
            node.ok("project", "create", "shoulder")
        engine = reader.engine
        assert read_sql(select(Project.name), engine)["name"].tolist() == ["knee", "shoulder"]
        with pytest.raises(DatabaseUnavailable, match="was changed"), engine.connect() as one:
            one.execute(select(Project.name)).all()
            node.ok("project", "create", "hip")
        assert len(read_sql(select(Project.name), engine)) == 3


def test_a_file_that_is_no_database_is_named_by_each_command(cli, tmp_path):
    path = tmp_path / "studies.xlsx"
    path.write_bytes(b"no database" * 99)
    node = Node(cli, tmp_path / "node", f"sqlite:///{path}", peers={"pacs": ("PACS", 1)})
    for command in ("status", "find pacs --last 1d", "db current", "db init", "project list"):
        result = node(*command.split())
        assert (result.code, f"{path} " in result.stderr) == (1, True), (command, result)
    assert path.read_bytes() == b"no database" * 99


def test_a_folder_in_the_place_of_the_database_is_named_by_each_command(cli, tmp_path):
    folder = tmp_path / "var"
    folder.mkdir()
    node = Node(cli, tmp_path / "node", f"sqlite:///{folder}", peers={"pacs": ("PACS", 1)})
    commands = ("find pacs --last 1d", "db current", "db init", "db upgrade", "status", "coverage")
    for command in (*commands, "cycles list", "project list", "move pacs", "verify"):
        result = node(*command.split())
        assert result.code == 1, (command, result)
        assert f"{folder} is a folder" in result.stderr.splitlines()[-1], (command, result)
        assert "Traceback" not in result.stderr
