"""Statements that are compiled once for all tests of a process, not once for each database.

SQLAlchemy keeps what it has compiled with the engine, and a test has an engine of its own. What the
text of a statement depends on is its dialect, whose kind and server are the same for thousands of
tests: a fifth of their work was compiling the same statements again. A statement that cannot be
compiled is not kept: each test that uses it fails. One that is told apart from another by too
little, which is wrong for a node that runs for months too, fails in more tests than before.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

_MOST = 5000


class CompiledOnce(LRUCache[Any, Any]):
    """What an engine keeps its compiled statements in, for every engine of the process."""

    __slots__ = ()

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a compiled statement."""
        return super().get(_alike(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep a compiled statement."""
        super().__setitem__(_alike(key), value)


def compile_once() -> None:
    """Have all engines that this process makes keep their compiled statements in one place."""
    shared = CompiledOnce(_MOST)
    Engine._compiled_cache = property(  # type: ignore[assignment]
        lambda _: shared,
        lambda _engine, _own: None,
    )


def _alike(key: Any) -> Any:
    """Return the same key for dialects that compile the same text."""
    dialect, *others = key
    return (type(dialect), dialect.server_version_info, *others)
