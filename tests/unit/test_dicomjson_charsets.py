"""Text in every character set of DICOM, declared well, badly, wrongly or not at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding

from schema.header.charset import charset_of
from schema.header.dicomjson import read_header
from tests.support.encoded import EXPLICIT, element, item, sequence


def text_of(charset: bytes | None, raw: bytes, *, vr: str = "LO") -> Any:
    declared = b"" if charset is None else element(0x00080005, "CS", charset)
    header = read_header(declared + element(0x00091001, vr, raw), EXPLICIT)
    return json.loads(header.meta_json)["00091001"]["Value"]


SINGLE_BYTE = {
    "100": "Buc^Jérôme",
    "101": "Wałęsa",
    "109": "antaŭ",
    "110": "Pēteris",
    "144": "Люкceмбypг",
    "127": "قباني^لنزار",
    "126": "Διονυσιος",
    "138": "שרון^דבורה",
    "148": "Çavuşoğlu",
    "203": "Œuvre €",
    "13": "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "166": "นามสกุล",
}
"""Texts by the number of the character set (PS3.3 tables C.12-2 and C.12-3)."""

CODECS = {
    "13": "shift_jis",
    "100": "iso8859_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "166": "tis_620",
    "203": "iso8859_15",
}
TO_UPPER_HALF = {
    "13": b")I",
    "100": b"-A",
    "101": b"-B",
    "109": b"-C",
    "110": b"-D",
    "126": b"-F",
    "127": b"-G",
    "138": b"-H",
    "144": b"-L",
    "148": b"-M",
    "166": b"-T",
    "203": b"-b",
}
"""The escape sequences that put the character sets into G1 (PS3.3 table C.12-3)."""


@pytest.mark.parametrize("prefix", ["ISO_IR", "ISO 2022 IR"])
@pytest.mark.parametrize("number", SINGLE_BYTE)
def test_every_single_byte_character_set_is_decoded(prefix: str, number: str) -> None:
    text = SINGLE_BYTE[number]
    assert text_of(f"{prefix} {number}".encode(), text.encode(CODECS[number])) == [text]


@pytest.mark.parametrize("number", SINGLE_BYTE)
def test_every_single_byte_character_set_is_switched_to(number: str) -> None:
    text = SINGLE_BYTE[number].replace("^", " ")
    raw = b"x \x1b" + TO_UPPER_HALF[number] + text.encode(CODECS[number])
    assert text_of(f"\\ISO 2022 IR {number}".encode(), raw) == [f"x {text}"]


@pytest.mark.parametrize(
    ("term", "codec", "text"),
    [
        ("ISO_IR 192", "utf_8", "Wang^小東 🩻"),
        ("GB18030", "gb18030", "王^小东 🩻"),
        ("GBK", "gbk", "王^小东"),
        ("ISO 2022 GBK", "gbk", "王^小东"),
    ],
)
def test_every_character_set_without_code_extensions_is_decoded(
    term: str, codec: str, text: str
) -> None:
    assert text_of(term.encode(), text.encode(codec)) == [text]


@pytest.mark.parametrize("term", ["ISO_IR 6", "ISO 2022 IR 6", ""])
def test_the_default_repertoire_is_ascii(term: str) -> None:
    assert text_of(term.encode(), b"Doe^John") == ["Doe^John"]


@pytest.mark.parametrize(
    ("number", "escape", "codec", "text"),
    [
        ("87", b"$B", "iso2022_jp", "山田"),
        ("159", b"$(D", "iso2022_jp_2", "丂丄龥"),
        ("149", b"$)C", "euc_kr", "김희중"),
        ("58", b"$)A", "gb2312", "张小东"),
    ],
)
def test_every_multi_byte_character_set_is_switched_to(
    number: str, escape: bytes, codec: str, text: str
) -> None:
    encoded = text.encode(codec)
    if codec.startswith("iso2022"):
        assert encoded.startswith(b"\x1b" + escape)
    else:
        encoded = b"\x1b" + escape + encoded
    assert text_of(f"\\ISO 2022 IR {number}".encode(), b"x " + encoded) == [f"x {text}"]


@pytest.mark.parametrize(
    ("terms", "raw", "expected"),
    [
        pytest.param(
            b"\\ISO 2022 IR 87",
            bytes.fromhex(
                "59616d6164615e5461726f753d1b24423b3345441b28425e1b2442424"
                "04f3a1b28423d1b2442246424 5e24401b28425e1b2442243f246d24261b2842"
            ),
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
            id="H.3-1",
        ),
        pytest.param(
            b"ISO 2022 IR 13\\ISO 2022 IR 87",
            bytes.fromhex(
                "d4cfc0de5ec0dbb33d1b24423b3345441b284a5e1b244242404f3a1b284a"
                "3d1b24422464245e24401b284a5e1b2442243f246d24261b284a"
            ),
            {"Alphabetic": "ﾔﾏﾀﾞ^ﾀﾛｳ", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
            id="H.3-2",
        ),
        pytest.param(
            b"\\ISO 2022 IR 149",
            bytes.fromhex(
                "486f6e675e47696c646f6e673d1b242943fbf35e1b242943d1ced4d73d"
                "1b242943c8ab5e1b242943b1e6b5bf"
            ),
            {"Alphabetic": "Hong^Gildong", "Ideographic": "洪^吉洞", "Phonetic": "홍^길동"},
            id="I.2-1",
        ),
        pytest.param(
            b"ISO_IR 192",
            bytes.fromhex("57616e675e5869616f446f6e673de78e8b5ee5b08fe69db13d"),
            {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"},
            id="J.1-1",
        ),
        pytest.param(
            b"GB18030",
            bytes.fromhex("57616e675e5869616f446f6e673dcdf55ed0a1b6ab3d"),
            {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"},
            id="J.3-1",
        ),
        pytest.param(
            b"GBK",
            bytes.fromhex("57616e675e5869616f446f6e673dcdf55ed0a1b6ab3d"),
            {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"},
            id="J.3-1 as GBK",
        ),
        pytest.param(
            b"\\ISO 2022 IR 58",
            bytes.fromhex("5a68616e675e5869616f446f6e673d1b242941d5c55e1b242941d0a1b6ab3d20"),
            {"Alphabetic": "Zhang^XiaoDong", "Ideographic": "张^小东"},
            id="K.2-1",
        ),
        pytest.param(
            b"ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126",
            b"J\xe9r=\x1b-L\xbb\xee=\x1b-F\xc4\xe9",
            {"Alphabetic": "Jér", "Ideographic": "Лю", "Phonetic": "Δι"},
            id="three scripts",
        ),
    ],
)
def test_the_names_in_the_annexes_of_the_standard_have_their_groups(
    terms: bytes, raw: bytes, expected: dict[str, str]
) -> None:
    assert text_of(terms, raw, vr="PN") == [expected]


IN_LINES = "The first line includes {0}.\r\nThe second line includes {0}, too.\r\nThe third line"
IN_CHINESE = "1.第一行文字。\r\n2.第二行文字。\r\n3.第三行文字。\r\n"


@pytest.mark.parametrize(
    ("terms", "raw", "text"),
    [
        pytest.param(
            b"\\ISO 2022 IR 149",
            b"\x1b$)CThe first line includes \xc7\xd1\xb1\xdb.\r\n"
            b"\x1b$)CThe second line includes \xc7\xd1\xb1\xdb, too.\r\nThe third line",
            IN_LINES.format("한글"),
            id="I.3-1",
        ),
        pytest.param(
            b"ISO_IR 192",
            b"The first line includes \xe4\xb8\xad\xe6\x96\x87.\r\n"
            b"The second line includes \xe4\xb8\xad\xe6\x96\x87, too.\r\nThe third line.\r\n",
            IN_LINES.format("中文") + ".\r\n",
            id="J.2-1",
        ),
        pytest.param(
            b"GB18030",
            b"The first line includes \xd6\xd0\xce\xc4.\r\n"
            b"The second line includes \xd6\xd0\xce\xc4, too.\r\nThe third line.\r\n",
            IN_LINES.format("中文") + ".\r\n",
            id="J.4-1",
        ),
        pytest.param(
            b"\\ISO 2022 IR 58",
            bytes.fromhex(
                "312e1b242941b5dad2bbd0d0cec4d7d6a1a30d0a322e1b242941b5dab6fed0d0cec4d7d6a1a30d0a"
                "332e1b242941b5dac8fdd0d0cec4d7d6a1a30d0a"
            ),
            IN_CHINESE,
            id="K.3-1",
        ),
    ],
)
@pytest.mark.parametrize("vr", ["LT", "UT", "ST"])
def test_the_texts_in_the_annexes_of_the_standard_are_decoded(
    terms: bytes, raw: bytes, text: str, vr: str
) -> None:
    assert text_of(terms, raw, vr=vr) == [text]


def test_every_half_width_katakana_is_decoded() -> None:
    raw = bytes(range(0xA1, 0xE0))
    assert text_of(b"ISO_IR 13", raw) == ["".join(chr(0xFF61 + n) for n in range(63))]


def test_a_backslash_in_prose_is_no_delimiter_and_ends_no_character_set() -> None:
    raw = b"\x1b$)C\xc7\xd1\\\xb1\xdb"
    assert text_of(b"\\ISO 2022 IR 149", raw, vr="LT") == ["한\\글"]


@pytest.mark.parametrize(
    ("terms", "raw", "expected"),
    [
        (  # kanji in the lower half, Greek in the upper one, which the first value says
            b"ISO 2022 IR 126\\ISO 2022 IR 87",
            b"\xc4\xe9 \x1b$B;3\x1b(B \xc4\xe9",
            ["Δι 山 Δι"],
        ),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xc7\xd1 \x1b(B\xb1\xdb", ["한 글"]),
        (b"ISO 2022 IR 100\\ISO 2022 IR 144", b"\x1b-L\xbb\x1b(B\xee\\\xe9", ["Лю", "é"]),
        (b"ISO 2022 IR 100", b"a\x1b(Zb \xe9", ["a\x1b(Zb é"]),  # an escape sequence of no set
        (b"ISO 2022 IR 100", b"\xe9\x1b", ["é\x1b"]),
    ],
)
def test_one_half_of_the_codes_stays_while_the_other_changes(
    terms: bytes, raw: bytes, expected: list[str]
) -> None:
    assert text_of(terms, raw) == expected


def test_a_delimiter_brings_the_first_character_set_back() -> None:
    assert text_of(b"ISO 2022 IR 100\\ISO 2022 IR 144", b"\x1b-L\xbb\xee\\\xe9") == ["Лю", "é"]


def test_a_backslash_inside_of_a_character_is_no_delimiter() -> None:
    for term, codec, start in ((b"GB18030", "gb18030", 0), (b"\\ISO 2022 IR 87", "iso2022_jp", 3)):
        characters = (chr(point) for point in range(0x4E00, 0x9FA0))
        encoded = {char: char.encode(codec, "ignore") for char in characters}
        character = next(char for char, raw in encoded.items() if b"\\" in raw[start:])
        assert text_of(term, encoded[character] + b"\\" + encoded[character]) == [character] * 2


@pytest.mark.parametrize("term", [None, b"", b"ISO_IR 6 ", b"NO SUCH SET", b"\\ISO 2022 IR 87"])
def test_text_without_a_usable_character_set_is_utf_8_or_latin_1(term: bytes | None) -> None:
    assert text_of(term, "Müller 王".encode()) == ["Müller 王"]
    assert text_of(term, "Müller".encode("latin_1")) == ["Müller"]


@pytest.mark.parametrize(
    ("term", "raw", "expected"),
    [
        (b"ISO_IR 192", b"M\xfcller", "M\ufffdller"),
        (b"GB18030 ", b"ok\xff", "ok\ufffd"),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xff\xff ok", "\ufffd\ufffd ok"),
        (b"\\ISO 2022 IR 87", b"\x1b$B\x7f\x7f\x1b(Bok", "\ufffdok"),
    ],
)
def test_wrong_bytes_become_the_replacement_character(
    term: bytes, raw: bytes, expected: str
) -> None:
    assert text_of(term, raw) == [expected]


@pytest.mark.parametrize(
    "term",
    [
        "ISO-IR 100",
        "ISO IR 100",
        "iso_ir 100",
        "ISO_IR_100",
        "ISO 2022-IR 100",
        "latin1",
        "Windows-1252",
        "ISO8859-1",
        "ISO_IR100",
        "ISO 2022 100",
        " ISO_IR 100 ",
    ],
)
def test_misspelt_character_sets_are_understood(term: str) -> None:
    assert charset_of([term]).decode(b"\xe9") == "é"
    assert charset_of([term]).declared


@pytest.mark.parametrize(
    "term", ["hex", "zlib", "idna", "punycode", "unicode_escape", "utf_7", "x" * 9999, "\0"]
)
def test_codecs_that_are_no_character_sets_are_not_used(term: str) -> None:
    assert not charset_of([term]).declared


@pytest.mark.parametrize(
    ("term", "raw", "text"),
    [
        ("ISO_IR 149", b"\xc8\xab", "홍"),
        ("ISO_IR 58", b"\xd5\xc5", "张"),
        ("ISO 2022 IR 192", b"\xe7\x8e\x8b", "王"),
        ("utf-8", b"\xe7\x8e\x8b", "王"),
        ("gb18030", b"\xcd\xf5", "王"),
        ("ISO_IR_192", b"\xe7\x8e\x8b", "王"),
        ("ISO 8859-5", b"\xbb", "Л"),
        ("tis-620", b"\xb9", "น"),
        ("Shift_JIS", b"\xb1", "ｱ"),
    ],
)
def test_a_term_in_another_form_than_the_standard_has_is_understood(
    term: str, raw: bytes, text: str
) -> None:
    assert charset_of([term]).decode(raw) == text


@pytest.mark.parametrize(
    "term", ["ISO-IR 6", "US-ASCII", "ISO 2022 IR 87", "ISO_IR 159", "ISO_IR 14"]
)
def test_a_character_set_of_seven_bits_says_nothing_about_other_bytes(term: str) -> None:
    assert charset_of([term]).decode("Müller".encode()) == "Müller"
    assert charset_of([term]).decode(b"M\xfcller") == "Müller"
    assert charset_of([term]).decode(b"\x1b$B;3\x1b(B") == "山"


@pytest.mark.parametrize("vr", ["US", "PN", "SQ", "AT", "FD"])
def test_a_character_set_of_another_vr_counts_as_absent(vr: str) -> None:
    raw = {"US": b"\x64\0", "PN": b"ISO_IR 192", "AT": b"\0" * 4, "FD": b"\0" * 8}
    wrong = sequence(0x00080005, item()) if vr == "SQ" else element(0x00080005, vr, raw[vr])
    header = read_header(wrong + element(0x00091001, "LO", b"M\xfcller"), EXPLICIT)
    assert header.attributes["00091001"]["Value"] == ["Müller"]


def test_items_inherit_the_character_set_or_have_their_own() -> None:
    greek = element(0x00080005, "CS", b"ISO_IR 126")
    name = element(0x00100010, "PN", b"\xc4")
    own = item(element(0x00080005, "CS", b"ISO_IR 100"), name)
    data = greek + sequence(0x00081140, item(name), own) + name
    header = read_header(data, EXPLICIT)
    values = [entry["00100010"]["Value"] for entry in header.attributes["00081140"]["Value"]]
    assert values == [[{"Alphabetic": "Δ"}], [{"Alphabetic": "Ä"}]]
    assert header.text("PatientName") == "Δ"


@given(st.lists(st.sampled_from(sorted(python_encoding)) | st.text(), max_size=3), st.binary())
def test_any_bytes_in_any_character_set_become_text(terms: list[str], raw: bytes) -> None:
    escapes = raw.replace(b"\0", b"\x1b$B").replace(b"\1", b"\x1b$)C").replace(b"\2", b"\x1b-F")
    for data in (raw, escapes):
        charset_of(terms).decode(data).encode("utf-8")
