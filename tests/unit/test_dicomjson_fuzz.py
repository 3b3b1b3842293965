"""Whatever bytes arrive: a header that can be stored, or InvalidDicom, and soon."""

import random
import struct
import time
from collections.abc import Callable
from contextlib import suppress

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from schema.errors import InvalidDicom
from schema.header.dicomjson import header_of, read_header, to_dataset
from schema.header.vr import LITTLE_ENDIAN
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
    item,
    nested,
    sequence,
)

SYNTAXES = [None, EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED, "1.2.840.10008.1.2.4.50", "no UID"]


def check(data: bytes, syntax: str | None) -> None:
    """Read the bytes; a header that comes out has to be storable, and to come back."""
    with suppress(InvalidDicom):
        header = read_header(data, syntax)
        assert orjson.loads(header.meta_json) == header.attributes
        assert b"\\u0000" not in header.meta_json
        header.meta_json.decode("utf-8")
        again = header_of(to_dataset(header.meta_json))
        assert again.attributes == header.attributes


tags = st.one_of(
    st.sampled_from([0x00080005, 0x00080018, 0x00100010, 0x00280103, 0x00280106, 0x00281101]),
    st.sampled_from([0x00081140, 0x00090010, 0x00091001, 0x7FE00010, 0xFFFEE000, 0xFFFEE00D]),
    st.integers(0, 2**32 - 1),
)
lengths = st.none() | st.sampled_from([0, 1, 7, 8, 0xFFFE, 0xFFFF]) | st.integers(0, 0xFFFF)


@st.composite
def elements(draw: st.DrawFn) -> bytes:
    vr = draw(st.sampled_from([*LITTLE_ENDIAN, "ZZ", "??"]))
    value = draw(st.binary(max_size=40))
    syntax = draw(st.sampled_from([EXPLICIT, EXPLICIT, IMPLICIT, BIG_ENDIAN]))
    return element(draw(tags), vr, value, syntax=syntax, length=draw(lengths))


pieces = st.recursive(
    elements(),
    lambda inner: st.one_of(
        st.builds(
            lambda parts, undefined, vr: sequence(
                0x00081140, item(*parts, undefined=undefined), vr=vr, undefined=undefined
            ),
            st.lists(inner, max_size=3),
            st.booleans(),
            st.sampled_from(["SQ", "UN", "OB"]),
        ),
        st.sampled_from([delimiter(ITEM), delimiter(ITEM_END), delimiter(SEQUENCE_END)]),
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(st.lists(pieces, max_size=6).map(b"".join), st.sampled_from(SYNTAXES))
def test_elements_of_any_kind_in_any_order_give_a_header_or_are_refused(
    data: bytes, syntax: str | None
) -> None:
    check(data, syntax)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
@example(b"\0" * 128 + b"DICM", None)
@example(b"\x02\0", None)
@example(b"\x08", None)
def test_any_bytes_give_a_header_or_are_refused(data: bytes, syntax: str | None) -> None:
    check(data, syntax)


WORDS = [b"SQ", b"UN", b"OB", b"UT", b"DS", b"IS", b"PN", b"US", b"AT", b"zz", b"\0\0"]
WORDS += [b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"]
WORDS += [delimiter(tag)[:4] for tag in (ITEM, ITEM_END, SEQUENCE_END)]
WORDS += [b"\x08\0\x05\0", b"\x28\0\x03\x01", b"\xe0\x7f\x10\0"]
"""VRs, lengths, delimiters and tags that change the meaning of what follows."""


def damage(data: bytearray, chance: random.Random) -> None:
    """Change, remove, insert, repeat or replace something."""
    start = chance.randrange(len(data))
    match chance.randrange(6):
        case 0 | 1:
            data[start] = chance.randrange(256)
        case 2:
            del data[start : start + chance.randrange(1, 9)]
        case 3:
            data[start:start] = chance.randbytes(chance.randrange(1, 9))
        case 4:
            data[start:start] = data[start : start + chance.randrange(1, 400)]
        case _:
            word = chance.choice(WORDS)
            data[start : start + len(word)] = word


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_implicit.dcm",
        "test-SR.dcm",
        "rtplan.dcm",
        "MR_small_bigendian.dcm",
    ],
)
def test_damaged_files_give_a_header_or_are_refused(name: str) -> None:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    with open(path, "rb") as file:  # noqa: PTH123
        original = file.read(8000)
    chance = random.Random(name)
    for _ in range(150):
        data = bytearray(original)
        for _ in range(chance.choice([1, 2, 20])):
            damage(data, chance)
        check(bytes(data), None)


def test_a_word_anywhere_in_a_small_file_gives_a_header_or_is_refused() -> None:
    elements = [
        element(0x00080005, "CS", b"ISO_IR 192"),
        element(0x00080018, "UI", b"1.2.3\0"),
        sequence(0x00081140, item(element(0x00080100, "SH", b"ONE ")), undefined=True),
        element(0x00280103, "US", b"\1\0"),
        element(0x00281101, "SS", b"\0\x80" * 3),
    ]
    data = b"".join(elements)
    for word in WORDS:
        for start in range(len(data)):
            check(data[:start] + word + data[start + len(word) :], EXPLICIT)


def items_without_end(size: int) -> bytes:
    return sequence(0x00081140, item() * (size // 8))


def nested_un(size: int) -> bytes:
    data = b""
    while len(data) < size // 200:
        data = sequence(0x00081140, item(data), vr="UN")
    return data * (size // max(1, len(data)))


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "items": items_without_end,
    "nested un": nested_un,
    "fragments": lambda size: element(
        0x7FE00010, "OB", delimiter(ITEM) * (size // 8), length=UNDEFINED
    ),
    "elements": lambda size: element(0x00091001, "LO") * (size // 8),
    "backslashes": lambda size: element(0x00091001, "UC", b"\\" * size),
    "digits": lambda size: element(0x00091001, "UN", b"9" * size),
    "decimals": lambda size: element(0x00180050, "UN", b"1" * size),
    "decimal dots": lambda size: element(0x00180050, "UN", b"1\\" * (size // 2) + b"x"),
    "integers": lambda size: element(0x00200013, "UN", b"1" * size),
    "escapes": lambda size: element(0x00091001, "UC", b"\x1b$B\x1b-F" * (size // 6)),
    "names": lambda size: element(0x00100010, "UN", b"=" * size),
    "depth": lambda size: nested(size // 40),
    "open items": lambda size: element(
        0x00081140, "SQ", delimiter(ITEM, UNDEFINED) * (size // 8), length=UNDEFINED
    ),
    "tags": lambda size: b"".join(
        struct.pack("<HH2sH", 9, number & 0xFFFF, b"LO", 0) for number in range(size // 8)
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_data_takes_no_more_than_its_length_asks_for(kind: str) -> None:
    data = HOSTILE[kind]((1 << 20) - 64)
    start = time.process_time()
    with suppress(InvalidDicom):
        read_header(data, EXPLICIT)
    assert time.process_time() - start < 5  # 0.4 s at most on a machine that does nothing else


@pytest.mark.parametrize("size", [1 << 16, pytest.param(1 << 20, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_header_of_hostile_data_comes_back_as_quickly(kind: str, size: int) -> None:
    data = HOSTILE[kind](size - 64)
    start = time.process_time()
    check(data, EXPLICIT)
    assert time.process_time() - start < 20 * size / (1 << 20)
