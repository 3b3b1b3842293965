"""Indexes that `status` counts from; and none of what is to move, which the sources have.

Revision ID: 0020
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_studies_find_to_move", "studies_find")
    op.create_index("ix_studies_find_state_retrieved_on", "studies_find", ["state", "retrieved_on"])
    op.create_index(
        "ix_study_sources_tally",
        "study_sources",
        [
            "peer",
            "state",
            "gone_on",
            "verified_on",
            "given_up_on",
            "next_attempt_on",
            "expected_images",
            "counted_images",
        ],
    )
    op.create_index("ix_move_attempts_peer_ended_on", "move_attempts", ["peer", "ended_on"])
