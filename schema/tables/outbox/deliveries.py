"""The table of who is to be told of what, and what has become of that."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Double, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from schema.tables.columns import Base, IndexedText, utcnow

_OPEN = text("done_on IS NULL")


class DeliveryState(StrEnum):
    """Where a delivery stands: the values of `deliveries.state`."""

    WAITING = "waiting"
    """It is to be told, now or again."""
    RUNNING = "running"
    """A node is at it."""
    DONE = "done"
    """It was taken."""
    FAILED = "failed"
    """It was given up."""


class EventDelivery(Base):
    """An event that a hook is to be told.

    Attributes
    ----------
    event_id
        The row of `events`.
    hook
        Its name in the configuration.
    state
        A `DeliveryState`.
    attempts
        How often it was tried.
    next_on
        When it may be told, naive UTC; while a node is at it, when that node counts as gone.
    node, pid, process
        Who is at it, or was last: the AE title, the number of the process, and which process of
        that number, as in `cycles`.
    started_on
        When it was tried last.
    code
        The exit code of the command, or the status of HTTP, of the last attempt.
    reason
        What went wrong then, in words.
    output
        The beginning of what the command wrote then, or the server answered.
    seconds
        How long that took.
    done_on
        When it was taken, or given up; NULL until then.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_event_id_hook", "event_id", "hook", unique=True),
        Index(
            "ix_deliveries_hook_next_on",
            "hook",
            "next_on",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )
    _shown = ("id", "event_id", "hook", "state")

    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    hook: Mapped[str] = mapped_column(IndexedText)
    state: Mapped[str] = mapped_column(Text, default=DeliveryState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    next_on: Mapped[datetime] = mapped_column(default=utcnow)
    node: Mapped[str | None] = mapped_column(Text)
    pid: Mapped[int | None]
    process: Mapped[str | None] = mapped_column(Text)
    started_on: Mapped[datetime | None]
    code: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(Text)
    output: Mapped[str | None] = mapped_column(Text)
    seconds: Mapped[float | None] = mapped_column(Double)
    done_on: Mapped[datetime | None]
