"""What the commands import: a library that a command does not need makes it slow to start."""

import json
import subprocess
import sys

import pytest

PROGRAM = """\
import json, sys
from node.cli.app import run
code = run(sys.argv[1:])
sys.stdout.flush()
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""

HTTP = {"aiohttp", "yarl"}
NETWORK = {"pynetdicom", "pydicom", "numpy"} | HTTP
MIGRATIONS = {"alembic", "mako", "pygments"}
DATABASE = {"sqlalchemy", "aiosqlite", "asyncpg", "sqlite3"}
CONFIGURATION = {"pydantic", "yaml"}


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
def test_a_command_imports_no_library_that_it_does_not_need(cli, free_port, command, needless):
    assert cli("db", "init").code == 0
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split()],
        cwd=cli.folder,
        env=cli.env(
            {
                "DICOM_NODE__NODE__PORT": str(free_port()),
                "DICOM_NODE__PEERS__PACS": "{aetitle: PACS, host: 127.0.0.1, port: 104}",
            }
        ),
        capture_output=True,
        text=True,
        timeout=60,
    )

    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    assert not needless & set(modules)
