"""What has happened, and who is to be told of it.

Revision ID: 0017
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_on", sa.DateTime(), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("data", _JSON),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_uuid", "events", ["uuid"], unique=True)
    op.create_index("ix_events_subject", "events", ["subject"])
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("hook", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_on", sa.DateTime(), nullable=False),
        sa.Column("node", sa.Text()),
        sa.Column("pid", sa.Integer()),
        sa.Column("process", sa.Text()),
        sa.Column("started_on", sa.DateTime()),
        sa.Column("code", sa.Integer()),
        sa.Column("reason", sa.Text()),
        sa.Column("output", sa.Text()),
        sa.Column("seconds", sa.Double()),
        sa.Column("done_on", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name="fk_deliveries_event_id_events", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_deliveries_event_id_hook", "deliveries", ["event_id", "hook"], unique=True)
    undone = sa.text("done_on IS NULL")
    op.create_index(
        "ix_deliveries_hook_next_on",
        "deliveries",
        ["hook", "next_on"],
        sqlite_where=undone,
        postgresql_where=undone,
    )
