"""Which storage directory holds a file.

Rows that are here keep NULL: nobody has said whose their files are.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("images", "quarantine"):
        op.add_column(table, sa.Column("storage_id", sa.Text()))
