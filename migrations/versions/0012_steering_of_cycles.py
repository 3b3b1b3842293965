"""What an operator wants of a running cycle, and when its process was heard of last.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cycles", sa.Column("wanted", sa.Text()))
    op.add_column("cycles", sa.Column("heard_on", sa.DateTime()))
