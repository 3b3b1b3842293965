"""What operators decide of studies: held with a reason, ended attempts, and under which policy.

Revision ID: 0021
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_READY = (
    "verified_on IS NULL AND gone_on IS NULL AND next_attempt_on IS NULL AND given_up_on IS NULL"
    " AND state IN ('pending', 'partial', 'empty', 'failed')"
)

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    for table in ("studies_find", "study_sources"):
        op.add_column(table, sa.Column("held_on", sa.DateTime()))
        op.add_column(table, sa.Column("held_reason", sa.Text()))
        op.add_column(table, sa.Column("policy", sa.Text()))
    op.add_column("cycles", sa.Column("unwanted", _JSON))
    for name, columns, condition in (
        ("ix_study_sources_ready_as_found", ["peer", "rank", "id"], _READY),
        ("ix_study_sources_policy", ["peer", "policy"], "policy IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, "study_sources", columns, sqlite_where=where, postgresql_where=where)
