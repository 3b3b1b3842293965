"""The table of what each PACS says of a study: no peer's word overwrites another's."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from schema.tables.columns import Base, IndexedText, utcnow


class StudySource(Base):
    """A PACS that has a study, as the last of its C-FIND responses says.

    Attributes
    ----------
    study_find_id, peer
        The study, and the configured name of the PACS.
    found_on, last_seen_on
        When the PACS answered it for the first time, and for the last.
    expected_series, expected_images
        The PACS's own counts (0020,1206), (0020,1208); NULL when it gives none.
    """

    __tablename__ = "study_sources"
    __table_args__ = (
        Index("ix_study_sources_study_find_id_peer", "study_find_id", "peer", unique=True),
    )
    _shown = ("id", "study_find_id", "peer")

    id: Mapped[int] = mapped_column(primary_key=True)
    study_find_id: Mapped[int] = mapped_column(ForeignKey("studies_find.id", ondelete="CASCADE"))
    peer: Mapped[str] = mapped_column(IndexedText)
    found_on: Mapped[datetime] = mapped_column(default=utcnow)
    last_seen_on: Mapped[datetime] = mapped_column(default=utcnow)
    expected_series: Mapped[int | None]
    expected_images: Mapped[int | None]
