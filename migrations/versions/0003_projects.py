"""Projects, and indexes for what is looked up by path and by accession number.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# On PostgreSQL an entry of a B-tree ends at 2,704 bytes; a hash has room for every text.
_ANY_LENGTH = "hash"


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("created_on", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    op.create_index("ix_projects_name", "projects", ["name"], unique=True)
    op.create_table(
        "project_studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.Text()),
        sa.Column("accession_number", sa.Text()),
        sa.Column("added_on", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project_studies"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_project_studies_project_id_projects"
        ),
        sa.CheckConstraint(
            "(study_uid IS NULL) <> (accession_number IS NULL)",
            name=op.f("ck_project_studies_one_key"),
        ),
    )
    for key in ("study_uid", "accession_number"):
        op.create_index(
            f"ix_project_studies_project_id_{key}",
            "project_studies",
            ["project_id", key],
            unique=True,
        )
        op.create_index(f"ix_project_studies_{key}", "project_studies", [key])
    op.create_index(
        "ix_studies_find_accession_number",
        "studies_find",
        ["accession_number"],
        postgresql_using=_ANY_LENGTH,
    )
    op.create_index(
        "ix_studies_accession_number", "studies", ["accession_number"], postgresql_using=_ANY_LENGTH
    )
    op.create_index("ix_images_filepath", "images", ["filepath"], postgresql_using=_ANY_LENGTH)
    op.execute(
        "DELETE FROM quarantine WHERE id NOT IN (SELECT MIN(id) FROM quarantine GROUP BY filepath)"
    )
    op.create_index("ix_quarantine_filepath", "quarantine", ["filepath"], unique=True)
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
        "SELECT project_studies.project_id AS project_id, studies.study_uid AS study_uid "
        "FROM project_studies "
        "JOIN studies ON studies.accession_number = project_studies.accession_number"
    )
