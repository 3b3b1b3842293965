"""Compressed images decoded, and the length that Pixel Data has to have (PS3.3 C.7.6.3, PS3.5 8).

What a decoder returns need not be what the attributes say: colours that were subsampled are whole,
and reversible transformations of colours are undone. So the attributes say what the decoder's are.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import Tag
from pydicom.uid import UID

from node.dicom.reencoding.codestreams import codestream_of, most_bits
from node.dicom.reencoding.encoded import EncodedElement, EncodedItem
from node.dicom.reencoding.fragments import EncodedFragment, fragments_of, why_not_the_table
from node.dicom.spans import PIXEL_DATA, Coding, Unreadable

_SAMPLES_PER_PIXEL = 0x00280002
_PHOTOMETRIC_INTERPRETATION = 0x00280004
_PLANAR_CONFIGURATION = 0x00280006
_NUMBER_OF_FRAMES = 0x00280008
_ROWS, _COLUMNS = 0x00280010, 0x00280011
_BITS_ALLOCATED, _BITS_STORED = 0x00280100, 0x00280101
_OFFSETS, _LENGTHS = 0x7FE00001, 0x7FE00002
"""The Extended Offset Table and its lengths: of fragments, which are no more (PS3.3 C.7.6.3)."""

_LITTLE = Coding()
_SUBSAMPLED = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
"""Of two pixels, four samples are kept (PS3.3 C.7.6.3.1.2)."""

_WHOLE = {"YBR_FULL_422": "YBR_FULL", "YBR_ICT": "RGB", "YBR_RCT": "RGB"}
"""What colours are once they are decoded: all samples, and no transformation of JPEG 2000's."""

_BITS = (8, 16, 32, 64)


def decoded(dataset: EncodedItem, transfer_syntax_uid: str) -> EncodedItem:
    """Return a dataset with its Pixel Data decoded, colours by pixel, and attributes that say so.

    Raises
    ------
    Unreadable
        There is no pixel data in fragments, or it has other frames than the attributes say.
    Exception
        There is no decoder, or it fails.
    """
    values = dataset.values()
    if (pixels := values.get(PIXEL_DATA)) is None:
        return dataset
    if not pixels.undefined:
        raise Unreadable("its Pixel Data is not in fragments, as its transfer syntax has it")
    frames = _frames(values)
    if (bits := _number(values, _BITS_ALLOCATED)) not in _BITS:
        raise Unreadable(f"Bits Allocated (0028,0100) is {bits}, where 8, 16, 32 or 64 are decoded")
    fragments = fragments_of(pixels.value)
    if reason := _why_another(values, fragments) or _why_not_the_table(values, fragments, frames):
        raise Unreadable(reason)
    stored = most_bits([fragment.data for fragment in fragments])
    with config.disable_value_validation():
        decoder = get_decoder(UID(transfer_syntax_uid))
        options: Any = {"as_rgb": False, "correct_unused_bits": False}
        try:
            image = _image(values, transfer_syntax_uid, stored=stored if stored <= bits else 0)
            array, properties = decoder.as_array(image, **options)
        except StopIteration as error:
            raise Unreadable(f"it has fewer frames than {frames}, its Number of Frames") from error
    if properties["number_of_frames"] != frames:
        raise Unreadable(
            f"it has {properties['number_of_frames']} frames, where Number of Frames (0028,0008) "
            f"is {frames}"
        )
    by: dict[int, EncodedElement | None] = dict.fromkeys((_OFFSETS, _LENGTHS))
    colours = str(properties["photometric_interpretation"])
    colours = _WHOLE.get(colours, colours)
    if colours.startswith("YBR_PARTIAL"):
        raise Unreadable(f"what {colours} is once it is decoded, the standard does not say")
    if colours != _text(values, _PHOTOMETRIC_INTERPRETATION):
        text = colours.encode() + b" " * (len(colours) % 2)
        by[_PHOTOMETRIC_INTERPRETATION] = _element(_PHOTOMETRIC_INTERPRETATION, "CS", text)
    if _number(values, _SAMPLES_PER_PIXEL) != 1:
        by[_PLANAR_CONFIGURATION] = _element(_PLANAR_CONFIGURATION, "US", bytes(2))
    by[PIXEL_DATA] = EncodedElement(
        tag=PIXEL_DATA,
        vr="OB" if bits == 8 else "OW",
        value=array.reshape(-1).data.cast("B"),
        coding=_LITTLE,
    )
    return dataset.replaced(by)


def why_not_whole(dataset: EncodedItem) -> str | None:
    """Return why Pixel Data that is not compressed has another length than its attributes say.

    None means that it has that length, or that there is none.
    """
    values = dataset.values()
    pixels = values.get(PIXEL_DATA)
    if pixels is None or pixels.undefined:  # fragments: nobody writes them
        return None
    numbers = [_number(values, tag) for tag in (_ROWS, _COLUMNS, _BITS_ALLOCATED)]
    if None in numbers:
        return "it has Pixel Data, but no Rows, Columns or Bits Allocated that say how much"
    pixel = 1 if (samples := _number(values, _SAMPLES_PER_PIXEL)) is None else samples
    if _text(values, _PHOTOMETRIC_INTERPRETATION) in _SUBSAMPLED:
        pixel = 2
    bits = math.prod(number or 0 for number in numbers) * pixel * _frames(values)
    size = -(-bits // 8)
    if len(pixels.value) in {size, size + size % 2}:
        return None
    return f"its Pixel Data has {len(pixels.value)} bytes, where its attributes say {size}"


def _why_another(
    values: Mapping[int, EncodedElement], fragments: Sequence[EncodedFragment]
) -> str | None:
    """Return in what a compressed image is another one than its attributes say."""
    if not fragments or (size := codestream_of(fragments[0].data)) is None:
        return None
    for name, tag, number in (
        ("Rows", _ROWS, size.rows),
        ("Columns", _COLUMNS, size.columns),
        ("Samples per Pixel", _SAMPLES_PER_PIXEL, size.samples),
    ):
        if number and number != (said := _number(values, tag)):
            return f"{name} is {said}, where its compressed image has {number}"
    return None


def _why_not_the_table(
    values: Mapping[int, EncodedElement], fragments: Sequence[EncodedFragment], frames: int
) -> str | None:
    """Return in what an Extended Offset Table is wrong; an empty one is none."""
    offsets, lengths = values.get(_OFFSETS), values.get(_LENGTHS)
    if offsets is None or not offsets.value:
        return None
    said = None if lengths is None else lengths.value
    return why_not_the_table(fragments, frames, offsets.value, said)


def _image(
    values: Mapping[int, EncodedElement], transfer_syntax_uid: str, *, stored: int
) -> Dataset:
    """Return what a decoder needs of a dataset.

    It needs no Extended Offset Table: where there is one, each frame is one item.

    Parameters
    ----------
    stored
        The bits that the codestreams have of a sample. Where these are more than Bits Stored, there
        may be something above it, an overlay (60xx,0102) for example: a decoder that is told Bits
        Stored sets them to zero.
    """
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    for tag, one in values.items():
        if _SAMPLES_PER_PIXEL <= tag < 0x00280110:
            raw = RawDataElement(Tag(tag), one.vr, len(one.value), bytes(one.value), 0, False, True)
            image[tag] = raw
    if stored > (_number(values, _BITS_STORED) or stored):
        image.BitsStored, image.HighBit = stored, stored - 1
    pixels = DataElement(PIXEL_DATA, "OB", bytes(values[PIXEL_DATA].value))
    pixels.is_undefined_length = True
    image[PIXEL_DATA] = pixels
    return image


def _frames(values: Mapping[int, EncodedElement]) -> int:
    """Return how many frames there are; Number of Frames need not be there (PS3.3 C.7.6.6)."""
    text = _text(values, _NUMBER_OF_FRAMES)
    if not text:
        return 1
    if not text.removeprefix("+").isdecimal():
        raise Unreadable(f"Number of Frames (0028,0008) is no number: {text[:16]!r}")
    return int(text) or 1


def _text(values: Mapping[int, EncodedElement], tag: int) -> str:
    element = values.get(tag)
    return "" if element is None else bytes(element.value).decode("latin-1").strip(" \0")


def _number(values: Mapping[int, EncodedElement], tag: int) -> int | None:
    element = values.get(tag)
    if element is None or len(element.value) != 2:
        return None
    (number,) = struct.unpack(">H" if element.coding.big else "<H", element.value)
    return int(number)


def _element(tag: int, vr: str, value: bytes) -> EncodedElement:
    return EncodedElement(tag=tag, vr=vr, value=memoryview(value), coding=_LITTLE)
