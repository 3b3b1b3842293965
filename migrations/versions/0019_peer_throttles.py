"""How much each node asks of each PACS at once.

Revision ID: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "peer_throttles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("level", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("usual", sa.Double()),
        sa.Column("latest", sa.Double()),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("updated_on", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_peer_throttles"),
    )
    op.create_index("ix_peer_throttles_peer_node", "peer_throttles", ["peer", "node"], unique=True)
