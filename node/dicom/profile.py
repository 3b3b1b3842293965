"""What a PACS can do and does, as far as it is known: what a find is planned by.

Pure: a value. Who probes a PACS fills it, the configuration can set each field, and what is not
known is None; who plans takes None for "find out on the way, and do no harm meanwhile".
"""

from dataclasses import dataclass
from enum import StrEnum


class CapKind(StrEnum):
    """What a PACS does when more studies match than it likes to answer."""

    CUT = "cut"
    """Answers the first ones, and says Success."""
    EMPTY = "empty"
    """Answers none, and says Success."""
    REFUSED = "refused"
    """Answers with a failure, before or after the first ones."""
    ANNOUNCED = "announced"
    """Answers the first ones, and says that there are more (PS3.4 C.6.4, Repository Query)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerProfile:
    """What is known of a PACS as an SCP of C-FIND; None is unknown.

    Attributes
    ----------
    cap, cap_kind
        How many studies it answers at most (0: it was seen to answer without a limit), and what
        it does beyond.
    widest
        The most days of study dates that one question may span; 0 is any number.
    dates
        Whether it matches ranges of Study Date (0008,0020).
    times
        Whether it matches ranges of Study Time (0008,0030) within one day.
    combined
        Whether a range of dates and one of times are one range of moments (PS3.4 C.2.2.2.5.4).
    wildcards
        Whether `*` matches in Patient ID and Accession Number.
    uid_lists
        Whether a list of Study Instance UIDs is matched, and not only its first.
    modalities
        Whether it matches Modalities in Study (0008,0061).
    modalities_told
        Whether it tells Modalities in Study (0008,0061) of the studies that have any.
    counts
        Whether it tells Number of Study Related Instances (0020,1208).
    empty_keys
        Whether an empty key matches everything (PS3.4 C.2.2.2.3): where it does not, no question
        for studies that are not known yet brings any.
    universal
        Whether it answers a question that names no date at all.
    repository
        Whether it offers Repository Query (PS3.4 C.6.4).
    study_root, patient_root
        Whether it accepts C-FIND in that information model (PS3.4 C.6.2, C.6.1).
    get
        Whether it offers C-GET in the Study Root model (PS3.4 C.6.2.3).
    operations
        How many operations it takes over one association; 0 is any number.
    associations
        How many associations of ours it takes at once; 0 is any number.
    """

    cap: int | None = None
    cap_kind: CapKind | None = None
    widest: int | None = None
    dates: bool | None = None
    times: bool | None = None
    combined: bool | None = None
    wildcards: bool | None = None
    uid_lists: bool | None = None
    modalities: bool | None = None
    modalities_told: bool | None = None
    counts: bool | None = None
    empty_keys: bool | None = None
    universal: bool | None = None
    repository: bool | None = None
    study_root: bool | None = None
    patient_root: bool | None = None
    get: bool | None = None
    operations: int | None = None
    associations: int | None = None
