"""What a find is to cover, so that what it never came to ask is known.

Revision ID: 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    asked = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.add_column("cycles", sa.Column("asked", asked))
