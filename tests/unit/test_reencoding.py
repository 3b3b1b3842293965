"""Datasets in another encoding: every value keeps its bytes (PS3.5 6.2, 7.3)."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data.data_manager import DATA_ROOT

from node.dicom.converting import ConversionError, converted
from tests.support.encoded import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    delimiter,
    element,
    file,
    item,
    nested,
    sequence,
)
from tests.support.images import dataset_bytes

TEXT = {
    0x00080005: "CS",
    0x00080020: "DA",
    0x00080030: "TM",
    0x00080050: "SH",
    0x00080054: "AE",
    0x00080119: "UC",
    0x00080120: "UR",
    0x0008002A: "DT",
    0x00081030: "LO",
    0x00100010: "PN",
    0x00101010: "AS",
    0x00101030: "DS",
    0x00104000: "LT",
    0x00200010: "SH",
    0x00200013: "IS",
    0x00400310: "ST",
    0x0040A160: "UT",
    0x00080018: "UI",
}
NUMBERS = {
    0x00081163: "FD",
    0x00186018: "UL",
    0x00186020: "SL",
    0x00189219: "SS",
    0x00280009: "AT",
    0x00280010: "US",
    0x00660016: "OF",
    0x00660022: "OD",
    0x00660040: "OL",
    0x00700022: "FL",
    0x00720082: "SV",
    0x00720083: "UV",
    0x60003000: "OW",
    0x7FE00001: "OV",
}
WIDTHS = {"AT": 2, "US": 2, "SS": 2, "OW": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4}
WIDTHS |= {"FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8}
KNOWN = TEXT | NUMBERS
PRIVATE = ["LO", "PN", "LT", "UN", "OB", "OW", "US", "FD", "UT", "UI", "DS"]
ODD_TEXT = [
    b"M\xfcller^J\xf6rg ",
    b"M\xc3\xbcller^J\xc3\xb6rg",
    b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=",
    b"\x1b$)C\xb1\xe8^\x1b$)C\xc8\xf1",
    b"\xe4\x1b$B;3\x1b(B ends\r\n",
    b"  lead and trail  \0",
    b"\\\\ a \\",
    b"\x1b",
    b"\xff\xfe\xfd",
]
CHARSETS = [b"ISO_IR 192", b"ISO_IR 100", b"\\ISO 2022 IR 87", b"ISO 2022 IR 149", b"NOT ONE ", b""]


def padded(raw):
    return raw + b" " * (len(raw) % 2)


texts = st.one_of(st.sampled_from(ODD_TEXT), st.binary(max_size=20)).map(padded)


@st.composite
def levels(draw, *, depth=0):
    """Draw the elements of a dataset: tag, VR, and a little endian value or items."""
    made = {}
    for tag in draw(st.sets(st.sampled_from(sorted(KNOWN)), max_size=8)):
        vr = KNOWN[tag]
        width = WIDTHS.get(vr, 1)
        raw = draw(st.binary(max_size=4 * width)) if width > 1 else draw(texts)
        made[tag] = (vr, raw[: len(raw) // width * width])
    if 0x00080005 in made:
        made[0x00080005] = ("CS", padded(draw(st.sampled_from(CHARSETS))))
    if draw(st.booleans()):
        made[0x00090010] = ("LO", b"NOBODY KNOWS IT ")
        for number in range(draw(st.integers(0, 3))):
            vr = draw(st.sampled_from(PRIVATE))
            raw = draw(st.binary(max_size=3)) * 8
            made[0x00091001 + number] = (vr, raw)
    if depth < 2 and draw(st.booleans()):
        items = draw(st.lists(levels(depth=depth + 1), max_size=2))
        undefined = draw(st.booleans())
        made[0x00081140] = ("SQ", (undefined, items))
    return dict(sorted(made.items()))


def swapped(vr, raw):
    width = WIDTHS.get(vr, 1)
    return b"".join(raw[at : at + width][::-1] for at in range(0, len(raw), width))


def encoded(level, syntax, *, forgotten=False):
    """Encode a level; `forgotten` are the VRs of private elements, as after Implicit VR."""
    parts = []
    for tag, (vr, value) in level.items():
        if vr == "SQ":
            undefined, items = value
            inner = [
                item(encoded(one, syntax, forgotten=forgotten), syntax=syntax, undefined=undefined)
                for one in items
            ]
            parts.append(sequence(tag, *inner, syntax=syntax, undefined=undefined))
            continue
        lost = forgotten and tag >> 16 & 1 and tag & 0xFFFF > 0xFF
        raw = swapped(vr, value) if syntax == BIG_ENDIAN else value
        parts.append(element(tag, "UN" if lost else vr, raw, syntax=syntax))
    return b"".join(parts)


@pytest.mark.parametrize("target", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("source", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@given(level=levels())
def test_every_value_keeps_its_bytes_from_each_encoding_to_each(source, target, level):
    before = encoded(level, source)
    after = encoded(level, target, forgotten=source == IMPLICIT)
    assert converted(before, source, [target]) == (target, after)


def files_of_pydicom():
    folder = Path(DATA_ROOT)
    paths = [*folder.glob("charset_files/*.dcm"), *folder.glob("test_files/*.dcm")]
    for path in sorted(paths):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                meta = pydicom.filereader.read_file_meta_info(path)
            except Exception:  # noqa: BLE001 -- some of them are broken on purpose
                continue
        if meta.get("TransferSyntaxUID") in {EXPLICIT, IMPLICIT}:
            yield path, str(meta.TransferSyntaxUID)


def test_files_come_back_as_they_were_after_two_conversions():
    """There and back: Explicit VR has the standard's VRs again, and every byte of the values."""
    seen = 0
    for path, syntax in files_of_pydicom():
        if path.name == "nested_priv_SQ.dcm":
            continue  # values of odd lengths: which byte they are padded with depends on their VR
        dataset = dataset_bytes(path)
        other = IMPLICIT if syntax == EXPLICIT else EXPLICIT
        try:
            _, there = converted(dataset, syntax, [other])
        except ConversionError:
            continue
        _, back = converted(there, other, [syntax])
        _, plain = converted(dataset, syntax, [syntax])
        seen += 1
        assert values(plain, syntax) == values(dataset, syntax), path
        assert values(there, other) == values(dataset, syntax), path
        assert values(back, syntax) == values(dataset, syntax), path
    assert seen > 30


def values(dataset, syntax):
    """Return every value in bytes, by the way to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(_leaves(pydicom.dcmread(io.BytesIO(file(dataset, syntax)))))


def _leaves(dataset, way=()):
    for tag in dataset.keys():  # noqa: SIM118 -- the items would be decoded
        if tag.element == 0 or tag == 0x00080001:
            continue
        raw = dataset.get_item(tag)
        known = pydicom.datadict.dictionary_has_tag(tag) and pydicom.datadict.dictionary_VR(tag)
        if raw.VR == "SQ" or known == "SQ":
            for number, inner in enumerate(dataset[tag].value):
                yield from _leaves(inner, (*way, int(tag), number))
        else:
            value = raw.value or b""
            text = value if isinstance(value, bytes) else repr(value).encode()
            yield (*way, int(tag)), text + b" " * (len(text) % 2)


def test_a_name_that_its_character_set_does_not_have_goes_out_as_it_came():
    name = b"M\xfcller^J\xf6rg "
    dataset = element(0x00080005, "CS", b"ISO_IR 192") + element(0x00100010, "PN", name)
    assert name in converted(dataset, EXPLICIT, [IMPLICIT])[1]


def test_odd_lengths_become_even_and_lengths_of_groups_go():
    before = (
        element(0x00080000, "UL", struct.pack("<L", 99))
        + element(0x00080001, "UL", struct.pack("<L", 99))
        + element(0x00080018, "UI", b"1.2")
        + element(0x00080050, "SH", b"abc")
        + element(0x00091001, "OB", b"\1")
    )
    after = (
        element(0x00080018, "UI", b"1.2\0", syntax=IMPLICIT)
        + element(0x00080050, "SH", b"abc ", syntax=IMPLICIT)
        + element(0x00091001, "OB", b"\1\0", syntax=IMPLICIT)
    )
    assert converted(before, EXPLICIT, [IMPLICIT])[1] == after


def test_a_private_attribute_has_the_vr_that_is_known_of_its_creator():
    creator = element(0x00190010, "LO", b"GEMS_ACQU_01", syntax=IMPLICIT)
    before = creator + element(0x00191002, "SL", b"\1\0\0\0", syntax=IMPLICIT)
    after = element(0x00190010, "LO", b"GEMS_ACQU_01") + element(0x00191002, "SL", b"\1\0\0\0")
    assert converted(before, IMPLICIT, [EXPLICIT])[1] == after


def test_what_does_not_fit_its_vr_is_unknown():
    before = element(0x00280010, "US", b"abcd ", syntax=IMPLICIT)
    assert converted(before, IMPLICIT, [EXPLICIT])[1] == element(0x00280010, "UN", b"abcd \0")
    long = b"x" * 70_000  # more than the length of an LO can be
    before = element(0x00081030, "LO", long, syntax=IMPLICIT)
    assert converted(before, IMPLICIT, [EXPLICIT])[1] == element(0x00081030, "UN", long)


@pytest.mark.parametrize(("representation", "vr"), [(0, "US"), (1, "SS")])
def test_a_vr_that_the_pixels_decide_is_theirs_in_sequences_too(representation, vr):
    def made(vr, syntax):
        number = struct.pack("<H", 7)
        inner = item(element(0x00283002, vr, number * 3, syntax=syntax), syntax=syntax)
        return (
            element(0x00189810, vr, number, syntax=syntax)
            + element(0x00280103, "US", struct.pack("<H", representation), syntax=syntax)
            + sequence(0x00283010, inner, syntax=syntax)
        )

    assert converted(made(vr, IMPLICIT), IMPLICIT, [EXPLICIT])[1] == made(vr, EXPLICIT)


def test_an_unknown_value_is_not_touched():
    content = delimiter(0xFFFEE000, 8) + element(0x00080050, "SH", b"", syntax=IMPLICIT)
    content += delimiter(0xFFFEE0DD)
    for source in (EXPLICIT, BIG_ENDIAN):
        for target in (EXPLICIT, IMPLICIT):
            made = [
                element(0x00091001, "UN", content, syntax=syntax, length=UNDEFINED)
                + element(0x00091002, "UN", b"\1\2\3\4", syntax=syntax)
                for syntax in (source, target)
            ]
            assert converted(made[0], source, [target])[1] == made[1]


def test_an_item_without_vrs_among_elements_that_have_them_is_read():
    inner = item(element(0x00080050, "SH", b"ab", syntax=IMPLICIT))
    proper = item(element(0x00080050, "SH", b"ab"))
    _, data = converted(sequence(0x00081140, inner), EXPLICIT, [EXPLICIT])
    assert data == sequence(0x00081140, proper)


@pytest.mark.parametrize(
    ("dataset", "syntax", "why"),
    [
        (element(0x00080050, "SH", b"ab")[:-1], EXPLICIT, "longer than what it is in"),
        (element(0x00080050, "SH", b"ab", syntax=IMPLICIT), EXPLICIT, "at byte 0 has no VR"),
        (
            element(0x00280010, "US", b"abc", syntax=BIG_ENDIAN),
            BIG_ENDIAN,
            "3 bytes, where each US",
        ),
        (nested(80), EXPLICIT, "more than 64 times"),
        (sequence(0x00081140, b"\0" * 8), EXPLICIT, "no item"),
        (delimiter(0xFFFEE0DD, syntax=IMPLICIT), IMPLICIT, "a delimiter in place"),
        (zlib.compress(nested(3), wbits=-15)[:-1], DEFLATED, "ends too early"),
        (b"", "1.2.840.113619.5.2", "UID"),
    ],
)
def test_what_makes_no_sense_is_not_converted_and_said_why(dataset, syntax, why):
    with pytest.raises(ConversionError, match=why):
        converted(dataset, syntax, [IMPLICIT])


def test_a_compressed_icon_is_not_converted():
    fragment = delimiter(0xFFFEE000) + delimiter(0xFFFEE0DD)
    icon = element(0x7FE00010, "OB", fragment, length=UNDEFINED)
    with pytest.raises(ConversionError, match=r"\(7FE0,0010\) within a sequence is compressed"):
        converted(sequence(0x00880200, item(icon)), EXPLICIT, [IMPLICIT])
