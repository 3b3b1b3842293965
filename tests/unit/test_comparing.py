"""Whether two encoded datasets are the same: by tables of what differs, and of what may."""

import io
import struct
import zlib

import pytest

from node.dicom.comparing import MOST, DifferenceKind, Encoded, compare
from node.dicom.spans import Unreadable
from node.storage.files import compare_files, study_uid_of, transfer_syntax_of
from tests.support.encoded import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ITEM,
    UNDEFINED,
    delimiter,
    element,
    file,
    item,
    sequence,
)

JPEG, JPEG_2000 = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"
NAME, UID, FRAMES, ROWS, SLICE = 0x00100010, 0x00080018, 0x00280008, 0x00280010, 0x00180050
SEQUENCE, CODE, PIXELS, PRIVATE = 0x00081140, 0x00080100, 0x7FE00010, 0x00111001
WAVES = 0x00281201  # Red Palette Color Lookup Table Data, OW


def encoded(data: bytes, syntax: str = EXPLICIT) -> Encoded:
    return Encoded(file=io.BytesIO(data), start=0, end=len(data), transfer_syntax_uid=syntax)


def compared(held, peer, **options):
    """Compare two datasets, each as bytes, or with its transfer syntax."""
    sides = [one if isinstance(one, tuple) else (one, EXPLICIT) for one in (held, peer)]
    return compare(*(encoded(*one) for one in sides), **options)


def us(tag: int, *numbers: int, syntax: str = EXPLICIT) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    return element(tag, "US", struct.pack(f"{order}{len(numbers)}H", *numbers), syntax=syntax)


def fragments(*parts: bytes, table: bytes = b"") -> bytes:
    return sequence(
        PIXELS,
        *(delimiter(ITEM, len(part)) + part for part in (table, *parts)),
        vr="OB",
        undefined=True,
    )


def code(value: bytes, syntax: str = EXPLICIT) -> bytes:
    return element(CODE, "SH", value, syntax=syntax)


NAMED = element(NAME, "PN", b"Doe^Jane")

SAME = {
    "padding of text": (NAMED, element(NAME, "PN", b"Doe^Jane  ")),
    "padding of a UID": (element(UID, "UI", b"1.2\0"), element(UID, "UI", b"1.2 ")),
    "implicit": (NAMED, (element(NAME, "PN", b"Doe^Jane", syntax=IMPLICIT), IMPLICIT)),
    "big endian": (
        us(ROWS, 1, 258),
        (us(ROWS, 1, 258, syntax=BIG_ENDIAN), BIG_ENDIAN),
    ),
    "words of pixels": (
        element(PIXELS, "OW", b"\1\2\3\4"),
        (element(PIXELS, "OW", b"\2\1\4\3", syntax=BIG_ENDIAN), BIG_ENDIAN),
    ),
    "OB for OW": (element(PIXELS, "OW", b"\1\2"), element(PIXELS, "OB", b"\1\2")),
    "private, and as UN": (
        element(PRIVATE, "LO", b"A1"),
        element(PRIVATE, "UN", b"A1"),
    ),
    "private, and without VRs": (
        element(PRIVATE, "FD", struct.pack("<d", 1.5)),
        (element(PRIVATE, "FD", struct.pack("<d", 1.5), syntax=IMPLICIT), IMPLICIT),
    ),
    "a sequence, delimited and not": (
        sequence(SEQUENCE, item(code(b"T1"), undefined=True), item(), undefined=True),
        sequence(SEQUENCE, item(code(b"T1 \0"[:4])), item()),
    ),
    "a sequence as UN": (
        sequence(PRIVATE, item(code(b"T1")), vr="SQ"),
        sequence(PRIVATE, item(code(b"T1", IMPLICIT)), vr="UN", undefined=True),
    ),
    "group lengths and padding behind": (
        NAMED,
        element(0x00100000, "UL", b"\x10\0\0\0") + NAMED + element(0xFFFCFFFC, "OB", bytes(8)),
    ),
    "an offset table that one has not": (
        (fragments(b"ABCD", b"EF", table=bytes(8)), JPEG),
        (fragments(b"ABCD", b"EF"), JPEG),
    ),
    "nothing in both": (element(NAME, "PN"), element(NAME, "PN")),
    "empty sequences": (sequence(SEQUENCE), sequence(SEQUENCE, undefined=True)),
}


@pytest.mark.parametrize("case", SAME)
def test_what_is_only_encoded_otherwise_is_equal(case):
    one, other = SAME[case]
    assert compared(one, other).equal
    assert compared(other, one).equal


DIFFERENT = {
    "a value": (NAMED, element(NAME, "PN", b"Doe^John"), (DifferenceKind.VALUE, NAME)),
    "a blank before a text": (
        NAMED,
        element(NAME, "PN", b" Doe^Jane "),
        (DifferenceKind.VALUE, NAME),
    ),
    "a number as text": (
        element(SLICE, "DS", b"1.0 "),
        element(SLICE, "DS", b"1.00"),
        (DifferenceKind.VALUE, SLICE),
    ),
    "empty, not absent": (element(NAME, "PN"), b"", (DifferenceKind.ONLY_HELD, NAME)),
    "absent, not empty": (b"", element(NAME, "PN"), (DifferenceKind.ONLY_PEER, NAME)),
    "empty, not a value": (element(NAME, "PN"), NAMED, (DifferenceKind.VALUE, NAME)),
    "a VR": (
        element(PRIVATE, "LO", b"A1"),
        element(PRIVATE, "SH", b"A1"),
        (DifferenceKind.VR, PRIVATE),
    ),
    "a sign": (us(ROWS, 1), element(ROWS, "SS", b"\1\0"), (DifferenceKind.VR, ROWS)),
    "a private value": (
        element(PRIVATE, "UN", b"A1"),
        (element(PRIVATE, "LO", b"A2", syntax=IMPLICIT), IMPLICIT),
        (DifferenceKind.VALUE, PRIVATE),
    ),
    "a number in another byte order": (
        us(ROWS, 1),
        (us(ROWS, 256, syntax=BIG_ENDIAN), BIG_ENDIAN),
        (DifferenceKind.VALUE, ROWS),
    ),
    "bytes, padded": (
        element(PRIVATE, "OB", b"\1\2"),
        element(PRIVATE, "OB", b"\1\2\0\0"),
        (DifferenceKind.VALUE, PRIVATE),
    ),
    "a sequence's items": (
        sequence(SEQUENCE, item(code(b"T1"))),
        sequence(SEQUENCE, item(code(b"T1")), item(code(b"T1"))),
        (DifferenceKind.ITEMS, SEQUENCE),
    ),
    "a sequence, and no sequence": (
        sequence(PRIVATE, item(code(b"T1"))),
        element(PRIVATE, "OB", b"\1\2"),
        (DifferenceKind.VR, PRIVATE),
    ),
    "one byte of pixels": (
        element(PIXELS, "OW", bytes(3000)),
        element(PIXELS, "OW", bytes(2999) + b"\1"),
        (DifferenceKind.VALUE, PIXELS),
    ),
    "a fragment": (
        (fragments(b"ABCD", b"EF"), JPEG),
        (fragments(b"ABCD", b"EG"), JPEG),
        (DifferenceKind.VALUE, PIXELS),
    ),
    "a fragment more": (
        (fragments(b"ABCD"), JPEG),
        (fragments(b"ABCD", b"EG"), JPEG),
        (DifferenceKind.VALUE, PIXELS),
    ),
    "an offset table": (
        (fragments(b"ABCD", table=bytes(4)), JPEG),
        (fragments(b"ABCD", table=bytes(3) + b"\1"), JPEG),
        (DifferenceKind.VALUE, PIXELS),
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_differs_is_named(case):
    held, peer, expected = DIFFERENT[case]
    found = compared(held, peer)
    assert [(one.kind, one.tag) for one in found.differences] == [expected]
    assert not compared(peer, held).equal


def test_a_difference_in_an_item_says_where_and_its_values_only_when_they_are_asked_for():
    sides = [
        sequence(SEQUENCE, item(), item(sequence(0x0040A170, item(code(value), us(ROWS, number)))))
        for value, number in ((b"T1", 3), (b"T2", 4))
    ]
    first, second = compared(*sides, values=True).differences
    assert first.within == ((SEQUENCE, 2), (0x0040A170, 1))
    assert (
        first.name == "ReferencedImageSequence.PurposeOfReferenceCodeSequence.CodeValue (0008,0100)"
    )
    assert (first.held, first.peer, second.held, second.peer) == ("T1", "T2", "3", "4")
    (silent, _) = compared(*sides).differences
    assert (silent.held, silent.peer) == (None, None)
    assert compared(*sides, ignored=[CODE, ROWS]).equal
    (private,) = compared(element(PRIVATE, "LO", b"A1"), b"").differences
    assert (private.name, private.keyword) == ("(0011,1001)", "")


@pytest.mark.parametrize(
    ("held", "peer"),
    [
        ((fragments(b"ABCD"), JPEG), (fragments(b"ABCD"), JPEG_2000)),
        ((fragments(b"ABCD"), JPEG), element(PIXELS, "OW", b"ABCD")),
        ((fragments(b"ABCD", b"EF"), JPEG), (fragments(b"AB", b"CDEF"), JPEG)),
    ],
)
def test_pixel_data_that_is_compressed_otherwise_is_not_compared_and_never_called_equal(held, peer):
    for found in (compared(held, peer), compared(peer, held)):
        assert found.differences == ()
        assert found.uncompared[0].startswith("PixelData: ")
        assert not found.equal


def test_pixel_data_within_an_item_is_not_taken_for_equal_under_two_compressions():
    icon = sequence(0x00880200, item(fragments(b"ABCD")))
    assert compared((icon, JPEG), (icon, JPEG)).equal
    found = compared((icon, JPEG), (icon, JPEG_2000))
    assert found.uncompared == (
        "IconImageSequence.PixelData: the pixel data is compressed otherwise",
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (NAMED[:-1], "longer"),
        (NAMED + b"\0\0", "ends within"),
        (NAMED + NAMED, "twice"),
        (element(NAME, "12", b""), "no VR"),
        (sequence(SEQUENCE, item(code(b"T1"), undefined=True)[:-8]), "ends within"),
        (sequence(SEQUENCE, NAMED), "no item"),
        (element(SEQUENCE, "SQ", length=UNDEFINED), "ends within"),
    ],
)
def test_what_cannot_be_followed_to_its_end_is_an_error_and_not_equal(data, why):
    whole = sequence(SEQUENCE, item(code(b"T2"))) + NAMED
    for sides in ((data, whole), (whole, data)):
        with pytest.raises(Unreadable, match=why):
            compared(*sides)


def test_sequences_within_sequences_without_an_end_are_left():
    with pytest.raises(Unreadable, match="nested"):
        compared(b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 500, b"")


def test_what_is_beyond_the_most_differences_is_counted():
    many = b"".join(element(0x00111000 + n, "LO", b"A1") for n in range(MOST + 7))
    found = compared(many, b"")
    assert (len(found.differences), found.more) == (MOST, 7)


def test_a_large_value_is_compared_piece_by_piece(monkeypatch):
    monkeypatch.setattr("node.dicom.encoded_values._CHUNK", 8)
    monkeypatch.setattr("node.dicom.encoded_values._SHORT", 8)
    words = bytes(range(100))
    swapped = b"".join(words[n : n + 2][::-1] for n in range(0, 100, 2))
    little = element(WAVES, "OW", words)
    assert compared(little, (element(WAVES, "OW", swapped, syntax=BIG_ENDIAN), BIG_ENDIAN)).equal
    long = b"a text of many words"
    text = element(0x00204000, "LT", long)
    assert compared(text, element(0x00204000, "LT", long + b" ")).equal
    assert not compared(text, element(0x00204000, "LT", long + b"x")).equal
    assert not compared(text, element(0x00204000, "LT", b"A" + long[1:])).equal


def test_files_are_compared_behind_their_headers_and_what_is_deflated_is_inflated(tmp_path):
    content = element(0x0020000D, "UI", b"1.2\0") + NAMED
    deflating = zlib.compressobj(wbits=-15)
    deflated = deflating.compress(content) + deflating.flush()
    paths = {}
    for name, data in {
        "explicit": file(content),
        "deflated": file(deflated + b"\0" * (len(deflated) % 2), DEFLATED),
        "other": file(content[:-1] + b"x", EXPLICIT),
        "cut": file(deflated[:-4], DEFLATED),
        "garbled": file(b"\xff" * 40, DEFLATED),
    }.items():
        paths[name] = str(tmp_path / name)
        (tmp_path / name).write_bytes(data)
    assert compare_files(paths["explicit"], paths["deflated"]).equal
    assert transfer_syntax_of(paths["deflated"]) == DEFLATED
    assert study_uid_of(paths["deflated"]) == "1.2"
    (difference,) = compare_files(paths["deflated"], paths["other"]).differences
    assert difference.keyword == "PatientName"
    for broken in ("cut", "garbled"):
        with pytest.raises(Unreadable, match="deflated|inflated"):
            compare_files(paths["explicit"], paths[broken])
    assert len(list(tmp_path.iterdir())) == 5
