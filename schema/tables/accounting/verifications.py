"""The table of what was found when the files of studies were read last."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from schema.tables.columns import Base, IndexedText, utcnow


class StudyVerification(Base):
    """What the last reading of a study's files in one place has found; a row for both.

    The four columns that say which rows of `images` there were make it out of date by
    themselves: an image that comes, goes, or gets another file, changes one of them.

    Attributes
    ----------
    study_uid
        The study.
    holder
        Whose files: the id of their storage directory (`images.storage_id`), else the AE title
        of their node, else "".
    read_on
        When the last of them was read, naive UTC.
    sound, unsound
        How many files were as their rows say; and how many were missing, changed or unreadable.
    images, id_sum, revision_sum, newest_on
        How many rows the study had there then, the sums of their `id` and `revision`, and the
        newest `received_on`.
    """

    __tablename__ = "study_verifications"
    __table_args__ = (
        Index("ix_study_verifications_study_uid_holder", "study_uid", "holder", unique=True),
    )

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True
    )
    study_uid: Mapped[str] = mapped_column(IndexedText)
    holder: Mapped[str] = mapped_column(IndexedText)
    read_on: Mapped[datetime] = mapped_column(default=utcnow)
    sound: Mapped[int]
    unsound: Mapped[int]
    images: Mapped[int]
    id_sum: Mapped[int] = mapped_column(BigInteger)
    revision_sum: Mapped[int] = mapped_column(BigInteger)
    newest_on: Mapped[datetime | None]
