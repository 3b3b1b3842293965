"""One object of up to 4 GB into our node, beside dd with fsync on the same disk.

The object is a multi-frame image whose frames are made while they are sent: neither side has it in
memory at any time.
"""

from __future__ import annotations

import itertools
import random
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from tests.bench.receivers import NodeReceiver
from tests.bench.sender import Association, data_pdu, store_request
from tests.support.images import ROOT
from tests.support.waiting import wait_until

_FRAME = 1024 * 1024 * 2
_LIMIT = 600.0


def receive(receiver: NodeReceiver, megabytes: int, number: int) -> float:
    """Send an object of so many MiB of pixels; return MiB/s, until it is in the index."""
    frames = megabytes * (1 << 20) // _FRAME
    uid = f"{ROOT}.9.{number + 1}"
    header = _header(uid, frames)
    association = Association(
        receiver.port,
        receiver.aetitle,
        [],
        abstract_syntax=MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    )
    before = receiver.count()
    command = store_request(1, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, uid)
    pdus = _pdus(header, frames * _FRAME, association.maximum - 6)
    started = time.perf_counter()
    status = association.request(itertools.chain([data_pdu(0x03, command)], pdus))
    if status != 0x0000:
        raise SystemExit(f"the node did not take an object of {megabytes} MiB: {status:#06x}")
    wait_until(lambda: receiver.count() > before, _LIMIT, interval=0.002)
    seconds = time.perf_counter() - started
    association.release()
    return frames * _FRAME / (1 << 20) / seconds


def copy(place: Path, megabytes: int) -> float:
    """Let dd write as much to a file below `place`, fsync included; return MiB/s."""
    with tempfile.TemporaryDirectory(dir=place, prefix="dd-") as folder:
        target = Path(folder) / "file"
        amount = ("bs=1M", f"count={megabytes}", "conv=fsync", "status=none")
        started = time.perf_counter()
        subprocess.run(["dd", "if=/dev/zero", f"of={target}", *amount], check=True, timeout=_LIMIT)
        seconds = time.perf_counter() - started
        assert target.stat().st_size == megabytes << 20
    return megabytes / seconds


def _header(uid: str, frames: int) -> bytes:
    """Return the dataset up to the pixels themselves, Explicit VR Little Endian."""
    ds = Dataset()
    ds.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    ds.SOPInstanceUID = uid
    ds.StudyInstanceUID = f"{uid}.1"
    ds.SeriesInstanceUID = f"{uid}.2"
    ds.StudyDate = "20240101"
    ds.Modality = "OT"
    ds.PatientID = "P-LARGE"
    ds.PatientName = "Doe^Jane"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.NumberOfFrames = frames
    ds.Rows = ds.Columns = 1024
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, frames * _FRAME)
    return bytes(buffer.getvalue()) + pixels


def _pdus(header: bytes, pixels: int, step: int) -> Iterator[bytes]:
    """Yield the P-DATA-TFs of the dataset, `step` bytes of it in each."""
    noise = random.Random(1024).randbytes(step)
    first = header + noise[: step - len(header)]
    yield data_pdu(0x00, first)
    left = pixels - (len(first) - len(header))
    whole = data_pdu(0x00, noise)
    while left > step:
        yield whole
        left -= step
    yield data_pdu(0x02, noise[:left])
