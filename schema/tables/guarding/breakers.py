"""The table of PACSs from which the daemon moves nothing for a while, or did so before."""

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.tables.columns import Base, IndexedText


class PeerBreaker(Base):
    """Whether studies are moved from a PACS by themselves; without a row they are.

    Attributes
    ----------
    peer
        The configured name of the PACS.
    state
        closed, open or half-open: see `schema.guarding.breaking`.
    cause
        configuration, outage or canary: why nothing is moved. NULL while it is.
    message
        The same in words; the last reason, once it is over.
    outages
        How often in a row it could not be reached.
    trips
        How often in a row nothing came of it that a study was tried.
    opened_on, retry_on
        Since when nothing is moved, and from when on a study is tried (naive UTC).
    closed_on
        When it was over the last time.
    """

    __tablename__ = "peer_breakers"
    _shown = ("id", "peer", "state")

    id: Mapped[int] = mapped_column(primary_key=True)
    peer: Mapped[str] = mapped_column(IndexedText, unique=True, index=True)
    state: Mapped[str] = mapped_column(Text)
    cause: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    outages: Mapped[int] = mapped_column(default=0)
    trips: Mapped[int] = mapped_column(default=0)
    opened_on: Mapped[datetime | None]
    retry_on: Mapped[datetime | None]
    closed_on: Mapped[datetime | None]
