"""How many images a PACS has of a study, counted where its answer at study level does not say it.

Revision ID: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("study_sources", sa.Column("counted_on", sa.DateTime()))
    op.add_column("study_sources", sa.Column("counted_by", sa.Text()))
    op.add_column("study_sources", sa.Column("counted_series", sa.Integer()))
    op.add_column("study_sources", sa.Column("counted_images", sa.Integer()))
    op.add_column("study_sources", sa.Column("counted_short", sa.Text()))
