"""From bytes to PDUs: the header is judged first, and pieces make no difference."""

import struct
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.upperlayer import Association, InvalidPDU, Role, State
from node.upperlayer.events import Aborted, CommandReceived, DatasetFragment
from node.upperlayer.framing import (
    MAXIMUM_ASSOCIATE_LENGTH,
    PDU,
    Fragment,
    PDUType,
    Reader,
    frame,
    p_data_header,
)
from tests.unit.upperlayer import wire

MB = 1 << 20


def read(*pieces: bytes, limit: int | None = None) -> list[PDU | Fragment]:
    reader = Reader()
    if limit is not None:
        reader.data_limit = limit
    return [found for piece in pieces for found in reader.feed(memoryview(piece))]


def joined(found: list[PDU | Fragment]) -> list[object]:
    """Put the fragments of each value together again."""
    result: list[object] = []
    open_value: list[bytes] = []
    last_key: tuple[int, bool] | None = None
    for one in found:
        if isinstance(one, PDU):
            result.append(one)
            continue
        key = one.context_id, one.command
        if last_key != key and open_value:
            result.append((*last_key, False, b"".join(open_value)))
            open_value = []
        last_key = key
        open_value.append(one.data)
        if one.last:
            result.append((*key, True, b"".join(open_value)))
            open_value = []
            last_key = None
    if last_key is not None:
        result.append((*last_key, False, b"".join(open_value)))
    return result


# The header


@pytest.mark.parametrize("kind", [0x00, 0x08, 0x47, 0xFF])
def test_a_type_that_is_none_is_refused_at_the_header(kind):
    with pytest.raises(InvalidPDU, match="no type of PDU"):
        read(struct.pack(">BBL", kind, 0, 0xFFFFFFFF))


@pytest.mark.parametrize("kind", [wire.RJ, wire.RELEASE_RQ, wire.RELEASE_RP, wire.ABORT])
@pytest.mark.parametrize("length", [0, 3, 5, 0xFFFFFFFF])
def test_a_pdu_of_four_bytes_has_four_bytes(kind, length):
    with pytest.raises(InvalidPDU, match="has 4 bytes"):
        read(struct.pack(">BBL", kind, 0, length))


@pytest.mark.parametrize("kind", [PDUType.ASSOCIATE_RQ, PDUType.ASSOCIATE_AC, PDUType.P_DATA])
def test_before_the_association_the_limit_is_one_megabyte(kind):
    assert read(struct.pack(">BBL", kind, 0, MB)) == []
    with pytest.raises(InvalidPDU, match=f"beyond the limit of {MB}"):
        read(struct.pack(">BBL", kind, 0, MB + 1))


def test_after_it_the_limit_of_data_is_what_was_negotiated():
    assert read(struct.pack(">BBL", 4, 0, 16384), limit=16384) == []
    with pytest.raises(InvalidPDU, match="beyond the limit of 16384"):
        read(struct.pack(">BBL", 4, 0, 16385), limit=16384)


def test_a_core_that_takes_any_length_takes_the_longest():
    core = wire.acceptor(maximum=0)
    assert core.receive(struct.pack(">BBL", 4, 0, 0xFFFFFFFF)) == []
    assert core.state is State.ESTABLISHED


@pytest.mark.parametrize("kind", range(256))
def test_nothing_is_allocated_for_a_length_that_is_only_claimed(kind):
    header = struct.pack(">BBL", kind, 0, 0xFFFFFFFF)
    core = Association(Role.ACCEPTOR, maximum_length=wire.LIMIT)
    core.transport_opened()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        told = core.receive(header)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert [type(event) for event in told] == [Aborted]
    assert core.state is State.AWAITING_CLOSE
    assert peak < 8192


def test_only_what_has_come_is_kept_of_a_long_request():
    core = Association(Role.ACCEPTOR, maximum_length=wire.LIMIT)
    core.transport_opened()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        core.receive(struct.pack(">BBL", 1, 0, MB) + bytes(1000))
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 16384
    assert core.mid_message


def test_a_dataset_is_never_put_together():
    core = wire.acceptor(maximum=0)
    core.receive(wire.STORE_PDU)
    size = 64 * MB
    piece = memoryview(bytearray(1 << 16))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        core.receive(struct.pack(">BBLLBB", 4, 0, size + 6, size + 2, 3, 2))
        taken = 0
        for _ in range(size // len(piece)):
            for event in core.receive(piece):
                taken += len(event.data)
                last = event.last
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert taken == size
    assert last
    assert peak < 4 * len(piece)


# Values


@pytest.mark.parametrize("length", range(6))
def test_data_without_a_value_is_refused_at_the_header(length):
    with pytest.raises(InvalidPDU, match="no presentation data value"):
        read(struct.pack(">BBL", 4, 0, length))


@pytest.mark.parametrize("length", [0, 1, 9, 0xFFFFFFFF])
def test_a_value_that_does_not_fit_its_pdu_is_refused(length):
    with pytest.raises(InvalidPDU, match="does not fit"):
        read(struct.pack(">BBLLBB", 4, 0, 12, length, 1, 3))


@pytest.mark.parametrize("rest", range(1, 6))
def test_a_rest_too_short_for_a_value_is_refused_where_it_is_known(rest):
    whole = wire.value(1, 3, b"abcd")
    with pytest.raises(InvalidPDU, match="behind a presentation data value"):
        read(struct.pack(">BBL", 4, 0, len(whole) + rest) + whole[:6])


def test_values_of_one_pdu_come_one_after_the_other():
    body = wire.value(1, 3, b"command") + wire.value(1, 0, b"da") + wire.value(1, 2, b"ta")
    assert read(wire.pdu(4, body)) == [
        Fragment(1, True, True, b"command"),
        Fragment(1, False, False, b"da"),
        Fragment(1, False, True, b"ta"),
    ]


def test_a_fragment_is_the_last_only_when_its_last_byte_has_come():
    stream = wire.pdu(4, wire.value(3, 2, b"abcdef"))
    first, second = read(stream[:-2]), read(stream[:-2], stream[-2:])
    assert first == [Fragment(3, False, False, b"abcd")]
    assert second == [*first, Fragment(3, False, True, b"ef")]


def test_an_empty_value_can_end_a_dataset():
    assert read(wire.pdu(4, wire.value(3, 2, b""))) == [Fragment(3, False, True, b"")]


def test_reserved_bits_of_the_control_header_do_not_matter():
    assert read(wire.pdu(4, wire.value(3, 0xFE, b"ab"))) == [Fragment(3, False, True, b"ab")]


@pytest.mark.parametrize("kind", [k for k in PDUType if k is not PDUType.P_DATA])
def test_every_other_pdu_comes_whole(kind):
    stream = frame(kind, b"abcd")
    assert stream == wire.pdu(kind, b"abcd")
    assert read(stream) == read(*(stream[n : n + 1] for n in range(len(stream))))
    assert read(stream) == [PDU(kind, b"abcd")]


def test_an_associate_pdu_can_be_empty():
    assert read(wire.pdu(1, b""), wire.pdu(2, b"")) == [
        PDU(PDUType.ASSOCIATE_RQ, b""),
        PDU(PDUType.ASSOCIATE_AC, b""),
    ]


def test_the_header_of_data_is_what_the_standard_says():
    header = p_data_header(5, 7, command=False, last=True)
    assert header + bytes(7) == wire.pdu(4, wire.value(5, 2, bytes(7)))


def test_what_is_handed_on_does_not_change_with_the_buffer():
    buffer = bytearray(wire.pdu(4, wire.value(3, 2, b"abc")) + wire.pdu(5) + wire.pdu(1, b"xy"))
    found = list(Reader().feed(memoryview(buffer)))
    buffer[:] = bytes(len(buffer))
    assert found == [
        Fragment(3, False, True, b"abc"),
        PDU(PDUType.RELEASE_RQ, bytes(4)),
        PDU(PDUType.ASSOCIATE_RQ, b"xy"),
    ]


def test_it_knows_whether_it_is_between_pdus():
    reader = Reader()
    stream = wire.pdu(4, wire.value(3, 2, b"abc"))
    assert reader.between_pdus
    for n in range(len(stream)):
        list(reader.feed(memoryview(stream[n : n + 1])))
        assert reader.between_pdus is (n == len(stream) - 1)


# Any pieces

value = st.builds(wire.value, st.integers(0, 255), st.integers(0, 3), st.binary(max_size=80))
pdu = st.one_of(
    st.builds(wire.pdu, st.sampled_from([1, 2]), st.binary(max_size=200)),
    st.builds(wire.pdu, st.sampled_from([3, 5, 6, 7]), st.binary(min_size=4, max_size=4)),
    st.lists(value, min_size=1, max_size=4).map(lambda values: wire.pdu(4, b"".join(values))),
)


@st.composite
def cut(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    stream = b"".join(draw(st.lists(pdu, max_size=6)))
    places = draw(st.lists(st.integers(0, len(stream)), max_size=30))
    edges = [0, *sorted(places), len(stream)]
    return stream, [stream[a:b] for a, b in pairwise(edges)]


@given(cut())
@settings(max_examples=300, deadline=None)
def test_pieces_make_no_difference(stream_and_pieces):
    stream, parts = stream_and_pieces
    whole = joined(read(stream))
    assert joined(read(*parts)) == whole
    assert joined(read(*(stream[n : n + 1] for n in range(len(stream))))) == whole


@given(st.lists(st.one_of(pdu, st.binary(max_size=20)), max_size=4).map(b"".join), st.data())
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_pdus_or_an_invalid_pdu_at_the_same_place(stream, data):
    def result(*parts: bytes) -> tuple[list[object], str]:
        reader, found = Reader(), []
        try:
            for part in parts:
                found.extend(reader.feed(memoryview(part)))
        except InvalidPDU as error:
            return joined(found), str(error)
        assert len(reader._partial) <= MAXIMUM_ASSOCIATE_LENGTH
        return joined(found), ""

    place = data.draw(st.integers(0, len(stream)))
    assert result(stream[:place], stream[place:]) == result(stream)


@given(st.binary(min_size=1, max_size=3000), st.lists(st.integers(1, 500), min_size=1))
@settings(max_examples=100, deadline=None)
def test_a_message_arrives_whole_whatever_its_pieces(dataset, lengths):
    stream = wire.STORE_PDU
    for start in range(0, len(dataset), 700):
        part = dataset[start : start + 700]
        ends = 2 if start + 700 >= len(dataset) else 0
        stream += wire.pdu(4, wire.value(3, ends, part))
    core, told, offset, turn = wire.acceptor(), [], 0, 0
    while offset < len(stream):
        length = lengths[turn % len(lengths)]
        told += core.receive(stream[offset : offset + length])
        offset += length
        turn += 1
    command, *fragments = told
    assert isinstance(command, CommandReceived)
    assert all(isinstance(one, DatasetFragment) for one in fragments)
    assert b"".join(one.data for one in fragments) == dataset
    assert [one.last for one in fragments] == [False] * (len(fragments) - 1) + [True]
    assert not core.mid_message
