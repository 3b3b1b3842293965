"""How many images a PACS has of a study, counted where its answer at study level does not say it.

A project's accession numbers stand for the studies that any of their PACSs has under them as well.

Revision ID: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("study_sources", sa.Column("counted_on", sa.DateTime()))
    op.add_column("study_sources", sa.Column("counted_by", sa.Text()))
    op.add_column("study_sources", sa.Column("counted_series", sa.Integer()))
    op.add_column("study_sources", sa.Column("counted_images", sa.Integer()))
    op.add_column("study_sources", sa.Column("counted_short", sa.Text()))
    op.create_index(
        "ix_study_sources_accession_number",
        "study_sources",
        ["accession_number"],
        postgresql_using="hash",  # which text of any length goes into
    )
    op.execute("DROP VIEW project_members")
    op.execute(
        "CREATE VIEW project_members AS "
        "SELECT project_studies.project_id AS project_id, "
        "project_studies.study_uid AS study_uid "
        "FROM project_studies WHERE project_studies.study_uid IS NOT NULL "
        "UNION "
        "SELECT project_studies.project_id AS project_id, studies_find.study_uid AS study_uid "
        "FROM project_studies "
        "JOIN studies_find ON studies_find.accession_number = project_studies.accession_number "
        "UNION "
        "SELECT project_studies.project_id AS project_id, studies_find.study_uid AS study_uid "
        "FROM project_studies "
        "JOIN study_sources ON study_sources.accession_number = project_studies.accession_number "
        "JOIN studies_find ON studies_find.id = study_sources.study_find_id "
        "UNION "
        "SELECT project_studies.project_id AS project_id, studies.study_uid AS study_uid "
        "FROM project_studies "
        "JOIN studies ON studies.accession_number = project_studies.accession_number"
    )
