"""A dataset in another transfer syntax: decoded, or written with or without its VRs (PS3.5 A).

It takes time and memory, and whatever is wrong with a compressed image meets a decoder written in
C: so it is done in a process of its own (`node.ops.answering.giving.conversion`).
"""

import zlib
from collections.abc import Sequence

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom.reencoding.pixels import decoded, why_not_whole
from node.dicom.reencoding.reading import parsed
from node.dicom.reencoding.writing import written
from node.dicom.spans import Coding, Unreadable

_TARGETS = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


class ConversionError(Exception):
    """It cannot be put into another transfer syntax; the message says why."""


def converted(
    dataset: bytes, transfer_syntax_uid: str, targets: Sequence[str]
) -> tuple[str, bytes]:
    """Return a dataset in another transfer syntax, and which one that is.

    Attributes keep the bytes of their values, but for the byte order of numbers. Of a compressed
    image the pixel data, and what says how it is encoded, are the decoder's. The SOP Instance UID
    stays (PS3.4 B.4.1): it is the same image.

    Parameters
    ----------
    targets
        Transfer syntaxes that it may be put into: the first that is Explicit or Implicit VR Little
        Endian is taken.

    Raises
    ------
    ConversionError
        There is no decoder, it fails, the dataset is broken, or the pixels that it makes have
        another length than the attributes say (PS3.5 8.1.1).
    """
    target = next((one for one in targets if one in _TARGETS), None)
    if target is None:
        raise ConversionError("it can be put into Explicit or Implicit VR Little Endian only")
    try:
        data = _converted(dataset, transfer_syntax_uid, implicit=target == ImplicitVRLittleEndian)
    except ConversionError:
        raise
    except Unreadable as error:
        raise ConversionError(str(error)) from error
    except MemoryError as error:
        raise ConversionError("it needs too much memory") from error
    except Exception as error:  # decoders' exceptions have no common base
        text = " ".join(str(error).split())
        raise ConversionError(f"{type(error).__name__}: {text}") from error
    return target, data


def _converted(dataset: bytes, transfer_syntax_uid: str, *, implicit: bool) -> bytes:
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        dataset = _inflated(dataset)
    coding = Coding(
        implicit=transfer_syntax_uid == ImplicitVRLittleEndian,
        big=transfer_syntax_uid == ExplicitVRBigEndian,
    )
    compressed = UID(transfer_syntax_uid).is_encapsulated  # a ValueError: it is none that we know
    read = parsed(dataset, coding)
    if compressed:
        read = decoded(read, transfer_syntax_uid)
        if reason := why_not_whole(read):
            raise ConversionError(reason)
    return written(read, implicit=implicit)


def _inflated(dataset: bytes) -> bytes:
    inflating = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    data = inflating.decompress(dataset)
    if not inflating.eof:
        raise ConversionError("its deflated data ends too early")
    return data
