"""Claims: who works on something now, among all processes that share a database.

A claim ends with the process that has it, however that ends. PostgreSQL holds it as an advisory
lock of a connection that is kept for this alone. On SQLite, where all processes are on one
machine, it is a lock on a byte of a file beside the database; a database in memory has one process.

When the connection to PostgreSQL is lost, the server lets go of its claims, and tells nobody. The
next one that is taken, given back or confirmed notices it: over a new connection those that are
held are taken once more. `confirm` then says which of them somebody else was quicker to take.
"""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schema.engine.database import Database
from schema.engine.faults import translated
from schema.errors import DatabaseReadOnly, DatabaseUnavailable

_TO_ANSWER = 30.0
"""Seconds that PostgreSQL has to answer: a try never waits for a lock."""

_TO_CLOSE = 3.0
"""Seconds that PostgreSQL has to take leave."""

_TAKE = text("SELECT pg_try_advisory_lock(:key)")
_GIVE_BACK = text("SELECT pg_advisory_unlock(:key)")
_LIVES = text("SELECT true")
"""The locks are there as long as their connection."""
_PROBED = text(
    "SELECT set_config('tcp_keepalives_idle', '20', false),"
    " set_config('tcp_keepalives_interval', '10', false),"
    " set_config('tcp_keepalives_count', '4', false)"
)
"""Lets the server notice within a minute that a machine is gone, and not within two hours."""

_HELD = frozenset({errno.EACCES, errno.EAGAIN})
"""How `fcntl` says that somebody else has a lock (POSIX allows both)."""


_MAY_NOT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class Claims(Protocol):
    """What one holder claims; a name that it holds already it cannot take again."""

    @property
    def renewals(self) -> int:
        """How often what is held had to be taken again: meanwhile it may have been others'."""

    async def take(self, name: str) -> bool:
        """Claim a name; say whether it was free.

        Raises
        ------
        DatabaseUnavailable
            Nobody can tell.
        """

    async def give_back(self, name: str) -> None:
        """Let go of a name; nothing happens when it is not held."""

    async def confirm(self, name: str) -> bool:
        """Tell whether a name is held at this moment.

        Raises
        ------
        DatabaseUnavailable
            Nobody can tell.
        """

    def holds(self, name: str) -> bool:
        """Tell whether a name is held, as far as we know."""


@contextlib.asynccontextmanager
async def claiming(database: Database) -> AsyncIterator[Claims]:
    """Claim names for the length of the block; whatever is still held then is given back.

    Nothing is connected or opened before the first name is taken.
    """
    claims: _OnServer | _InFile
    if database.dialect == "postgresql":
        claims = _OnServer(database.engine)
    else:
        claims = _InFile(database.path)
    try:
        yield claims
    finally:
        await claims.close()


def _key(name: str, bits: int = 64) -> int:
    """Return a number for a name; that two names have the same is not to be expected."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, person=b"dicom-node").digest()
    return int.from_bytes(digest) >> (64 - bits)


class _OnServer:
    """Claims on PostgreSQL: advisory locks of one connection, which is outside the pool's turns."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: AsyncConnection | None = None
        self._held: set[str] = set()
        self._turn = asyncio.Lock()
        self.renewals = 0

    async def take(self, name: str) -> bool:
        async with self._turn:
            if name in self._held:
                return False
            taken = await self._insist(_TAKE, name)
            if taken:
                self._held.add(name)
            return taken

    async def give_back(self, name: str) -> None:
        async with self._turn:
            if name not in self._held:
                return
            self._held.remove(name)
            with contextlib.suppress(DatabaseUnavailable):
                if self._connection is not None:
                    await self._ask(self._connection, _GIVE_BACK, name)
            if self._connection is None and self._held:  # the server has let go of all
                with contextlib.suppress(DatabaseUnavailable):
                    await self._connected()

    async def confirm(self, name: str) -> bool:
        async with self._turn:
            if name in self._held:
                await self._insist(_LIVES, name)
            return name in self._held

    def holds(self, name: str) -> bool:
        return name in self._held

    async def close(self) -> None:
        self._held.clear()
        await self._drop()

    async def _insist(self, statement: TextClause, name: str) -> bool:
        """Ask; over a new connection, when the one that there was is lost."""
        if self._connection is not None:
            with contextlib.suppress(DatabaseUnavailable):
                return await self._ask(self._connection, statement, name)
        return await self._ask(await self._connected(), statement, name)

    async def _connected(self) -> AsyncConnection:
        """Connect, and lock again what is held."""
        with translated():
            connection = self._connection = await self._engine.connect()
        await self._ask(connection, _PROBED)
        self.renewals += bool(self._held)
        for name in sorted(self._held):
            if not await self._ask(connection, _TAKE, name):
                self._held.discard(name)
        return connection

    async def _ask(
        self, connection: AsyncConnection, statement: TextClause, name: str = ""
    ) -> bool:
        """Return the answer; a connection without one is dropped, and its locks with it."""
        # the server's integers are signed
        key = int.from_bytes(_key(name).to_bytes(8), signed=True)
        try:
            with translated():
                async with asyncio.timeout(_TO_ANSWER):
                    return bool(await connection.scalar(statement, {"key": key}))
        except TimeoutError as error:
            await self._drop()
            raise DatabaseUnavailable(
                f"the database has not answered for {_TO_ANSWER:g} s"
            ) from error
        except BaseException:  # cancelled as well: some locks may be missing
            await self._drop()
            raise

    async def _drop(self) -> None:
        """Close the connection itself: one that went back to the pool would keep its locks."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(TimeoutError, DatabaseUnavailable), translated():
            async with asyncio.timeout(_TO_CLOSE):
                try:
                    await connection.invalidate()
                finally:
                    await connection.close()


class _InFile:
    """Claims on SQLite: locks on single bytes of a file, which is empty and stays.

    The locks are the open file's, not the process's: two holders in one process exclude each
    other as well, where the system has such locks (Linux).
    """

    renewals = 0
    """A file's locks are not lost."""

    def __init__(self, database: Path | None) -> None:
        # by whichever name the database goes, its claims are in one place
        self._path = None if database is None else Path(f"{database.resolve()}-claims")
        self._descriptor: int | None = None
        self._held: set[str] = set()
        self._turn = asyncio.Lock()

    async def take(self, name: str) -> bool:
        async with self._turn:
            if name in self._held or not await self._lock(name):
                return False
            self._held.add(name)
            return True

    async def give_back(self, name: str) -> None:
        if name in self._held:
            self._held.remove(name)
            if self._descriptor is not None:
                _set_lock(self._descriptor, fcntl.F_UNLCK, _key(name, 62))

    async def confirm(self, name: str) -> bool:
        return name in self._held

    def holds(self, name: str) -> bool:
        return name in self._held

    async def close(self) -> None:
        self._held.clear()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def _lock(self, name: str) -> bool:
        if self._path is None:
            return True
        if self._descriptor is None:
            try:
                self._descriptor = await asyncio.to_thread(_open, self._path)
            except OSError as error:
                why = f"{self._path}, which says who works on what, cannot be opened to write"
                if error.errno not in _MAY_NOT:
                    raise DatabaseUnavailable(f"{why}: {error.strerror}") from error
                raise DatabaseReadOnly(
                    f"the database may only be read here: {why}: {error.strerror}"
                ) from error
        try:
            _set_lock(self._descriptor, fcntl.F_WRLCK, _key(name, 62))
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise DatabaseUnavailable(f"cannot lock {self._path}: {error.strerror}") from error
        return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _set_lock(descriptor: int, kind: int, start: int) -> None:
    """Lock or unlock one byte; raises OSError with one of `_HELD` when somebody else has it."""
    if hasattr(fcntl, "F_OFD_SETLK"):
        # struct flock: type, whence, start, length, process (none)
        flock = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, 1, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, flock)
    else:
        command = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
        fcntl.lockf(descriptor, command, 1, start)
