"""The values of a behaviour file's keys, and the sections that several of its parts have."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator

from node.config.sections import Section
from node.config.values import lower
from node.dicom.querying.answers import ABOUT_THE_ANSWER
from node.dicom.querying.levels import LEVELS, Level
from node.simulator.generated.population import Number, Positive, Share


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
        raise ValueError("seconds are needed, from 0 to 3600, such as 0.05")
    return float(value)


def _difference(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number is needed, such as -5")  # noqa: TRY004 - pydantic wants it
    return value


def status_of(value: object) -> int | None:
    """Return a status as a number, 0xA700 or as text; None where it is none."""
    try:
        status = int(value, 16) if isinstance(value, str) else value
    except ValueError:
        return None
    if isinstance(status, bool) or not isinstance(status, int):
        return None
    return status if 0 <= status <= 0xFFFF else None


def _refused(value: object) -> int:
    status = status_of(value)
    if status in (None, 0x0000, 0xFF00, 0xFF01):
        raise ValueError("a status that is no Success and not Pending is needed, such as 0xA700")
    return int(status or 0)


def _keyword(value: object) -> str:
    known = {*LEVELS, *ABOUT_THE_ANSWER}
    if value not in known:
        raise ValueError(
            "the keyword of an attribute that the simulator answers is needed, such as StudyDate"
        )
    return str(value)


def _level(value: object) -> str:
    name = str(value).upper()
    if name not in Level.__members__:
        raise ValueError(f"one of {', '.join(Level.__members__)} is needed")
    return name


Seconds = Annotated[float, BeforeValidator(_seconds)]
Difference = Annotated[int, BeforeValidator(_difference)]
Refused = Annotated[int, BeforeValidator(_refused)]
Keyword = Annotated[str, BeforeValidator(_keyword)]
LevelName = Annotated[str, BeforeValidator(_level)]


class Parting(StrEnum):
    """What happens to an operation too many."""

    ABORT = "abort"
    REFUSED = "refused"
    SILENT = "silent"


class Operations(Section):
    """How many operations there may be over one association."""

    most: Positive
    """So many."""
    then: Annotated[Parting, BeforeValidator(lower)] = Parting.ABORT
    """What happens to the next: abort, refused or silent."""


class Refusing(Section):
    """How something is refused that has no refusal of its own."""

    status: Refused = 0xA700
    """The status of the answer."""
    comment: str = ""
    """Its Error Comment."""


class Capacity(Section):
    """How much the PACS can do at once: what is more waits its turn."""

    associations: Positive | None = None
    """The most at once; more are rejected: transient, local limit exceeded."""
    workers: Positive = 1
    """How many questions and images are worked on at once."""
    question: Seconds = 0.0
    """Seconds of a worker that each question takes, and each retrieval before its first image."""
    image: Seconds = 0.0
    """Seconds of a worker that each image takes."""


class When(Section):
    """On which retrievals something happens: on those of which all of this is so."""

    share: Share = 1.0
    """Those of a share of the studies, always the same ones."""
    first: Number = 0
    """The first retrievals of each study, so many; 0: all."""
    every: Positive = 1
    """Every which retrieval of all."""
