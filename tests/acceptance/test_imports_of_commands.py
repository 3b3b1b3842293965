"""What the commands import: a library that a command does not need makes it slow to start."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.support.cli import CommandLine
from tests.support.processes import free_port

PROGRAM = """\
import json, sys
from node.cli.app import run
for line in sys.argv[1:]:
    code = run(line.split())
    sys.stdout.flush()
    found = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps([line, code, found]), file=sys.stderr)
"""

IN_ONE_PROCESS = (
    *("--version", "config check", "status", "project list", "db init"),
    "find pacs --last 7d --plan",
)
"""What a command may load, those after it may too: one process is enough for them."""

HTTP = {"aiohttp", "yarl"}
NETWORK = {"pynetdicom", "pydicom", "numpy"} | HTTP
MIGRATIONS = {"alembic", "mako", "pygments"}
DATABASE = {"sqlalchemy", "aiosqlite", "asyncpg", "sqlite3"}
CONFIGURATION = {"pydantic", "yaml"}


@pytest.fixture(scope="module")
def imported(tmp_path_factory, sqlite_template):
    """Return of each command its exit status, and what is loaded when it has ended."""
    cli = CommandLine(tmp_path_factory.mktemp("imports"))
    database = shutil.copy(sqlite_template, cli.folder)
    changes = {
        "DICOM_NODE__STORAGE__RESOURCES": f"sqlite:///{database}",
        "DICOM_NODE__NODE__PORT": str(free_port()),
        "DICOM_NODE__PEERS__PACS": "{aetitle: PACS, host: 127.0.0.1, port: 104}",
    }
    told = {}
    for lines in (IN_ONE_PROCESS, ("--help",)):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *lines],
            cwd=cli.folder,
            env=cli.env(changes),
            capture_output=True,
            text=True,
            timeout=60,
        )
        said = [line for line in done.stderr.splitlines() if line.startswith("[")]
        told |= {line: (code, modules) for line, code, modules in map(json.loads, said)}
        assert told.keys() >= set(lines), done.stderr
    return told


@pytest.mark.parametrize(
    ("command", "needless"),
    [
        pytest.param(
            "--help", NETWORK | {"mako", "alembic", "asyncio"} | DATABASE | CONFIGURATION, id="help"
        ),
        pytest.param(
            "--version", NETWORK | MIGRATIONS | DATABASE | CONFIGURATION | {"rich"}, id="version"
        ),
        pytest.param(
            "config check", NETWORK | MIGRATIONS | DATABASE | {"rich", "asyncio"}, id="config"
        ),
        pytest.param("status", NETWORK | MIGRATIONS | {"asyncpg", "rich"}, id="status"),
        pytest.param("project list", NETWORK | MIGRATIONS | {"asyncpg", "rich"}, id="project"),
        pytest.param("find pacs --last 7d --plan", MIGRATIONS | HTTP, id="find"),
        pytest.param("db init", NETWORK | MIGRATIONS | {"asyncpg", "rich"}, id="db"),
    ],
)
def test_a_command_imports_no_library_that_it_does_not_need(imported, command, needless):
    code, modules = imported[command]
    assert code == 0
    assert not needless & set(modules)
