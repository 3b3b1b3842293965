"""Headers of datasets in memory, and datasets made from headers: any value, both ways."""

import json
import struct
from decimal import Decimal
from io import BytesIO
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import config, dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from schema.errors import InvalidDicom
from schema.header.dicomjson import MAX_DEPTH, MAX_INLINE, header_of, read_header, to_dataset
from tests.support.datasets import SINGLE, VALUES, anything, datasets, with_raw_value
from tests.support.encoded import EXPLICIT, element, item, sequence


def with_element(tag: int, vr: str, value: Any) -> Dataset:
    dataset = Dataset()
    dataset.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
    return dataset


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("LO", "text ", ["text"]),
        ("LO", "lone \ud800 and \0 here", ["lone \ufffd and \ufffd here"]),
        ("LO", ["a", "", "b"], ["a", None, "b"]),
        ("PN", "A^B=C", [{"Alphabetic": "A^B", "Ideographic": "C"}]),
        ("PN", "A\ud800", [{"Alphabetic": "A\ufffd"}]),
        ("DS", "1.50", [1.5]),
        ("DS", [1, Decimal("2.5"), ""], [1.0, 2.5, None]),
        ("DS", float("nan"), ["nan"]),
        ("IS", "12", [12]),
        ("FD", [float("inf"), 1.5], ["Infinity", 1.5]),
        ("US", 5, [5]),
        ("UV", 2**64 - 1, [2**64 - 1]),
        ("US", "nonsense", ["nonsense"]),
        ("AT", 0x00100020, ["00100020"]),
        ("UI", "1.2.3", ["1.2.3"]),
        ("DA", "not a date", ["not a date"]),
        ("UT", "a\\b", ["a\\b"]),
        ("LO", "a\\\\b", ["a", None, "b"]),
        ("DS", "1\\x\\2.5", [1.0, "x", 2.5]),
        ("LO", [b"M\xfcller", "b"], ["Müller", "b"]),
        ("PN", b"A^B\\C=D", [{"Alphabetic": "A^B"}, {"Alphabetic": "C", "Ideographic": "D"}]),
    ],
)
def test_values_in_memory_follow_the_rules_of_encoded_ones(
    vr: str, value: Any, expected: list[Any]
) -> None:
    header = header_of(with_raw_value(Dataset(), 0x00091001, vr, value))
    assert json.loads(header.meta_json)["00091001"] == {"vr": vr, "Value": expected}


@pytest.mark.parametrize("vr", ["LO", "PN", "DS", "IS", "US", "SQ", "OB", "AT", "UI", "FD"])
@pytest.mark.parametrize("value", [None, "", []])
def test_what_is_empty_in_memory_has_no_value(vr: str, value: Any) -> None:
    if vr == "SQ":
        value = []
    assert header_of(with_element(0x00091001, vr, value)).attributes == {"00091001": {"vr": vr}}


def test_bulk_data_in_memory_is_left_out() -> None:
    dataset = with_element(0x00091001, "OB", b"\1" * (MAX_INLINE + 2))
    dataset.add_new(0x00091002, "OB", b"\1\2")
    dataset.add_new(0x00420011, "OB", b"%PDF")
    dataset.add_new(0x7FE00010, "OW", b"\1\2")
    dataset.add_new(0xFFFCFFFC, "OB", b"\0\0")
    assert header_of(dataset).attributes == {
        "00091001": {"vr": "OB"},
        "00091002": {"vr": "OB", "InlineBinary": "AQI="},
        "00420011": {"vr": "OB"},
    }


def test_an_answer_of_a_query_has_a_header() -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Müller^Änne"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.ModalitiesInStudy = ["CT", "SR"]
    dataset.NumberOfStudyRelatedInstances = 12
    dataset.StudyDate = None
    header = header_of(dataset)
    assert header.text("PatientName") == "Müller^Änne"
    assert header.texts("ModalitiesInStudy") == ["CT", "SR"]
    assert header.text("NumberOfStudyRelatedInstances") == "12"
    assert header.text("StudyDate") is None
    assert header.transfer_syntax_uid is None


def test_the_transfer_syntax_comes_from_the_file_meta() -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    assert header_of(dataset).transfer_syntax_uid is None
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert header_of(dataset).transfer_syntax_uid == ExplicitVRBigEndian


def test_datasets_nested_too_deep_are_refused_in_both_directions() -> None:
    dataset = with_element(0x00080100, "SH", "CODE")
    meta: dict[str, Any] = {"00080100": {"vr": "SH", "Value": ["CODE"]}}
    for _ in range(MAX_DEPTH):
        dataset = with_element(0x00081140, "SQ", Sequence([dataset]))
        meta = {"00081140": {"vr": "SQ", "Value": [meta]}}
    assert header_of(dataset).attributes == meta
    assert header_of(to_dataset(meta)).attributes == meta
    with pytest.raises(InvalidDicom, match="deeper than 64"):
        header_of(with_element(0x00081140, "SQ", Sequence([dataset])))
    with pytest.raises(InvalidDicom, match="deeper than 64"):
        to_dataset({"00081140": {"vr": "SQ", "Value": [meta]}})


def test_a_dataset_has_the_values_of_its_header() -> None:
    data = b"".join(
        (
            element(0x00080018, "UI", b"1.2.3\0"),
            element(0x00091001, "OB", b"\1\2"),
            element(0x00091002, "FD", struct.pack("<2d", float("nan"), 1.5)),
            element(0x00100010, "PN", b"A=B=C"),
            element(0x00180050, "DS", b"1.5 "),
            element(0x00200013, "IS", b"7 "),
            element(0x00280009, "AT", b"\x18\0\x63\x10"),
            sequence(0x00281140, item(element(0x00080100, "SH", b"ONE "))),
        )
    )
    dataset = to_dataset(read_header(data, EXPLICIT).meta_json)
    assert dataset.SOPInstanceUID == "1.2.3"
    assert dataset[0x00091001].value == b"\1\2"
    assert str(dataset[0x00091002].value[0]) == "nan"
    assert dataset.PatientName.ideographic == "B"
    assert dataset.SliceThickness == 1.5
    assert dataset.InstanceNumber == 7
    assert dataset.FrameIncrementPointer == 0x00181063
    assert dataset[0x00281140].value[0].CodeValue == "ONE"


@pytest.mark.parametrize(
    ("vr", "raw"),
    [
        ("UI", b"\x1c1.2.3"),
        ("UI", b" 1.2.3"),
        ("DS", b"\xa01.5"),
        ("DS", b"1.5\\\xa02 "),
        ("DS", b"1e400 "),
        ("IS", b"1.5 "),
        ("IS", b"9" * 400),
        ("DS", b"9" * 400),
        ("PN", b"A=B=C=D"),
    ],
)
def test_a_text_that_pydicom_would_change_comes_back_unchanged(vr: str, raw: bytes) -> None:
    header = read_header(element(0x00080018, vr, raw), EXPLICIT)
    dataset = to_dataset(header.meta_json)
    assert header_of(dataset).attributes == header.attributes
    if vr == "UI":
        assert dataset.SOPInstanceUID == header.sop_instance_uid


@pytest.mark.parametrize("vr", ["UR", "LT", "ST", "UT"])
def test_a_value_that_is_never_several_is_not_divided_at_its_backslashes(vr: str) -> None:
    text = r"http://host/a\b\c"
    header = read_header(element(0x00091010, vr, text.encode() + b" "), EXPLICIT)
    dataset = to_dataset(header.attributes)
    assert dataset[0x00091010].value == text
    assert header_of(dataset).attributes == header.attributes
    assigned = with_element(0x00091010, vr, text)  # pydicom itself divides a UR here
    assert header_of(assigned).attributes["00091010"]["Value"] == [text]
    several = to_dataset({"00091010": {"vr": vr, "Value": ["a", None, "b"]}})
    assert several[0x00091010].value == r"a\\b"


def test_integers_that_stand_for_decimals_become_decimals() -> None:
    meta = {
        "00180050": {"vr": "DS", "Value": [10**16, 5, -10000000000001]},
        "00189073": {"vr": "FD", "Value": [2]},
    }
    assert header_of(to_dataset(meta)).attributes == {
        "00180050": {"vr": "DS", "Value": [1e16, 5.0, -10000000000001.0]},
        "00189073": {"vr": "FD", "Value": [2.0]},
    }


def test_wrong_values_come_back_and_can_be_written_as_they_were() -> None:
    data = b"".join(
        (
            element(0x00100030, "DA", b"no date "),
            element(0x00180050, "DS", b"1,5 "),
            element(0x00181310, "US", b"abc "[:3]),
            element(0x00200013, "IS", b"1A\\2"),
        )
    )
    header = read_header(data, EXPLICIT)
    dataset = to_dataset(header.meta_json)
    assert dataset.PatientBirthDate == "no date"
    assert dataset[0x00180050].value == "1,5"
    assert list(dataset[0x00200013].value) == ["1A", "2"]
    written = BytesIO()
    with config.disable_value_validation():
        dcmwrite(written, dataset, implicit_vr=False, little_endian=True)
    assert read_header(written.getvalue(), EXPLICIT).attributes["00180050"]["Value"] == ["1,5"]
    assert read_header(written.getvalue(), EXPLICIT).attributes["00200013"]["Value"] == ["1A", 2]


@pytest.mark.parametrize(
    "meta",
    [
        "no JSON",
        b"\xff",
        "[]",
        "5",
        {"no tag": {"vr": "LO"}},
        {"00100020": {}},
        {"00100020": {"vr": "ZZ", "Value": ["x"]}},
        {"00100020": 5},
        {"-0100020": {"vr": "LO"}},
        {"FFFFFFFFFF": {"vr": "LO"}},
        {"00091001": {"vr": "OB", "InlineBinary": "?"}},
        {"00081140": {"vr": "SQ", "Value": [5]}},
    ],
)
def test_what_is_no_dicom_json_is_refused(meta: Any) -> None:
    with pytest.raises(InvalidDicom):
        to_dataset(meta)


def encoded(dataset: Dataset, syntax: str) -> bytes:
    buffer = BytesIO()
    implicit = syntax == ImplicitVRLittleEndian
    little = syntax != ExplicitVRBigEndian
    dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=little)
    return buffer.getvalue()


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(datasets, st.sampled_from([ExplicitVRLittleEndian, ExplicitVRBigEndian]))
def test_a_dataset_goes_through_bytes_and_json_and_comes_back(
    dataset: Dataset, syntax: str
) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    expected = header_of(dataset)
    assert json.loads(expected.meta_json) == expected.attributes
    if syntax == ExplicitVRLittleEndian:
        back = to_dataset(expected.meta_json)
        assert back == dataset
        assert header_of(back).meta_json == expected.meta_json
    header = read_header(encoded(dataset, syntax), syntax)
    assert header.attributes.keys() == expected.attributes.keys()
    if syntax == ExplicitVRLittleEndian or b'"vr":"OW"' not in expected.meta_json:
        assert header.meta_json == expected.meta_json  # pydicom does not swap the words of OW


@settings(deadline=None, max_examples=40)
@given(datasets)
def test_a_header_in_implicit_vr_has_everything_as_bytes(dataset: Dataset) -> None:
    dataset.SOPInstanceUID = "1.2.3"
    header = read_header(encoded(dataset, ImplicitVRLittleEndian), ImplicitVRLittleEndian)
    assert header.sop_instance_uid == "1.2.3"
    assert header.attributes.keys() == header_of(dataset).attributes.keys()
    to_dataset(header.meta_json)


@settings(deadline=None)
@given(st.sampled_from([vr for vr in sorted(VALUES) if vr not in SINGLE]), anything)
def test_whatever_a_user_assigns_has_a_header_and_comes_back(vr: str, value: Any) -> None:
    dataset = with_raw_value(Dataset(), 0x00091001, vr, value)
    header = header_of(dataset)
    assert orjson.loads(header.meta_json) == header.attributes
    assert b"\\u0000" not in header.meta_json
    again = header_of(to_dataset(header.meta_json)).attributes["00091001"]
    # beside a text that was assigned to a number, all of the element comes back as text
    expected = header.attributes["00091001"].get("Value", [])
    assert [str(value) for value in again.get("Value", [])] == [str(value) for value in expected]
