"""All that each PACS says of a study, since when it says so no more, and what it said before.

What was said of a study so far was kept once for all PACSs: it becomes the word of the one that
answered last. A study that is complete here counts as complete at each of its PACSs.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SAID = (
    "patient_name",
    "patient_id",
    "study_date",
    "accession_number",
    "modalities",
    "study_description",
)


def upgrade() -> None:
    for column in (
        sa.Column("gone_on", sa.DateTime()),
        sa.Column("verified_on", sa.DateTime()),
        sa.Column("next_attempt_on", sa.DateTime()),
        sa.Column("patient_name", sa.Text()),
        sa.Column("patient_id", sa.Text()),
        sa.Column("patient_birth_date", sa.DateTime()),
        sa.Column("study_date", sa.DateTime()),
        sa.Column("study_time", sa.Time()),
        sa.Column("accession_number", sa.Text()),
        sa.Column("modalities", sa.Text()),
        sa.Column("study_description", sa.Text()),
        sa.Column("keys", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")),
    ):
        op.add_column("study_sources", column)
    op.create_index("ix_study_sources_peer_study_date", "study_sources", ["peer", "study_date"])
    op.create_table(
        "study_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_find_id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("seen_on", sa.DateTime(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("was", sa.Text()),
        sa.Column("became", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_study_changes"),
        sa.ForeignKeyConstraint(
            ["study_find_id"],
            ["studies_find.id"],
            name="fk_study_changes_study_find_id_studies_find",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_study_changes_study_find_id", "study_changes", ["study_find_id"])
    op.execute(
        "INSERT INTO study_sources "
        "(study_find_id, peer, found_on, last_seen_on, expected_series, expected_images) "
        "SELECT id, peer, COALESCE(found_on, last_seen_on, updated_on, CURRENT_TIMESTAMP), "
        "COALESCE(last_seen_on, found_on, updated_on, CURRENT_TIMESTAMP), "
        "expected_series, expected_images FROM studies_find WHERE peer IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM study_sources WHERE study_find_id = studies_find.id "
        "AND study_sources.peer = studies_find.peer) ORDER BY id"
    )
    names = ", ".join(_SAID)
    op.execute(
        f"UPDATE study_sources SET ({names}) = "  # noqa: S608 - our own names
        f"(SELECT {names} FROM studies_find WHERE id = study_find_id) "
        "WHERE peer = (SELECT peer FROM studies_find WHERE id = study_find_id)"
    )
    op.execute(
        "UPDATE study_sources SET (verified_on, next_attempt_on) = "
        "(SELECT retrieved_on, next_attempt_on FROM studies_find WHERE id = study_find_id)"
    )
