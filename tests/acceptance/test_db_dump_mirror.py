"""`dicom-node db dump` and `dicom-node db mirror`, run as a user runs them."""

import asyncio
import csv
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from schema import Base, Database
from tests.db.mirrors import fill
from tests.support.processes import Process
from tests.support.waiting import wait_until

RESOURCES = "DICOM_NODE__STORAGE__RESOURCES"


def filled(url: str, images: int = 3) -> str:
    """Fill a database that has its tables."""

    async def make() -> None:
        async with Database(url) as database:
            await fill(database, images)

    asyncio.run(make())
    return url


@pytest.fixture
def at(cli, migrated_url):
    """Run a command with a filled database."""
    filled(migrated_url)
    return lambda *args: cli(*args, env={RESOURCES: migrated_url})


@pytest.fixture
def here(cli, migrated_sqlite_url):
    """Run a command with a filled database on SQLite, where the kind makes no difference."""
    filled(migrated_sqlite_url)
    return lambda *args: cli(*args, env={RESOURCES: migrated_sqlite_url})


def test_a_dump_has_a_file_for_each_table_and_says_how_many_rows(at, cli):
    result = at("db", "dump", "-o", "out/of/it", "--json")
    assert result.code == 0, result.stderr
    files = {one["table"]: one for one in json.loads(result.stdout)}
    assert list(files) == [table.name for table in Base.metadata.sorted_tables]
    folder = cli.folder / "out/of/it"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.csv" for name in files)
    for name, one in files.items():
        assert (cli.folder / one["path"]).stat().st_size == one["size"]
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == [column.name for column in Base.metadata.tables[name].columns]
        assert len(rows) == one["rows"] > 0


def test_only_the_tables_and_views_that_are_named_are_dumped(here, cli):
    for force in ((), ("--force",)):
        result = here("db", "dump", "--table", "series", "--table", "study_metadata", *force)
        assert result.code == 0, result.stderr
        assert result.stdout.split()[:4] == ["table", "rows", "bytes", "file"]
    assert sorted(path.name for path in cli.folder.glob("*.csv")) == [
        "series.csv",
        "study_metadata.csv",
    ]


def test_a_dump_never_replaces_files_unless_it_is_told_to(here, cli):
    path = cli.folder / "series.csv"
    path.write_text("mine")
    for arguments in ((), ("--table", "series"), ("--table", "patients", "--table", "series")):
        result = here("db", "dump", *arguments)
        assert (result.code, result.stdout) == (2, "")
        assert "series.csv is there already" in result.stderr
        assert "--force" in result.stderr
    assert [one.name for one in cli.folder.glob("*.csv")] == ["series.csv"]
    assert path.read_text() == "mine"
    assert here("db", "dump", "--table", "patients").code == 0
    assert here("db", "dump", "--force").code == 0
    assert path.read_text() != "mine"


def test_an_unknown_table_lists_those_that_there_are(here, cli):
    result = here("db", "dump", "-t", "image", "-o", "out")
    assert (result.code, result.stdout) == (2, "")
    assert "'image'" in result.stderr
    assert "studies_find" in result.stderr
    assert "manufacturers" in result.stderr
    assert not (cli.folder / "out").exists()


def test_parquet_files_have_types(here, cli):
    result = here("db", "dump", "--fmt", "parquet", "-t", "images")
    assert result.code == 0, result.stderr
    table = pyarrow.parquet.read_table(cli.folder / "images.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types["study_date"] == "timestamp[us]"
    assert types["acquisition_time"] == "time64[us]"
    assert types["size"] == "int64"
    assert table.num_rows == 3
    assert table["size"].to_pylist() == [2**40 + 1, 2**40 + 2, 2**40 + 3]
    assert '"00100010"' in table["meta"].to_pylist()[1]


def test_parquet_without_pyarrow_says_how_to_install_it(cli, migrated_sqlite_url, tmp_path):
    (tmp_path / "blocked" / "pyarrow").mkdir(parents=True)
    (tmp_path / "blocked" / "pyarrow" / "__init__.py").write_text("raise ImportError\n")
    filled(migrated_sqlite_url)
    environment = {RESOURCES: migrated_sqlite_url, "PYTHONPATH": str(tmp_path / "blocked")}
    result = cli("db", "dump", "--fmt", "parquet", env=environment)
    assert (result.code, result.stdout) == (2, "")
    assert "pip install 'dicom-node[parquet]'" in result.stderr
    assert list(cli.folder.glob("*.parquet*")) == []


def test_safe_is_for_csv_alone(here, cli):
    assert here("db", "dump", "--safe", "-t", "studies_find").code == 0
    with (cli.folder / "studies_find.csv").open(encoding="utf-8", newline="") as file:
        assert "'=1+1" in [row["patient_name"] for row in csv.DictReader(file)]
    result = here("db", "dump", "--safe", "--fmt", "parquet")
    assert result.code == 2
    assert "--safe" in result.stderr


def test_a_folder_that_cannot_be_made_is_one_message(here, cli):
    (cli.folder / "file").touch()
    result = here("db", "dump", "-o", "file/x")
    assert (result.code, result.stdout) == (1, "")
    assert "Not a directory" in result.stderr


def test_other_programs_read_a_dump(here, cli, migrated_sqlite_url):
    assert here("db", "dump", "-t", "studies_find").code == 0
    if shutil.which("sqlite3"):
        done = subprocess.run(
            [
                "sqlite3",
                ":memory:",
                ".import --csv studies_find.csv t",
                ".mode json",
                "SELECT * FROM t",
            ],
            cwd=cli.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        found = [row["patient_name"] for row in json.loads(done.stdout)]
    else:
        with (cli.folder / "studies_find.csv").open(encoding="utf-8", newline="") as file:
            found = [row["patient_name"] for row in csv.DictReader(file)]
    connection = sqlite3.connect(migrated_sqlite_url.removeprefix("sqlite:///"))
    expected = [name for (name,) in connection.execute("SELECT patient_name FROM studies_find")]
    connection.close()
    assert found == expected


def test_a_mirror_is_made_compared_and_found_equal(at, cli):
    target = f"sqlite:///{cli.folder}/mirror/node.db"
    result = at("db", "mirror", "--to", target)
    assert result.code == 0, result.stderr
    assert "images" in result.stdout
    connection = sqlite3.connect(cli.folder / "mirror/node.db")
    connection.execute("UPDATE images SET filepath = 'x'")
    connection.commit()
    connection.close()
    checked = at("db", "mirror", "--to", target, "--check", "--json")
    assert checked.code == 1
    assert "differ in images" in checked.stderr
    report = json.loads(checked.stdout)
    assert report["equal"] is False
    assert {table["table"]: table["different"] for table in report["tables"]}["images"] == 3
    healed = at("db", "mirror", "--to", target)
    assert healed.code == 0
    assert re.search(r"^images +3 +3 +0 +3 +0 .* yes$", healed.stdout, re.MULTILINE)


def test_a_mirror_of_a_database_that_was_made_anew_is_refused_and_says_what_to_type(
    here, cli, migrated_sqlite_url
):
    target = cli.folder / "mirror.db"
    args = ("db", "mirror", "--to", f"sqlite:///{target}")
    assert here(*args).code == 0
    source = Path(migrated_sqlite_url.removeprefix("sqlite:///"))
    for path in source.parent.iterdir():
        path.unlink()
    assert here("db", "init").code == 0
    for more in ((), ("--follow",)):
        refused = here(*args, *more)
        assert refused.code == 2
        assert "mirror of another database" in refused.stderr
        assert "--force" in refused.stderr
        assert count(target, "images") == 3
    assert here(*args, "--force", "--check").code == 2
    assert here(*args, "--force").code == 0
    assert count(target, "images") == 0
    assert here(*args).code == 0


def test_a_mirror_into_itself_is_wrong_usage(cli, migrated_sqlite_url):
    filled(migrated_sqlite_url)
    result = cli("db", "mirror", "--to", migrated_sqlite_url, env={RESOURCES: migrated_sqlite_url})
    assert (result.code, result.stdout) == (2, "")
    assert "same database" in result.stderr


def test_a_password_may_come_from_the_environment_and_is_not_repeated(
    cli, migrated_sqlite_url, free_port
):
    filled(migrated_sqlite_url)
    target = f"postgresql://node:hunter2@127.0.0.1:{free_port()}/mirror"
    result = cli(
        "db", "mirror", env={RESOURCES: migrated_sqlite_url, "DICOM_NODE_MIRROR_TO": target}
    )
    assert (result.code, result.stdout) == (1, "")
    assert "hunter2" not in result.stderr


def count(path: Path, table: str) -> int:
    """Return how many rows a database has that another process writes; 0 before it is there."""
    if not path.exists():
        return 0
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def test_a_mirror_that_is_killed_goes_on_where_it_stopped(cli, migrated_sqlite_url, tmp_path):
    filled(migrated_sqlite_url, images=1500)
    path = cli.folder / "mirror.db"
    args = ("db", "mirror", "--to", f"sqlite:///{path}")
    with Process(
        cli.args(*args),
        log=tmp_path / "log",
        env=cli.env({RESOURCES: migrated_sqlite_url}),
        forks=cli.forks,
    ) as one:
        wait_until(lambda: count(path, "images"), 30, interval=0.001)
        assert one.kill() == -signal.SIGKILL
    before = count(path, "images")
    assert 0 < before < 1500
    result = cli(*args, "--json", env={RESOURCES: migrated_sqlite_url})
    assert result.code == 0, result.stderr
    images = {table["table"]: table for table in json.loads(result.stdout)["tables"]}["images"]
    assert images["inserted"] == 1500 - before
    assert images["source_rows"] == images["target_rows"] == 1500


def test_following_goes_on_until_it_is_told_to_stop(cli, migrated_sqlite_url, tmp_path):
    filled(migrated_sqlite_url)
    path = cli.folder / "mirror.db"
    process = Process(
        cli.args("db", "mirror", "--to", f"sqlite:///{path}", "--follow", "--interval", "0.05s"),
        log=tmp_path / "log",
        env=cli.env({RESOURCES: migrated_sqlite_url}),
        forks=cli.forks,
    )
    with process:
        process.wait_for_line("compared .* equal")
        source = sqlite3.connect(migrated_sqlite_url.removeprefix("sqlite:///"), timeout=10)
        source.execute(
            "INSERT INTO cycles (kind, started_on) VALUES ('find', '2024-01-02 03:04:05')"
        )
        source.commit()
        process.wait_for_line("1 row new, 0 changed, 0 deleted")
        source.execute("DELETE FROM quarantine")
        source.commit()
        source.close()
        process.wait_for_line("0 rows new, 0 changed, 1 deleted")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert "stopped" in process.output()
    assert count(path, "cycles") == 2
    assert count(path, "quarantine") == 0


@pytest.mark.parametrize("options", [("--check",), ("--json",), ("--interval", "soon")])
def test_options_that_do_not_go_together_are_wrong_usage(cli, options):
    result = cli("db", "mirror", "--target", "sqlite:///x.db", "--follow", *options)
    assert result.code == 2
    assert bool(result.stdout) == ("--json" in options)
    assert len(result.stderr.splitlines()) == 1


def test_the_package_needs_no_pyarrow_to_be_imported():
    code = "import schema, schema.dumping.dump, sys; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
