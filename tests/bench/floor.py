"""What the disk allows: a loop that only makes files durable, as every careful receiver must.

Each thread creates a file, writes it in one call, fsyncs it, renames it and fsyncs the directory;
then the next. No network, no header is read, no index: what takes longer than this is the
receiver's own doing. Several threads share the directory, as several associations do.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path


def floor(paths: Sequence[Path], threads: int, place: Path) -> float:
    """Return how many of these files are made durable in a second."""
    files = [path.read_bytes() for path in paths]
    with tempfile.TemporaryDirectory(dir=place, prefix="floor-") as folder:
        begin = threading.Barrier(threads + 1)
        parts = [
            threading.Thread(
                target=_keep_all, args=(files[n::threads], Path(folder), f"{n:02d}", begin)
            )
            for n in range(threads)
        ]
        for part in parts:
            part.start()
        begin.wait()
        started = time.perf_counter()
        for part in parts:
            part.join()
        seconds = time.perf_counter() - started
        kept = sum(1 for _ in Path(folder).glob("*.dcm"))
    assert kept == len(files), f"{kept} of {len(files)} files were written"
    return len(files) / seconds


def _keep_all(files: Sequence[bytes], folder: Path, name: str, begin: threading.Barrier) -> None:
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        begin.wait()
        for number, data in enumerate(files):
            part = folder / f"{name}-{number:06d}.part"
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            written = os.write(descriptor, data)
            assert written == len(data), "the disk is full"
            os.fsync(descriptor)
            os.close(descriptor)
            part.rename(part.with_suffix(".dcm"))
            os.fsync(directory)
    finally:
        os.close(directory)
