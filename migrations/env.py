"""Alembic's environment: runs on the connection, or for the dialect, that it is handed.

`config.attributes` carries either a `connection` with an open transaction, which the caller
commits, or the name of a `dialect` for which the statements are written out.
"""

from typing import Any

from alembic import context

from schema.tables.metadata import Base


def _options() -> dict[str, Any]:
    return {
        "target_metadata": Base.metadata,
        # SQLite has transactional DDL too, once the driver leaves transactions to us.
        "transactional_ddl": True,
        "compare_type": True,
    }


def _write_statements(dialect: str) -> None:
    context.configure(
        dialect_name=dialect,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        **_options(),
    )
    with context.begin_transaction():
        context.run_migrations()


def _run(connection: Any) -> None:  # noqa: ANN401 - whatever alembic accepts
    context.configure(connection=connection, **_options())
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _write_statements(context.config.attributes["dialect"])
else:
    _run(context.config.attributes["connection"])
