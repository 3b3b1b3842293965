"""What becomes of each kind of element, value and structure in a header."""

import json
import struct
import zlib
from base64 import b64encode
from io import SEEK_END, BytesIO, FileIO
from pathlib import Path
from typing import Any

import pytest

from schema.errors import InvalidDicom
from schema.header import encoding
from schema.header.dicomjson import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_INLINE,
    MAX_VALUE,
    Header,
    read_header,
)
from schema.header.header import MAX_META
from tests.support.encoded import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    delimiter,
    element,
    file,
    item,
    nested,
    sequence,
)

SOP_UID = element(0x00080018, "UI", b"1.2.3\0")
PIXELS = element(0x7FE00010, "OW", b"\0" * 64)
ENCODINGS = [EXPLICIT, IMPLICIT, BIG_ENDIAN]


def attribute(*elements: bytes, key: str, syntax: str = EXPLICIT) -> dict[str, Any]:
    """Return one attribute of a header, as a reader of its JSON sees it."""
    header = read_header(b"".join(elements), syntax)
    return json.loads(header.meta_json)[key]


@pytest.mark.parametrize(
    ("vr", "raw", "value"),
    [
        ("AE", b" NODE ", ["NODE"]),
        ("AE", b" A \\ B ", ["A", "B"]),
        ("AS", b"045Y", ["045Y"]),
        ("CS", b"ORIGINAL\\PRIMARY ", ["ORIGINAL", "PRIMARY"]),
        ("CS", b"A \\\\B", ["A", None, "B"]),
        ("DA", b"20200101", ["20200101"]),
        ("DA", b"not a date", ["not a date"]),
        ("DT", b"20200101120000.5+0100 ", ["20200101120000.5+0100"]),
        ("TM", b"120000 ", ["120000"]),
        ("UI", b"1.2.840\0", ["1.2.840"]),
        ("UI", b"not/a/../uid", ["not/a/../uid"]),
        ("LO", b"one\\two ", ["one", "two"]),
        ("SH", b" leading", [" leading"]),
        ("UC", b"one\\two ", ["one", "two"]),
        ("LT", b"C:\\temp\r\nend ", ["C:\\temp\r\nend"]),
        ("ST", b"a\\b ", ["a\\b"]),
        ("UT", b"a\\b ", ["a\\b"]),
        ("UR", b"http://host/a\\b ", ["http://host/a\\b"]),
        ("LO", b"in\0side ", ["in\ufffdside"]),
        ("DS", b" 1.5 \\-2e3\\+.5", [1.5, -2000.0, 0.5]),
        ("DS", b"1,5 ", ["1,5"]),
        ("DS", b"1\\x\\\\2 ", [1.0, "x", None, 2.0]),
        ("DS", b"NaN\\inf\\-Infinity", ["NaN", "inf", "-Infinity"]),
        ("DS", b"1e999 ", ["1e999"]),
        ("DS", b"1_000", ["1_000"]),
        ("DS", b"1\0\\2\0", [1.0, 2.0]),
        ("IS", b" 12 \\-3\\+4", [12, -3, 4]),
        ("IS", b"12.0", [12]),
        ("IS", b"12.5", ["12.5"]),
        ("IS", b"1A", ["1A"]),
        ("IS", b"1_0 ", ["1_0"]),
        ("IS", b"9223372036854775807 ", [2**63 - 1]),
        ("IS", b"9223372036854775808 ", ["9223372036854775808"]),
        ("IS", b"9" * 5000, ["9" * 5000]),
    ],
)
def test_text_and_number_strings_become_their_values(vr: str, raw: bytes, value: list[Any]) -> None:
    assert attribute(element(0x00091001, vr, raw), key="00091001") == {"vr": vr, "Value": value}


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize(
    ("vr", "code", "values"),
    [
        ("US", "H", [0, 65535]),
        ("SS", "h", [-32768, 32767]),
        ("UL", "L", [0, 2**32 - 1]),
        ("SL", "l", [-(2**31), 1]),
        ("UV", "Q", [0, 2**64 - 1]),
        ("SV", "q", [-(2**63), 2**63 - 1]),
        ("FL", "f", [0.5, -1.25]),
        ("FD", "d", [0.1, 1e300]),
        ("US", "H", [7]),
    ],
)
def test_binary_numbers_become_numbers(
    vr: str, code: str, values: list[float], syntax: str
) -> None:
    order = ">" if syntax == BIG_ENDIAN else "<"
    raw = struct.pack(f"{order}{len(values)}{code}", *values)
    data = element(0x00091001, vr, raw, syntax=syntax)
    expected = {"vr": vr, "Value": values}
    assert attribute(data, key="00091001", syntax=syntax) == expected


@pytest.mark.parametrize(("vr", "code"), [("FL", "f"), ("FD", "d")])
def test_numbers_that_json_does_not_have_become_their_names(vr: str, code: str) -> None:
    raw = struct.pack(f"<4{code}", float("nan"), float("inf"), float("-inf"), 1.5)
    result = attribute(element(0x00091001, vr, raw), key="00091001")
    assert result == {"vr": vr, "Value": ["NaN", "Infinity", "-Infinity", 1.5]}


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
def test_a_tag_as_a_value_is_eight_digits(syntax: str) -> None:
    order = ">" if syntax == BIG_ENDIAN else "<"
    data = element(
        0x00280009, "AT", struct.pack(f"{order}4H", 0x18, 0x1063, 0x54, 0xA), syntax=syntax
    )
    result = attribute(data, key="00280009", syntax=syntax)
    assert result == {"vr": "AT", "Value": ["00181063", "0054000A"]}


@pytest.mark.parametrize("vr", ["US", "FD", "AT", "SV"])
def test_a_number_of_a_wrong_length_stays_as_its_bytes(vr: str) -> None:
    result = attribute(element(0x00091001, vr, b"abc"), key="00091001")
    assert result == {"vr": "UN", "InlineBinary": "YWJj"}


TEXTS = ["CS", "DS", "IS", "PN", "LO", "UT", "UI", "DA", "UR", "AE"]


@pytest.mark.parametrize(
    ("vr", "raw"),
    [(vr, raw) for vr in TEXTS for raw in (b"", b"  ", b"\0\0")]
    + [("PN", b"= "), ("PN", b"=" * 1000)]
    + [(vr, b"") for vr in ("US", "SQ", "OB", "AT", "FD", "UN")],
)
def test_what_is_empty_has_no_value(vr: str, raw: bytes) -> None:
    assert attribute(element(0x00091001, vr, raw), key="00091001") == {"vr": vr}


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"Doe^John ", [{"Alphabetic": "Doe^John"}]),
        (b"A=B=C", [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C"}]),
        (b"==C ", [{"Phonetic": "C"}]),
        (b"A=B=C=D ", [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C=D"}]),
        (b"A=B=C== ", [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C"}]),
        (b"A^B ==", [{"Alphabetic": "A^B"}]),
        (b"=B= ", [{"Ideographic": "B"}]),
        (b"==\\A=", [None, {"Alphabetic": "A"}]),
        (b"A\\\\B", [{"Alphabetic": "A"}, None, {"Alphabetic": "B"}]),
        (b"A^\0B", [{"Alphabetic": "A^\ufffdB"}]),
    ],
)
def test_a_person_name_has_its_groups(raw: bytes, value: list[Any]) -> None:
    result = attribute(element(0x00100010, "PN", raw), key="00100010")
    assert result == {"vr": "PN", "Value": value}


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_keep_every_item(syntax: str, undefined: bool) -> None:
    one = item(
        element(0x00080100, "SH", b"ONE ", syntax=syntax), syntax=syntax, undefined=undefined
    )
    none = item(syntax=syntax, undefined=undefined)
    data = sequence(0x00081140, one, none, syntax=syntax, undefined=undefined)
    after = element(0x00100020, "LO", b"ID", syntax=syntax)
    header = read_header(data + after, syntax)
    assert header.attributes["00081140"] == {
        "vr": "SQ",
        "Value": [{"00080100": {"vr": "SH", "Value": ["ONE"]}}, {}],
    }
    assert header.text("PatientID") == "ID"


@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_may_be_nested_as_deep_as_the_limit_and_no_deeper(undefined: bool) -> None:
    header = read_header(nested(MAX_DEPTH, undefined=undefined), EXPLICIT)
    depth, attributes = 0, json.loads(header.meta_json)
    while "00081140" in attributes:
        depth, attributes = depth + 1, attributes["00081140"]["Value"][0]
    assert depth == MAX_DEPTH
    assert attributes["00080100"]["Value"] == ["CODE"]
    for too_deep in (MAX_DEPTH + 1, 5_000):
        with pytest.raises(InvalidDicom, match="nested deeper than 64 at offset"):
            read_header(nested(too_deep, undefined=True), EXPLICIT)


def test_a_header_of_more_elements_and_items_than_the_limit_is_refused() -> None:
    items = delimiter(ITEM, 0) * MAX_ELEMENTS  # with the sequence, one more than there may be
    why = f"more than 2,000,000 elements and items: stopped at offset {12 + 8 * (MAX_ELEMENTS - 1)}"
    with pytest.raises(InvalidDicom, match=why):
        read_header(sequence(0x00081140, items), EXPLICIT)


@pytest.mark.parametrize(
    ("one", "weight"),
    [
        (SOP_UID, 1),
        (sequence(0x00081140), 1),
        (sequence(0x00081140, item() * 4), 5),
        (sequence(0x00081140, item(SOP_UID), undefined=True), 3),
        (element(0x00081140, "UN", item(element(0x00080018, "UI", b"1.2.", syntax=IMPLICIT))), 3),
    ],
)
def test_elements_and_items_count_at_every_level(
    monkeypatch: pytest.MonkeyPatch, one: bytes, weight: int
) -> None:
    monkeypatch.setattr("schema.header.elements.MAX_ELEMENTS", 20 * weight)
    assert read_header(one * 20, EXPLICIT).attributes
    with pytest.raises(InvalidDicom, match=f"more than {20 * weight} elements and items"):
        read_header(one * 20 + SOP_UID, EXPLICIT)
    with pytest.raises(InvalidDicom, match="elements and items"):
        read_header(SOP_UID + one * 20, EXPLICIT)  # within the last sequence, where it is one


def test_stray_delimiters_and_wrong_item_encodings_are_forgiven() -> None:
    first = item(element(0x00080100, "SH", b"ONE ")) + delimiter(ITEM_END)
    second = item(element(0x00080100, "SH", b"TWO ", syntax=IMPLICIT))
    data = sequence(0x00081140, first, second, delimiter(SEQUENCE_END))
    items = attribute(data, key="00081140")["Value"]
    assert [entry["00080100"]["Value"] for entry in items] == [["ONE"], ["TWO"]]


def test_a_vr_that_does_not_exist_is_kept_as_bytes() -> None:
    wide = struct.pack("<HH2sHL", 0x0009, 0x1001, b"ZZ", 0, 4) + b"abcd"
    short = struct.pack("<HH2sH", 0x0009, 0x1002, b"ZY", 4) + b"abcd"
    header = read_header(wide + short + SOP_UID, EXPLICIT)
    expected = {"vr": "UN", "InlineBinary": b64encode(b"abcd").decode()}
    assert header.attributes["00091001"] == expected
    assert header.attributes["00091002"] == expected
    assert header.sop_instance_uid == "1.2.3"


def test_a_long_value_of_an_unknown_vr_is_found_in_a_file_as_in_memory() -> None:
    long = struct.pack("<HH2sHL", 0x0009, 0x1001, b"ZZ", 0, 400_000) + b"\1" * 400_000
    empty = struct.pack("<HH2sH", 0x0009, 0x1002, b"ZZ", 0)
    header = read_header(BytesIO(long + empty + SOP_UID), EXPLICIT)
    assert list(header.attributes) == ["00080018", "00091001", "00091002"]
    assert header.attributes["00091002"] == {"vr": "UN"}


def test_a_private_creator_that_is_no_text_creates_nothing() -> None:
    creator = sequence(0x00090010, item(SOP_UID))
    header = read_header(creator + element(0x00091001, "UN", b"\1\2"), EXPLICIT)
    assert header.attributes["00091001"] == {"vr": "UN", "InlineBinary": "AQI="}


@pytest.mark.parametrize(
    ("tag", "signed", "expected"),
    [
        (0x00280106, 0, {"vr": "US", "Value": [65535]}),
        (0x00280106, 1, {"vr": "SS", "Value": [-1]}),
        (0x00283006, 0, {"vr": "OW", "InlineBinary": "//8="}),
    ],
)
def test_implicit_vr_takes_the_vr_from_the_dictionary_and_the_pixels(
    tag: int, signed: int, expected: dict[str, Any]
) -> None:
    representation = element(0x00280103, "US", struct.pack("<H", signed), syntax=IMPLICIT)
    data = representation + element(tag, "", b"\xff\xff", syntax=IMPLICIT)
    assert attribute(data, key=f"{tag:08X}", syntax=IMPLICIT) == expected


def test_items_inherit_whether_pixels_are_signed() -> None:
    representation = element(0x00280103, "US", b"\1\0", syntax=IMPLICIT)
    value = element(0x00409211, "", b"\xff\xff", syntax=IMPLICIT)
    mapping = sequence(0x00409096, item(value, syntax=IMPLICIT), syntax=IMPLICIT)
    result = attribute(representation, mapping, key="00409096", syntax=IMPLICIT)
    assert result["Value"][0]["00409211"] == {"vr": "SS", "Value": [-1]}


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_private_elements_are_known_by_their_creator(syntax: str) -> None:
    creator = element(0x00190010, "LO", b"GEMS_ACQU_01", syntax=syntax)
    known = element(0x00191002, "UN", struct.pack("<L", 912)[:4], syntax=syntax)
    other = element(0x00191101, "UN", b"\1\2\3\4", syntax=syntax)
    header = read_header(creator + known + other, syntax)
    assert header.attributes["00190010"] == {"vr": "LO", "Value": ["GEMS_ACQU_01"]}
    assert header.attributes["00191002"] == {"vr": "SL", "Value": [912]}
    assert header.attributes["00191101"] == {"vr": "UN", "InlineBinary": "AQIDBA=="}


def test_un_is_read_as_what_the_dictionary_knows() -> None:
    name = element(0x00100010, "UN", b"Doe^John")
    empty = element(0x00080050, "UN")
    inner = item(element(0x00080100, "SH", b"ONE ", syntax=IMPLICIT))
    defined = sequence(0x00081140, inner, vr="UN")
    undefined = sequence(0x00091001, inner, vr="UN", undefined=True)
    header = read_header(empty + defined + undefined + name, EXPLICIT)
    assert header.attributes["00100010"]["Value"] == [{"Alphabetic": "Doe^John"}]
    assert header.attributes["00080050"] == {"vr": "SH"}
    expected = {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["ONE"]}}]}
    assert header.attributes["00081140"] == expected
    assert header.attributes["00091001"] == expected


def test_un_is_little_endian_even_in_big_endian() -> None:
    inner = item(element(0x00280010, "US", b"\x01\x02", syntax=IMPLICIT))
    value = inner + delimiter(SEQUENCE_END)
    data = element(0x00091001, "UN", value, syntax=BIG_ENDIAN, length=UNDEFINED)
    rows = element(0x00280010, "UN", b"\x01\x02", syntax=BIG_ENDIAN)
    header = read_header(data + rows, BIG_ENDIAN)
    assert header.attributes["00091001"]["Value"][0]["00280010"]["Value"] == [0x0201]
    assert header.attributes["00280010"]["Value"] == [0x0201]


def test_un_that_does_not_fit_the_dictionary_stays_bytes() -> None:
    header = read_header(
        element(0x00081140, "UN", b"no items") + element(0x00280010, "UN", b"abc"), EXPLICIT
    )
    assert header.attributes["00081140"] == {"vr": "UN", "InlineBinary": "bm8gaXRlbXM="}
    assert header.attributes["00280010"] == {"vr": "UN", "InlineBinary": "YWJj"}


def test_short_binary_values_stay_and_long_ones_go() -> None:
    short = element(0x00091001, "OB", b"\1" * MAX_INLINE)
    long = element(0x00091002, "OB", b"\1" * (MAX_INLINE + 2))
    unknown = element(0x00091003, "UN", b"\1" * (MAX_INLINE + 2))
    header = read_header(short + long + unknown, EXPLICIT)
    assert header.attributes["00091001"]["InlineBinary"] == b64encode(b"\1" * MAX_INLINE).decode()
    assert header.attributes["00091002"] == {"vr": "OB"}
    assert header.attributes["00091003"] == {"vr": "UN"}


@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00420011, "OB"), (0x60003000, "OW"), (0x50003000, "OW"), (0x54001010, "OW")]
)
def test_documents_overlays_curves_and_waveforms_go_however_short(tag: int, vr: str) -> None:
    assert attribute(element(tag, vr, b"%PDF"), key=f"{tag:08X}") == {"vr": vr}


def test_binary_words_are_little_endian_in_json() -> None:
    data = element(0x00091001, "OW", b"\1\2\3\4", syntax=BIG_ENDIAN)
    data += element(0x00091002, "OL", b"\1\2\3\4", syntax=BIG_ENDIAN)
    header = read_header(data, BIG_ENDIAN)
    assert header.attributes["00091001"]["InlineBinary"] == b64encode(b"\2\1\4\3").decode()
    assert header.attributes["00091002"]["InlineBinary"] == b64encode(b"\4\3\2\1").decode()


@pytest.mark.parametrize("vr", ["UT", "UC", "UV"])
def test_absurdly_long_values_go_like_bulk_data(vr: str) -> None:
    data = element(0x00091001, vr, b"1" * (MAX_VALUE + 8)) + SOP_UID
    header = read_header(data, EXPLICIT)
    assert header.attributes["00091001"] == {"vr": vr}
    assert header.sop_instance_uid == "1.2.3"


def test_a_header_that_is_too_long_as_a_whole_loses_its_longest_values() -> None:
    blocks = [element(0x00091000 + n, "UT", b"\x01" * MAX_VALUE) for n in range(12)]
    header = read_header(SOP_UID + b"".join(blocks), EXPLICIT)
    assert len(header.meta_json) <= MAX_META
    assert header.sop_instance_uid == "1.2.3"
    kept = sum("Value" in header.attributes[f"{0x00091000 + n:08X}"] for n in range(12))
    assert 0 < kept < 12


def test_group_lengths_and_what_belongs_to_files_and_messages_is_left_out() -> None:
    data = b"".join(
        (
            element(0x00080000, "UL", struct.pack("<L", 14)),
            SOP_UID,
            element(0x00020010, "UI", b"1.2\0"),
            element(0x00000002, "UI", b"1.2\0"),
        )
    )
    assert list(read_header(data, EXPLICIT).attributes) == ["00080018"]


def test_attributes_are_in_the_order_of_their_tags_and_the_last_of_two_counts() -> None:
    data = b"".join(
        element(tag, "LO", value)
        for tag, value in [(0x00100020, b"B "), (0x00080080, b"A "), (0x00100020, b"C ")]
    )
    header = read_header(data, EXPLICIT)
    assert list(json.loads(header.meta_json)) == ["00080080", "00100020"]
    assert header.text("PatientID") == "C"


def pixel_data(kind: str) -> bytes:
    fragments = delimiter(ITEM, 0) + delimiter(ITEM, 8) + b"\1" * 8 + delimiter(SEQUENCE_END)
    return {
        "native": element(0x7FE00010, "OW", b"\1" * 64),
        "float": element(0x7FE00008, "OF", b"\1" * 64),
        "double": element(0x7FE00009, "OD", b"\1" * 64),
        "encapsulated": element(0x7FE00010, "OB", fragments, length=UNDEFINED),
    }[kind]


@pytest.mark.parametrize("kind", ["native", "float", "double", "encapsulated"])
def test_pixel_data_and_what_follows_is_no_part_of_the_header(kind: str) -> None:
    data = SOP_UID + pixel_data(kind) + element(0xFFFCFFFC, "OB", b"\0\0")
    assert list(read_header(data, EXPLICIT).attributes) == ["00080018"]


@pytest.mark.parametrize("kind", ["native", "float", "double", "encapsulated"])
def test_pixel_data_that_is_cut_short_is_noticed(kind: str, tmp_path: Path) -> None:
    data = SOP_UID + pixel_data(kind)
    path = tmp_path / "image"
    for cut in range(len(SOP_UID) + 1, len(data)):
        with pytest.raises(InvalidDicom, match="at offset"):
            read_header(data[:cut], EXPLICIT)
        path.write_bytes(data[:cut])
        with path.open("rb") as image, pytest.raises(InvalidDicom):
            read_header(image, EXPLICIT)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no data"),
        (
            element(0x00100010, "PN", b"Doe", length=4096),
            r"\(0010,0010\) at offset 8: 4096 .* 3 left",
        ),
        (element(0x00091001, "OB", b"12", length=2**31), r"\(0009,1001\) at offset 12"),
        (SOP_UID + b"\x10\0\x20\0LO", "an element at offset 14: 8 bytes expected, 6 left"),
        (sequence(0x00081140, delimiter(ITEM, 99)), r"\(FFFE,E000\) at offset 12: 99 bytes"),
        (sequence(0x00081140, SOP_UID), r"\(0008,0018\) at offset 12: an item was expected"),
        (sequence(0x00081140, b"\xfe\xff"), "the delimiter of a sequence at offset 12"),
        (nested(1)[:-8], "the delimiter of a sequence at offset"),
        (nested(1)[:-16], "the delimiter of an item at offset"),
        (delimiter(SEQUENCE_END), r"\(FFFE,E0DD\) at offset 0: not in a sequence"),
        (element(0x00091001, "UT", b"x" * 16, length=UNDEFINED), "undefined length with VR UT"),
        (
            element(0x00091001, "OB", SOP_UID, length=UNDEFINED) + SOP_UID,
            r"\(0008,0018\) at offset 12: no fragment",
        ),
    ],
)
def test_broken_structure_is_refused_with_tag_and_offset(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidDicom, match=reason):
        read_header(data, EXPLICIT)


def test_padding_behind_the_dataset_is_forgiven() -> None:
    for padding in (b"\0", b"\0" * 7, b"\0" * 8, b"\0" * 1000):
        assert read_header(SOP_UID + padding, EXPLICIT).sop_instance_uid == "1.2.3"


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize("wrapped", [True, False])
def test_the_encoding_is_found_with_or_without_file_meta(syntax: str, wrapped: bool) -> None:
    dataset = element(0x00080018, "UI", b"1.2.3\0", syntax=syntax) + element(
        0x00100010, "PN", b"Doe^John", syntax=syntax
    )
    header = read_header(file(dataset, syntax) if wrapped else dataset)
    assert header.sop_instance_uid == "1.2.3"
    assert header.text("PatientName") == "Doe^John"
    assert header.transfer_syntax_uid == (syntax if wrapped else None)


def test_file_meta_without_a_preamble_is_read() -> None:
    header = read_header(file(SOP_UID)[132:])
    assert (header.sop_instance_uid, header.transfer_syntax_uid) == ("1.2.3", EXPLICIT)


@pytest.mark.parametrize(("declared", "real"), [(IMPLICIT, EXPLICIT), (EXPLICIT, IMPLICIT)])
def test_a_dataset_in_the_other_encoding_than_declared_is_read(declared: str, real: str) -> None:
    data = element(0x00080018, "UI", b"1.2.3\0", syntax=real)
    data += element(0x00280010, "US", b"\2\0", syntax=real)
    header = read_header(data, declared)
    assert header.sop_instance_uid == "1.2.3"
    assert header.attributes["00280010"] == {"vr": "US", "Value": [2]}


def deflated(dataset: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(dataset) + packer.flush()


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_deflated_dataset_is_inflated(wrapped: bool) -> None:
    data = deflated(SOP_UID + PIXELS)
    header = read_header(file(data, DEFLATED)) if wrapped else read_header(data, DEFLATED)
    assert (header.sop_instance_uid, header.transfer_syntax_uid) == ("1.2.3", DEFLATED)


def test_a_deflated_header_of_any_size_is_inflated_no_further_than_the_limit() -> None:
    bomb = deflated(SOP_UID + element(0x00091001, "OB", b"\0" * (80 << 20)))
    assert len(bomb) < 1 << 20
    with pytest.raises(InvalidDicom, match="longer than 67108864 bytes"):
        read_header(bomb, DEFLATED)
    pixels = deflated(SOP_UID + element(0x7FE00010, "OB", b"\0" * (80 << 20)))
    assert read_header(pixels, DEFLATED).sop_instance_uid == "1.2.3"


@pytest.mark.parametrize("data", [deflated(SOP_UID * 1000)[:-4], b"\xff" * 100])
def test_a_broken_deflated_stream_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDicom, match="deflated"):
        read_header(data, DEFLATED)


def test_bytes_views_and_files_give_the_same_header(tmp_path: Path) -> None:
    filler = element(0x00091001, "OB", b"\1" * 300_000)  # past the first bytes read of a file
    data = file(SOP_UID + filler + element(0x00100020, "LO", b"ID") + PIXELS)
    path = tmp_path / "image"
    path.write_bytes(b"other" + data)
    with path.open("rb") as image:
        image.seek(5)
        from_file = read_header(image)
    expected = read_header(data)
    assert expected.text("PatientID") == "ID"
    for other in (
        from_file,
        read_header(memoryview(data)),
        read_header(bytearray(data)),
        read_header(BytesIO(data)),
    ):
        assert other == expected


class CountingFile(FileIO):
    """A file that knows how many bytes were read from it."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


def test_huge_pixel_data_is_neither_read_nor_copied(tmp_path: Path) -> None:
    path = tmp_path / "image"
    size = 3 << 30
    with path.open("wb") as image:
        image.write(SOP_UID + element(0x7FE00010, "OW", b"", length=size))
        image.truncate(image.tell() + size)
    with CountingFile(path) as image:
        assert read_header(image, EXPLICIT).sop_instance_uid == "1.2.3"
        assert 0 < image.bytes_read <= 1 << 20


def test_what_follows_a_huge_document_is_found_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "document"
    size = 1 << 30
    with path.open("wb") as document:
        document.write(b"other" + SOP_UID + element(0x00420011, "OB", b"", length=size))
        document.truncate(document.tell() + size)
        document.seek(0, SEEK_END)
        document.write(element(0x00420012, "LO", b"application/pdf "))
    with CountingFile(path) as image:
        image.seek(5)
        header = read_header(image, EXPLICIT)
        assert image.bytes_read <= 8 << 20
    assert header.attributes["00420011"] == {"vr": "OB"}
    assert header.text("MIMETypeOfEncapsulatedDocument") == "application/pdf"


def test_an_unreadable_transfer_syntax_can_be_stored() -> None:
    assert read_header(file(SOP_UID, "1.2\0\0.3")).transfer_syntax_uid == "1.2\ufffd\ufffd.3"


def test_text_is_the_first_value_in_readable_form() -> None:
    header = read_header(
        b"".join(
            (
                element(0x00080008, "CS", b"\\PRIMARY"),
                element(0x00080060, "CS"),
                sequence(0x00081140, item(SOP_UID)),
                element(0x00100010, "PN", b"A^B==C"),
                element(0x00180050, "DS", b"5.0\\2.5 "),
                element(0x00200013, "IS", b"7 "),
                element(0x00280009, "AT", b"\x18\0\x63\x10"),
            )
        ),
        EXPLICIT,
    )
    assert header.text("ImageType") == "PRIMARY"
    assert header.texts("ImageType") == ["PRIMARY"]
    assert header.text("Modality") is None
    assert header.text("StudyDate") is None
    assert header.text("ReferencedImageSequence") is None
    assert header.text("PatientName") == "A^B==C"
    assert header.texts("SliceThickness") == ["5", "2.5"]
    assert header.text("InstanceNumber") == "7"
    assert header.text("FrameIncrementPointer") == "00181063"
    with pytest.raises(KeyError):
        header.text("NoSuchKeyword")


def test_a_header_knows_what_it_is() -> None:
    header = read_header(
        element(0x00080016, "UI", b"1.2\0")
        + SOP_UID
        + element(0x0020000D, "UI", b"1.4\0")
        + element(0x0020000E, "UI", b"1.5\0"),
        EXPLICIT,
    )
    assert isinstance(header, Header)
    assert header.sop_class_uid == "1.2"
    assert header.study_instance_uid == "1.4"
    assert header.series_instance_uid == "1.5"


@pytest.mark.parametrize("undefined", [False, True])
def test_a_header_is_the_same_however_little_of_it_is_read_first(monkeypatch, undefined):
    code = element(0x00080100, "SH", b"CODE")
    items = [item(code, nested(2, undefined=undefined), undefined=undefined) for _ in range(3)]
    listed = sequence(0x00081140, *items, undefined=not undefined)
    data = file(element(0x00080018, "UI", b"1.2") + listed + element(0x00100020, "LO", b"P" * 64))
    whole = encoding.read_encoded(BytesIO(data), None)
    for size in range(1, len(data)):
        monkeypatch.setattr(encoding, "_FIRST_WINDOW", size)
        assert encoding.read_encoded(BytesIO(data), None) == whole, size
