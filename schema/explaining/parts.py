"""The story of a series and of an image, as values; pure. Moments are naive UTC."""

from dataclasses import dataclass
from datetime import datetime

from schema.explaining.story import AttemptStory, SetAside


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPart:
    """What a PACS lists of a series, or whether it lists an image.

    Attributes
    ----------
    images
        How many of the series, or of the image: 1 or 0.
    missing
        Those of them that are not here, by SOP Instance UID.
    """

    peer: str
    listed_on: datetime
    images: int
    missing: tuple[str, ...]
    gone_on: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStory:
    """What of a series is here, and what is not.

    Attributes
    ----------
    images, lost
        SOP Instance UIDs of those with a file, and of those whose file is gone.
    """

    series_uid: str
    study_uid: str
    modality: str | None
    images: tuple[str, ...]
    lost: tuple[str, ...]
    listed: tuple[ListedPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """What the index says of an image; the columns of `images`."""

    id: int
    sop_class_uid: str | None
    transfer_syntax_uid: str | None
    modality: str | None
    filepath: str | None
    sha256: str | None
    size: int | None
    received_on: datetime | None
    source: str | None
    source_address: str | None
    node: str | None
    storage_id: str | None
    attempt_id: int | None
    parsed_from: str | None
    flag: str | None

    @property
    def lost(self) -> bool:
        """Whether it had a file that is known to be gone."""
        return self.filepath is None and self.size is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """An attempt that has brought an image once more."""

    attempt_id: int
    peer: str
    arrived_on: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStory:
    """All that is known of an image.

    Attributes
    ----------
    row
        None when it is not in the index.
    attempt
        The one that has brought it; None when nobody had asked for it.
    listed
        The PACSs that list the study, and whether they list the image.
    """

    image_uid: str
    study_uid: str | None
    series_uid: str | None
    row: ImageRow | None
    attempt: AttemptStory | None
    repeated: tuple[Repetition, ...]
    listed: tuple[ListedPart, ...]
    quarantine: tuple[SetAside, ...]
