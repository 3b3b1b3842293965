"""Text in every character set of DICOM, declared well, badly, wrongly or not at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding

from schema.charset import charset_of
from schema.dicomjson import read_header
from tests.support.encoded import EXPLICIT, element, item, sequence


def text_of(charset: bytes | None, raw: bytes, *, vr: str = "LO") -> Any:
    declared = b"" if charset is None else element(0x00080005, "CS", charset)
    header = read_header(declared + element(0x00091001, vr, raw), EXPLICIT)
    return json.loads(header.meta_json)["00091001"]["Value"]


@pytest.mark.parametrize(
    ("term", "codec", "text"),
    [
        ("ISO_IR 100", "latin_1", "Buc^Jérôme"),
        ("ISO_IR 101", "iso8859_2", "Wałęsa"),
        ("ISO_IR 109", "iso8859_3", "antaŭ"),
        ("ISO_IR 110", "iso8859_4", "Pēteris"),
        ("ISO_IR 144", "iso8859_5", "Люкceмбypг"),
        ("ISO_IR 127", "iso8859_6", "قباني^لنزار"),
        ("ISO_IR 126", "iso8859_7", "Διονυσιος"),
        ("ISO_IR 138", "iso8859_8", "שרון^דבורה"),
        ("ISO_IR 148", "iso8859_9", "Çavuşoğlu"),
        ("ISO_IR 203", "iso8859_15", "Œuvre €"),
        ("ISO_IR 13", "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("ISO_IR 166", "tis_620", "นามสกุล"),
        ("ISO_IR 192", "utf_8", "Wang^小東 🩻"),
        ("GB18030", "gb18030", "王^小东"),
        ("GBK", "gbk", "王^小东"),
    ],
)
def test_every_single_character_set_is_decoded(term: str, codec: str, text: str) -> None:
    assert text_of(term.encode(), text.encode(codec)) == [text]


@pytest.mark.parametrize(
    ("terms", "raw", "expected"),
    [
        (  # PS3.5 annex H, example 1
            b"\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
        ),
        (  # PS3.5 annex H, example 2
            b"ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"
            b"=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            {"Alphabetic": "ﾔﾏﾀﾞ^ﾀﾛｳ", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
        ),
        (  # PS3.5 annex I
            b"\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            {"Alphabetic": "Hong^Gildong", "Ideographic": "洪^吉洞", "Phonetic": "홍^길동"},
        ),
        (  # PS3.5 annex K
            b"\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
            {"Alphabetic": "Zhang^XiaoDong", "Ideographic": "张^小东"},
        ),
        (
            b"ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126",
            b"J\xe9r=\x1b-L\xbb\xee=\x1b-F\xc4\xe9",
            {"Alphabetic": "Jér", "Ideographic": "Лю", "Phonetic": "Δι"},
        ),
    ],
)
def test_code_extensions_switch_within_a_name(
    terms: bytes, raw: bytes, expected: dict[str, str]
) -> None:
    assert text_of(terms, raw, vr="PN") == [expected]


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
