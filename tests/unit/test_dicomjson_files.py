"""The headers of all files that pydicom ships are what pydicom makes of them.

`Dataset.to_json_dict` is the reference. Where the two differ, the difference is one of
those that `expected_of` makes, each for a reason.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydicom.data
import pytest
from pydicom import dcmread

from schema.bulk import PIXEL_DATA
from schema.dicomjson import MAX_INLINE, header_of, read_header, to_dataset
from schema.errors import InvalidDicom

ROOT = Path(pydicom.data.__file__).parent
NOT_DICOM = {".py", ".pyc", ".json", ".txt", ".gz", ".md", ".dump", ".icc"}

BROKEN = {
    "MR_truncated.dcm": r"\(7FE0,0010\) at offset 1488: 8192 bytes expected, 8130 left",
    "rtplan_truncated.dcm": r"\(300A,00B0\)",
    "DICOMDIR-nooffset": r"\(FFFE,E000\)",  # its last item is longer than the file
    "no_meta.dcm": r"\(0820,0500\)",  # there is a byte too much at its start
    "README": "offset 8",  # text
}
"""Files whose structure is broken: pydicom reads what it can and stays silent."""

WITHOUT_REFERENCE = {"badVR.dcm"}
"""Files that `to_json_dict` fails for: an IS that is no number."""


def files() -> list[Path]:
    paths = [p for p in ROOT.rglob("*") if p.is_file() and p.suffix not in NOT_DICOM]
    return sorted(paths)


def readable() -> list[Path]:
    return [path for path in files() if path.name not in BROKEN]


@pytest.fixture(autouse=True)
def pydicom_may_complain() -> Iterator[None]:
    """Let pydicom warn about the files; we must not."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("pydicom").setLevel(logging.NOTSET)


def expected_of(reference: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON that pydicom makes, with the differences that there should be."""
    result = {}
    for key, attribute in reference.items():
        if key.endswith("0000"):
            continue  # PS3.18 F.2.2: group lengths shall not be included
        result[key] = expected = dict(attribute)
        if attribute["vr"] == "SQ":
            expected["Value"] = [expected_of(item) for item in attribute.get("Value", [])]
        elif "InlineBinary" in attribute:
            bulk = key in PIXEL_DATA or key in ("54001010", "60003000")
            if bulk or len(attribute["InlineBinary"]) * 3 // 4 - 2 > MAX_INLINE:
                del expected["InlineBinary"]  # bulk data is no part of the header
        elif "Value" in attribute:
            # PS3.18 F.2.5: empty values are null; PS3.5 6.2: trailing spaces are padding
            expected["Value"] = [_plain(value) for value in attribute["Value"]]
        if expected.get("Value") == []:
            del expected["Value"]  # PS3.18 F.2.5: an empty attribute has no Value
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.rstrip(" ") or None
    if isinstance(value, dict):  # PS3.18 F.2.2: the non-empty components of a name
        return {name: group for name, group in value.items() if group} or None
    return value


@pytest.mark.parametrize("path", readable(), ids=lambda path: path.name)
def test_a_header_equals_the_json_of_pydicom(path: Path) -> None:
    data = path.read_bytes()
    header = read_header(data)
    with path.open("rb") as file:
        assert read_header(file) == header
    assert header.attributes == json.loads(header.meta_json)
    if path.name in WITHOUT_REFERENCE:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(path, force=True, stop_before_pixels=True)
        reference = json.loads(json.dumps(dataset.to_json_dict()))
    assert header.attributes == expected_of(reference)


@pytest.mark.parametrize("path", readable(), ids=lambda path: path.name)
def test_a_dataset_in_memory_has_the_same_header(path: Path) -> None:
    expected = read_header(path.read_bytes()).meta_json
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(path, force=True)
        untouched = header_of(dataset).meta_json
        if path.name not in WITHOUT_REFERENCE:
            dataset.decode()  # turns all elements from raw ones into decoded ones
        decoded = header_of(dataset).meta_json
    assert untouched == expected
    assert decoded == expected


@pytest.mark.parametrize("path", readable(), ids=lambda path: path.name)
def test_a_header_becomes_a_dataset_and_the_same_header_again(path: Path) -> None:
    header = read_header(path.read_bytes())
    dataset = to_dataset(header.meta_json)
    assert dataset.get("SOPInstanceUID") == header.sop_instance_uid
    assert header_of(dataset).meta_json == header.meta_json
    assert header_of(to_dataset(header.attributes)).meta_json == header.meta_json


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(name: str) -> None:
    (path,) = [path for path in files() if path.name == name]
    with pytest.raises(InvalidDicom, match=BROKEN[name]):
        read_header(path.read_bytes())
    with path.open("rb") as file, pytest.raises(InvalidDicom, match=BROKEN[name]):
        read_header(file)


@pytest.mark.parametrize("path", readable()[::7], ids=lambda path: path.name)
def test_a_file_cut_anywhere_is_refused_or_read_and_nothing_else(path: Path) -> None:
    data = path.read_bytes()[:8192]
    for end in range(0, len(data), max(1, len(data) // 300)):
        with suppress(InvalidDicom):
            read_header(data[:end])
