"""The table of how much each node asks of each PACS at once."""

from datetime import datetime

from sqlalchemy import Double, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.tables.columns import Base, IndexedText, utcnow


class PeerThrottle(Base):
    """Where the throttle of a PACS and a node stands; one row for both.

    Attributes
    ----------
    peer
        The configured name of the PACS.
    node
        The AE title of the node that asks it.
    level
        How many retrievals at once; below one, the part of the time in which there is one.
    reason
        Why the level went down last.
    usual, latest
        Seconds that the PACS takes to answer when it is asked for nothing else, and took lately.
    since
        When the level changed last, naive UTC.
    updated_on
        When the row was written, naive UTC.
    """

    __tablename__ = "peer_throttles"
    __table_args__ = (Index("ix_peer_throttles_peer_node", "peer", "node", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    peer: Mapped[str] = mapped_column(IndexedText)
    node: Mapped[str] = mapped_column(IndexedText)
    level: Mapped[float] = mapped_column(Double)
    reason: Mapped[str] = mapped_column(Text)
    usual: Mapped[float | None] = mapped_column(Double)
    latest: Mapped[float | None] = mapped_column(Double)
    since: Mapped[datetime] = mapped_column(default=utcnow)
    updated_on: Mapped[datetime] = mapped_column(default=utcnow)
