"""All tables together: who imports this has every model loaded.

A model is in `Base.metadata` from when its module is imported, so who asks for all tables
must not get those that somebody else happened to import.
"""

from sqlalchemy import Table

from schema.tables import models, projects, sources  # noqa: F401 - for their tables
from schema.tables.accounting import verifications  # noqa: F401 - for its table
from schema.tables.columns import Base
from schema.tables.committing import commitments  # noqa: F401
from schema.tables.guarding import breakers  # noqa: F401
from schema.tables.ledger import DatabaseIdentity
from schema.tables.outbox import deliveries, events  # noqa: F401
from schema.tables.politeness import throttles  # noqa: F401
from schema.tables.views import manufacturers, project_members, study_metadata

__all__ = ["Base", "all_tables", "all_views", "mirrored_tables"]


def all_tables() -> list[Table]:
    """Return all tables, parents first."""
    return Base.metadata.sorted_tables


def mirrored_tables() -> list[Table]:
    """Return the tables that a mirror has from its source, parents first: all but its identity."""
    return [table for table in all_tables() if table.name != DatabaseIdentity.__tablename__]


def all_views() -> list[Table]:
    """Return all views, as tables to select from."""
    return [study_metadata, manufacturers, project_members]
