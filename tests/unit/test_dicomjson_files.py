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

import pytest
from pydicom import dcmread

from schema.errors import InvalidDicom
from schema.header.dicomjson import header_of, read_header, to_dataset
from tests.support.files import BROKEN, all_files, readable_files
from tests.support.reference import expected_of

WITHOUT_REFERENCE = {"badVR.dcm"}
"""Files that `to_json_dict` fails for: an IS that is no number."""


@pytest.fixture(autouse=True)
def pydicom_may_complain() -> Iterator[None]:
    """Let pydicom warn about the files; we must not."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("pydicom").setLevel(logging.NOTSET)


@pytest.mark.parametrize("path", readable_files(), ids=lambda path: path.name)
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


@pytest.mark.parametrize("path", readable_files(), ids=lambda path: path.name)
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


@pytest.mark.parametrize("path", readable_files(), ids=lambda path: path.name)
def test_a_header_becomes_a_dataset_and_the_same_header_again(path: Path) -> None:
    header = read_header(path.read_bytes())
    dataset = to_dataset(header.meta_json)
    assert dataset.get("SOPInstanceUID") == header.sop_instance_uid
    assert header_of(dataset).meta_json == header.meta_json
    assert header_of(to_dataset(header.attributes)).meta_json == header.meta_json


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(name: str) -> None:
    (path,) = [path for path in all_files() if path.name == name]
    with pytest.raises(InvalidDicom, match=BROKEN[name]):
        read_header(path.read_bytes())
    with path.open("rb") as file, pytest.raises(InvalidDicom, match=BROKEN[name]):
        read_header(file)


@pytest.mark.parametrize("path", readable_files()[::7], ids=lambda path: path.name)
def test_a_file_cut_anywhere_is_refused_or_read_and_nothing_else(path: Path) -> None:
    data = path.read_bytes()[:8192]
    for end in range(0, len(data), max(1, len(data) // 300)):
        with suppress(InvalidDicom):
            read_header(data[:end])
