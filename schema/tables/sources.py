"""The tables of what each PACS says of a study: no peer's word overwrites another's."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, Text, case, exists, text
from sqlalchemy.orm import Mapped, mapped_column

from schema.tables.columns import Base, EncodedJSON, IndexedText, utcnow
from schema.tables.dates import DicomDate
from schema.tables.ledger import MoveAttempt
from schema.tables.models import ANY_LENGTH, GONE, HELD, MOVING, PENDING, SETTLING, StudyFind

READY = (
    "verified_on IS NULL AND gone_on IS NULL AND next_attempt_on IS NULL AND given_up_on IS NULL"
    " AND state IN ('pending', 'partial', 'empty', 'failed')"
)
"""The condition that a PACS may be asked for a study now: as the index over them has it."""

_WAITING = text("next_attempt_on IS NOT NULL")
_UNDER_POLICY = text("policy IS NOT NULL")


class StudySource(Base):
    """A PACS that has a study, or had it, as the last of its C-FIND responses says.

    Attributes
    ----------
    study_find_id, peer
        The study, and the configured name of the PACS.
    found_on, last_seen_on
        When the PACS answered it for the first time, and for the last.
    gone_on
        Since when the PACS is known to have it no more; NULL while it has it.
    verified_on
        When all that the PACS has of it was verified to be here; NULL until then, and again
        when it has grown there.
    state
        Where it stands here: see `schema.standing.states`.
    attempts, vain_attempts
        How often this PACS was asked for it since it was opened, or a part of it has come; and how
        many of the last ones came to nothing.
    next_attempt_on, given_up_on
        When the daemon may ask this PACS for it again, NULL means at any time; and since when it
        does not any more, until there is news of it.
    last_status, last_comment, last_error
        The PACS's status for the last attempt with its Error Comment, and why it was not enough.
    evidence, evidence_images
        listed, counted or stable: what `verified_on` rests on; and how many images that has.
    held_on, held_reason
        Since when an operator does not want it to be asked for here, and why, in words.
    policy
        The policy under which it is complete, or unwanted; NULL where it was judged without one.
    rank
        The study's priority, negated: in ascending order, for the index over what is next.
    patient_name to study_description
        As the PACS says it; what its last response leaves out is as an earlier one had it.
    expected_series, expected_images
        The PACS's own counts (0020,1206), (0020,1208); NULL when it gives none.
    counted_on, counted_by
        When its series, or its images as well, were counted because it gives no number of images,
        and at which level: `series` or `image`. NULL when they never were.
    counted_series, counted_images
        How many there were.
    counted_short
        Why these are not all, in words; NULL when nothing says so.
    keys
        Further attributes that were asked for, by DICOM keyword.
    """

    __tablename__ = "study_sources"
    _shown = ("id", "study_find_id", "peer")

    id: Mapped[int] = mapped_column(primary_key=True)
    study_find_id: Mapped[int] = mapped_column(ForeignKey("studies_find.id", ondelete="CASCADE"))
    peer: Mapped[str] = mapped_column(IndexedText)
    found_on: Mapped[datetime] = mapped_column(default=utcnow)
    last_seen_on: Mapped[datetime] = mapped_column(default=utcnow)
    gone_on: Mapped[datetime | None]
    verified_on: Mapped[datetime | None]
    next_attempt_on: Mapped[datetime | None]
    patient_name: Mapped[str | None] = mapped_column(Text)
    patient_id: Mapped[str | None] = mapped_column(Text)
    patient_birth_date: Mapped[datetime | None] = mapped_column(DicomDate)
    study_date: Mapped[datetime | None] = mapped_column(DicomDate)
    study_time: Mapped[time | None]
    accession_number: Mapped[str | None] = mapped_column(Text)
    modalities: Mapped[str | None] = mapped_column(Text)
    study_description: Mapped[str | None] = mapped_column(Text)
    expected_series: Mapped[int | None]
    expected_images: Mapped[int | None]
    keys: Mapped[Any | None] = mapped_column(EncodedJSON)
    counted_on: Mapped[datetime | None]
    counted_by: Mapped[str | None] = mapped_column(Text)
    counted_series: Mapped[int | None]
    counted_images: Mapped[int | None]
    counted_short: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(IndexedText, default=PENDING, server_default=PENDING)
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    vain_attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    given_up_on: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_comment: Mapped[str | None] = mapped_column(Text)
    last_error: Mapped[str | None] = mapped_column(Text)
    evidence: Mapped[str | None] = mapped_column(Text)
    evidence_images: Mapped[int | None]
    rank: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    held_on: Mapped[datetime | None]
    held_reason: Mapped[str | None] = mapped_column(Text)
    policy: Mapped[str | None] = mapped_column(IndexedText)

    __table_args__ = (
        Index("ix_study_sources_study_find_id_peer", "study_find_id", "peer", unique=True),
        Index("ix_study_sources_peer_study_date", "peer", "study_date"),
        Index("ix_study_sources_accession_number", "accession_number", postgresql_using=ANY_LENGTH),
        Index(
            "ix_study_sources_ready",
            "peer",
            "rank",
            "study_date",
            "id",
            postgresql_where=text(READY),
            sqlite_where=text(READY),
        ),
        Index(
            "ix_study_sources_ready_as_found",
            "peer",
            "rank",
            "id",
            postgresql_where=text(READY),
            sqlite_where=text(READY),
        ),
        Index(
            "ix_study_sources_waiting",
            "peer",
            "next_attempt_on",
            postgresql_where=_WAITING,
            sqlite_where=_WAITING,
        ),
        Index(
            "ix_study_sources_policy",
            "peer",
            "policy",
            postgresql_where=_UNDER_POLICY,
            sqlite_where=_UNDER_POLICY,
        ),
        # all that is counted of each PACS's studies: see `schema.accounting.tallies`
        Index(
            "ix_study_sources_tally",
            "peer",
            "state",
            "gone_on",
            "verified_on",
            "given_up_on",
            "next_attempt_on",
            "expected_images",
            "counted_images",
        ),
    )


class SourceListing(Base):
    """The images of a study that a PACS lists: the best evidence of what it has, or the newest.

    Attributes
    ----------
    source_id
        The PACS and the study.
    listed_on
        When it was asked (naive UTC).
    images
        How many it lists.
    short, vouched
        Whether the PACS's own numbers say that these are not all, or that they are.
    listing
        By series: modality, its own number of images, and the SOP Class UIDs of its images by SOP
        Instance UID; and why these are not all. See `schema.moving.listing`.
    """

    __tablename__ = "source_listings"
    _shown = ("id", "source_id", "images")

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int] = mapped_column(
        ForeignKey("study_sources.id", ondelete="CASCADE"), unique=True, index=True
    )
    listed_on: Mapped[datetime] = mapped_column(default=utcnow)
    images: Mapped[int]
    short: Mapped[bool]
    vouched: Mapped[bool]
    listing: Mapped[Any | None] = mapped_column(EncodedJSON)


class StudyChange(Base):
    """What a PACS said of a study before it said something else.

    Attributes
    ----------
    study_find_id, peer, seen_on
        The study, the configured name of the PACS, and when it said so for the first time.
    field
        The column of `study_sources`, or the DICOM keyword of one of its `keys`.
    was, became
        Its value before and since, as text.
    """

    __tablename__ = "study_changes"
    _shown = ("id", "study_find_id", "peer", "field")

    id: Mapped[int] = mapped_column(primary_key=True)
    study_find_id: Mapped[int] = mapped_column(
        ForeignKey("studies_find.id", ondelete="CASCADE"), index=True
    )
    peer: Mapped[str] = mapped_column(IndexedText)
    seen_on: Mapped[datetime] = mapped_column(default=utcnow)
    field: Mapped[str] = mapped_column(Text)
    was: Mapped[str | None] = mapped_column(Text)
    became: Mapped[str | None] = mapped_column(Text)


def is_asked_for() -> ColumnElement[bool]:
    """Return whether a PACS is being asked for a study: an attempt there has not ended."""
    attempt = exists().where(
        MoveAttempt.study_find_id == StudySource.study_find_id,
        MoveAttempt.peer == StudySource.peer,
        MoveAttempt.ended_on.is_(None),
    )
    return attempt.correlate(StudySource)


def reopened_source() -> Mapping[str, Any]:
    """Return the columns of a source whose study is to be asked for there, as new."""
    return {
        "verified_on": None,
        "next_attempt_on": None,
        "given_up_on": None,
        "attempts": 0,
        "vain_attempts": 0,
        "evidence": None,
        "evidence_images": None,
        "last_error": None,
        "state": case(
            (StudySource.gone_on.is_not(None), GONE),
            (StudySource.state.in_((HELD, MOVING, SETTLING)), StudySource.state),
            (StudySource.held_on.is_not(None), HELD),
            (is_asked_for(), MOVING),
            else_=PENDING,
        ),
        "policy": None,
    }


def reopened_study() -> Mapping[str, Any]:
    """Return the columns of a study that is to be moved, as new."""
    return {
        "retrieved_on": None,
        "evidence": None,
        "attempts": 0,
        "next_attempt_on": None,
        "last_error": None,
        "state": case((StudyFind.held_on.is_not(None), HELD), else_=PENDING),
        "policy": None,
    }
