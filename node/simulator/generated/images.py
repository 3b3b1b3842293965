"""The images of made-up studies: small ones, made when they are sent, the same bytes each time."""

import struct
from functools import lru_cache
from math import isqrt

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian

from node.dicom.querying.levels import HeldAttributes
from node.simulator.chance import mixed

TRANSFER_SYNTAX = str(ExplicitVRLittleEndian)
"""Of all of them."""

_BEFORE_UID = ("SpecificCharacterSet", "ImageType", "SOPClassUID")
_AFTER_UID = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "Modality",
    "ReferringPhysicianName",
    "StudyDescription",
    "SeriesDescription",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "StudyID",
    "SeriesNumber",
)
"""What comes before InstanceNumber, in the order of the tags (PS3.5 7.1)."""

_OPTIONAL = frozenset({"StudyDescription", "SeriesDescription", "IssuerOfPatientID"})
"""What is left out where it has no value; the others are there without one (type 2)."""

_LONG = frozenset({"OB", "OW", "SQ"})
"""Value representations with a length of four bytes (PS3.5 7.1.2)."""

_NOISE = 1 << 14


class SeriesImages:
    """The images of one series: what they have in common is encoded once.

    Parameters
    ----------
    known
        The attributes of the series, its study and its patient.
    sop_class_uid
        Of the images.
    """

    def __init__(self, known: HeldAttributes, sop_class_uid: str) -> None:
        self._report = known["Modality"] == ("SR",)
        common = {"SpecificCharacterSet": ("ISO_IR 192",), "SOPClassUID": (sop_class_uid,), **known}
        if not self._report:
            common["ImageType"] = ("ORIGINAL", "PRIMARY")
        self._before = b"".join(_text(k, common[k]) for k in _BEFORE_UID if k in common)
        self._after = b"".join(
            _text(keyword, common.get(keyword, ()))
            for keyword in _AFTER_UID
            if keyword in common or keyword not in _OPTIONAL
        )
        frames = known["Modality"] == ("NM",)
        self._format = _text("NumberOfFrames", ("1",)) if frames else b""

    def dataset(self, uid: str, place: int, size: int) -> bytes:
        """Return an image's encoded dataset.

        Parameters
        ----------
        uid
            SOP Instance UID.
        place
            Instance Number.
        size
            Bytes of its pixels, about; a report has none.
        """
        return b"".join(
            (
                self._before,
                _text("SOPInstanceUID", (uid,)),
                self._after,
                _text("InstanceNumber", (str(place),)),
                _REPORT if self._report else self._pixels(place, size),
            )
        )

    def _pixels(self, place: int, size: int) -> bytes:
        side = max(isqrt(size // 2), 1)
        length = 2 * side * side
        noise = _noise()
        start = 2 * place % _NOISE
        pixels = noise[start : start + length]
        while len(pixels) < length:
            pixels += noise[: length - len(pixels)]
        return b"".join(
            (
                _GRAY,
                self._format,
                _number("Rows", side),
                _number("Columns", side),
                _DEPTH,
                _element("PixelData", "OW", pixels),
            )
        )


@lru_cache(maxsize=1)
def _noise() -> bytes:
    """Return bytes that look drawn."""
    return b"".join(struct.pack("<Q", mixed(n, 0)) for n in range(_NOISE // 8))


def _element(keyword: str, vr: str, value: bytes) -> bytes:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword  # noqa: S101
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    length = struct.pack("<2xL" if vr in _LONG else "<H", len(value))
    return struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode()) + length + value


def _text(keyword: str, values: tuple[str, ...]) -> bytes:
    return _element(keyword, _vr(keyword), "\\".join(values).encode())


@lru_cache(maxsize=64)
def _vr(keyword: str) -> str:
    return dictionary_VR(keyword)


def _number(keyword: str, value: int) -> bytes:
    return _element(keyword, "US", struct.pack("<H", value))


_GRAY = _number("SamplesPerPixel", 1) + _text("PhotometricInterpretation", ("MONOCHROME2",))
_DEPTH = (
    _number("BitsAllocated", 16)
    + _number("BitsStored", 16)
    + _number("HighBit", 15)
    + _number("PixelRepresentation", 0)
)
_TITLE = (
    _text("CodeValue", ("18748-4",))
    + _text("CodingSchemeDesignator", ("LN",))
    + _text("CodeMeaning", ("Diagnostic imaging report",))
)
_REPORT = (
    _text("ValueType", ("CONTAINER",))
    + _element(
        "ConceptNameCodeSequence", "SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(_TITLE)) + _TITLE
    )
    + _text("ContinuityOfContent", ("SEPARATE",))
    + _text("CompletionFlag", ("COMPLETE",))
    + _text("VerificationFlag", ("UNVERIFIED",))
)
