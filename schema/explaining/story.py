"""The story of a study, as values: what became of it, and how that is known; pure.

Moments are naive UTC. What says who the patient is, is nowhere in it.
"""

from dataclasses import dataclass
from datetime import date, datetime

from schema.explaining.inquiries import AskedAtAll, AskedByName, AskedOfDate
from schema.verdicts.broken import BrokenVerdict
from schema.verifying.files import StudyVerified


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHead:
    """A study in short.

    Attributes
    ----------
    state
        As in `studies_find`; `received` for one that came without having been found, and
        `not found` for one that nobody knows.
    found_on
        When a PACS answered it for the first time; None when none has.
    images
        How many are here, with a file.
    lost
        How many more have a row, and no file any more.
    expected_images
        How many its PACSs have; None when nobody knows.
    retrieved_on, evidence
        Since when it is verified to be complete, and what that rests on.
    last_error
        Why it is not.
    next_attempt_on
        When it is due again; None: at any time, or never.
    broken
        What of it is not here any more, where the verdict that it is complete does not hold.
    """

    study_uid: str
    study_date: date | None = None
    modalities: str | None = None
    state: str
    found_on: datetime | None = None
    images: int = 0
    lost: int = 0
    expected_images: int | None = None
    retrieved_on: datetime | None = None
    evidence: str | None = None
    last_error: str | None = None
    next_attempt_on: datetime | None = None
    broken: BrokenVerdict | None = None

    @property
    def complete(self) -> bool:
        """Whether it is verified to be complete here, and still is."""
        return self.retrieved_on is not None and self.broken is None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBy:
    """The question that has brought a study first.

    Attributes
    ----------
    cycle_id
        The find.
    first, last
        The study dates that it was about; both None where it named the study.
    by
        The DICOM keyword by which it named it; None when it was about dates.
    """

    cycle_id: int
    asked_on: datetime
    first: date | None = None
    last: date | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImages:
    """The list of a study's images that a PACS has given.

    Attributes
    ----------
    short
        Why these are not all, for the name of the PACS before it; "" when nothing says so.
    vouched
        Whether the PACS's own numbers say that these are all.
    """

    listed_on: datetime
    images: int
    short: str
    vouched: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a PACS said of a study until it said something else.

    Attributes
    ----------
    was, became
        None where the values would say who the patient is.
    """

    seen_on: datetime
    field: str
    was: str | None
    became: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStory:
    """What a PACS says of a study, and where that stands; the columns of `study_sources`.

    Attributes
    ----------
    found_by
        None where it is not known.
    images
        How many it has, by its own word or counted; None when nobody knows.
    counted_on
        When they were counted, because it does not say it.
    listed
        None when it lists none, or was not asked.
    """

    peer: str
    state: str
    found_on: datetime
    found_by: FoundBy | None
    last_seen_on: datetime
    gone_on: datetime | None
    verified_on: datetime | None
    evidence: str | None
    evidence_images: int | None
    images: int | None
    series: int | None
    counted_on: datetime | None
    counted_short: str | None
    attempts: int
    vain_attempts: int
    next_attempt_on: datetime | None
    given_up_on: datetime | None
    last_error: str | None
    held_on: datetime | None
    held_reason: str | None
    policy: str | None
    listed: ListedImages | None
    changes: tuple[Changed, ...]

    @property
    def is_open(self) -> bool:
        """Whether it has the study, and not all that it has is verified to be here."""
        return self.gone_on is None and self.verified_on is None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStory:
    """An attempt to bring a study here; the columns of `move_attempts`.

    Attributes
    ----------
    heard_on
        When something was heard last of the process that makes it, while it has not ended.
    late
        How many of its images came after it had ended.
    repeated
        How many images it has brought that were here already.
    """

    id: int
    peer: str
    cycle_id: int | None
    node: str | None
    method: str
    level: str | None
    requested: int | None
    requests: int | None
    claimed_on: datetime
    started_on: datetime | None
    ended_on: datetime | None
    outcome: str | None
    failure: str | None
    status: int | None
    comment: str | None
    message: str | None
    completed: int | None
    failed: int | None
    warning: int | None
    remaining: int | None
    failed_uids: tuple[str, ...]
    refused: tuple[str, ...]
    arrived: int | None
    arrived_bytes: int | None
    images: int | None
    expected: int | None
    missing: tuple[str, ...]
    evidence: str | None
    heard_on: datetime | None = None
    late: int = 0
    late_on: datetime | None = None
    repeated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Images of a study that came in one way.

    Attributes
    ----------
    source, address
        The calling AE title, and from where; None where nobody knows, or the file was parsed.
    attempt_id
        The attempt that has brought them; None when nobody had asked.
    images, bytes
        How many, and the size of their files.
    first_on, last_on
        When they came; None for files that were parsed.
    """

    source: str | None
    address: str | None
    attempt_id: int | None
    images: int
    bytes: int
    first_on: datetime | None
    last_on: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSeries:
    """Images that a PACS lists, and that are not here.

    Attributes
    ----------
    images
        Their SOP Instance UIDs.
    listed
        How many the PACS lists of the series.
    """

    peer: str
    series_uid: str
    modality: str
    listed: int
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An object in quarantine; the columns of `quarantine`."""

    id: int
    kind: str
    reason: str
    sop_instance_uid: str | None
    source: str | None
    received_on: datetime | None
    filepath: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStory:
    """All that is known of a study.

    Attributes
    ----------
    sources
        The PACSs that have it, or had it, by name.
    dates, names, ever
        What PACSs were asked about its date; about the study itself; and, where its date is not
        known, at all.
    attempts
        In their order.
    sent
        How its images came.
    lost
        SOP Instance UIDs of images whose files are known to be gone.
    unlisted
        Those of them that no PACS that has the study lists, where none may have more than it lists.
    removed
        How many images were here when the last attempt was judged, and have no row any more.
    missing
        What its PACSs list and is not here.
    verification
        What was found when its files were read last; None where they never were.
    verified_on
        When that was, where all that is here now was sound then.
    projects
        Their names.
    """

    study: StudyHead
    sources: tuple[SourceStory, ...] = ()
    dates: tuple[AskedOfDate, ...] = ()
    names: tuple[AskedByName, ...] = ()
    ever: tuple[AskedAtAll, ...] = ()
    attempts: tuple[AttemptStory, ...] = ()
    sent: tuple[Sent, ...] = ()
    lost: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    removed: int = 0
    missing: tuple[MissingSeries, ...] = ()
    quarantine: tuple[SetAside, ...] = ()
    verification: StudyVerified | None = None
    verified_on: datetime | None = None
    projects: tuple[str, ...] = ()
