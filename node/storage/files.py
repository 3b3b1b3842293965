"""Reading DICOM files (PS3.10): what they hold, and the digest of a dataset."""

import hashlib
import io
import os
import tempfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread, read_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom.comparing import DatasetComparison, Encoded, compare
from node.dicom.part10 import read_file_header
from node.dicom.peek import HEAD, SOPUIDs, peek_sop_uids
from node.dicom.spans import Unreadable, elements_between
from node.errors import StorageError
from node.storage.folders import is_own_name
from schema import InvalidDicom
from schema.parsing.extract import past_meta
from schema.parsing.scan import SPOOL, open_regular

_CHUNK = 1 << 20
_LARGEST_HEADER = 1 << 14
_SOP_INSTANCE_UID = 0x00080018
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_LONGEST_UID = 64
_MOST_INFLATED = 1 << 31
"""Bytes of a dataset that was deflated; what has more is taken for an attack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectUIDs:
    """The UIDs of an object, from its dataset; "" where it has none."""

    study: str = ""
    series: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """What a file's header says that it holds."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def identify(path: Path) -> FileIdentity:
    """Return what a DICOM file holds: by its File Meta Information, and its dataset's own UIDs.

    Where the two disagree it is the dataset that is sent, and that its receiver goes by.

    Raises
    ------
    StorageError
        When the file cannot be read, or is not a DICOM file that can be sent as it is.
    """
    try:
        meta = read_file_meta_info(path)
        sop_class = meta.get("MediaStorageSOPClassUID")
        sop_instance = meta.get("MediaStorageSOPInstanceUID")
        if not sop_class or not sop_instance:
            dataset = dcmread(
                path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"]
            )
            sop_class, sop_instance = dataset.get("SOPClassUID"), dataset.get("SOPInstanceUID")
    except (OSError, InvalidDicomError) as error:
        reason = getattr(error, "strerror", None) or "it is not a DICOM file"
        raise StorageError(f"cannot send {path}: {reason}") from error
    except Exception as error:  # the parser's exceptions for malformed headers have no common base
        raise StorageError(f"cannot send {path}: its header is malformed ({error})") from error
    if not sop_class or not sop_instance:
        raise StorageError(f"cannot send {path}: it names no SOP class and instance (a DICOMDIR?)")
    syntax = str(meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian)
    seen = _seen_in_dataset(path, syntax)
    return FileIdentity(
        sop_class_uid=seen.sop_class_uid or str(sop_class),
        sop_instance_uid=seen.sop_instance_uid or str(sop_instance),
        transfer_syntax_uid=syntax,
    )


def _seen_in_dataset(path: Path, transfer_syntax_uid: str) -> SOPUIDs:
    try:
        with open_regular(path) as file:
            head, start, _ = past_meta(file, _LARGEST_HEADER)
            return peek_sop_uids(head[start:] + file.read(HEAD), transfer_syntax_uid)
    except (OSError, InvalidDicom):
        return SOPUIDs()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledIdentity:
    """What the header of a file says that we wrote ourselves; all is empty when it is damaged.

    Attributes
    ----------
    sha256
        Of the dataset; of the whole file when the header is damaged.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    source: str = ""
    sha256: str


def identify_spooled(path: Path) -> SpooledIdentity:
    """Return what a file of the spool holds, from the header that we gave it, and its digest.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    with open_regular(path) as file:
        read = read_file_header(file.read(_CHUNK))
        elements, offset = read or ({}, 0)
        file.seek(offset)
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return SpooledIdentity(
        sop_class_uid=elements.get(0x0002, ""),
        sop_instance_uid=elements.get(0x0003, ""),
        transfer_syntax_uid=elements.get(0x0010, ""),
        source=elements.get(0x0016, ""),
        sha256=digest.hexdigest(),
    )


def find_files(paths: list[Path]) -> list[Path]:
    """Return the given files, and all regular files below the given folders, in order.

    What a node keeps for itself in a storage directory, such as its quarantine, is left out.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                own = (Path(folder) / SPOOL).is_dir()
                folders[:] = sorted(name for name in folders if not (own and is_own_name(name)))
                files = (
                    Path(folder, name) for name in sorted(names) if not (own and is_own_name(name))
                )
                found.extend(path for path in files if path.is_file())
        else:
            found.append(path)
    return found


def compare_files(
    held: str, peer: str, *, ignored: Collection[int] = (), values: bool = False
) -> DatasetComparison:
    """Compare the datasets of two files element by element; see `node.dicom.comparing`.

    What is deflated is inflated into a file without a name, beside `peer`.

    Raises
    ------
    Unreadable
        One of both is no dataset to its end: nothing is known of them.
    OSError, InvalidDicom
        One of both cannot be read.
    """
    with ExitStack() as stack:
        ours, theirs = (
            stack.enter_context(_dataset_of(path, os.path.dirname(peer)))  # noqa: PTH120
            for path in (held, peer)
        )
        return compare(ours, theirs, ignored=ignored, values=values)


def study_uid_of(path: str) -> str:
    """Return the Study Instance UID of a file's dataset; "" where it has none.

    Errors are those of `compare_files`.
    """
    return object_uids(path).study


def object_uids(path: str) -> ObjectUIDs:
    """Return the UIDs of a file's dataset.

    Errors are those of `compare_files`.
    """
    with _dataset_of(path, os.path.dirname(path)) as dataset:  # noqa: PTH120
        found = elements_between(dataset.file, dataset.start, dataset.end, dataset.coding)

        def uid(tag: int) -> str:
            span = found.get(tag)
            if span is None:
                return ""
            dataset.file.seek(span.offset)
            said = dataset.file.read(min(span.length, _LONGEST_UID))
            return said.decode("ascii", "replace").strip(" \0")

        return ObjectUIDs(
            study=uid(_STUDY_INSTANCE_UID),
            series=uid(_SERIES_INSTANCE_UID),
            image=uid(_SOP_INSTANCE_UID),
        )


def transfer_syntax_of(path: str) -> str:
    """Return the transfer syntax that a file's header names; Implicit VR where there is none.

    Raises
    ------
    OSError, InvalidDicom
        It cannot be read.
    """
    with open_regular(path) as file:
        return past_meta(file, _LARGEST_HEADER)[2] or ImplicitVRLittleEndian


@contextmanager
def _dataset_of(path: str, folder: str) -> Iterator[Encoded]:
    with ExitStack() as stack:
        raw = stack.enter_context(open_regular(path))
        _, start, syntax = past_meta(raw, _LARGEST_HEADER)
        file: BinaryIO = stack.enter_context(io.BufferedReader(cast(io.RawIOBase, raw)))
        end = os.fstat(raw.fileno()).st_size
        syntax = syntax or ImplicitVRLittleEndian
        if syntax == DeflatedExplicitVRLittleEndian:
            inflated = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            file.seek(start)
            _inflate(file, inflated)
            file, start, end, syntax = inflated, 0, inflated.tell(), ExplicitVRLittleEndian
        yield Encoded(file=file, start=start, end=end, transfer_syntax_uid=str(syntax))


def _inflate(deflated: BinaryIO, into: BinaryIO) -> None:
    """Write what a deflated dataset is (PS3.5 A.5); its last byte may be padding."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    try:
        while not inflating.eof and (data := deflated.read(_CHUNK)):
            while data and not inflating.eof:
                part = inflating.decompress(data, _CHUNK)
                size += len(part)
                if size > _MOST_INFLATED:
                    raise Unreadable("it is deflated, and too large when it is not")
                into.write(part)
                data = inflating.unconsumed_tail
    except zlib.error as error:
        raise Unreadable(f"it cannot be inflated: {error}") from error
    if not inflating.eof:
        raise Unreadable("it is deflated, and ends before it should")
