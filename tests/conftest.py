"""Fixtures for every test, and two rules: no process may be left, and in CI nothing is skipped."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from schema import Database
from tests.support import processes as support
from tests.support import readers
from tests.support.cli import CommandLine, clean_environment
from tests.support.forks import Forks
from tests.support.memory import folder_in_memory
from tests.support.postgresql import PostgresMissingError, PostgresServer
from tests.support.processes import Processes
from tests.support.statements import compile_once

# A shell script that starts the tests in the background has them ignore Control-C, and so would
# whatever they start; some of it is to be ended by it.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

compile_once()

IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Any:
    """Look for no garbage among what stays to the end: modules, and thousands of tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
        gc.set_threshold(700, 10, 50)  # what the tests leave is looked through less often


@pytest.fixture(scope="session")
def background_pids() -> set[int]:
    """Return the processes that may outlive a test, because they serve the whole session."""
    return set()


@pytest.fixture(scope="session", autouse=True)
def readers_are_forked(background_pids: set[int]) -> Iterator[None]:
    """Have what reads headers started quickly, for the whole session."""
    server = readers.afresh()
    if server is not None:
        background_pids.add(server.pid)
    yield
    if server is not None:
        server.close()


@pytest.fixture(autouse=True)
def no_process_is_left(background_pids: set[int], forks: Forks) -> Iterator[None]:
    """Fail the test that ends while a process it started still runs, or waits to be reaped."""
    before = support.children()
    yield
    allowed = before | background_pids | {forks.pid}
    left = support.children() | (support.children(forks.pid) if forks.pid else set())
    leaked = {
        pid: line
        for pid, line in support.described(left - allowed).items()
        # The interpreter's own helpers stay for its lifetime once a process pool has been used.
        if "multiprocessing.resource_tracker" not in line
    }
    if leaked:
        pytest.fail(f"processes left behind: {leaked}", pytrace=False)


@pytest.fixture
def processes(tmp_path: Path, forks: Forks) -> Iterator[Processes]:
    """Start programs beside the test: `processes.start("name", "argument", …)`.

    `processes.fork(…)` does so with `dicom-node`, or a program that uses its modules, more quickly.
    """
    started = Processes(tmp_path / "processes", forks)
    yield started
    if leaked := started.reap():
        pytest.fail(f"processes left behind: {leaked}", pytrace=False)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Return the function that finds an unused port: `port = free_port()`."""
    return support.free_port


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Return what starts commands quickly, for the whole session."""
    with Forks(clean_environment(tmp_path_factory.getbasetemp())) as forks:
        yield forks


@pytest.fixture
def cli(tmp_path: Path, forks: Forks) -> CommandLine:
    """Run a command: `code, stdout, stderr = cli("db", "init")`.

    `cli.installed(…)` does so with the installed console script, from its start.
    """
    folder = tmp_path / "cli"
    folder.mkdir()
    return CommandLine(folder, forks)


@pytest.fixture(scope="session")
def postgresql(background_pids: set[int]) -> Iterator[PostgresServer]:
    """Return the session's PostgreSQL server."""
    try:
        server = PostgresServer(in_memory=True)
    except PostgresMissingError as error:
        pytest.skip(str(error))
    with server:
        background_pids.add(server.pid or 0)
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgresServer) -> Iterator[str]:
    """Return the URL of an empty PostgreSQL database that is dropped after the test."""
    name = postgresql.create_database()
    yield postgresql.url(name)
    postgresql.drop_database(name)


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder of the session's SQLite databases, in memory where there is room."""
    folder = folder_in_memory("sqlite-") or tmp_path_factory.mktemp("databases")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def sqlite_url(databases: Path) -> Iterator[str]:
    """Return the URL of an SQLite database whose file does not exist yet."""
    with TemporaryDirectory(dir=databases, ignore_cleanup_errors=True) as folder:
        yield f"sqlite:///{folder}/database/node.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database; the test runs on SQLite and on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def sqlite_template(databases: Path) -> Path:
    """Return a migrated SQLite database, to be copied."""
    path = databases / "template" / "node.db"
    path.parent.mkdir()
    migrate(f"sqlite:///{path}")
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    return path


@pytest.fixture(scope="session")
def postgresql_template(postgresql: PostgresServer) -> str:
    """Return the name of a migrated PostgreSQL database, to be copied."""
    name = postgresql.create_database()
    migrate(postgresql.url(name))
    return name


@pytest.fixture
def migrated_postgresql_url(postgresql: PostgresServer, postgresql_template: str) -> Iterator[str]:
    """Return the URL of a migrated PostgreSQL database that is dropped after the test."""
    name = postgresql.create_database(postgresql_template)
    yield postgresql.url(name)
    postgresql.drop_database(name)


@pytest.fixture
def migrated_sqlite_url(sqlite_url: str, sqlite_template: Path) -> str:
    """Return the URL of a migrated SQLite database."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    path.parent.mkdir()
    shutil.copy(sqlite_template, path)
    return sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a migrated database: `database_url` after `dicom-node db init`.

    It is copied, not migrated: it is for tests of which the migrations are not the point.
    """
    url: str = request.getfixturevalue(f"migrated_{request.param}_url")
    return url


@pytest.fixture
async def db(migrated_url: str) -> AsyncIterator[Database]:
    """Return a migrated database; the test runs on SQLite and on PostgreSQL."""
    async with Database(migrated_url) as database:
        yield database


@pytest.fixture
async def sqlite(migrated_sqlite_url: str) -> AsyncIterator[Database]:
    """Return a migrated SQLite database, where the database is not the point."""
    async with Database(migrated_sqlite_url) as database:
        yield database


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, databases: Path) -> Iterator[str]:
    """Return the URL of a migrated database that a module fills once, and then only reads."""
    if request.param == "sqlite":
        with TemporaryDirectory(dir=databases, ignore_cleanup_errors=True) as folder:
            shutil.copy(request.getfixturevalue("sqlite_template"), folder)
            yield f"sqlite:///{folder}/node.db"
    else:
        template = request.getfixturevalue("postgresql_template")
        server: PostgresServer = request.getfixturevalue("postgresql")
        name = server.create_database(template)
        yield server.url(name)
        server.drop_database(name)


def migrate(url: str) -> None:
    """Create a database's tables, in a thread: a test may have a loop of its own."""

    async def initialize() -> None:
        async with Database(url) as database:
            await database.initialize()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, initialize()).result()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """With `CI` set, report a skipped test as failed."""
    report: pytest.TestReport = yield
    # An expected failure is also reported as skipped; it did run.
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though CI must run every test: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """With `CI` set, report a skipped module as failed."""
    report: pytest.CollectReport = yield
    if IN_CI and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped, though CI must run every test: {_reason(report.longrepr)}"
    return report


def _reason(longrepr: object) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
