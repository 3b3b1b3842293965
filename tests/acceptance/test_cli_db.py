"""`dicom-node db` with the three-key configuration, on SQLite and PostgreSQL."""

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def config(cli, database_url) -> Path:
    """Write the configuration of the guide."""
    path = cli.folder / "conf.yaml"
    settings = {"resources": database_url, "resources_meta": "", "directory": ""}
    path.write_text(json.dumps({"storage": settings}))
    return path


@pytest.fixture
def sqlite_config(cli) -> Path:
    """Write a configuration with a database at a relative path, in a folder that is not there."""
    path = cli.folder / "dicom-node.yaml"
    path.write_text('storage: {resources: "sqlite:///new/node.db"}')
    return path


def test_init_creates_the_database_and_a_second_run_changes_nothing(cli, config):
    first = cli("db", "init", "-f", config)
    assert (first.code, first.stderr) == (0, "")
    assert "created, at revision" in first.stdout
    before = cli("db", "current", "-f", config)
    assert before.code == 0
    assert "the latest" in before.stdout
    second = cli("db", "init", "-f", config)
    assert second.code == 0
    assert "is there already" in second.stdout
    assert cli("db", "current", "-f", config) == before


def test_init_as_json_says_what_was_done(cli, config):
    first = json.loads(cli("db", "init", "--json", "-f", config).stdout)
    second = json.loads(cli("db", "init", "--json", "-f", config).stdout)
    assert (first["before"], first["changed"]) == (None, True)
    assert (second["before"], second["changed"]) == (first["after"], False)


def test_current_is_exit_code_1_before_init(cli, config):
    result = cli("db", "current", "-f", config)
    assert result.code == 1
    assert "dicom-node db init" in result.stdout
    document = json.loads(cli("db", "current", "--json", "-f", config).stdout)
    assert document["current"] is None
    assert document["latest"] is False


def test_upgrade_of_a_database_that_is_up_to_date_says_so(cli, config):
    cli("db", "init", "-f", config)
    result = cli("db", "upgrade", "-f", config)
    assert (result.code, result.stderr) == (0, "")
    assert "is up to date" in result.stdout
    dry = cli("db", "upgrade", "--dry-run", "-f", config)
    assert (dry.code, dry.stdout) == (0, "")
    assert "nothing would run" in dry.stderr


def test_a_dry_run_prints_sql_alone_and_touches_nothing(cli, sqlite_config):
    result = cli("db", "upgrade", "--dry-run")
    assert result.code == 0
    assert "CREATE TABLE" in result.stdout
    assert not (cli.folder / "new").exists()
    connection = sqlite3.connect(":memory:")
    connection.executescript(result.stdout)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert {"patients", "studies", "series", "images", "studies_find"} <= tables


def test_the_sql_of_a_dry_run_makes_what_upgrade_would(cli, sqlite_config):
    sqlite = shutil.which("sqlite3")
    sql = cli("db", "upgrade", "--dry-run").stdout
    path = cli.folder / "new" / "node.db"
    path.parent.mkdir()
    if sqlite:
        subprocess.run([sqlite, str(path)], input=sql, text=True, check=True, capture_output=True)
    else:
        connection = sqlite3.connect(path)
        connection.executescript(sql)
        connection.close()
    result = cli("db", "current")
    assert result.code == 0
    assert "the latest" in result.stdout


def test_a_database_that_is_not_there_is_one_message(cli, sqlite_config):
    result = cli("db", "upgrade")
    assert (result.code, result.stdout) == (1, "")
    assert "dicom-node db init" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_server_that_does_not_answer_is_one_message_without_the_password(cli, free_port):
    url = f"postgresql://node:hunter2@127.0.0.1:{free_port()}/node"
    for command in (["init"], ["upgrade"], ["current"]):
        result = cli("db", *command, env={"DICOM_NODE__STORAGE__RESOURCES": url})
        assert (result.code, result.stdout) == (1, "")
        assert "hunter2" not in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_a_database_that_nobody_speaks_to_is_wrong_configuration(cli):
    result = cli("db", "init", env={"DICOM_NODE__STORAGE__RESOURCES": "oracle://db/node"})
    assert (result.code, result.stdout) == (2, "")
    assert "oracle" in result.stderr
