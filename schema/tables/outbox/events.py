"""The table of what has happened, and is to be told."""

from datetime import datetime
from typing import Any

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.tables.columns import Base, EncodedJSON, IndexedText, utcnow


class RecordedEvent(Base):
    """Something that has happened, of which somebody is to be told.

    Attributes
    ----------
    uuid
        Its own, however often it is told.
    kind
        study_complete, study_failed, cycle_end or alarm.
    created_on
        When it was recorded, naive UTC.
    subject
        Of an alarm whose, and which: there is one of them a day. NULL of what happens each time.
    data
        What anybody may know of it. What is a patient's is not here: who is to have it gets it when
        it is told, from the study's own row.
    """

    __tablename__ = "events"
    _shown = ("id", "uuid", "kind")

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(IndexedText, unique=True, index=True)
    kind: Mapped[str] = mapped_column(Text)
    created_on: Mapped[datetime] = mapped_column(default=utcnow)
    subject: Mapped[str | None] = mapped_column(IndexedText, index=True)
    data: Mapped[Any | None] = mapped_column(EncodedJSON)
