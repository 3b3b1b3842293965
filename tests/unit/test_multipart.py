"""Multipart bodies and file headers in pieces: however they are cut, the same comes."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom.file_meta import LONGEST_FILE_META, FileMeta, NoFileMeta, read_file_meta
from node.dicom.part10 import file_header
from node.net.messages import Caller
from node.net.wado.media import media_type
from node.net.wado.multipart import (
    MalformedMultipart,
    MultipartParser,
    PartData,
    PartHead,
    TruncatedMultipart,
)
from node.net.wado.objects import Harvest, Objects
from tests.support.kept import Kept

BOUNDARY = "b-o"
PIECES = [b"\r", b"\n", b"\r\n", b"--", b"-", b"b-o", b"\r\n--b-o", b"--b-o--", b"x", b" ", b": "]
noise = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=30).map(b"".join)


def is_free(content):
    """Tell whether a content has nothing in it that could be taken for a boundary."""
    return not re.search(
        rb"\r\n--b-o([ \t]{0,64}(\r\n|\r?$)|--|-?$)", b"\r\n" + content + b"\r\n--"
    )


contents = st.lists(noise.filter(is_free), max_size=5)


def body_of(parts, *, padding=b"", preamble=b""):
    written = [preamble]
    for number, content in enumerate(parts):
        written += [b"\r\n--b-o", padding, b"\r\nNumber: %d\r\n\r\n" % number, content]
    return b"".join([*written, b"\r\n--b-o--", b"an epilogue"])


def cut(body, places):
    """Return a body in pieces, cut at these places."""
    ends = sorted({place % (len(body) + 1) for place in places} | {len(body)})
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def parsed(pieces):
    """Return the contents of the parts that came, the last one perhaps not whole, and the end."""
    parser = MultipartParser(BOUNDARY)
    parts, error = [], None
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                if isinstance(event, PartHead):
                    parts.append((dict(event.headers), b"", False))
                else:
                    headers, content, _ = parts.pop()
                    more = event.data if isinstance(event, PartData) else b""
                    parts.append((headers, content + more, not isinstance(event, PartData)))
        parser.close()
    except MalformedMultipart as failed:
        error = type(failed)
    return parts, error


@given(contents, st.lists(st.integers(0, 1000), max_size=20), st.sampled_from([b"", b" \t"]))
def test_the_parts_of_a_body_come_whole_however_it_is_cut(parts, places, padding):
    body = body_of(parts, padding=padding, preamble=b"a preamble")
    came, error = parsed(cut(body, places))
    assert [content for _, content, _ in came] == parts
    assert [headers["number"] for headers, _, _ in came] == [str(n) for n in range(len(parts))]
    assert all(whole for _, _, whole in came)
    assert error is None


@given(noise, st.lists(st.integers(0, 1000), max_size=20))
def test_garbage_comes_to_the_same_however_it_is_cut_and_raises_nothing_else(garbage, places):
    came, error = parsed([garbage])
    assert parsed(cut(garbage, places)) == (came, error)
    assert parsed([garbage[n : n + 1] for n in range(len(garbage))]) == (came, error)


@given(st.lists(st.just(b"content"), min_size=1, max_size=3), st.integers(1, 40))
def test_a_body_that_ends_early_is_truncated_and_its_last_part_is_not_whole(parts, missing):
    body = body_of(parts).removesuffix(b"an epilogue").removeprefix(b"\r\n")
    came, error = parsed([body[: -min(missing, len(body) - 8)]])
    assert error is TruncatedMultipart
    assert not all(whole for _, _, whole in came) or len(came) < len(parts) or missing <= 2


def test_empty_parts_and_parts_without_headers_are_parts():
    body = (
        b"--b-o\r\n\r\none\r\n--b-o\r\nA: 1\r\n folded\r\nno header\r\n\r\n--b-o\r\n\r\n\r\n--b-o--"
    )
    came, error = parsed([body])
    assert error is None
    assert came == [({}, b"one", True), ({"a": "1 folded"}, b"", True), ({}, b"", True)]


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 70000 + body_of([b"late"]),
        b"--b-o\r\n" + b"H: " + b"x" * 20000 + b"\r\n\r\n",
        b"--other\r\n\r\ncontent\r\n--other--",
        b"",
    ],
)
def test_what_is_no_such_body_is_malformed_at_once_or_in_the_end(body):
    for pieces in ([body], cut(body, range(0, len(body), 1000))):
        came, error = parsed(pieces)
        assert (error, [whole for *_, whole in came]) == (MalformedMultipart, [])


def test_what_waits_in_the_parser_is_little():
    parser = MultipartParser(BOUNDARY)
    list(parser.feed(b"--b-o\r\n\r\n"))
    for piece in (b"\r\n--b-o-x" * 10000, b"x" * 100000, b"\r\n--b-o" + b" " * 1000):
        list(parser.feed(piece))
        assert len(parser._buffer) < 100
    with pytest.raises(MalformedMultipart):
        MultipartParser("")


@given(st.text())
def test_a_content_type_of_any_kind_is_read(header):
    assert media_type(header).name == media_type(header).name.lower()


def test_a_content_type_says_what_it_is_and_its_boundary():
    for written in (
        'Multipart/Related; type="application/dicom"; boundary="b o"',
        "multipart/related;boundary=\"b o\";type='application/dicom'",
    ):
        media = media_type(written)
        assert (media.name, media.boundary) == ("multipart/related", "b o")
    assert media_type("").name == media_type("nonsense").name == ""


# File headers

HEADER = file_header(
    sop_class_uid="1.2.3", sop_instance_uid="1.2.3.4", transfer_syntax_uid="1.2.840.10008.1.2.1"
)
META = FileMeta(
    sop_class_uid="1.2.3",
    sop_instance_uid="1.2.3.4",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    end=len(HEADER),
)


def test_a_header_is_read_once_it_is_there():
    dataset = b"\x08\x00\x16\x00UI\x04\x001.2\x00"
    for size in range(len(HEADER) + 1):
        assert read_file_meta(HEADER[:size], whole=False) is None
    for size in range(len(HEADER) + 2, len(HEADER + dataset)):
        assert read_file_meta((HEADER + dataset)[:size], whole=False) == META
    assert read_file_meta(HEADER, whole=True) == META
    for size in range(len(HEADER)):
        # after an element that is whole, it is a header that says less
        with contextlib.suppress(NoFileMeta):
            assert read_file_meta(HEADER[:size], whole=True) != META


def test_a_header_that_lies_about_its_length_or_does_not_end_is_none_of_any():
    lying = HEADER.replace(HEADER[140:144], b"\xff\xff\xff\x7f", 1)
    assert read_file_meta(lying + b"\x08\x00", whole=False) == META
    private = HEADER + b"\x02\x00\x02\x01OB\x00\x00" + (LONGEST_FILE_META).to_bytes(4, "little")
    with pytest.raises(NoFileMeta, match="more than 256 KB"):
        read_file_meta(private, whole=False)
    with pytest.raises(NoFileMeta, match="explicit VR"):
        read_file_meta(HEADER[:132] + b"\x02\x00\x10\x00\x04\x00\x00\x001.2 ", whole=False)


@given(st.binary(max_size=300), st.booleans(), st.integers(0, 300))
def test_no_header_of_any_kind_raises_anything_else(garbage, whole, kept):
    try:
        meta = read_file_meta(HEADER[:kept] + garbage, whole=whole)
    except NoFileMeta:
        return
    assert meta is None or meta.end <= kept + len(garbage)


# Both together


@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=9)), max_size=6))
async def test_an_answer_that_is_damaged_anywhere_gives_what_is_whole_and_no_other_error(damages):
    body = bytearray(body_of([HEADER + b"dataset", HEADER + b"another"]))
    for place, damage in damages:
        start = place % len(body)
        body[start : start + len(damage)] = damage
    kept, harvest = Kept(), Harvest()
    objects = Objects(kept.store, Caller(aetitle="WEB", address="", port=80), harvest)
    parser = MultipartParser(BOUNDARY)
    began = 0
    try:
        for piece in cut(bytes(body), range(0, len(body), 100)):
            for event in parser.feed(piece):
                began += isinstance(event, PartHead)
                await objects.take(event)
        parser.close()
    except MalformedMultipart:
        began -= 1
    finally:
        objects.discard()
    assert harvest.arrived == kept.count
    assert harvest.arrived + harvest.failed in (began, began + 1)
    assert damages or kept.objects == {"1.2.3.4": b"another"}
    assert len(harvest.reasons) == harvest.failed
