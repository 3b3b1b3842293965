"""Statements that are compiled once for all tests of a process, not once for each database.

SQLAlchemy keeps what it has compiled with the engine, and a test has an engine of its own. What the
text of a statement depends on is its dialect, whose kind and server are the same for thousands of
tests: a fifth of their work was compiling the same statements again. A statement that cannot be
compiled is not kept: each test that uses it fails. One that is told apart from another by too
little, which is wrong for a node that runs for months too, fails in more tests than before.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy.engine import Engine, create_engine
from sqlalchemy.exc import CompileError
from sqlalchemy.util import LRUCache

_MOST = 5000


class CompiledOnce(LRUCache[Any, Any]):
    """What an engine keeps its compiled statements in, for every engine of the process."""

    __slots__ = ()

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a compiled statement: for this server, or for one of its kind without version."""
        kind, _, *others = alike = _alike(key)
        found = super().get(alike)
        return super().get((kind, None, *others), default) if found is None else found

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep a compiled statement."""
        super().__setitem__(_alike(key), value)


def compile_once() -> CompiledOnce:
    """Have all engines that this process makes keep their compiled statements in one place."""
    shared = CompiledOnce(_MOST)
    Engine._compiled_cache = property(  # type: ignore[assignment]
        lambda _: shared,
        lambda _engine, _own: None,
    )
    return shared


def compile_also(shared: CompiledOnce, url: str) -> None:
    """Compile what there is for another kind of server too, before one of it is there."""
    dialect = create_engine(url).dialect
    for (_, _, key, columns, translated, many), compiled in list(shared.items()):
        with suppress(CompileError):  # it is written for the one kind only
            shared[(dialect, key, columns, translated, many)] = compiled.statement._compiler(
                dialect,
                cache_key=compiled.cache_key,
                column_keys=list(columns),
                for_executemany=many,
                schema_translate_map=None,
            )


def _alike(key: Any) -> Any:
    """Return the same key for dialects that compile the same text."""
    dialect, *others = key
    return (type(dialect), dialect.server_version_info, *others)
