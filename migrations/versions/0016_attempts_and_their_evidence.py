"""Attempts to move studies as rows, what each source lists, and which attempt brought an image.

A study that was found and not moved yet is `pending` now, and was `found`. Each source has a state
of its own: of those whose study is complete, or that are verified, `retrieved`.

Revision ID: 0016
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_READY = (
    "verified_on IS NULL AND gone_on IS NULL AND next_attempt_on IS NULL AND given_up_on IS NULL"
    " AND state IN ('pending', 'partial', 'empty', 'failed')"
)

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _rename_the_first_state()
    op.add_column("studies_find", sa.Column("evidence", sa.Text()))
    op.create_index(
        "ix_studies_find_patient_id",
        "studies_find",
        ["patient_id"],
        postgresql_using="hash",  # which text of any length goes into
    )
    _add_to_sources()
    _make_listings()
    _make_attempts()
    op.add_column("images", sa.Column("attempt_id", sa.Integer()))
    op.add_column("images", sa.Column("source_address", sa.Text()))
    op.create_table(
        "repeated_arrivals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("arrived_on", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_repeated_arrivals"),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
            name="fk_repeated_arrivals_image_id_images",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["move_attempts.id"],
            name="fk_repeated_arrivals_attempt_id_move_attempts",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_repeated_arrivals_attempt_id", "repeated_arrivals", ["attempt_id"])
    op.create_index(
        "ix_repeated_arrivals_image_id_attempt_id",
        "repeated_arrivals",
        ["image_id", "attempt_id"],
        unique=True,
    )


def _rename_the_first_state() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("studies_find", "state", server_default="pending")
        op.execute("UPDATE studies_find SET state = 'pending' WHERE state = 'found'")
        return
    # SQLite keeps the default of a column for as long as the column is there
    op.execute("ALTER TABLE studies_find RENAME COLUMN state TO former_state")
    op.add_column(
        "studies_find", sa.Column("state", sa.Text(), server_default="pending", nullable=False)
    )
    op.execute("UPDATE studies_find SET state = former_state WHERE former_state <> 'found'")
    op.drop_column("studies_find", "former_state")


def _add_to_sources() -> None:
    for column in (
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("vain_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("given_up_on", sa.DateTime()),
        sa.Column("last_status", sa.Integer()),
        sa.Column("last_comment", sa.Text()),
        sa.Column("last_error", sa.Text()),
        sa.Column("evidence", sa.Text()),
        sa.Column("evidence_images", sa.Integer()),
        sa.Column("rank", sa.Integer(), server_default=sa.text("0"), nullable=False),
    ):
        op.add_column("study_sources", column)
    op.execute(
        "UPDATE study_sources SET rank = (SELECT -priority FROM studies_find"
        " WHERE id = study_find_id)"
        " WHERE study_find_id IN (SELECT id FROM studies_find WHERE priority <> 0)"
    )
    retrieved = "SELECT id FROM studies_find WHERE retrieved_on IS NOT NULL"
    op.execute(
        "UPDATE study_sources SET state = 'retrieved' WHERE verified_on IS NOT NULL "  # noqa: S608
        f"OR study_find_id IN ({retrieved})"
    )
    op.execute(
        "UPDATE study_sources SET state = 'gone' WHERE gone_on IS NOT NULL AND state <> 'retrieved'"
    )
    op.execute(
        "UPDATE study_sources SET state = (SELECT state FROM studies_find WHERE id = study_find_id)"
        ", attempts = (SELECT attempts FROM studies_find WHERE id = study_find_id)"
        " WHERE state = 'pending' AND study_find_id IN"
        " (SELECT id FROM studies_find WHERE state IN ('partial', 'empty', 'failed'))"
    )
    op.execute(
        "UPDATE studies_find SET state = 'gone' WHERE retrieved_on IS NULL AND EXISTS"
        " (SELECT 1 FROM study_sources WHERE study_find_id = studies_find.id) AND NOT EXISTS"
        " (SELECT 1 FROM study_sources WHERE study_find_id = studies_find.id AND gone_on IS NULL)"
    )
    op.create_index(
        "ix_study_sources_ready",
        "study_sources",
        ["peer", "rank", "study_date", "id"],
        postgresql_where=sa.text(_READY),
        sqlite_where=sa.text(_READY),
    )
    op.create_index(
        "ix_study_sources_waiting",
        "study_sources",
        ["peer", "next_attempt_on"],
        postgresql_where=sa.text("next_attempt_on IS NOT NULL"),
        sqlite_where=sa.text("next_attempt_on IS NOT NULL"),
    )


def _make_listings() -> None:
    op.create_table(
        "source_listings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("listed_on", sa.DateTime(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("short", sa.Boolean(), nullable=False),
        sa.Column("vouched", sa.Boolean(), nullable=False),
        sa.Column("listing", _JSON),
        sa.PrimaryKeyConstraint("id", name="pk_source_listings"),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["study_sources.id"],
            name="fk_source_listings_source_id_study_sources",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_source_listings_source_id", "source_listings", ["source_id"], unique=True)


def _make_attempts() -> None:
    op.create_table(
        "move_attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_find_id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Integer()),
        sa.Column("node", sa.Text()),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("claimed_on", sa.DateTime(), nullable=False),
        sa.Column("started_on", sa.DateTime()),
        sa.Column("ended_on", sa.DateTime()),
        sa.Column("level", sa.Text()),
        sa.Column("requested", sa.Integer()),
        sa.Column("requests", sa.Integer()),
        sa.Column("outcome", sa.Text()),
        sa.Column("failure", sa.Text()),
        sa.Column("status", sa.Integer()),
        sa.Column("comment", sa.Text()),
        sa.Column("message", sa.Text()),
        sa.Column("completed", sa.Integer()),
        sa.Column("failed", sa.Integer()),
        sa.Column("warning", sa.Integer()),
        sa.Column("remaining", sa.Integer()),
        sa.Column("failed_uids", _JSON),
        sa.Column("refused", _JSON),
        sa.Column("arrived", sa.Integer()),
        sa.Column("arrived_bytes", sa.BigInteger()),
        sa.Column("images", sa.Integer()),
        sa.Column("expected", sa.Integer()),
        sa.Column("missing", _JSON),
        sa.Column("evidence", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_move_attempts"),
        sa.ForeignKeyConstraint(
            ["study_find_id"],
            ["studies_find.id"],
            name="fk_move_attempts_study_find_id_studies_find",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["cycle_id"], ["cycles.id"], name="fk_move_attempts_cycle_id_cycles"
        ),
    )
    op.create_index("ix_move_attempts_study_find_id", "move_attempts", ["study_find_id"])
    op.create_index("ix_move_attempts_cycle_id", "move_attempts", ["cycle_id"])
