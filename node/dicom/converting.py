"""A dataset in another transfer syntax: decoded, or written with or without its VRs (PS3.5 A).

It takes time and memory, and whatever is wrong with a compressed image meets a decoder written in
C: so it is done in a process of its own (`node.ops.answering.giving.conversion`).
"""

from array import array
from collections.abc import Sequence
from io import BytesIO

import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom.part10 import file_header

_PIXEL_DATA = "PixelData"
_ENCAPSULATED = b"\xfe\xff\x00\xe0"
_WORDS = {"OW": "H", "OL": "I", "OF": "I", "OD": "Q", "OV": "Q"}
"""What the VRs are made of whose byte order is the transfer syntax's (PS3.5 6.2)."""

_TARGETS = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


class ConversionError(Exception):
    """It cannot be put into another transfer syntax; the message says why."""


def converted(
    dataset: bytes, transfer_syntax_uid: str, targets: Sequence[str]
) -> tuple[str, bytes]:
    """Return a dataset in another transfer syntax, and which one that is.

    Attributes keep their values; of a compressed image the pixel data, and what says how it is
    encoded, are the decoder's. The SOP Instance UID stays (PS3.4 B.4.1): it is the same image.

    Parameters
    ----------
    targets
        Transfer syntaxes that it may be put into: the first that is Explicit or Implicit VR Little
        Endian is taken.

    Raises
    ------
    ConversionError
        There is no decoder, it fails, or the dataset is broken.
    """
    target = next((one for one in targets if one in _TARGETS), None)
    if target is None:
        raise ConversionError("it can be put into Explicit or Implicit VR Little Endian only")
    header = file_header(
        sop_class_uid="", sop_instance_uid="", transfer_syntax_uid=transfer_syntax_uid
    )
    try:
        with config.disable_value_validation():
            read = pydicom.dcmread(BytesIO(header + dataset))
            if UID(transfer_syntax_uid).is_encapsulated:
                _refuse_icons(read)
                if _PIXEL_DATA in read:
                    read.decompress(as_rgb=False, generate_instance_uid=False)
            if transfer_syntax_uid == ExplicitVRBigEndian:
                _swap_words(read)
            return target, _written(read, implicit=target == ImplicitVRLittleEndian)
    except ConversionError:
        raise
    except MemoryError as error:
        raise ConversionError("it needs too much memory") from error
    except Exception as error:  # decoders' and parsers' exceptions have no common base
        raise ConversionError(f"{type(error).__name__}: {error}") from error


def _written(dataset: Dataset, *, implicit: bool) -> bytes:
    with DicomBytesIO() as buffer:
        buffer.is_implicit_VR = implicit
        buffer.is_little_endian = True
        write_dataset(buffer, dataset)
        return buffer.getvalue()


def _swap_words(dataset: Dataset) -> None:
    """Put the bytes of words into the other order, which the writer leaves as they are."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _swap_words(item)
        elif element.VR in _WORDS and isinstance(element.value, bytes):
            words = array(_WORDS[element.VR], element.value)
            words.byteswap()
            element.value = words.tobytes()


def _refuse_icons(dataset: Dataset) -> None:
    """Refuse compressed images within sequences: nobody could tell what they are any more."""
    for tag in list(dataset.keys()):
        if dataset.get_item(tag).VR != "SQ":  # what is not looked at is written as it was read
            continue
        for item in dataset[tag].value:
            pixels = item.get(_PIXEL_DATA)
            if isinstance(pixels, bytes) and pixels.startswith(_ENCAPSULATED):
                raise ConversionError(f"{dataset[tag].keyword or tag} holds a compressed image")
            _refuse_icons(item)
