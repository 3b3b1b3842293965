"""The DICOM file format's own header (PS3.10 section 7): preamble, prefix, File Meta Information.

A received dataset is stored behind a header that is made here, byte for byte as it came.
"""

PREAMBLE = bytes(128) + b"DICM"

IMPLEMENTATION_CLASS_UID = "2.25.292850166080390443491388026292400416752"
"""Names this implementation in files and associations (PS3.7 D.3.3.2)."""

_LONG_VRS = (b"OB", b"UN")


def file_header(
    *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_aetitle: str = ""
) -> bytes:
    """Return preamble, prefix and File Meta Information for a dataset (PS3.10 7.1).

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        Of the dataset that follows.
    transfer_syntax_uid
        The encoding of the dataset that follows.
    source_aetitle
        The application entity that sent it, up to 16 characters.
    """
    elements = (
        _element(0x0001, b"OB", b"\0\1")
        + _element(0x0002, b"UI", _uid(sop_class_uid))
        + _element(0x0003, b"UI", _uid(sop_instance_uid))
        + _element(0x0010, b"UI", _uid(transfer_syntax_uid))
        + _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID))
        + _element(0x0013, b"SH", _padded("DICOM_NODE", b" "))
    )
    if source_aetitle:
        elements += _element(0x0016, b"AE", _padded(source_aetitle, b" "))
    return PREAMBLE + _element(0x0000, b"UL", len(elements).to_bytes(4, "little")) + elements


def read_file_header(head: bytes) -> tuple[dict[int, str], int] | None:
    """Read a header that `file_header` made.

    Parameters
    ----------
    head
        The first bytes of the file, the whole header among them.

    Returns
    -------
    tuple[dict[int, str], int] or None
        The text of each element of group 0002, and where the dataset begins. None when it is
        no such header.
    """
    first = len(PREAMBLE) + 12
    if not head.startswith(PREAMBLE + b"\x02\x00\x00\x00UL\x04\x00") or len(head) < first:
        return None
    end = first + int.from_bytes(head[first - 4 : first], "little")
    elements: dict[int, str] = {}
    offset = first
    while offset + 8 <= min(end, len(head)):
        if head[offset : offset + 2] != b"\x02\x00":
            return None
        element = int.from_bytes(head[offset + 2 : offset + 4], "little")
        if head[offset + 4 : offset + 6] in _LONG_VRS:
            length = int.from_bytes(head[offset + 8 : offset + 12], "little")
            offset += 12
        else:
            length = int.from_bytes(head[offset + 6 : offset + 8], "little")
            offset += 8
        elements[element] = head[offset : offset + length].decode("ascii", "replace").rstrip(" \0")
        offset += length
    return (elements, end) if offset == end <= len(head) else None


def _uid(uid: str) -> bytes:
    return _padded(uid, b"\0")


def _padded(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + padding * (len(value) % 2)


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    tag = b"\x02\x00" + element.to_bytes(2, "little")
    if vr in _LONG_VRS:
        return tag + vr + b"\0\0" + len(value).to_bytes(4, "little") + value
    return tag + vr + len(value).to_bytes(2, "little") + value
