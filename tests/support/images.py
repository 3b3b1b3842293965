"""DICOM files for the tests: thousands of small or 512 KB images, and those that pydicom ships.

The images come from one template whose varying values stand at known offsets, so that a file costs
a copy and a handful of slice assignments.
"""

from __future__ import annotations

import functools
import io
import random
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.data import get_testdata_file
from pydicom.data.data_manager import DATA_ROOT

Size = Literal["small", "large"]

# A branch of pydicom's own root; PS3.5 section 9 limits a UID to 64 characters.
ROOT = "1.2.826.0.1.3680043.8.498.77"
_PREAMBLE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A generated image: where it is, and what identifies it."""

    path: Path
    patient_id: str
    study_uid: str
    study_date: str
    series_uid: str
    sop_instance_uid: str


def generate(
    folder: Path,
    *,
    studies: int = 1,
    series: int = 1,
    images: int = 10,
    size: Size = "small",
    seed: int = 0,
) -> list[Generated]:
    """Write `studies` × `series` × `images` MR images to `folder`, one directory per study.

    Each study has a patient and a day of its own, from 2024-01-01 on. `small` images have about
    10 KB, `large` ones 512 KB of pixel data. Other UIDs come with another `seed` (0 to 8999).
    """
    template = _template(size)
    made = []
    for study in range(studies):
        patient_id = f"P{seed:04d}-{study:04d}"
        study_date = f"2024{study // 28 % 12 + 1:02d}{study % 28 + 1:02d}"
        study_uid = f"{ROOT}.{seed + 1000}.{study + 10000}"
        directory = folder / f"study-{study:04d}"
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(series):
            series_uid = f"{study_uid}.{number + 1000}"
            for instance in range(images):
                uid = f"{series_uid}.{instance + 100000}"
                path = directory / f"{number:03d}-{instance:05d}.dcm"
                path.write_bytes(
                    template.filled(
                        PatientID=patient_id,
                        StudyDate=study_date,
                        StudyInstanceUID=study_uid,
                        SeriesInstanceUID=series_uid,
                        SOPInstanceUID=uid,
                        AccessionNumber=f"A{study:09d}",
                        SeriesNumber=f"{number + 1:06d}",
                        InstanceNumber=f"{instance + 1:06d}",
                    )
                )
                made.append(
                    Generated(
                        path=path,
                        patient_id=patient_id,
                        study_uid=study_uid,
                        study_date=study_date,
                        series_uid=series_uid,
                        sop_instance_uid=uid,
                    )
                )
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """An encoded file and, per keyword, the offsets of its value and the value's length."""

    encoded: bytes
    places: dict[str, tuple[list[int], int]]

    def filled(self, **values: str) -> bytes:
        """Return the file with these values, each as long as the one that it replaces."""
        data = bytearray(self.encoded)
        for keyword, value in values.items():
            offsets, length = self.places[keyword]
            raw = value.encode("ascii")
            assert len(raw) == length, f"{keyword} must have {length} characters: {value!r}"
            for offset in offsets:
                data[offset : offset + length] = raw
        return bytes(data)


@functools.cache
def _template(size: Size) -> _Template:
    # Digits that stand nowhere else in the file mark the place of each value.
    marks = {
        "PatientID": "P4731-4731",
        "StudyDate": "19470314",
        "StudyInstanceUID": f"{ROOT}.4732.47321",
        "SeriesInstanceUID": f"{ROOT}.4733.47331.4733",
        "SOPInstanceUID": f"{ROOT}.4734.47341.4734.473411",
        "AccessionNumber": "A473514735",
        "SeriesNumber": "473614",
        "InstanceNumber": "473714",
    }
    ds = pydicom.dcmread(get_testdata_file("MR_small.dcm", read=False))
    ds.PatientName = "Doe^Jane"
    del ds["DataSetTrailingPadding"]  # DCMTK drops it: a moved image would have other bytes
    for keyword, mark in marks.items():
        setattr(ds, keyword, mark)
    if size == "large":
        ds.Rows = ds.Columns = 512
        ds.PixelData = random.Random(512).randbytes(512 * 512 * 2)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    encoded = buffer.getvalue()
    places = {
        keyword: (_offsets(encoded, mark.encode("ascii")), len(mark))
        for keyword, mark in marks.items()
    }
    assert all(offsets for offsets, _ in places.values())
    assert len(places["SOPInstanceUID"][0]) == 2, "File Meta and dataset both carry the UID"
    return _Template(encoded=encoded, places=places)


def _offsets(data: bytes, mark: bytes) -> list[int]:
    found, start = [], data.find(mark)
    while start >= 0:
        found.append(start)
        start = data.find(mark, start + 1)
    return found


def dataset_bytes(path: Path) -> bytes:
    """Return the encoded dataset of a file, without preamble and File Meta (PS3.10 section 7.1).

    A file without them is a dataset from its first byte on.
    """
    data = path.read_bytes()
    if data[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        return data
    return data[_end_of_meta(data) :]


def _end_of_meta(data: bytes) -> int:
    """Return where group 0002, always Explicit VR Little Endian, ends."""
    offset = _PREAMBLE + 4
    while data[offset : offset + 2] == b"\x02\x00":
        if data[offset + 4 : offset + 6] in {b"OB", b"OW", b"UN", b"UT", b"SQ"}:
            (length,) = struct.unpack_from("<L", data, offset + 8)
            offset += 12 + length
        else:
            (length,) = struct.unpack_from("<H", data, offset + 6)
            offset += 8 + length
    return offset


def one_per_transfer_syntax(folder: Path, *, first: int = 10) -> dict[str, Path]:
    """Copy the smallest of pydicom's files for each transfer syntax that they have.

    pydicom ships one image in many encodings under one SOP Instance UID: the copies get one each,
    that ends with a number of two digits from `first` on. Copies of a file that names no study or
    no series are given one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copies = {}
    for number, (uid, path) in enumerate(_smallest(), start=first):
        copies[uid] = folder / path.name
        copies[uid].write_bytes(_renamed(path, number))
    return copies


@functools.cache
def _smallest() -> list[tuple[str, Path]]:
    """Return transfer syntax UIDs and the smallest file that has each."""
    smallest: dict[str, tuple[bool, int, Path]] = {}
    for path, uid in _sendable():
        entry = (not _placed(path), path.stat().st_size, path)
        smallest[uid] = min(entry, smallest.get(uid, entry))
    return [(uid, path) for uid, (_, _, path) in sorted(smallest.items())]


def _sendable() -> Iterator[tuple[Path, str]]:
    """Yield path and transfer syntax UID of the files whose File Meta and dataset agree."""
    for path in sorted((Path(DATA_ROOT) / "test_files").rglob("*")):
        if not path.is_file():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                ds = pydicom.dcmread(path, stop_before_pixels=True)
                uid = str(ds.file_meta.TransferSyntaxUID)
                instance = ds.file_meta.MediaStorageSOPInstanceUID
                agreed = ds.SOPClassUID and ds.SOPInstanceUID == instance
            except Exception:  # noqa: BLE001 -- some of them are broken on purpose
                continue
        if agreed:
            yield path, uid


def _placed(path: Path) -> bool:
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    return bool(ds.get("StudyInstanceUID") and ds.get("SeriesInstanceUID"))


def _renamed(path: Path, number: int) -> bytes:
    """Return a file with another SOP Instance UID, as long as its own."""
    instance = pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
    data = path.read_bytes()
    if not _placed(path):
        ds = pydicom.dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.1.1"
        buffer = io.BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        data = buffer.getvalue()
    old, new = instance.encode(), f"{instance[:-2]}{number}".encode()
    end = _end_of_meta(data)
    meta, dataset = data[:end].replace(old, new), data[end:]
    if b"1.2.840.10008.1.2.1.99" not in meta:
        return meta + dataset.replace(old, new)
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset).replace(old, new)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(inflated) + deflate.flush()
    return meta + deflated + bytes(len(deflated) % 2)  # PS3.5 A.5
