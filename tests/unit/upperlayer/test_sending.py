"""P-DATA-TF PDUs that are sent: how data is cut."""

import struct

import pytest

from node.upperlayer.sending import data_pdus


def fragments(pieces):
    """Return the data of each PDU, and its message control header."""
    stream = b"".join(pieces)
    found = []
    while stream:
        (length,) = struct.unpack_from(">L", stream, 2)
        found.append((stream[12 : 6 + length], stream[11]))
        stream = stream[6 + length :]
    return found


@pytest.mark.parametrize("maximum", [106, 107, 2047, 2048])
def test_fragments_are_no_longer_than_the_peer_takes_and_even(maximum):
    data = bytes(range(256)) * 40
    cut = fragments(data_pdus(1, data, command=False, last=True, maximum=maximum))
    assert b"".join(part for part, _ in cut) == data
    assert max(len(part) for part, _ in cut) <= maximum - 6
    assert [len(part) % 2 for part, _ in cut] == [0] * len(cut)
    assert [control for _, control in cut] == [0] * (len(cut) - 1) + [2]


def test_a_peer_with_room_for_one_byte_gets_one_byte_at_a_time():
    cut = fragments(data_pdus(1, b"abc", command=True, last=True, maximum=7))
    assert cut == [(b"a", 1), (b"b", 1), (b"c", 3)]
