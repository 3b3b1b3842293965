"""What is known of a peer: facts by name, each with how it is known and since when.

A fact without a value is not known, and says why. Nothing is stated that was not seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from node.dicom.profile import CapKind, PeerProfile

NEGOTIATED = (
    "implementation_class_uid",
    "implementation_version",
    "contexts",
    "study_root",
    "patient_root",
    "repository",
    "get",
)
"""What the peer says when an association is made."""

QUERIED = (
    "dates",
    "times",
    "combined",
    "wildcards",
    "uid_lists",
    "modalities",
    "modalities_told",
    "counts",
    "empty_keys",
    "cap",
    "cap_kind",
    "widest",
    "universal",
)
"""What its answers to queries show."""

OBSERVED = ("operations", "associations")
"""What is seen beside that."""

NAMES = (*NEGOTIATED, *QUERIED, *OBSERVED)
"""All facts, in the order in which they are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something about a peer.

    Attributes
    ----------
    value
        What is so, as JSON has it; None is not known.
    how
        How it was found out; or why it was not.
    learned_on
        When, in UTC.
    """

    value: Any
    how: str
    learned_on: datetime

    @property
    def sure(self) -> str:
        """`proven` or `unknown`."""
        return "unknown" if self.value is None else "proven"


def why_nothing(facts: Mapping[str, Fact]) -> str | None:
    """Return why nothing is known of how a peer answers queries; None where something is."""
    answers = [facts[name] for name in QUERIED if name in facts]
    if not answers or any(fact.value is not None for fact in answers):
        return None
    return answers[0].how


def to_document(facts: Mapping[str, Fact]) -> dict[str, Any]:
    """Return facts as JSON has them."""
    return {
        name: {
            "value": fact.value,
            "how": fact.how,
            "learned_on": fact.learned_on.isoformat().replace("+00:00", "Z"),
        }
        for name, fact in facts.items()
    }


def from_document(document: Mapping[str, Any]) -> dict[str, Fact]:
    """Return the facts that `to_document` has written; others are left out."""
    return {
        name: Fact(
            value=document[name]["value"],
            how=document[name]["how"],
            learned_on=datetime.fromisoformat(document[name]["learned_on"]).astimezone(UTC),
        )
        for name in NAMES
        if name in document
    }


def profile_of(facts: Mapping[str, Fact]) -> PeerProfile:
    """Return what a find is planned by."""
    values = {one.name: facts[one.name].value for one in fields(PeerProfile) if one.name in facts}
    if values.get("cap_kind") is not None:
        values["cap_kind"] = CapKind(values["cap_kind"])
    return PeerProfile(**values)
