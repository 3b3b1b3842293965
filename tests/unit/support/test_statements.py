"""A statement is compiled once for all databases of a kind, and anew for another kind of server."""

import pytest
from sqlalchemy import create_engine, event, literal, select
from sqlalchemy.engine.interfaces import CacheStats
from sqlalchemy.exc import CompileError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.elements import ColumnElement

from tests.support.statements import CompiledOnce, compile_also


class Unknown(ColumnElement[int]):
    """What no dialect compiles."""

    inherit_cache = True


def engine_that_notes(stats):
    engine = create_engine("sqlite://", poolclass=NullPool)

    @event.listens_for(engine, "after_cursor_execute")
    def note(connection, cursor, statement, parameters, context, many):
        stats.append(context.cache_hit)

    return engine


def asked(engine, value, label):
    with engine.connect() as connection:
        return connection.execute(select(literal(value).label(label))).one()._asdict()


def test_what_one_database_has_compiled_another_one_uses_with_its_own_values():
    stats = []
    assert asked(engine_that_notes(stats), 7, "once") == {"once": 7}
    assert asked(engine_that_notes(stats), 8, "once") == {"once": 8}
    assert asked(engine_that_notes(stats), 8, "other") == {"other": 8}
    assert stats == [CacheStats.CACHE_MISS, CacheStats.CACHE_HIT, CacheStats.CACHE_MISS]


def test_for_another_version_of_the_server_it_is_compiled_again():
    stats = []
    asked(engine_that_notes(stats), 1, "version")
    newer = engine_that_notes(stats)
    with newer.connect():
        newer.dialect.server_version_info = (99, 0, 0)
    asked(newer, 1, "version")
    assert stats == [CacheStats.CACHE_MISS] * 2


def test_what_is_compiled_for_one_kind_of_server_is_there_for_another_before_it_is():
    shared = CompiledOnce(10)
    dialect = create_engine("sqlite://").dialect
    statement = select(literal(1).label("both"))
    key = statement._generate_cache_key()
    shared[(dialect, key.key, (), False, False)] = statement._compiler(
        dialect, cache_key=key, column_keys=[]
    )
    compile_also(shared, "postgresql+asyncpg://")
    server = create_engine("postgresql+asyncpg://").dialect
    server.server_version_info = (15, 1)
    found = shared.get((server, key.key, (), False, False))
    assert "$1::INTEGER" in str(found)


def test_what_cannot_be_compiled_fails_for_each():
    for _ in range(2):
        with create_engine("sqlite://", poolclass=NullPool).connect() as connection:
            with pytest.raises(CompileError):
                connection.execute(select(Unknown()))
