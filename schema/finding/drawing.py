"""The one row of a study, drawn from all that its sources say; pure.

The rules do not ask in which order the PACSs were asked. A PACS that has the study no more counts
only where no other has it.

- Texts and dates are those of the PACS that counts the most images; of several, of the first by
  name. What it leaves out is as the next one says.
- Modalities are those that any of them names.
- Of images and series there are as many as the largest count says; where a PACS gives none, what
  its series or images were counted to be, unless these were not all. Where several PACSs have the
  study, one may have what another has not, and no count tells: there are never fewer than what is
  here, and how many they have together is known only when each has listed its own.
- What nobody says stays as it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from schema.finding.facts import StudyFacts

STUDY_FACTS = (
    "patient_name",
    "patient_id",
    "study_date",
    "accession_number",
    "modalities",
    "study_description",
    "expected_series",
    "expected_images",
)
"""The columns that `studies_find` has from the sources."""

_PLAIN = (
    "patient_name",
    "patient_id",
    "patient_birth_date",
    "study_date",
    "study_time",
    "accession_number",
    "study_description",
    "expected_series",
    "expected_images",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer(StudyFacts):
    """What one PACS says of a study that it has; the attributes are columns of `study_sources`."""

    peer: str
    found_on: datetime | None = None
    last_seen_on: datetime
    gone_on: datetime | None = None
    verified_on: datetime | None = None
    policy: str | None = None
    last_error: str | None = field(default=None, repr=False)
    counted_on: datetime | None = None
    counted_by: str | None = None
    counted_series: int | None = None
    counted_images: int | None = None
    counted_short: str | None = None

    @property
    def open(self) -> bool:
        """Whether it has the study, and not all that it has is verified to be here."""
        return self.gone_on is None and self.verified_on is None

    @property
    def images(self) -> int | None:
        """How many images it has, by its own word or counted; None when nobody knows."""
        if self.expected_images is not None or self.counted_short:
            return self.expected_images
        return self.counted_images


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """What a PACS said of a study until it said something else.

    Attributes
    ----------
    seen_on
        When it said so for the first time.
    field
        The column of `study_sources`, or the DICOM keyword of one of its `keys`.
    """

    peer: str
    seen_on: datetime
    field: str
    was: str
    became: str


def draw(sources: Sequence[SourceAnswer], *, here: int = 0) -> dict[str, Any]:
    """Return what `studies_find` says of a study, by column; None where no source says it.

    Parameters
    ----------
    here
        How many of its images are here.
    """
    ranked = sorted(sources, key=_rank)
    live = [one for one in ranked if one.gone_on is None] or ranked
    drawn: dict[str, Any] = {
        name: next((value for one in ranked if (value := getattr(one, name)) is not None), None)
        for name in STUDY_FACTS
    }
    for name, told, least in (
        ("expected_series", [one.expected_series for one in live], 0),
        ("expected_images", [one.images for one in live], here),
    ):
        counts = [count for count in told if count is not None]
        if counts and len(live) > 1:
            counts.append(least)
        drawn[name] = max(counts, default=None)
    named = {_modalities(source.modalities) for source in live if source.modalities}
    if len(named) > 1:
        drawn["modalities"] = "\\".join(sorted(frozenset[str]().union(*named)))
    return drawn


def changes(was: SourceAnswer, became: Mapping[str, Any], on: datetime) -> list[SourceChange]:
    """Return what a PACS says otherwise than before; what was not said before is no change.

    Parameters
    ----------
    became
        Its facts by name.
    """
    return [
        SourceChange(peer=was.peer, seen_on=on, field=field, was=_text(before), became=_text(after))
        for field, before, after in _pairs(was, became)
        if before is not None and after is not None and before != after
    ]


def has_grown(was: SourceAnswer, became: Mapping[str, Any], *, known: int, alone: bool) -> bool:
    """Tell whether a PACS has more of a study than before.

    Parameters
    ----------
    became
        Its facts by name.
    known
        How many images the study is known to have, or are here.
    alone
        Whether no other PACS has it: then what is here is from this one, and growth up to what
        is here is none.
    """
    images, before = became["expected_images"], was.images
    if images is not None:
        return bool(images > (known if alone or before is None else before))
    series = became["expected_series"]
    return series is not None and was.expected_series is not None and series > was.expected_series


def _rank(source: SourceAnswer) -> tuple[bool, int, str]:
    images = -1 if source.images is None else source.images
    return source.gone_on is not None, -images, source.peer


def _modalities(text: str | None) -> frozenset[str]:
    return frozenset((text or "").split("\\"))


def _pairs(was: SourceAnswer, became: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in _PLAIN:
        yield name, getattr(was, name), became[name]
    if _modalities(was.modalities) != _modalities(became["modalities"]):  # their order says nothing
        yield "modalities", was.modalities, became["modalities"]
    before, after = was.keys or {}, became["keys"] or {}
    for keyword in sorted(before):
        yield keyword, before[keyword], after.get(keyword)


def _text(value: Any) -> str:  # noqa: ANN401 - any column's value
    if isinstance(value, datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, time) else str(value)
