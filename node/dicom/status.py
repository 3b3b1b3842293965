"""The DIMSE status values that the node sends or tells apart.

Sources: PS3.7 Annex C (all services), PS3.4 B.2.3 (C-STORE), C.4.1.1.4 (C-FIND),
C.4.2.1.5 (C-MOVE).
"""

from enum import IntEnum


class Status(IntEnum):
    """A status value of a DIMSE response."""

    SUCCESS = 0x0000
    """PS3.7 C.1."""

    SOP_CLASS_NOT_SUPPORTED = 0x0122
    """PS3.7 C.5.6."""

    UNRECOGNIZED_OPERATION = 0x0211
    """PS3.7 C.5.22: a DIMSE operation that is not offered."""

    PROCESSING_FAILURE = 0x0110
    """PS3.7 C.5.13: the request was understood, and could not be carried out."""

    OUT_OF_RESOURCES = 0xA700
    """PS3.4 B.2.3 and C.4: no room, no database; the sender may try again."""

    UNABLE_TO_COUNT_MATCHES = 0xA701
    """PS3.4 C.4.2.1.5: the peer is short of resources."""

    UNABLE_TO_PERFORM_SUBOPERATIONS = 0xA702
    """PS3.4 C.4.2.1.5: the peer is short of resources."""

    MOVE_DESTINATION_UNKNOWN = 0xA801
    """PS3.4 C.4.2.1.5: the peer does not know the AE title that is to receive."""

    DATASET_MISMATCH = 0xA900
    """PS3.4 B.2.3: the dataset is not of the SOP class or instance that the command names."""

    SUBOPERATIONS_WITH_FAILURES = 0xB000
    """PS3.4 C.4.2.1.5: complete, one or more failures or warnings."""

    UNABLE_TO_PROCESS = 0xC000
    """PS3.4 B.2.3 and C.4: 0xCxxx, the reason is the peer's own."""

    CANCEL = 0xFE00
    """PS3.7 C.3."""

    PENDING = 0xFF00
    """PS3.7 C.4: more responses follow."""


_MEANINGS = {
    Status.SUCCESS: "success",
    Status.SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    Status.UNRECOGNIZED_OPERATION: "unrecognized operation",
    Status.PROCESSING_FAILURE: "processing failure",
    Status.OUT_OF_RESOURCES: "out of resources",
    Status.UNABLE_TO_COUNT_MATCHES: "out of resources, unable to count the matches",
    Status.UNABLE_TO_PERFORM_SUBOPERATIONS: "out of resources, unable to send the images",
    Status.MOVE_DESTINATION_UNKNOWN: "move destination unknown",
    Status.DATASET_MISMATCH: "dataset does not match the SOP class",
    Status.SUBOPERATIONS_WITH_FAILURES: "complete, but some images failed",
    Status.CANCEL: "cancelled",
    Status.PENDING: "pending",
}


def describe(status: int) -> str:
    """Say what a status means, for people: `0xA801 (move destination unknown)`."""
    try:
        meaning = _MEANINGS[Status(status)]
    except (ValueError, KeyError):
        if 0xC000 <= status <= 0xCFFF:
            meaning = "unable to process"
        elif 0xA700 <= status <= 0xA7FF:
            meaning = "out of resources"
        elif 0xA900 <= status <= 0xA9FF:
            meaning = "dataset does not match the SOP class"
        elif 0xB000 <= status <= 0xBFFF:
            meaning = "warning"
        else:
            meaning = "not a status of the standard"
    return f"0x{status:04X} ({meaning})"


def is_success_or_warning(status: int) -> bool:
    """Tell whether a C-STORE took the object (PS3.4 B.2.3: 0x0000 or a warning, 0xBxxx)."""
    return status == Status.SUCCESS or 0xB000 <= status <= 0xBFFF
