"""What a verified retrieval needs: states, provenance, cycles, windows, quarantine.

Revision ID: 0002
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_WAITING = sa.text("retrieved_on IS NULL")


def _found_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("peer", sa.Text()),
        sa.Column("modalities", sa.Text()),
        sa.Column("study_description", sa.Text()),
        sa.Column("expected_series", sa.Integer()),
        sa.Column("expected_images", sa.Integer()),
        sa.Column("state", sa.Text(), server_default="found", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_on", sa.DateTime()),
        sa.Column("last_error", sa.Text()),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_seen_on", sa.DateTime()),
        sa.Column("updated_on", sa.DateTime()),
    ]


def _image_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("sha256", sa.Text()),
        sa.Column("size", sa.BigInteger()),
        sa.Column("transfer_syntax_uid", sa.Text()),
        sa.Column("received_on", sa.DateTime()),
        sa.Column("source", sa.Text()),
        sa.Column("node", sa.Text()),
        sa.Column("flag", sa.Text()),
    ]


def upgrade() -> None:
    for column in _found_columns():
        op.add_column("studies_find", column)
    op.execute("UPDATE studies_find SET state = 'retrieved' WHERE retrieved_on IS NOT NULL")
    for column in _image_columns():
        op.add_column("images", column)
    op.create_index(
        "ix_studies_find_to_move",
        "studies_find",
        ["priority", "study_date"],
        postgresql_where=_WAITING,
        sqlite_where=_WAITING,
    )
    op.create_index("ix_studies_study_find_id", "studies", ["study_find_id"])
    op.create_index("ix_studies_patient_id", "studies", ["patient_id"])
    op.create_index("ix_series_study_id", "series", ["study_id"])
    op.create_index("ix_images_series_id", "images", ["series_id"])
    _create_ledger()


def _create_ledger() -> None:
    op.create_table(
        "cycles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text()),
        sa.Column("node", sa.Text()),
        sa.Column("pid", sa.Integer()),
        sa.Column("started_on", sa.DateTime(), nullable=False),
        sa.Column("finished_on", sa.DateTime()),
        sa.Column("outcome", sa.Text(), server_default="running", nullable=False),
        sa.Column("counts", _JSON),
        sa.Column("message", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_cycles"),
    )
    op.create_table(
        "find_windows",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("cycle_id", sa.Integer()),
        sa.Column("peer", sa.Text()),
        sa.Column("query", _JSON),
        sa.Column("start_date", sa.Date()),
        sa.Column("end_date", sa.Date()),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("matches", sa.Integer()),
        sa.Column("message", sa.Text()),
        sa.Column("asked_on", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_find_windows"),
        sa.ForeignKeyConstraint(
            ["cycle_id"], ["cycles.id"], name="fk_find_windows_cycle_id_cycles"
        ),
    )
    op.create_index("ix_find_windows_cycle_id", "find_windows", ["cycle_id"])
    op.create_index("ix_find_windows_peer_start_date", "find_windows", ["peer", "start_date"])
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("filepath", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text()),
        sa.Column("study_uid", sa.Text()),
        sa.Column("sha256", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("received_on", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
    )
    op.create_index("ix_quarantine_sop_instance_uid", "quarantine", ["sop_instance_uid"])
    op.create_index("ix_quarantine_study_uid", "quarantine", ["study_uid"])
