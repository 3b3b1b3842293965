"""The tables that say what the node did: its cycles, its questions, what it set aside.

A find or move cycle is a row from its first moment, so that a process that died leaves a
trace; each question to a PACS is a row with its outcome, so that "no studies" and "the query
failed" are never the same; and an object that could not become an image has one that says why.
"""

from datetime import date, datetime, time
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from schema.header.values import path_key
from schema.tables.columns import Base, EncodedJSON, IndexedText, utcnow

RUNNING = "running"
PAUSED = "paused"
ENDED = ("done", "partial")
"""The outcomes of a cycle that came to its end."""

CANCELLED = "cancelled"
INTERRUPTED = "interrupted"

UNFINISHED = (RUNNING, PAUSED)
"""The outcomes of a cycle that has not ended."""


class Wish(StrEnum):
    """What an operator may want of a cycle: the values of `cycles.wanted`."""

    PAUSE = "pause"
    """It ends what it is at, and asks for nothing more until it may."""
    CANCEL = "cancel"
    """It ends at once."""


class Cycle(Base):
    """One run of a find or of a move.

    Attributes
    ----------
    kind
        find, move, or count: of the images of studies whose number a PACS does not say.
    peer, node, pid
        The configured name of the PACS, and which process of which node did it.
    process
        Which process of that number: after which start of which machine, in which PID namespace,
        and when it started, where the system says so.
    finished_on
        When it ended; of one whose process died, when that was heard of last.
    outcome
        running; paused while it waits because somebody wants that; done, partial, failed;
        cancelled by an operator; or interrupted when its process died.
    counts
        What it came to, by name.
    wanted
        A `Wish`; NULL: that it goes on. What was interrupted while it was to pause keeps it, until
        the next cycle of its kind, at its peer, by its node takes it over.
    heard_on
        When its process was heard of last, naive UTC, by the clock of the database's server.
    asked
        What a find is to cover: a list of objects with `keys` (by DICOM keyword), `dates` (ranges,
        both ends included; null is open) and `undated` (whether the studies without a date as
        well). NULL: of single studies, no find, or begun by a version that did not keep it.
    unwanted
        Of a move: keys of attempts that an operator has ended, and whether that is at once, or only
        where nobody has been asked yet; an object. NULL: none.
    """

    __tablename__ = "cycles"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    peer: Mapped[str | None] = mapped_column(Text)
    node: Mapped[str | None] = mapped_column(Text)
    pid: Mapped[int | None]
    process: Mapped[str | None] = mapped_column(Text)
    started_on: Mapped[datetime] = mapped_column(default=utcnow)
    finished_on: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(Text, default=RUNNING, server_default=RUNNING)
    counts: Mapped[Any | None] = mapped_column(EncodedJSON)
    message: Mapped[str | None] = mapped_column(Text)
    wanted: Mapped[str | None] = mapped_column(Text)
    heard_on: Mapped[datetime | None]
    asked: Mapped[Any | None] = mapped_column(EncodedJSON)
    unwanted: Mapped[Any | None] = mapped_column(EncodedJSON)


class FindWindow(Base):
    """One question that a PACS was asked, and what became of it.

    Attributes
    ----------
    parent_id
        The window that this one is a part of; NULL when it is of the plan itself.
    query
        The matching keys of the whole find.
    axes
        Further matching keys, by which a window was split that no dates or times could split.
    level
        STUDY.
    start_date, end_date
        The range of study dates asked for, both included; NULL means unbounded.
    start_time, end_time
        The range of study times within the one day, both included; NULL means all day.
    undated
        Whether it is about the studies that have no date, and not about a range of dates.
    outcome
        complete, truncated, suspect, refused or failed.
    matches, new
        How many studies of the window the answer held, and how many of them were not known.
    answers
        How many responses came, those included that lie outside and those that came twice.
    outside
        How many studies it held that do not belong into the window.
    lacking
        How many of the matches have no value for a key by which windows are split, by keyword;
        and how many answers name no study, which are no matches.
    seconds
        How long it took.
    status, comment
        The last DIMSE status, and the PACS's Error Comment (0000,0902) to it.
    message
        Ours: why it is not complete.
    asked_on
        When it was asked, naive UTC; what is asked once more after its parts, when it was first.
    covered_on
        As of when all studies of the window are known: when the earliest of the questions was
        asked that prove it together. NULL: they are not.
    """

    __tablename__ = "find_windows"

    id: Mapped[int] = mapped_column(primary_key=True)
    cycle_id: Mapped[int | None] = mapped_column(ForeignKey("cycles.id"), index=True)
    parent_id: Mapped[int | None]
    peer: Mapped[str | None] = mapped_column(IndexedText)
    level: Mapped[str] = mapped_column(Text, default="STUDY", server_default="STUDY")
    query: Mapped[Any | None] = mapped_column(EncodedJSON)
    axes: Mapped[Any | None] = mapped_column(EncodedJSON)
    start_date: Mapped[date | None]
    end_date: Mapped[date | None]
    start_time: Mapped[time | None]
    end_time: Mapped[time | None]
    undated: Mapped[bool] = mapped_column(default=False, server_default=false())
    outcome: Mapped[str] = mapped_column(Text)
    matches: Mapped[int | None]
    outside: Mapped[int | None]
    lacking: Mapped[Any | None] = mapped_column(EncodedJSON)
    new: Mapped[int | None]
    answers: Mapped[int | None]
    seconds: Mapped[float | None] = mapped_column(Double)
    status: Mapped[int | None]
    comment: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    asked_on: Mapped[datetime] = mapped_column(default=utcnow)
    covered_on: Mapped[datetime | None]

    __table_args__ = (Index("ix_find_windows_peer_start_date", "peer", "start_date"),)


class PeerProbe(Base):
    """What was found out about a PACS when it was probed; the newest row of a peer is in force.

    Attributes
    ----------
    peer
        The configured name of the PACS.
    probed_on
        When the probe came to its end.
    questions
        How many queries it took.
    facts
        By name: what is so, how it is known or why it is not, and when it was found out.
    stale_on, stale_reason
        When and how the PACS was seen to do otherwise; NULL while nothing contradicts.
    """

    __tablename__ = "peer_probes"

    id: Mapped[int] = mapped_column(primary_key=True)
    peer: Mapped[str] = mapped_column(IndexedText, index=True)
    probed_on: Mapped[datetime] = mapped_column(default=utcnow)
    questions: Mapped[int]
    facts: Mapped[Any] = mapped_column(EncodedJSON)
    stale_on: Mapped[datetime | None]
    stale_reason: Mapped[str | None] = mapped_column(Text)


class MoveAttempt(Base):
    """One attempt to bring a study here from one PACS, and what became of it.

    Attributes
    ----------
    study_find_id, peer
        The study, and the configured name of the PACS.
    cycle_id, node
        The move that it is of, and the AE title of the node that asked.
    method, level
        C-MOVE, C-GET or WADO-RS; and STUDY, SERIES or IMAGE: what it was asked for by.
    claimed_on, started_on, ended_on
        When a node has taken the study, asked the PACS, and come to a verdict (naive UTC). Without
        an end it goes on, or its process has died.
    requested, requests
        How many series or images were asked for by name, NULL at STUDY level; and by how many
        requests.
    outcome
        retrieved, partial, empty or failed: what was here of the study afterwards; interrupted
        when it came to no verdict.
    failure
        none, configuration, outage, busy or refused: see `schema.moving.patience`.
    status, comment
        The PACS's last status, and its Error Comment (0000,0902).
    message
        Ours: why the study is not whole.
    completed, failed, warning, remaining
        Its sub-operations, as the PACS counts them.
    failed_uids, refused
        The SOP Instance UIDs that it could not send; and presentation contexts, by name.
    arrived, arrived_bytes
        Images that came and were not here before, and the size of their files.
    images, expected, missing
        How many images of the study were here afterwards, how many there should be, and SOP
        Instance UIDs of those that are missing, the first `schema.moving.attempts.KEPT`.
    evidence
        listed, counted or stable: what it rests on that nothing is missing; else NULL.
    """

    __tablename__ = "move_attempts"
    __table_args__ = (
        Index("ix_move_attempts_peer_started_on", "peer", "started_on"),
        Index("ix_move_attempts_peer_ended_on", "peer", "ended_on"),
    )
    _shown = ("id", "study_find_id", "peer", "outcome")

    id: Mapped[int] = mapped_column(primary_key=True)
    study_find_id: Mapped[int] = mapped_column(
        ForeignKey("studies_find.id", ondelete="CASCADE"), index=True
    )
    peer: Mapped[str] = mapped_column(IndexedText)
    cycle_id: Mapped[int | None] = mapped_column(ForeignKey("cycles.id"), index=True)
    node: Mapped[str | None] = mapped_column(Text)
    method: Mapped[str] = mapped_column(Text)
    claimed_on: Mapped[datetime] = mapped_column(default=utcnow)
    started_on: Mapped[datetime | None]
    ended_on: Mapped[datetime | None]
    level: Mapped[str | None] = mapped_column(Text)
    requested: Mapped[int | None]
    requests: Mapped[int | None]
    outcome: Mapped[str | None] = mapped_column(Text)
    failure: Mapped[str | None] = mapped_column(Text)
    status: Mapped[int | None]
    comment: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    completed: Mapped[int | None]
    failed: Mapped[int | None]
    warning: Mapped[int | None]
    remaining: Mapped[int | None]
    failed_uids: Mapped[Any | None] = mapped_column(EncodedJSON)
    refused: Mapped[Any | None] = mapped_column(EncodedJSON)
    arrived: Mapped[int | None]
    arrived_bytes: Mapped[int | None] = mapped_column(BigInteger)
    images: Mapped[int | None]
    expected: Mapped[int | None]
    missing: Mapped[Any | None] = mapped_column(EncodedJSON)
    evidence: Mapped[str | None] = mapped_column(Text)


class RepeatedArrival(Base):
    """An image that was here already when an attempt has brought it once more."""

    __tablename__ = "repeated_arrivals"
    __table_args__ = (
        Index("ix_repeated_arrivals_image_id_attempt_id", "image_id", "attempt_id", unique=True),
    )
    _shown = ("id", "image_id", "attempt_id")

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    attempt_id: Mapped[int] = mapped_column(
        ForeignKey("move_attempts.id", ondelete="CASCADE"), index=True
    )
    arrived_on: Mapped[datetime] = mapped_column(default=utcnow)


class QuarantineKind(StrEnum):
    """Why an object is in quarantine: the values of `quarantine.kind`."""

    UNDECODABLE = "undecodable"
    """Its header cannot be read, or lacks a UID that every image needs."""
    CONFLICT = "conflict"
    """Another object has its SOP Instance UID, or cannot be told from it."""
    MISMATCH = "mismatch"
    """Its C-STORE command named another SOP instance, or another SOP class (PS3.4 B.2.3)."""
    UNINDEXABLE = "unindexable"
    """The database refuses its values."""
    DAMAGED = "damaged"
    """It was the file of an image: the same object, whole, has its place, or is asked for again."""
    STRAY = "stray"
    """It had no row any more, and nothing is wrong with it."""


class DatabaseIdentity(Base):
    """Which database this is: one row, made with the tables.

    A copy of the database keeps it; a mirror has one of its own.

    Attributes
    ----------
    id
        Random; 32 hexadecimal digits.
    """

    __tablename__ = "database_identity"

    id: Mapped[str] = mapped_column(IndexedText, primary_key=True)
    made_on: Mapped[datetime] = mapped_column(default=utcnow)


class Quarantined(Base):
    """An object that was received but is no image of the index.

    Attributes
    ----------
    filepath
        Where its bytes are kept. A path that no index holds is whole in `reason`.
    kind, reason
        A `QuarantineKind`, and the same in words.
    also_from
        Others who sent the same bytes: their AE titles, separated by backslashes.
    storage_id
        The id of the storage directory that keeps it; NULL when nobody knows.
    """

    __tablename__ = "quarantine"

    id: Mapped[int] = mapped_column(primary_key=True)
    filepath: Mapped[str] = mapped_column(IndexedText(path_key), unique=True, index=True)
    reason: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    sop_instance_uid: Mapped[str | None] = mapped_column(IndexedText, index=True)
    study_uid: Mapped[str | None] = mapped_column(IndexedText, index=True)
    sha256: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text)
    also_from: Mapped[str | None] = mapped_column(Text)
    received_on: Mapped[datetime | None] = mapped_column(default=utcnow)
    storage_id: Mapped[str | None] = mapped_column(Text)
