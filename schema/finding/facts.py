"""What a PACS says of a study, as a value; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, time
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What a PACS says of a study; the attributes are columns of `study_sources`.

    Attributes
    ----------
    keys
        Further attributes that were asked for, by DICOM keyword; several values are joined by
        a backslash.
    """

    patient_name: str | None = None
    patient_id: str | None = None
    patient_birth_date: datetime | None = None
    study_date: datetime | None = None
    study_time: time | None = None
    accession_number: str | None = None
    modalities: str | None = None
    study_description: str | None = None
    expected_series: int | None = None
    expected_images: int | None = None
    keys: Mapping[str, str] | None = None


FACTS = tuple(field.name for field in fields(StudyFacts))
"""The columns of `study_sources` that a response fills."""


def facts_of(said: StudyFacts, before: StudyFacts | None = None) -> dict[str, Any]:
    """Return the facts by column; those that are left out as they were before."""
    facts: dict[str, Any] = {name: getattr(said, name) for name in FACTS}
    if before is None:
        return facts
    facts = {
        name: getattr(before, name) if value is None else value for name, value in facts.items()
    }
    if said.keys and before.keys:
        facts["keys"] = {**before.keys, **said.keys}
    return facts
