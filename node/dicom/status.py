"""The DIMSE status values that the node sends or tells apart.

A value is one entry: its number, what it means to people who read it in a message, and where the
standard has it. What kind of status any other value is, `node.net.categories` knows.
"""

from enum import IntEnum
from typing import Self


class Status(IntEnum):
    """A status value of a DIMSE response.

    Attributes
    ----------
    meaning
        For people.
    source
        Sections of the standard. Where there are several, the first is the one the node goes by.
    """

    meaning: str
    source: str

    def __new__(cls, value: int, meaning: str, source: str) -> Self:
        """Make the number the value, and the words its attributes."""
        status = int.__new__(cls, value)
        status._value_ = value
        status.meaning = meaning
        status.source = source
        return status

    # of all services
    SUCCESS = 0x0000, "success", "PS3.7 C.1"
    PROCESSING_FAILURE = 0x0110, "processing failure", "PS3.7 C.5.13"
    SOP_CLASS_NOT_SUPPORTED = 0x0122, "SOP class not supported", "PS3.7 C.5.6"
    UNRECOGNIZED_OPERATION = 0x0211, "unrecognized operation", "PS3.7 C.5.22"
    CANCEL = 0xFE00, "cancelled", "PS3.7 C.3"
    PENDING = 0xFF00, "pending", "PS3.7 C.4"

    # of C-STORE, and of queries and retrievals
    OUT_OF_RESOURCES = 0xA700, "out of resources", "PS3.4 B.2.3, C.4.1.1.4"
    DATASET_MISMATCH = 0xA900, "dataset does not match the SOP class", "PS3.4 B.2.3, C.4.1.1.4"
    KEPT_APART = 0xB007, "warning: data set does not match SOP class", "PS3.4 B.2.3"
    UNABLE_TO_PROCESS = 0xC000, "unable to process", "PS3.4 C.4.1.1.4, C.4.2.1.5, B.2.3"

    # of N-ACTION and N-EVENT-REPORT; some are also a Failure Reason (0008,1197) of an object
    NO_SUCH_INSTANCE = 0x0112, "no such SOP instance", "PS3.7 10.1.4.1.10, PS3.3 C.14.1.1"
    NO_SUCH_EVENT_TYPE = 0x0113, "no such event type", "PS3.7 10.1.1.1.8"
    INVALID_ARGUMENT = 0x0115, "invalid argument value", "PS3.7 C.5.10"
    NO_SUCH_CLASS = 0x0118, "no such SOP class", "PS3.7 10.1.4.1.10, 10.1.1.1.8"
    CLASS_INSTANCE_CONFLICT = 0x0119, "class-instance conflict", "PS3.7 C.5.7, PS3.3 C.14.1.1"
    NO_SUCH_ACTION = 0x0123, "no such action", "PS3.7 C.5.24"
    DUPLICATE_TRANSACTION = 0x0131, "duplicate Transaction UID", "PS3.4 J.3, PS3.3 C.14.1.1"

    # of C-FIND
    PENDING_WARNING = 0xFF01, "pending, optional keys are not supported", "PS3.4 C.4.1.1.4"

    RESPONSE_LIMIT = (
        0xB001,
        "warning: there are more matches than the response limit",
        "PS3.4 C.4.1.1.4",
    )
    INVALID_PRIOR_RECORD_KEY = 0xA710, "invalid Prior Record Key", "PS3.4 C.6.4.5.3"

    # of C-MOVE and C-GET
    UNABLE_TO_COUNT_MATCHES = (
        0xA701,
        "out of resources, unable to count the matches",
        "PS3.4 C.4.2.1.5, C.4.3.1.4",
    )
    UNABLE_TO_PERFORM_SUBOPERATIONS = (
        0xA702,
        "out of resources, unable to send the images",
        "PS3.4 C.4.2.1.5, C.4.3.1.4",
    )
    MOVE_DESTINATION_UNKNOWN = 0xA801, "move destination unknown", "PS3.4 C.4.2.1.5"
    SUBOPERATIONS_WITH_FAILURES = (
        0xB000,
        "complete, but some images failed",
        "PS3.4 C.4.2.1.5, C.4.3.1.4",
    )
