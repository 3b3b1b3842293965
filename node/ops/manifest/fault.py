"""What is wrong with a file or a line of a manifest."""

from dataclasses import dataclass
from enum import StrEnum

from node.storage.inspect import Fault


class ManifestFault(StrEnum):
    """How an image, or the manifest, is not as it should be."""

    MISSING = Fault.MISSING.value
    """Its file is not there."""
    CHANGED = Fault.CHANGED.value
    """Its file has other bytes."""
    UNREADABLE = Fault.UNREADABLE.value
    """Its file cannot be read: nobody can tell."""
    OUTSIDE = "outside"
    """Its file lies outside of the folder that paths start from."""
    ADDED = "added"
    """The index has it now, and the manifest does not."""
    GONE = "gone"
    """The manifest has it, and the index does not any more."""
    MANIFEST = "manifest"
    """The manifest itself is not as it was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """One thing that is not as it should be.

    Attributes
    ----------
    path
        Of the file; the SOP Instance UID of an image without one.
    why, reason
        What is wrong, as a word and in words.
    """

    path: str
    why: ManifestFault
    reason: str
