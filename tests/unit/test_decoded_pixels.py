"""Compressed images decoded: valid ones, and every sample what DCMTK and GDCM make of it."""

import io
import struct
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data.data_manager import DATA_ROOT
from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000, JPEG2000Lossless, RLELossless

from node.dicom.converting import ConversionError, converted
from tests.support.encoded import BIG_ENDIAN, EXPLICIT, IMPLICIT, ITEM, delimiter, element, file
from tests.support.images import dataset_bytes
from tests.support.peers.dcmtk import run
from tests.support.peers.programs import require_package, run_program

TEST_FILES = Path(DATA_ROOT) / "test_files"
JPEG_COLOURS = [
    "SC_jpeg_no_color_transform.dcm",
    "SC_jpeg_no_color_transform_2.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm",
    "SC_rgb_dcmtk_+eb+cy+n2.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_dcmtk_+eb+cy+s2.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "SC_rgb_jpeg_app14_dcmd.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
]
SUBSAMPLED = ["SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_+eb+cy+s2.dcm", "examples_ybr_color.dcm"]
BY_DCMTK = {
    **dict.fromkeys(JPEG_COLOURS, ("dcmdjpeg", "+cn")),
    "MR_small_RLE.dcm": ("dcmdrle",),
    "SC_rgb_rle_16bit_2frame.dcm": ("dcmdrle",),
    "SC_rgb_rle_32bit.dcm": ("dcmdrle",),
    "SC_rgb_jls_lossy_line.dcm": ("dcmdjpls",),
    "JPEGLSNearLossless_16.dcm": ("dcmdjpls",),
    "rtdose_expb.dcm": ("dcmconv", "+te"),
    "SC_rgb_small_odd_big_endian.dcm": ("dcmconv", "+te"),
    "liver_expb_1frame.dcm": ("dcmconv", "+te"),
    "image_dfl.dcm": ("dcmconv", "+te"),
}
BY_GDCM = [
    "693_J2KI.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "JPEG2000.dcm",
    "MR_small_jp2klossless.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "examples_ybr_color.dcm",
    "examples_jpeg2k.dcm",
]


WHOLE = sorted({*BY_DCMTK, *BY_GDCM, "J2K_pixelrep_mismatch.dcm"})
KEPT = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def path_of(name):
    return TEST_FILES / name


@cache
def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path)


@cache
def into(name, target=EXPLICIT):
    """Convert one of pydicom's files: before, and after."""
    before = read(path_of(name))
    syntax = str(before.file_meta.TransferSyntaxUID)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, data = converted(dataset_bytes(path_of(name)), syntax, [target])
    return before, pydicom.dcmread(io.BytesIO(file(data, target)))


def size_of(image):
    """Return the bytes that Pixel Data has to have (PS3.5 8.1.1)."""
    samples = 2 if image.PhotometricInterpretation == "YBR_FULL_422" else image.SamplesPerPixel
    frames = int(image.get("NumberOfFrames") or 1)
    size = -(-image.Rows * image.Columns * samples * image.BitsAllocated * frames // 8)
    return size + size % 2


@pytest.mark.parametrize("target", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", WHOLE)
def test_attributes_and_pixel_data_agree(name, target):
    before, after = into(name, target)
    assert len(after.PixelData) == size_of(after)
    assert after.PhotometricInterpretation in {"MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL"}
    if after.SamplesPerPixel == 3 and before["PixelData"].is_undefined_length:
        assert after.PlanarConfiguration == 0
    for keyword in KEPT:
        assert after.get(keyword) == before.get(keyword), keyword


@pytest.mark.parametrize("name", SUBSAMPLED)
def test_subsampled_colours_are_whole_once_they_are_decoded(name):
    before, after = into(name)
    assert before.PhotometricInterpretation == "YBR_FULL_422"
    assert (after.PhotometricInterpretation, after.PlanarConfiguration) == ("YBR_FULL", 0)
    assert len(after.PixelData) == 3 * after.Rows * after.Columns * int(
        after.get("NumberOfFrames") or 1
    )


def by_pixel(image):
    """Return pixel data with its samples side by side."""
    stored = np.frombuffer(image.PixelData, f"u{max(1, image.BitsAllocated // 8)}")
    if image.get("PlanarConfiguration") != 1:
        return stored
    frames = int(image.get("NumberOfFrames") or 1)
    planes = stored.reshape(frames, image.SamplesPerPixel, -1)
    return planes.transpose(0, 2, 1).reshape(-1)


@pytest.mark.parametrize("name", sorted(BY_DCMTK))
def test_every_sample_is_what_dcmtk_makes_of_it(name, tmp_path):
    program, *options = BY_DCMTK[name]
    done = run(program, *options, path_of(name), tmp_path / "theirs.dcm")
    assert done.code == 0, done.output
    theirs = pydicom.dcmread(tmp_path / "theirs.dcm")
    _, ours = into(name)
    assert ours.PhotometricInterpretation == theirs.PhotometricInterpretation
    assert np.array_equal(by_pixel(ours), by_pixel(theirs))


@pytest.mark.parametrize("name", BY_GDCM)
def test_every_sample_is_what_gdcm_makes_of_it(name, tmp_path):
    program = require_package("libgdcm-tools", "gdcmconv")
    done = run_program(program, "--raw", path_of(name), tmp_path / "theirs.dcm")
    assert done.code == 0, done.output
    theirs = pydicom.dcmread(tmp_path / "theirs.dcm")
    _, ours = into(name)
    assert ours.PhotometricInterpretation == theirs.PhotometricInterpretation
    assert np.array_equal(by_pixel(ours), by_pixel(theirs))


def test_a_codestream_without_the_sign_that_its_attributes_say_keeps_its_values():
    before, after = into("J2K_pixelrep_mismatch.dcm")
    assert (before.PixelRepresentation, before.BitsStored) == (1, 13)
    stored = np.frombuffer(after.PixelData, "<i2").reshape(after.Rows, after.Columns)
    assert np.array_equal(stored, before.pixel_array)
    assert stored.min() == -2000


def overlaid(signed):
    """Return an image of 12 bits stored, with an overlay's in bits 12 and 14 (PS3.3 C.9.2)."""
    image = pydicom.dcmread(path_of("MR_small.dcm"))
    values = np.arange(-2000, 2000, 16) if signed else np.arange(0, 4000, 16)
    kept = (values.astype("<u2") & 0x0FFF) | 0x5000
    image.Rows, image.Columns, image.PixelData = 10, 25, kept.tobytes()
    image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, int(signed)
    return image, kept


@pytest.mark.parametrize(
    ("compressing", "decompressing", "signed"),
    [
        (("dcmcjpeg", "+e1"), "dcmdjpeg", False),
        (("dcmcjpeg", "+e1"), "dcmdjpeg", True),
        (("dcmcjpeg", "+el"), "dcmdjpeg", False),
        (("dcmcjpls", "+el"), "dcmdjpls", True),
        (("dcmcjpls", "+en", "+md", "1"), "dcmdjpls", False),
        (("dcmcrle",), "dcmdrle", True),
    ],
)
def test_bits_above_those_stored_stay(compressing, decompressing, signed, tmp_path):
    image, kept = overlaid(signed)
    image.save_as(tmp_path / "plain.dcm")
    program, *options = compressing
    done = run(program, *options, tmp_path / "plain.dcm", tmp_path / "compressed.dcm")
    assert done.code == 0, done.output
    done = run(decompressing, tmp_path / "compressed.dcm", tmp_path / "theirs.dcm")
    assert done.code == 0, done.output
    syntax = str(read(tmp_path / "compressed.dcm").file_meta.TransferSyntaxUID)
    _, data = converted(dataset_bytes(tmp_path / "compressed.dcm"), syntax, [EXPLICIT])
    after = pydicom.dcmread(io.BytesIO(file(data, EXPLICIT)))
    assert (after.BitsStored, after.HighBit) == (12, 11)
    assert after.PixelData == pydicom.dcmread(tmp_path / "theirs.dcm").PixelData
    if "+en" not in options:
        assert after.PixelData == kept.tobytes()


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEG2000])
def test_bits_of_jpeg_2000_above_those_stored_stay(syntax):
    """Its codestream has 16 bits, of which an image may say that fewer are stored."""
    dataset, _ = changed("MR_small_jp2klossless.dcm", BitsStored=8, HighBit=7)
    _, data = converted(dataset, str(syntax), [EXPLICIT])
    after = pydicom.dcmread(io.BytesIO(file(data, EXPLICIT)))
    assert after.PixelData == pydicom.dcmread(path_of("MR_small.dcm")).PixelData


# What is not valid is not sent


def image(syntax=EXPLICIT, pixels=bytes(12), frames=b"", **changed):
    """Encode an image of 2 x 3 pixels of 16 bits, one frame."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    numbers = {"samples": 1, "rows": 2, "columns": 3, "bits": 16} | changed
    tags = {"samples": 0x00280002, "rows": 0x00280010, "columns": 0x00280011, "bits": 0x00280100}
    elements = {
        tags[name]: ("US", struct.pack(f"{order}H", number))
        for name, number in numbers.items()
        if number is not None
    }
    elements[0x00280004] = ("CS", b"MONOCHROME2 ")
    if frames:
        elements[0x00280008] = ("IS", frames)
    elements[0x7FE00010] = ("OW", pixels)
    made = sorted(elements.items())
    return b"".join(element(tag, vr, value, syntax=syntax) for tag, (vr, value) in made)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize(
    "made",
    [
        {"pixels": bytes(10)},
        {"pixels": bytes(14)},
        {"pixels": bytes(12), "frames": b"2 "},
        {"pixels": bytes(12), "frames": b"1A"},
        {"rows": None},
    ],
)
def test_pixel_data_that_is_not_compressed_stays_as_it_is_whatever_the_attributes_say(syntax, made):
    assert converted(image(syntax, **made), syntax, [EXPLICIT]) == (
        EXPLICIT,
        image(EXPLICIT, **made),
    )


def changed(name, **attributes):
    """Return one of pydicom's images, encoded, with other attributes, and its transfer syntax."""
    dataset = pydicom.dcmread(path_of(name))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    data = buffer.getvalue()
    meta = 144 + dataset.file_meta.FileMetaInformationGroupLength
    return data[meta:], str(dataset.file_meta.TransferSyntaxUID)


@pytest.mark.parametrize(
    ("name", "attributes", "why"),
    [
        ("SC_rgb_rle_2frame.dcm", {"NumberOfFrames": 1}, "2 frames, where Number of Frames"),
        ("SC_rgb_rle_2frame.dcm", {"NumberOfFrames": 3}, "frames"),
        ("MR_small_RLE.dcm", {"BitsAllocated": 12}, "Bits Allocated .* is 12"),
        ("SC_rgb_jpeg_dcmtk.dcm", {"SamplesPerPixel": 1}, "Samples per Pixel is 1, where .* has 3"),
        ("SC_rgb_jpeg_gdcm.dcm", {"Rows": 99}, "Rows is 99, where its compressed image has 100"),
        ("JPEGLSNearLossless_16.dcm", {"Columns": 11}, "Columns is 11, where"),
        ("693_J2KI.dcm", {"Columns": 511}, "Columns is 511, where its compressed image has 512"),
        (
            "SC_rgb_dcmtk_+eb+cy+np.dcm",
            {"PhotometricInterpretation": "YBR_PARTIAL_422"},
            "the standard does not say",
        ),
    ],
)
def test_an_image_that_is_another_than_its_attributes_say_is_not_converted(name, attributes, why):
    dataset, syntax = changed(name, **attributes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ConversionError, match=why):
            converted(dataset, syntax, [EXPLICIT])


def of_two_frames(offsets, lengths, items=1):
    """Return an RLE image of two frames with an Extended Offset Table, encoded; and its lengths."""
    dataset = pydicom.dcmread(path_of("SC_rgb_rle_2frame.dcm"))
    frames = list(generate_frames(dataset.PixelData, number_of_frames=2))
    sizes = [len(frame) for frame in frames]
    fragments = [frame for frame in frames for _ in range(items)]
    dataset.PixelData = delimiter(ITEM) + b"".join(delimiter(ITEM, len(f)) + f for f in fragments)
    dataset["PixelData"].is_undefined_length = True
    begin = {"first": 0, "second": sizes[0] + 8, "within": sizes[0], "beyond": 1 << 40}
    if offsets is not None:
        dataset.ExtendedOffsetTable = b"".join(struct.pack("<Q", begin[at]) for at in offsets)
    if lengths is not None:
        said = [size + more for size, more in zip(sizes, lengths, strict=False)]
        dataset.ExtendedOffsetTableLengths = struct.pack(f"<{len(said)}Q", *said)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()[144 + dataset.file_meta.FileMetaInformationGroupLength :]


@pytest.mark.parametrize("lengths", [(0, 0), (-1, 0), None])
@pytest.mark.parametrize("offsets", [("first", "second"), (), None])
def test_an_extended_offset_table_that_is_right_or_empty_is_as_good_as_none(offsets, lengths):
    _, plain = converted(dataset_bytes(path_of("SC_rgb_rle_2frame.dcm")), RLELossless, [EXPLICIT])
    _, data = converted(of_two_frames(offsets, lengths), RLELossless, [EXPLICIT])
    assert data == plain


@pytest.mark.parametrize(
    ("offsets", "lengths", "items", "why"),
    [
        (("second", "second"), (0, 0), 1, "frame 1 at byte .*, where it begins at 0"),
        (("first", "first"), (0, 0), 1, "frame 2 at byte 0, where it begins at"),
        (("second", "first"), (0, 0), 1, "frame 1 at byte"),
        (("first", "within"), (0, 0), 1, "frame 2 at byte"),
        (("first", "beyond"), None, 1, "frame 2 at byte 1099511627776"),
        (("first",), (0,), 1, "has 8 bytes, where 2 frames"),
        (("first", "second"), (0,), 1, "Lengths have 8 bytes, where"),
        (("first", "second"), (0, -2), 1, "of frame 2, which has"),
        (("first", "second"), (8, 0), 1, "of frame 1, which has"),
        (("first", "second"), (0, 0), 2, "4 fragments, where each of 2 frames"),
    ],
)
def test_an_extended_offset_table_that_contradicts_the_items_is_refused(
    offsets, lengths, items, why
):
    with pytest.raises(ConversionError, match=why):
        converted(of_two_frames(offsets, lengths, items), RLELossless, [EXPLICIT])


def test_pixel_data_that_is_not_in_fragments_in_a_compressed_transfer_syntax_is_not_converted():
    with pytest.raises(ConversionError, match="not in fragments"):
        converted(image(), str(RLELossless), [EXPLICIT])
