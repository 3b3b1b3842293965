"""What verifications have found of studies' files, and how often an image's file was another one.

Revision ID: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # a default that is a constant: neither database writes a row of the table for it
    op.add_column(
        "images", sa.Column("revision", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.create_table(
        "study_verifications",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("read_on", sa.DateTime(), nullable=False),
        sa.Column("sound", sa.Integer(), nullable=False),
        sa.Column("unsound", sa.Integer(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("id_sum", sa.BigInteger(), nullable=False),
        sa.Column("revision_sum", sa.BigInteger(), nullable=False),
        sa.Column("newest_on", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_study_verifications"),
    )
    op.create_index(
        "ix_study_verifications_study_uid_holder",
        "study_verifications",
        ["study_uid", "holder"],
        unique=True,
    )


def downgrade() -> None:
    op.drop_table("study_verifications")
    op.drop_column("images", "revision")
