"""One file: whether it is an image, its record, and the digest of its dataset.

This is what the processes that read files for `schema.parsing` do. Nothing in a file makes it
raise: what is no image, or cannot be read, is answered with the reason.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from schema.errors import InvalidDicom
from schema.header.elements import MoreNeeded
from schema.header.encoding import after_file_meta
from schema.parsing.recognise import why_not_image
from schema.parsing.scan import Passed, Why, open_regular, reason_of
from schema.record import ImageRecord, read_record

WHOLE = 1 << 20
"""Bytes up to which a file is read at once; of a larger one the pixel data only passes by."""

_LARGEST_META = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files are read.

    Attributes
    ----------
    institution
        The institution whose patients the images show.
    digests
        Whether `sha256` is computed, for which a file has to be read to its end.
    niceness
        How far the processes give way to others (nice(2)).
    """

    institution: str
    digests: bool = True
    niceness: int = 0


def extract(
    path: str, reading: Reading, alive: Callable[[], None] = lambda: None
) -> ImageRecord | Passed:
    """Return the record of a file, or why there is none; never raise.

    Parameters
    ----------
    path
        Absolute. A name that is no UTF-8 is decoded as the operating system does.
    alive
        Called again and again while a large file is read for its digest.
    """
    try:
        return _extract(path, reading, alive)
    except InvalidDicom as error:
        return Passed(path, Why.INVALID, str(error))
    except OSError as error:
        return Passed(path, Why.UNREADABLE, reason_of(error))
    except MemoryError:
        return Passed(path, Why.INVALID, "its header needs too much memory")
    except Exception as error:  # noqa: BLE001 - one file never stops the others
        return Passed(path, Why.INVALID, f"cannot be understood: {type(error).__name__}")


def dataset_digest(path: str) -> str:
    """Return the SHA-256 of the encoded dataset of a file, in hexadecimal.

    The File Meta Information (PS3.10 section 7.1) is not part of it: it is the writer's of
    the file, the dataset is the sender's.

    Raises
    ------
    OSError
        When the file cannot be read.
    InvalidDicom
        When the File Meta Information does not end before the file does.
    """
    with open_regular(path) as file:
        return _digest_of(file, *past_meta(file, WHOLE)[:2])


def both_digests(path: str) -> tuple[str, str]:
    """Return the SHA-256 of a file's dataset and that of all its bytes, which are read once.

    Errors are those of `dataset_digest`.
    """
    with open_regular(path) as file:
        head, start, _ = past_meta(file, WHOLE)
        whole = hashlib.sha256(head)
        return _digest_of(file, head, start, passed=whole.update), whole.hexdigest()


def file_digest(path: str) -> str:
    """Return the SHA-256 of all bytes of a file, in hexadecimal.

    Raises
    ------
    OSError
        When it cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        return _digest_of(file, b"", 0)


def past_meta(file: BinaryIO, size: int) -> tuple[bytes, int, str | None]:
    """Read the File Meta Information of a file, and perhaps more.

    Parameters
    ----------
    size
        How many bytes to read first; it may be longer.

    Returns
    -------
    tuple[bytes, int, str or None]
        What was read, where the dataset begins in it, and the transfer syntax that is named.

    Raises
    ------
    OSError, InvalidDicom
        As `dataset_digest` does.
    """
    return _past_meta(file, file.read(size), size)


def _extract(path: str, reading: Reading, alive: Callable[[], None]) -> ImageRecord | Passed:
    # A FIFO that has come in place of the file would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return Passed(path, Why.UNREADABLE, "it is no regular file any more")
        size = before.st_size
        head = file.read(min(size, WHOLE))
        if reason := why_not_image(head, size):
            return Passed(path, Why.SKIPPED, reason)
        record = read_record(
            head if len(head) == size else path,
            institution=reading.institution,
            filepath=path,
            sha256=_digest_of(file, *_past_meta(file, head, WHOLE)[:2], alive)
            if reading.digests
            else None,
            size=size,
        )
        after = os.fstat(descriptor)
    if (after.st_size, after.st_mtime_ns) != (size, before.st_mtime_ns):
        return Passed(path, Why.UNREADABLE, "it changed while it was read")
    return record


def _past_meta(file: BinaryIO, head: bytes, asked: int) -> tuple[bytes, int, str | None]:
    """Read on where the File Meta Information is longer than what was read first."""
    try:
        return head, *after_file_meta(head, complete=len(head) < asked)
    except MoreNeeded:
        head += file.read(_LARGEST_META)
        return head, *after_file_meta(head, complete=True)


def _digest_of(
    file: BinaryIO,
    head: bytes,
    start: int,
    alive: Callable[[], None] = lambda: None,
    passed: Callable[[bytes], None] = lambda _: None,
) -> str:
    """Return the digest of a file's dataset, which begins in what was read already."""
    digest = hashlib.sha256(memoryview(head)[start:])
    while chunk := file.read(WHOLE):
        digest.update(chunk)
        passed(chunk)
        alive()
    return digest.hexdigest()
