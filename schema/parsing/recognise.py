"""Whether a file is DICOM, from its first bytes: names and extensions say nothing.

A file of PS3.10 chapter 7 has a preamble and a prefix. Files in the field lack the preamble,
or the File Meta Information too; of those, the first elements have to look like elements.
"""

from schema.header.framing import ITEM_HEADS
from schema.header.scope import CODES

EMPTY = "empty"
DICOMDIR = "DICOMDIR"
FOREIGN = "not DICOM"

_PREFIX = slice(128, 132)
_DIRECTORY_CLASS = b"1.2.840.10008.1.3.10"  # Media Storage Directory Storage (PS3.4 annex B.5)
_FIRST_GROUPS = frozenset((0x0002, 0x0008))
_DIRECTORY_GROUP = 0x0004
_LONGEST_FIRST = 1 << 16
"""Bytes of a value that a dataset in implicit VR may begin with; in real ones it is below 100."""


def why_not_image(head: bytes, size: int) -> str | None:
    """Return why a file is no image that could be indexed; None when it may be one.

    Parameters
    ----------
    head
        Its first bytes, 1,024 or more unless it has fewer.
    size
        Of the file, in bytes.
    """
    if not size:
        return EMPTY
    start = 132 if head[_PREFIX] == b"DICM" else 0
    if not start:
        group = _first_group(head, size)
        if group == _DIRECTORY_GROUP:
            return DICOMDIR
        # A prefix without its preamble claims to be DICOM; reading it says what is wrong.
        if group is None:
            return None if head[:4] == b"DICM" else FOREIGN
    return DICOMDIR if _media_class(head, start) == _DIRECTORY_CLASS else None


def _first_group(head: bytes, size: int) -> int | None:
    """Return the group with which a dataset begins; None when nothing here looks like one."""
    if len(head) < 8:
        return None
    group: int
    for little in (True, False):
        group, element, length = ITEM_HEADS[little](head)
        if group not in _FIRST_GROUPS and group != _DIRECTORY_GROUP:
            continue
        if head[4:6] in CODES[True]:
            return group
        if little and _is_implicit(head, size, group, element, length):
            return group
    return None


def _is_implicit(head: bytes, size: int, group: int, element: int, length: int) -> bool:
    """Tell whether two elements in implicit VR stand here, or one that is all there is.

    No name of a VR speaks for them: the tags have to ascend, and the lengths to fit.
    """
    after = 8 + length
    if length > _LONGEST_FIRST or length % 2 or after > size:
        return False
    if after + 8 > len(head):
        return after == size
    next_group, next_element, next_length = ITEM_HEADS[True](head, after)
    ascending = (next_group, next_element) > (group, element)
    return ascending and next_group <= 0x0020 and after + 8 + next_length <= size


def _media_class(head: bytes, position: int) -> bytes | None:
    """Return the Media Storage SOP Class UID (0002,0002); None when it is not found."""
    while head[position : position + 2] == b"\x02\x00" and position + 8 <= len(head):
        if head[position + 4 : position + 6] in (b"OB", b"UN"):
            start = position + 12
            length = int.from_bytes(head[position + 8 : start], "little")
        else:
            start = position + 8
            length = int.from_bytes(head[position + 6 : start], "little")
        if head[position + 2 : position + 4] == b"\x02\x00":
            return head[start : start + length].rstrip(b"\0 ")
        position = start + length
    return None
