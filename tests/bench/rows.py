"""The rows of the receiving benchmark: what is sent, how, beside whom, and what must be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.bench.receivers import available
from tests.support.images import Size
from tests.support.peers.programs import find_program

Way = Literal["ordinary", "at-once", "storescu", "move"]

ALL = ("Orthanc", "storescp", "pynetdicom")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row.

    Attributes
    ----------
    images
        How many of each size.
    way
        How they are sent: by `tests.bench.sender`, in one of its two manners, by DCMTK's storescu,
        or by an Orthanc that is asked to move them.
    beside
        The receivers that are measured beside ours.
    marks
        The ratios, ours to theirs, that must be reached.
    """

    label: str
    images: Mapping[Size, int]
    associations: int = 1
    way: Way
    beside: tuple[str, ...] = ALL
    marks: Mapping[str, float] = field(default_factory=dict)


# Way, size, associations, how many images by default and in full, marks. The floor is 0.5 of all.
_SENT: tuple[tuple[Way, Size, int, int, int, Mapping[str, float]], ...] = (
    ("ordinary", "small", 1, 100, 500, {"Orthanc": 15, "storescp": 15}),
    ("ordinary", "small", 4, 240, 1000, {"Orthanc": 4}),
    ("ordinary", "small", 16, 480, 2000, {"Orthanc": 1.5}),
    ("ordinary", "large", 1, 60, 400, {"Orthanc": 15, "storescp": 15}),
    ("ordinary", "large", 4, 160, 600, {"Orthanc": 4}),
    ("ordinary", "large", 16, 240, 800, {"Orthanc": 1.5}),
    ("at-once", "small", 1, 400, 2000, {"Orthanc": 1, "pynetdicom": 3}),
    ("at-once", "small", 4, 400, 2000, {"Orthanc": 1, "pynetdicom": 3}),
    ("at-once", "small", 16, 480, 2000, {"Orthanc": 1, "pynetdicom": 3}),
    ("at-once", "large", 1, 100, 400, {"Orthanc": 2}),
    ("at-once", "large", 4, 100, 400, {"Orthanc": 2}),
    ("at-once", "large", 16, 160, 400, {"Orthanc": 2}),
)
_SIZES: Mapping[Size, str] = {"small": "10 KB", "large": "512 KB"}


def cases(*, full: bool, scale: float = 1.0) -> Iterator[Case]:
    """Yield the rows that can be measured here; `scale` multiplies the numbers of images."""
    names = available()

    def some(images: int, associations: int = 1) -> int:
        return max(4 * associations, round(images * scale))

    def here(*wanted: str) -> tuple[str, ...]:
        return tuple(name for name in wanted if name in names)

    for way, size, associations, few, many, marks in _SENT:
        yield Case(
            label=f"{way}, {_SIZES[size]}, {associations} assoc.",
            images={size: some(many if full else few, associations)},
            associations=associations,
            way=way,
            beside=here(*ALL),
            marks={**marks, "floor": 0.5},
        )
    if find_program("storescu", "dcmtk"):
        yield Case(
            label="storescu, 10 KB",
            images={"small": some(500 if full else 60)},
            way="storescu",
            beside=here("Orthanc", "storescp"),
            marks={"Orthanc": 10, "storescp": 10},
        )
    if find_program("movescu", "dcmtk") and "Orthanc" in names:
        yield Case(
            label="C-MOVE, 10 KB and 512 KB",
            images={"small": some(2000 if full else 100), "large": some(400 if full else 20)},
            way="move",
            beside=here("storescp"),
            marks={"storescp": 20},
        )
