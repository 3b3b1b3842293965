"""What kind of status a value is, and what it means: the network library's tables.

`Status` has words of its own for the values that the node sends or tells apart; of all others the
tables have the standard's.
"""

from pynetdicom.status import (
    QR_FIND_SERVICE_CLASS_STATUS,
    QR_GET_SERVICE_CLASS_STATUS,
    QR_MOVE_SERVICE_CLASS_STATUS,
    STATUS_PENDING,
    STATUS_SUCCESS,
    STATUS_UNKNOWN,
    STATUS_WARNING,
    STORAGE_SERVICE_CLASS_STATUS,
    code_to_category,
)

from node.dicom.status import Status

_OURS = {int(status): status.meaning for status in Status}

_TABLES = (
    QR_MOVE_SERVICE_CLASS_STATUS,
    QR_GET_SERVICE_CLASS_STATUS,
    STORAGE_SERVICE_CLASS_STATUS,
    QR_FIND_SERVICE_CLASS_STATUS,
)
"""Of the services that the node uses; the first one that has a value explains it."""


def describe(status: int) -> str:
    """Say what a status means, for people: `0xA801 (move destination unknown)`."""
    return f"0x{status:04X} ({_meaning(status)})"


def is_success_or_warning(status: int) -> bool:
    """Tell whether a C-STORE took the object (PS3.4 B.2.3, PS3.7 Annex C)."""
    return code_to_category(status) in (STATUS_SUCCESS, STATUS_WARNING)


def is_pending(status: int | None) -> bool:
    """Tell whether more responses follow; a response without a status is the last one."""
    return status is not None and code_to_category(status) == STATUS_PENDING


def _meaning(status: int) -> str:
    if status in _OURS:
        return _OURS[status]
    category = code_to_category(status)
    if category == STATUS_UNKNOWN:
        return "not a status of the standard"
    for table in _TABLES:
        if status in table:
            words = _plain(table[status][1])
            return f"warning: {words}" if category == STATUS_WARNING else words
    return f"{category.lower()}, without a meaning in the standard"


def _plain(title: str) -> str:
    """Return words that are not written as a title; abbreviations stay as they are."""
    return " ".join(word if word.isupper() else word.lower() for word in title.split())
