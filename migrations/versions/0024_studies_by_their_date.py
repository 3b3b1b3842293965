"""An index of the dates of the studies that are here: others ask for a day, and its studies.

Revision ID: 0024
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_studies_study_date", "studies", ["study_date"])


def downgrade() -> None:
    op.drop_index("ix_studies_study_date", "studies")
