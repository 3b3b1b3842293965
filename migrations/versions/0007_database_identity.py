"""Each database gets an identity of its own, by which its mirrors know it again.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "database_identity",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("made_on", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_database_identity"),
    )
    # By the database's own means: SQL that is printed once may be run on several of them.
    made = (
        "lower(hex(randomblob(16))), CURRENT_TIMESTAMP"
        if op.get_context().dialect.name == "sqlite"
        else "replace(CAST(gen_random_uuid() AS text), '-', ''), now() AT TIME ZONE 'UTC'"
    )
    op.execute(f"INSERT INTO database_identity (id, made_on) SELECT {made}")
