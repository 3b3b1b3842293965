"""The tables of storage commitment: each request, and the objects that it names."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from schema.tables.columns import Base, IndexedText, utcnow

_OPEN = text("done_on IS NULL")


class CommitmentRole(StrEnum):
    """What we are in a commitment: the values of `storage_commitments.role`."""

    PROVIDER = "scp"
    """Another node has asked us to keep what it names."""
    USER = "scu"
    """We have asked another node."""


class CommitmentState(StrEnum):
    """Where a commitment stands: the values of `storage_commitments.state`."""

    VERIFYING = "verifying"
    """As SCP: it is being found out what we keep."""
    REPORTING = "reporting"
    """As SCP: that is known, and is to be reported."""
    ASKED = "asked"
    """As SCU: the other node is to report."""
    DONE = "done"
    """The report was taken: by the other node, or by us."""
    GIVEN_UP = "given_up"
    """As SCP: nobody has taken the report."""
    REFUSED = "refused"
    """As SCU: the other node does not take the request."""


class StorageCommitment(Base):
    """A request for storage commitment (PS3.4 Annex J), and what has become of it.

    Attributes
    ----------
    role
        A `CommitmentRole`: what we are in it.
    aetitle
        The AE title of the other node.
    transaction_uid
        Transaction UID (0008,1195): one of a kind for each role and AE title.
    peer
        What the configuration calls the other node.
    state
        A `CommitmentState`.
    digest
        Of all references: whether a request that comes again is the same one.
    objects, committed, failed
        How many objects it names, and how many of them are, and are not, committed; NULL while
        that is not known. What a report does not mention is neither.
    created_on
        When it was asked for, or asked for again: naive UTC.
    settled_on
        When it was known what is committed; NULL again once it is asked for again: what is being
        reported then is to be found out anew.
    attempts
        How often we have tried to report.
    next_on
        When a node may go on with it; while one is at it, when that one counts as gone.
    node, pid, process
        Who is at it: the AE title, the number of the process, and which process of that number, as
        in `cycles`; without `pid` nobody is, and `node` has taken the request.
    started_on
        When that one began.
    reason
        What went wrong last, in words.
    done_on
        When it came to its end; NULL until then.
    """

    __tablename__ = "storage_commitments"
    __table_args__ = (
        Index(
            "ix_storage_commitments_role_aetitle_transaction_uid",
            "role",
            "aetitle",
            "transaction_uid",
            unique=True,
        ),
        Index(
            "ix_storage_commitments_next_on",
            "next_on",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )
    _shown = ("id", "role", "transaction_uid", "state")

    id: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(IndexedText)
    aetitle: Mapped[str] = mapped_column(IndexedText)
    transaction_uid: Mapped[str] = mapped_column(IndexedText)
    peer: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Text)
    objects: Mapped[int] = mapped_column()
    committed: Mapped[int | None]
    failed: Mapped[int | None]
    created_on: Mapped[datetime] = mapped_column(default=utcnow)
    settled_on: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_on: Mapped[datetime] = mapped_column(default=utcnow)
    node: Mapped[str | None] = mapped_column(Text)
    pid: Mapped[int | None]
    process: Mapped[str | None] = mapped_column(Text)
    started_on: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Text)
    done_on: Mapped[datetime | None]


class CommitmentItem(Base):
    """An object that a request for storage commitment names.

    Attributes
    ----------
    number
        Its place among the others, from 0.
    outcome
        0 when it is committed, else the Failure Reason (0008,1197; PS3.3 C.14.1.1), or one of
        `schema.committing.outcomes`; NULL while that is not known.
    """

    __tablename__ = "storage_commitment_items"
    __table_args__ = (
        Index(
            "ix_storage_commitment_items_commitment_id_number",
            "commitment_id",
            "number",
            unique=True,
        ),
    )
    _shown = ("id", "commitment_id", "number", "outcome")

    id: Mapped[int] = mapped_column(primary_key=True)
    commitment_id: Mapped[int] = mapped_column(
        ForeignKey("storage_commitments.id", ondelete="CASCADE")
    )
    number: Mapped[int]
    sop_class_uid: Mapped[str] = mapped_column(Text)
    sop_instance_uid: Mapped[str] = mapped_column(Text)
    outcome: Mapped[int | None]
