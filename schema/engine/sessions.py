"""Asynchronous sessions on one database, with deadlines and turns.

`Database` has one of these for its whole life, `SyncDatabase` one for each function that it
runs to its end.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.util.concurrency import in_greenlet

from schema.engine.connections import READING, WRITING, make_engine
from schema.engine.faults import translated
from schema.errors import DatabaseUnavailable, NotLoaded

_TO_CLOSE = 3.0
"""Seconds that a server has to take leave of its connections."""


class AwaitedSession(Session):
    """The inside of an asynchronous session: loads nothing but what is awaited.

    Looking at `study.series` cannot await. SQLAlchemy notices only when the driver tries; here it
    is refused before, with what to write.
    """


class Sessions:
    """The engine of a database, and the sessions that it gives.

    The parameters are those of `Database`; the URL names an asynchronous driver.
    """

    def __init__(
        self,
        url: URL,
        *,
        echo: bool = False,
        busy_timeout: float = 30.0,
        statement_timeout: float = 60.0,
        pool_size: int = 5,
        max_overflow: int = 10,
        transaction_timeout: float | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        self._busy_timeout = busy_timeout
        self._transaction_timeout = transaction_timeout
        self._engine = make_engine(
            url,
            echo=echo,
            busy_timeout=busy_timeout,
            statement_timeout=statement_timeout,
            pool_size=pool_size,
            max_overflow=max_overflow,
        )
        readers = self._engine.execution_options(**READING)
        writers = self._engine.execution_options(**WRITING)
        sessions = async_sessionmaker(
            sync_session_class=AwaitedSession, expire_on_commit=False, info=dict(info or {})
        )
        self._reading = functools.partial(sessions, bind=readers)
        self._writing = functools.partial(sessions, bind=writers)
        self._takes_turns = url.get_backend_name() == "sqlite"
        self._writer = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.dispose()

    @property
    def engine(self) -> AsyncEngine:
        """The engine that connects them."""
        return self._engine

    async def dispose(self) -> None:
        """Close all connections; the next session opens new ones."""
        try:
            async with asyncio.timeout(_TO_CLOSE):
                await self._engine.dispose()
        except TimeoutError:  # nobody answers: what is left is closed with its objects
            await self._engine.dispose(close=False)

    def new(self, *, write: bool = True) -> AsyncSession:
        """Return a session that the caller closes; drivers' errors come as they are."""
        return (self._writing if write else self._reading)()

    @asynccontextmanager
    async def session(self, *, write: bool = False) -> AsyncIterator[AsyncSession]:
        """Open a session, as `Database.session` does."""
        with translated(reading=not write):
            async with self._deadline(), self.new(write=write) as session:
                yield session

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """Open one writing transaction, as `Database.begin` does."""
        if self._takes_turns:
            await self._take_turn()
        try:
            with translated():
                async with self._deadline(), self._writing() as session, session.begin():
                    yield session
        finally:
            if self._takes_turns:
                self._writer.release()

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        deadline = asyncio.timeout(self._transaction_timeout)
        try:
            async with deadline:
                yield
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DatabaseUnavailable(
                f"the database has not answered for {self._transaction_timeout:g} s"
            ) from error

    async def _take_turn(self) -> None:
        try:
            async with asyncio.timeout(self._busy_timeout):
                await self._writer.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable(
                f"the database is locked: another transaction of this process has been writing"
                f" for {self._busy_timeout:g} s"
            ) from error


@event.listens_for(AwaitedSession, "do_orm_execute")
def _refuse_hidden_load(state: ORMExecuteState) -> None:
    if in_greenlet():  # somebody awaits this
        return
    if state.lazy_loaded_from is not None:
        owner, name = _relationship(state)
        raise NotLoaded(
            f"{owner}.{name} is not loaded, and looking at it cannot wait for the database; "
            f"write select({owner}).options(selectinload({owner}.{name})), or "
            f'await session.refresh(row, ["{name}"])'
        )
    if state.is_column_load:
        raise NotLoaded(
            "an attribute of this row has expired, and looking at it cannot wait for the"
            " database; write await session.refresh(row)"
        )


def _relationship(state: ORMExecuteState) -> tuple[str, str]:
    """Return the names of the class and of the relationship that was looked at."""
    path: Any = state.loader_strategy_path
    steps: Any = () if path is None else path.path
    prop = steps[-1] if steps else None
    if prop is None or not hasattr(prop, "key"):
        return "row", "attribute"
    return prop.parent.class_.__name__, prop.key
