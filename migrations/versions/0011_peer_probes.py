"""What was found out about each PACS, and when.

Revision ID: 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "peer_probes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("probed_on", sa.DateTime(), nullable=False),
        sa.Column("questions", sa.Integer(), nullable=False),
        sa.Column("facts", _JSON, nullable=False),
        sa.Column("stale_on", sa.DateTime()),
        sa.Column("stale_reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_peer_probes"),
    )
    op.create_index("ix_peer_probes_peer", "peer_probes", ["peer"])
