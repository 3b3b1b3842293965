"""Requests for storage commitment, and the objects that they name.

Revision ID: 0023
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "storage_commitments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("aetitle", sa.Text(), nullable=False),
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("committed", sa.Integer()),
        sa.Column("failed", sa.Integer()),
        sa.Column("created_on", sa.DateTime(), nullable=False),
        sa.Column("settled_on", sa.DateTime()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_on", sa.DateTime(), nullable=False),
        sa.Column("node", sa.Text()),
        sa.Column("pid", sa.Integer()),
        sa.Column("process", sa.Text()),
        sa.Column("started_on", sa.DateTime()),
        sa.Column("reason", sa.Text()),
        sa.Column("done_on", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_storage_commitments"),
    )
    op.create_index(
        "ix_storage_commitments_role_aetitle_transaction_uid",
        "storage_commitments",
        ["role", "aetitle", "transaction_uid"],
        unique=True,
    )
    undone = sa.text("done_on IS NULL")
    op.create_index(
        "ix_storage_commitments_next_on",
        "storage_commitments",
        ["next_on"],
        sqlite_where=undone,
        postgresql_where=undone,
    )
    op.create_table(
        "storage_commitment_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("commitment_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_storage_commitment_items"),
        sa.ForeignKeyConstraint(
            ["commitment_id"],
            ["storage_commitments.id"],
            name="fk_storage_commitment_items_commitment_id_storage_commitments",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_storage_commitment_items_commitment_id_number",
        "storage_commitment_items",
        ["commitment_id", "number"],
        unique=True,
    )


def downgrade() -> None:
    op.drop_table("storage_commitment_items")
    op.drop_table("storage_commitments")
