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

from schema.dicomjson import header_of, read_header, to_dataset
from schema.errors import InvalidDicom
from schema.vr import LITTLE_ENDIAN
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
        assert again.attributes.keys() == header.attributes.keys()


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


@settings(deadline=None, max_examples=300)
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


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_implicit.dcm", "test-SR.dcm", "rtplan.dcm"]
)
def test_damaged_files_give_a_header_or_are_refused(name: str) -> None:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    with open(path, "rb") as file:  # noqa: PTH123
        original = file.read(8000)
    chance = random.Random(name)
    for _ in range(300):
        data = bytearray(original)
        for _ in range(chance.choice([1, 2, 20])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        check(bytes(data), None)


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
    check(data, EXPLICIT)
    assert time.process_time() - start < 20
