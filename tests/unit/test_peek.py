"""The SOP UIDs at the head of a dataset, found before it is stored."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom.peek import HEAD, SOPUIDs, peek_sop_uids
from tests.support.encoded import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, element

CLASS = "1.2.840.10008.5.1.4.1.1.4"
INSTANCE = "1.2.3.41"
BOTH = SOPUIDs(sop_class_uid=CLASS, sop_instance_uid=INSTANCE)


def ui(tag, value, syntax):
    return element(tag, "UI", value.encode() + b"\0" * (len(value) % 2), syntax=syntax)


def head(syntax, between=b""):
    return (
        element(0x00080005, "CS", b"ISO_IR 100", syntax=syntax)
        + between
        + ui(0x00080016, CLASS, syntax)
        + ui(0x00080018, INSTANCE, syntax)
        + element(0x00080020, "DA", b"20240101", syntax=syntax)
    )


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, "1.2.840.10008.1.2.4.50"])
def test_both_are_found_in_every_encoding(syntax):
    assert peek_sop_uids(head(syntax), syntax) == BOTH


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_what_stands_before_them_is_passed_over(syntax):
    long = element(0x00080006, "UN", b"x" * 200, syntax=syntax)
    assert peek_sop_uids(head(syntax, long), syntax) == BOTH
    group_2 = element(0x00020010, "UI", b"1.2\0", syntax=syntax)
    assert peek_sop_uids(group_2 + head(syntax), syntax) == BOTH


def test_a_deflated_dataset_is_not_looked_into():
    assert peek_sop_uids(head(EXPLICIT), DEFLATED) == SOPUIDs()


def test_nothing_is_said_of_what_does_not_end_within_the_head():
    whole = head(EXPLICIT)
    for end in range(len(whole)):
        seen = peek_sop_uids(whole[:end], EXPLICIT)
        assert seen.sop_class_uid in (None, CLASS)
        assert seen.sop_instance_uid in (None, INSTANCE)


def test_a_sequence_of_undefined_length_ends_the_look():
    sequence = struct.pack("<HH2sHL", 0x0008, 0x0006, b"SQ", 0, 0xFFFFFFFF)
    assert peek_sop_uids(sequence + head(EXPLICIT), EXPLICIT) == SOPUIDs()


def test_the_wrong_transfer_syntax_shows_nothing_rather_than_something_wrong():
    assert peek_sop_uids(head(EXPLICIT), IMPLICIT) == SOPUIDs()


@given(st.binary(max_size=HEAD), st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED]))
def test_any_bytes_are_looked_at_without_an_error(data, syntax):
    assert isinstance(peek_sop_uids(data, syntax), SOPUIDs)
