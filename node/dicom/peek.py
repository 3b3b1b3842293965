"""The SOP UIDs at the head of an encoded dataset, without reading the rest of it.

They are among the first elements (PS3.5 7.1: ascending order), so that the sender of a C-STORE
whose dataset is not the one that its command names can be told at once.
"""

import struct
from dataclasses import dataclass

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

HEAD = 4096
"""Bytes that are enough, for any dataset whose first elements are not absurd."""

_SOP_CLASS_UID = (0x0008, 0x0016)
_SOP_INSTANCE_UID = (0x0008, 0x0018)
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SOPUIDs:
    """What was found; None where an element was not seen."""

    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None


def peek_sop_uids(head: bytes, transfer_syntax_uid: str) -> SOPUIDs:
    """Return the SOP Class UID and the SOP Instance UID of a dataset, as far as they are seen.

    Parameters
    ----------
    head
        The first bytes of the encoded dataset.
    transfer_syntax_uid
        A deflated dataset is not looked into.
    """
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        return SOPUIDs()
    order = ">" if transfer_syntax_uid == ExplicitVRBigEndian else "<"
    implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    found: dict[tuple[int, int], str] = {}
    offset = 0
    while offset + 8 <= len(head):
        tag = struct.unpack_from(f"{order}HH", head, offset)
        if tag > _SOP_INSTANCE_UID:
            break
        vr = head[offset + 4 : offset + 6]
        if implicit:
            (length,) = struct.unpack_from(f"{order}L", head, offset + 4)
            offset += 8
        elif vr in _LONG_VRS:
            if offset + 12 > len(head):
                break
            (length,) = struct.unpack_from(f"{order}L", head, offset + 8)
            offset += 12
        else:
            (length,) = struct.unpack_from(f"{order}H", head, offset + 6)
            offset += 8
        if length > len(head) - offset:  # of undefined length, too
            break
        if tag in (_SOP_CLASS_UID, _SOP_INSTANCE_UID):
            found[tag] = head[offset : offset + length].decode("latin-1").strip(" \0")
        offset += length
    return SOPUIDs(
        sop_class_uid=found.get(_SOP_CLASS_UID), sop_instance_uid=found.get(_SOP_INSTANCE_UID)
    )
