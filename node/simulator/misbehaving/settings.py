"""Every behaviour that a simulated PACS can have: the keys of a behaviour file.

All of them can be combined. What is not said is as the standard has it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from node.config.sections import Section
from node.config.values import Switch, lower, section
from node.dicom.profile import CapKind
from node.simulator.generated.population import Number, Population, Positive, Share
from node.simulator.misbehaving.retrieval.settings import Retrievals
from node.simulator.misbehaving.values import (
    Capacity,
    Difference,
    Keyword,
    LevelName,
    Operations,
    Refused,
    Refusing,
    Seconds,
)


class Handling(StrEnum):
    """What becomes of a question of a certain kind."""

    HONEST = "honest"
    """It is answered."""
    IGNORED = "ignored"
    """The key is passed over: whatever it has matches."""
    NOTHING = "nothing"
    """Nothing matches, with Success."""
    REFUSED = "refused"
    """It is answered with a failure."""


class ListHandling(StrEnum):
    """What becomes of a list of UIDs."""

    HONEST = "honest"
    FIRST = "first"
    """Only its first UID is looked at."""
    IGNORED = "ignored"
    NOTHING = "nothing"
    REFUSED = "refused"


class Times(StrEnum):
    """What a range of dates and a range of times are together (PS3.4 C.2.2.2.5.4)."""

    EACH_DAY = "each-day"
    """The times of each of the days."""
    COMBINED = "combined"
    """From the first time on the first day to the last time on the last."""


class Then(StrEnum):
    """What happens beyond a limit."""

    NOTHING = "nothing"
    REFUSED = "refused"


def _shares(value: object) -> object:
    """Read a list of keywords as one in which each has the share 1."""
    if isinstance(value, list | tuple):
        return dict.fromkeys(value, 1.0)
    return {} if value is None else value


Keywords = Annotated[tuple[Keyword, ...], BeforeValidator(lambda value: value or ())]
Shares = Annotated[Mapping[Keyword, Share], BeforeValidator(_shares)]
Kind = Annotated[Handling, BeforeValidator(lower)]


class Cap(Section):
    """More studies than this are not answered."""

    studies: Positive
    """How many are."""
    kind: Annotated[CapKind, BeforeValidator(lower)] = CapKind.CUT
    """cut, empty, refused or announced."""
    first: Switch = False
    """Whether a refusal comes after the first ones, and not before."""
    status: Refused | None = None
    """Of a refusal; the usual one unless said."""
    comment: str | None = None
    """Of a refusal; the usual one unless said."""


class Widest(Section):
    """Questions about more days than this are not answered."""

    days: Positive
    """How many are."""
    then: Annotated[Then, BeforeValidator(lower)] = Then.REFUSED
    """refused, or nothing (with Success)."""


class Change(Section):
    """Something that becomes of a part of the studies, at once or in the course of time."""

    share: Share
    """Of how many."""
    after_questions: Number = 0
    """Not before so many questions were asked."""
    after_seconds: Seconds = 0.0
    """Not before so long after the start."""


class Refuse(Section):
    """Questions that are refused though nothing is wrong with them."""

    first: Number = 0
    """How many times each question is."""
    every: Number = 0
    """Every which question is; 0: none."""
    status: Refused | None = None
    """With which status; the usual one unless said."""
    comment: str | None = None
    """With which Error Comment; the usual one unless said."""


class Drop(Section):
    """Associations that are aborted in the middle of an answer."""

    answers: Number = 0
    """After so many matches."""
    every: Positive = 1
    """At every which question."""


class Slow(Section):
    """Time that the PACS takes, in seconds."""

    question: Seconds = 0.0
    """Before the first answer to each question."""
    answer: Seconds = 0.0
    """Before each answer."""


class Silent(Section):
    """Questions that are never answered; the association stays."""

    every: Positive = 1
    """Every which question is."""


class Endless(Section):
    """Questions whose answers never end: the last match comes again and again."""

    every: Positive = 1
    """Every which question is."""
    interval: Seconds = 0.05
    """Seconds between the repetitions."""


class Characters(Section):
    """The characters of the answers."""

    declared: str = "ISO_IR 192"
    """Specific Character Set, true or not; `none` leaves it out."""
    written: str = "utf-8"
    """What is really written: a name that Python knows, such as latin-1."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            "".encode(self.written)
        except LookupError:
            raise ValueError(
                f"written: Python knows no encoding {self.written!r}; utf-8 is one"
            ) from None
        return self


class Misbehaviour(Section):
    """A simulated PACS's behaviour."""

    archive: Annotated[Population | None, BeforeValidator(section)] = Field(
        default=None, validate_default=False
    )
    """What it holds, made up; without it the files of a folder."""

    repository: Switch = False
    """Whether it offers Repository Query, in which a limit is announced (PS3.4 C.6.4)."""
    ignore: Keywords = ()
    """Keys that it does not look at."""
    date_ranges: Kind = Handling.HONEST
    """Study Date from one day to another."""
    open_ranges: Kind = Handling.HONEST
    """Study Date from a day on, or until one."""
    lone_hyphen: Kind = Handling.NOTHING
    """Study Date `-`, which the standard does not know."""
    no_date: Kind = Handling.HONEST
    """No Study Date, and no Study Instance UID either."""
    time_ranges: Kind = Handling.HONEST
    """Study Time from one time to another."""
    times: Annotated[Times, BeforeValidator(lower)] = Times.EACH_DAY
    """A range of times with a range of dates: each-day or combined."""
    wildcards: Kind = Handling.HONEST
    """`*` and `?`."""
    uid_lists: Annotated[ListHandling, BeforeValidator(lower)] = ListHandling.HONEST
    """Several UIDs in one key: also first."""
    widest: Widest | None = None
    """The most days in one question."""
    levels: tuple[LevelName, ...] = ("PATIENT", "STUDY", "SERIES", "IMAGE")
    """Levels that it answers; others are refused."""
    refusal: Annotated[Refusing, BeforeValidator(section)] = Refusing()
    """How it refuses."""

    cap: Cap | None = None
    """The most studies, or patients, that it answers."""
    short: Annotated[Mapping[LevelName, Positive], BeforeValidator(section)] = Field(
        default_factory=dict
    )
    """The most answers at another level, with Success: {SERIES: 100}."""

    omit: Shares = Field(default_factory=dict)
    """Attributes that are left out of answers: a list, or each with its share."""
    blank: Shares = Field(default_factory=dict)
    """Attributes that are answered without a value."""
    miscount: Annotated[Mapping[Keyword, Difference], BeforeValidator(section)] = Field(
        default_factory=dict
    )
    """By how much counts are wrong: {NumberOfStudyRelatedInstances: -5}."""
    twice: Share = 0.0
    """Answers that come twice."""
    padded: Share = 0.0
    """Answers whose values have spaces and a NUL around them."""
    lower_case: Share = 0.0
    """Answers whose texts are in lower case."""
    charset: Annotated[Characters, BeforeValidator(section)] = Characters()
    """The character set."""
    renamed: Change | None = None
    """Studies whose patient is called otherwise from then on."""
    late: Change | None = None
    """Studies that are imported only then."""
    gone: Change | None = None
    """Studies that are deleted then."""

    refuse: Annotated[Refuse, BeforeValidator(section)] = Refuse()
    """Questions that it refuses for no reason."""
    operations: Operations | None = None
    """The most C-FINDs and retrievals over one association."""
    drop: Drop | None = None
    """Associations that it aborts in the middle of an answer."""
    slow: Annotated[Slow, BeforeValidator(section)] = Slow()
    """How long it takes."""
    silent: Silent | None = None
    """Questions that it never answers."""
    endless: Endless | None = None
    """Questions that it never ends to answer."""

    retrieval: Annotated[Retrievals, BeforeValidator(section)] = Retrievals()
    """What becomes of C-MOVE and C-GET."""
    capacity: Annotated[Capacity, BeforeValidator(section)] = Capacity()
    """How much it can do at once."""
