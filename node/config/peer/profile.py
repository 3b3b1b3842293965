"""What an operator knows of a peer, in place of what a probe finds out: `peers.<name>.profile`.

Every key may be `unknown`, as it is when it is absent: then the newest probe is asked.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from node.config.values import check_switch

KINDS = ("cut", "empty", "refused", "announced")


def _unknown(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in ("", "unknown"))


def _known_switch(value: object) -> bool | None:
    if _unknown(value):
        return None
    try:
        return check_switch(value)
    except ValueError:
        raise ValueError("true, false or unknown is needed") from None


def _known_limit(value: object) -> int | None:
    if _unknown(value):
        return None
    try:
        limit = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else -1
    except ValueError:
        limit = -1
    if limit < 0:
        raise ValueError("a whole number, 0 for any number, or unknown is needed")
    return limit


def _known_kind(value: object) -> str | None:
    if _unknown(value):
        return None
    kind = value.strip().lower() if isinstance(value, str) else ""
    if kind not in KINDS:
        raise ValueError(f"{', '.join(KINDS)} or unknown is needed")
    return kind


KnownSwitch = Annotated[bool | None, BeforeValidator(_known_switch)]
KnownLimit = Annotated[int | None, BeforeValidator(_known_limit)]
KnownKind = Annotated[str | None, BeforeValidator(_known_kind)]


class ProfileSettings(BaseModel):
    """What is known of a peer without a probe; `node.dicom.profile` says more of each key."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    cap: KnownLimit = None
    """How many studies it answers at most; 0 is any number."""
    cap_kind: KnownKind = None
    """What it does beyond: cut, empty, refused or announced."""
    widest: KnownLimit = None
    """The most days of study dates that one question may span; 0 is any number."""
    dates: KnownSwitch = None
    """Whether it matches ranges of study dates."""
    times: KnownSwitch = None
    """Whether it matches ranges of study times within one day."""
    combined: KnownSwitch = None
    """Whether a range of dates and one of times are one range of moments."""
    wildcards: KnownSwitch = None
    """Whether `*` matches in Patient ID and Accession Number."""
    uid_lists: KnownSwitch = None
    """Whether a list of Study Instance UIDs is matched."""
    modalities: KnownSwitch = None
    """Whether it matches Modalities in Study."""
    modalities_told: KnownSwitch = None
    """Whether it tells Modalities in Study."""
    counts: KnownSwitch = None
    """Whether it tells Number of Study Related Instances."""
    empty_keys: KnownSwitch = None
    """Whether an empty key matches everything."""
    universal: KnownSwitch = None
    """Whether it answers a question that names no date at all."""
    repository: KnownSwitch = None
    """Whether it offers Repository Query."""
    study_root: KnownSwitch = None
    """Whether it accepts C-FIND in the Study Root model."""
    patient_root: KnownSwitch = None
    """Whether it accepts C-FIND in the Patient Root model."""
    get: KnownSwitch = None
    """Whether it offers C-GET in the Study Root model."""
    operations: KnownLimit = None
    """How many operations it takes over one association; 0 is any number."""
    associations: KnownLimit = None
    """How many associations of ours it takes at once; 0 is any number."""
