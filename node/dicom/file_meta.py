"""The header of a DICOM file (PS3.10 7.1) of whatever maker, read as its bytes come: pure.

`node.dicom.part10` writes and reads our own, which is always the same.
"""

from dataclasses import dataclass

_PREAMBLE = 128
_PREFIX = b"DICM"
_GROUP = b"\x02\x00"
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_WANTED = {0x0002: "sop_class_uid", 0x0003: "sop_instance_uid", 0x0010: "transfer_syntax_uid"}

LONGEST_FILE_META = 256 * 1024
"""Bytes: private information may be in it."""


class NoFileMeta(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """What came does not begin as a DICOM file does; its words say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What a header says; a UID is empty where it does not name it.

    Attributes
    ----------
    end
        Where the dataset begins, in bytes.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    end: int


def read_file_meta(head: bytes, *, whole: bool) -> FileMeta | None:
    """Read a header; the group's length is not believed.

    Parameters
    ----------
    head
        The first bytes of the file.
    whole
        Whether nothing follows them.

    Returns
    -------
    FileMeta or None
        None where more bytes are needed.

    Raises
    ------
    NoFileMeta
        It is no header, or too long a one.
    """
    if len(head) < _PREAMBLE + len(_PREFIX):
        _check_goes_on("it is shorter than the header of a DICOM file", whole=whole)
        return None
    if head[_PREAMBLE : _PREAMBLE + len(_PREFIX)] != _PREFIX:
        raise NoFileMeta("it has no DICOM file header (PS3.10 7.1)")
    found: dict[str, str] = {}
    offset = _PREAMBLE + len(_PREFIX)
    while True:
        if offset > LONGEST_FILE_META:
            raise NoFileMeta(f"its file header has more than {LONGEST_FILE_META >> 10} KB")
        left = len(head) - offset
        if (whole and not left) or head[offset : offset + 2] not in (b"", b"\x02", _GROUP):
            break
        if left < (12 if head[offset + 4 : offset + 6] in _LONG_VRS else 8):
            _check_goes_on("it ends in the middle of its file header", whole=whole)
            return None
        element = int.from_bytes(head[offset + 2 : offset + 4], "little")
        vr = head[offset + 4 : offset + 6]
        if not (vr.isalpha() and vr.isupper()):
            raise NoFileMeta("its file header is not in explicit VR (PS3.10 7.1)")
        long = vr in _LONG_VRS
        start = offset + (12 if long else 8)
        length = int.from_bytes(head[offset + (8 if long else 6) : start], "little")
        offset = start + length
        if element in _WANTED and offset <= len(head):
            text = head[start:offset].decode("ascii", "replace")
            found.setdefault(_WANTED[element], text.strip(" \0"))
        if offset > len(head) and offset <= LONGEST_FILE_META:
            _check_goes_on("it ends in the middle of its file header", whole=whole)
            return None
    return FileMeta(**found, end=offset)


def _check_goes_on(why: str, *, whole: bool) -> None:
    if whole:
        raise NoFileMeta(why)
