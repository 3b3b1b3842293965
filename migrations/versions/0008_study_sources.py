"""What each PACS says of a study, beside what the last one said.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "study_sources",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_find_id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("found_on", sa.DateTime(), nullable=False),
        sa.Column("last_seen_on", sa.DateTime(), nullable=False),
        sa.Column("expected_series", sa.Integer()),
        sa.Column("expected_images", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_study_sources"),
        sa.ForeignKeyConstraint(
            ["study_find_id"],
            ["studies_find.id"],
            name="fk_study_sources_study_find_id_studies_find",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_study_sources_study_find_id_peer",
        "study_sources",
        ["study_find_id", "peer"],
        unique=True,
    )
    op.execute(
        "INSERT INTO study_sources "
        "(study_find_id, peer, found_on, last_seen_on, expected_series, expected_images) "
        "SELECT id, peer, COALESCE(found_on, last_seen_on, updated_on, CURRENT_TIMESTAMP), "
        "COALESCE(last_seen_on, found_on, updated_on, CURRENT_TIMESTAMP), "
        "expected_series, expected_images "
        "FROM studies_find WHERE peer IS NOT NULL ORDER BY id"
    )
