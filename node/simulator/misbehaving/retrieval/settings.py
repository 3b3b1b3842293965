"""What a simulated PACS does to those who retrieve: the keys below `retrieval` in a behaviour file.

All of them can be combined, with each other and with those of queries. Where several would end one
retrieval, the first of them does in the order of the fields here. What happens `first` times or to
a `share` does so at each level: a retrieval of an image counts as one of its study.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from node.config.sections import Section
from node.config.values import AETitle, Switch, lower, section
from node.simulator.generated.population import Number, Positive, Share
from node.simulator.misbehaving.values import (
    Difference,
    LevelName,
    Refused,
    Refusing,
    Seconds,
    When,
    status_of,
)


class LevelHandling(StrEnum):
    """What becomes of a retrieval at a level."""

    HONEST = "honest"
    STUDY = "study"
    """The level is not looked at: the whole study is sent."""
    NOTHING = "nothing"
    """Nothing is sent, with Success."""
    REFUSED = "refused"
    """It is answered with a failure."""


class UIDListHandling(StrEnum):
    """What becomes of a retrieval that names several UIDs."""

    HONEST = "honest"
    FIRST = "first"
    """Only the first one is sent."""
    NOTHING = "nothing"
    REFUSED = "refused"


class Told(StrEnum):
    """What is said of an image that is left out."""

    COMPLETED = "completed"
    """It counts as sent."""
    UNMENTIONED = "unmentioned"
    """It is in no count."""
    FAILED = "failed"
    """It counts as failed, and is in the list of those."""


class ListOfFailed(StrEnum):
    """What the Failed SOP Instance UID List is."""

    HONEST = "honest"
    ABSENT = "absent"
    """There is none, whatever failed."""
    EMPTY = "empty"
    """There is one without a UID."""
    WRONG = "wrong"
    """It names an image that nobody has, also where nothing failed."""


class Originating(StrEnum):
    """What C-STOREs say of the C-MOVE that they belong to."""

    HONEST = "honest"
    NONE = "none"
    """Neither Move Originator AE Title nor its Message ID."""


class Cancelling(StrEnum):
    """What becomes of a C-CANCEL."""

    HONEST = "honest"
    IGNORED = "ignored"


class Where(StrEnum):
    """Where a retrieval comes to a halt."""

    MESSAGE = "message"
    """Between two messages."""
    PDU = "pdu"
    """In the middle of a PDU of a C-STORE."""


class Subtotal(StrEnum):
    """The numbers of sub-operations in a response (PS3.7 9.1.4.1.8)."""

    REMAINING = "remaining"
    COMPLETED = "completed"
    FAILED = "failed"
    WARNING = "warning"


def _final(value: object) -> int:
    status = status_of(value)
    if status in (None, 0xFF00, 0xFF01):
        raise ValueError("a status that is not Pending is needed, such as 0x0000 or 0xB000")
    return int(status or 0)


def _several(value: object) -> object:
    """Read one section as a list of one."""
    if value is None:
        return ()
    return (value,) if isinstance(value, Mapping | Section) else value


class Failure(When):
    """Retrievals that end with a failure."""

    status: Refused = 0xA702
    """Of the last response."""
    comment: str = ""
    """Its Error Comment."""
    images: Number = 0
    """After so many images; after all of them where there are fewer."""


class LeftOut(When):
    """Images that are not sent."""

    images: Share = 0.5
    """How many of a study's, always the same ones."""
    told: Annotated[Told, BeforeValidator(lower)] = Told.COMPLETED
    """What is said of them: completed, unmentioned or failed."""


class Last(When):
    """The last response, whatever has happened; but not of what was cancelled or has failed."""

    status: Annotated[int, BeforeValidator(_final)] = 0x0000
    """Its status."""
    comment: str = ""
    """Its Error Comment."""


class Early(When):
    """The last response comes before the C-STOREs of a C-MOVE, and says that all are done."""

    delay: Seconds = 0.1
    """Seconds between the two."""


class Stall(When):
    """Retrievals that come to a halt for ever; the associations stay."""

    images: Number = 0
    """After so many images; after all of them where there are fewer."""
    at: Annotated[Where, BeforeValidator(lower)] = Where.MESSAGE
    """message: after that image; pdu: in the middle of the next one."""


class Breaking(When):
    """Associations that are aborted in the middle of a retrieval."""

    images: Number = 0
    """After so many images; after all of them where there are fewer."""


class Unending(When):
    """Retrievals with Pending responses for ever, which say the same again and again."""

    images: Number | None = None
    """After so many images; after all of them unless said."""
    interval: Seconds = 0.05
    """Seconds between the responses."""


class Restarts(Section):
    """The PACS goes down: connections are reset, and new ones refused."""

    every: Positive
    """After every so many retrievals that have ended."""
    seconds: Seconds = 1.0
    """For so long."""


class Doubles(Section):
    """Images that are stored twice."""

    share: Share = 1.0
    """How many, always the same ones."""
    at_once: Switch = False
    """Whether over two associations at the same time; else one after the other."""


class RetrievalPace(Section):
    """Time that a retrieval takes, in seconds."""

    start: Seconds = 0.0
    """Before the first image, or the last response where there is none."""
    image: Seconds = 0.0
    """Before each image."""


CountName = Annotated[Subtotal, BeforeValidator(lower)]


class Retrievals(Section):
    """A simulated PACS's behaviour towards those who retrieve."""

    levels: Annotated[
        Mapping[LevelName, Annotated[LevelHandling, BeforeValidator(lower)]],
        BeforeValidator(section),
    ] = Field(default_factory=dict)
    """What becomes of retrievals at a level: {SERIES: study, IMAGE: refused}."""
    uid_lists: Annotated[UIDListHandling, BeforeValidator(lower)] = UIDListHandling.HONEST
    """What becomes of several UIDs: honest, first, nothing or refused."""
    refusal: Annotated[Refusing, BeforeValidator(section)] = Refusing(status=0xA900)
    """How levels and lists are refused."""

    empty: When | None = None
    """Retrievals that are answered with Success, and nothing is sent."""
    failures: Annotated[tuple[Failure, ...], BeforeValidator(_several)] = ()
    """Retrievals that fail; of several, the first one that applies does."""
    breaks: Breaking | None = None
    """Associations that it aborts."""
    stall: Stall | None = None
    """Retrievals that come to a halt."""
    endless: Unending | None = None
    """Retrievals that never end."""

    left_out: LeftOut | None = None
    """Images that are not sent."""
    twice: Doubles | None = None
    """Images that are stored twice."""
    two_series: Share = 0.0
    """Images that are sent once more, as ones of another series."""
    early: Early | None = None
    """C-MOVEs whose last response comes before the images."""
    goes_on: Switch = False
    """Whether the C-STOREs of a C-MOVE go on after its association has ended."""

    last: Last | None = None
    """What the last response says."""
    failed_uids: Annotated[ListOfFailed, BeforeValidator(lower)] = ListOfFailed.HONEST
    """The Failed SOP Instance UID List: honest, absent, empty or wrong."""
    pending: Number = 1
    """After every so many images there is a Pending response; 0: none."""
    omit: tuple[CountName, ...] = ()
    """Numbers of sub-operations that are left out of all responses."""
    miscount: Annotated[Mapping[CountName, Difference], BeforeValidator(section)] = Field(
        default_factory=dict
    )
    """By how much these numbers are wrong: {completed: 3}."""
    cancel: Annotated[Cancelling, BeforeValidator(lower)] = Cancelling.HONEST
    """What becomes of a C-CANCEL: honest or ignored."""

    originator: Annotated[Originating, BeforeValidator(lower)] = Originating.HONEST
    """Whether C-STOREs name the C-MOVE: honest or none."""
    calling: AETitle | None = None
    """The AE title under which images are stored; its own unless said."""
    associations: Positive = 1
    """Over how many associations at once the images of a C-MOVE are stored."""
    slow: Annotated[RetrievalPace, BeforeValidator(section)] = RetrievalPace()
    """How long it takes."""
    restarts: Restarts | None = None
    """When it goes down."""
