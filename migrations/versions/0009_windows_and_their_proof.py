"""What each window was split into, how it was answered, and as of when it is proven.

Windows that are here already prove nothing: a PACS that cuts its answers off and says Success was
taken at its word.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        # no foreign key: SQLite cannot add one, and a mirror deletes rows in any order
        sa.Column("parent_id", sa.Integer()),
        sa.Column("level", sa.Text(), server_default="STUDY", nullable=False),
        sa.Column("start_time", sa.Time()),
        sa.Column("end_time", sa.Time()),
        sa.Column("undated", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("axes", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")),
        sa.Column("seconds", sa.Double()),
        sa.Column("answers", sa.Integer()),
        sa.Column("outside", sa.Integer()),
        sa.Column("lacking", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")),
        sa.Column("new", sa.Integer()),
        sa.Column("status", sa.Integer()),
        sa.Column("comment", sa.Text()),
        sa.Column("covered_on", sa.DateTime()),
    ):
        op.add_column("find_windows", column)
