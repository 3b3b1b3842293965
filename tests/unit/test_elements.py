"""Where a dataset's elements are: the same as a decoder finds, whatever the encoding."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from node.dicom.elements import elements
from node.net.dimse.identifiers import InvalidIdentifier, decoded_identifier
from node.net.dimse.inbox import Message
from node.net.scu.progress import progress_of
from node.upperlayer import Command, CommandField

EXPLICIT = str(ExplicitVRLittleEndian)
SYNTAXES = [EXPLICIT, str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian)]
ITEM = (0xFFFE, 0xE000)


def nested(depth, *, undefined):
    inner = Dataset()
    inner.PatientID = "PID"
    if depth:
        inner.OtherPatientIDsSequence = [nested(depth - 1, undefined=undefined), Dataset()]
        inner["OtherPatientIDsSequence"].is_undefined_length = undefined
        inner.OtherPatientIDsSequence[0].is_undefined_length_sequence_item = undefined
    inner.StudyID = "ID"
    inner.FailedSOPInstanceUIDList = ["1.2.3", "1.2.4"]
    return inner


def encoded(dataset, syntax):
    return encode(dataset, syntax == SYNTAXES[1], syntax != SYNTAXES[2])


def flat(dataset, depth=0):
    """Return tag and depth of each element and item, as pydicom has them."""
    found = []
    for element in dataset:
        found.append(((element.tag.group, element.tag.element), depth))
        if element.VR == "SQ":
            for item in element.value:
                found.append((ITEM, depth + 1))
                found += flat(item, depth + 2)
    return found


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("depth", [0, 1, 5])
def test_elements_are_where_pydicom_has_them(depth, syntax, undefined):
    dataset = nested(depth, undefined=undefined)
    found = list(elements(encoded(dataset, syntax), syntax))
    assert [(one.tag, one.depth) for one in found] == flat(dataset)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_value_is_where_it_is_said_to_be(syntax):
    data = encoded(nested(2, undefined=True), syntax)
    values = [
        data[one.offset : one.offset + one.length]
        for one in elements(data, syntax)
        if one.tag == (0x0010, 0x0020)
    ]
    assert values == [b"PID "] * 3


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
@settings(max_examples=200, deadline=None)
def test_any_bytes_have_an_end(data, syntax):
    found = list(elements(data, syntax))
    assert len(found) <= len(data) // 8
    assert all(0 < one.offset <= len(data) for one in found)


@given(st.data(), st.sampled_from(SYNTAXES))
@settings(max_examples=200, deadline=None)
def test_a_dataset_with_wrong_bytes_has_an_end(data, syntax):
    changed = bytearray(encoded(nested(3, undefined=True), syntax))
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    assert len(list(elements(bytes(changed), syntax))) <= len(changed) // 8


# Identifiers


def large(elements=0, values=0):
    dataset = Dataset()
    dataset.PatientComments = "A" * 5000
    dataset.SOPInstanceUID = ["1"] * values
    dataset.OtherPatientIDsSequence = [Dataset() for _ in range(elements)]
    return dataset


async def test_an_identifier_of_any_size_that_is_sane_is_decoded():
    for dataset in (nested(20, undefined=True), large(elements=300), large(values=5000)):
        for syntax in SYNTAXES:
            data = encoded(dataset, syntax)
            assert encoded(await decoded_identifier(data, syntax), syntax) == data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (encoded(nested(33, undefined=True), EXPLICIT), "nested deeper than 64 levels"),
        (encoded(large(values=17000), EXPLICIT), "more than 16384 values"),
        (b"\x08\0\x01\0LO\0\0" * 2049, "more than 2048 elements"),
        (
            b"\x08\0\x05\x11SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\0\xe0" + b"\xff" * 4,
            "cannot be decoded",
        ),
    ],
)
async def test_what_is_no_identifier_is_refused_with_the_reason(data, says):
    with pytest.raises(InvalidIdentifier, match=says):
        await decoded_identifier(data, EXPLICIT)


# The responses of a move


def failed(data, syntax=EXPLICIT):
    command = Command(field=CommandField.C_MOVE_RSP, status=0xB000)
    return progress_of(Message(1, command, data), syntax).failed_uids


def test_the_failed_uids_are_read_whatever_else_is_there():
    for syntax in SYNTAXES:
        assert failed(encoded(nested(2, undefined=True), syntax), syntax) == ("1.2.3", "1.2.4")
    one = Dataset()
    one.FailedSOPInstanceUIDList = "1.2.345"
    assert failed(encoded(one, EXPLICIT)) == ("1.2.345",)
    none = Dataset()
    none.FailedSOPInstanceUIDList = []
    assert failed(encoded(none, EXPLICIT)) == ()
    assert failed(encoded(Dataset(), EXPLICIT)) == ()
    assert failed(None) == ()
    assert failed(b"rubbish") == ()


def test_as_many_failed_uids_are_read_as_can_be_counted():
    many = Dataset()
    many.FailedSOPInstanceUIDList = [f"1.2.3.{number}" for number in range(8000)]
    assert len(failed(encoded(many, str(ImplicitVRLittleEndian)), SYNTAXES[1])) == 8000
