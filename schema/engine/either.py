"""Functions that take either kind of session: awaited with one, done at once with the other.

    image = await add_image(session, "image.dcm")  # session: AsyncSession
    image = add_image(session, "image.dcm")  # session: Session, in a script or a notebook

They are written once, for asynchronous sessions. A synchronous one is handed to them as a
`SessionAtOnce`, whose methods have their answer when they are awaited: so the function never
waits, and is at its end when it is first asked to go on.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

Work = Callable[Concatenate[AsyncSession, P], Coroutine[Any, Any, T]]


class TakesEither(Protocol[P, R_co]):
    """A function whose first argument is a session of either kind."""

    @overload
    def __call__(
        self, session: AsyncSession, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R_co]: ...
    @overload
    def __call__(self, session: Session, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


def either(function: Work[P, T]) -> TakesEither[P, T]:
    """Let an asynchronous function take a synchronous session as well, and then be no coroutine."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        session = _session_of(args, options)
        if not isinstance(session, Session):
            return function(*args, **options)
        at_once = SessionAtOnce(session)
        if args:
            return _finished(function(at_once, *args[1:], **options))
        return _finished(function(**options | {"session": at_once}))  # type: ignore[call-arg]

    return call


def asynchronous(function: Work[P, T]) -> Work[P, T]:
    """Let a function that takes asynchronous sessions only say so, and what to write instead."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        if isinstance(_session_of(args, options), Session):
            name = function.__name__
            raise TypeError(
                f"{name} takes an asynchronous session: write SyncDatabase(url).run({name}, …),"
                f" which opens one by itself, or await {name}(session, …) in one of Database(url)"
            )
        return function(*args, **options)

    return call


def _session_of(args: tuple[Any, ...], options: dict[str, Any]) -> Any:  # noqa: ANN401
    session = args[0] if args else options.get("session")
    return session() if isinstance(session, scoped_session) else session


async def in_thread(session: AsyncSession, function: Callable[[], T]) -> T:
    """Run what blocks in a thread; at once where nothing else could go on meanwhile."""
    return function() if isinstance(session, SessionAtOnce) else await asyncio.to_thread(function)


class SessionAtOnce(AsyncSession):
    """A synchronous session in the clothes of an asynchronous one: nothing that it does waits."""

    def __init__(self, session: Session) -> None:
        super().__init__(sync_session_class=lambda **_: session)  # type: ignore[arg-type]

    async def execute(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """Execute a statement."""
        return self.sync_session.execute(*args, **options)

    async def scalars(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """Execute a statement, and return its first column."""
        return self.sync_session.scalars(*args, **options)

    async def scalar(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """Execute a statement, and return its first value."""
        return self.sync_session.scalar(*args, **options)

    async def connection(self, **options: Any) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Return the connection of the session's transaction."""
        return _ConnectionAtOnce(self.sync_session.connection(**options))


class _ConnectionAtOnce:
    """What the statements need of an asynchronous connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        return self._connection.execute(*args, **options)

    async def exec_driver_sql(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        return self._connection.exec_driver_sql(*args, **options)


def _finished(work: Awaitable[T]) -> T:
    """Return what a coroutine comes to that never waits."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("it waits for something else than its session")
