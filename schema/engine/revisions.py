"""Alembic runs the packaged migrations; nobody else speaks to it.

It is configured in code, so that an installed package needs no file beside it. `migrate`
imports this module when there is something to migrate, and not before: loading alembic takes as
long as all else that a command has to load.
"""

import io
from importlib import resources

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection


def configuration() -> Config:
    """Return alembic's configuration for the packaged migrations."""
    config = Config()
    folder = str(resources.files("migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


def run(connection: Connection, revision: str = "head") -> None:
    """Migrate up to a revision, in the connection's transaction."""
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def written(dialect: str, before: str | None, after: str) -> str:
    """Return the SQL that migrates from one revision to another; None is an empty database."""
    buffer = io.StringIO()
    config = configuration()
    config.output_buffer = buffer
    config.attributes["dialect"] = dialect
    command.upgrade(config, f"{before or 'base'}:{after}", sql=True)
    return buffer.getvalue()
