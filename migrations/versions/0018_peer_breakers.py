"""From which PACSs nothing is moved for a while; and what was moved from each in a time.

Revision ID: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "peer_breakers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text()),
        sa.Column("message", sa.Text()),
        sa.Column("outages", sa.Integer(), nullable=False),
        sa.Column("trips", sa.Integer(), nullable=False),
        sa.Column("opened_on", sa.DateTime()),
        sa.Column("retry_on", sa.DateTime()),
        sa.Column("closed_on", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_peer_breakers"),
    )
    op.create_index("ix_peer_breakers_peer", "peer_breakers", ["peer"], unique=True)
    op.create_index("ix_move_attempts_peer_started_on", "move_attempts", ["peer", "started_on"])
