"""A dataset behind another header: where the header says what the dataset is not.

An object is kept as it came, behind a File Meta Information that names what its C-STORE named. As
an image it has to name what the dataset is (PS3.10 section 7.1).
"""

import contextlib
import hashlib
import os
from pathlib import Path

from node.dicom.part10 import file_header
from node.errors import StorageError
from node.storage.durable import sync_directory, write_all
from schema import ImageRecord, InvalidDicom
from schema.header.encoding import after_file_meta
from schema.parsing.scan import open_regular, reason_of

_LARGEST_HEADER = 1 << 14
_PIECE = 1 << 20


def restated(path: Path, record: ImageRecord) -> Path:
    """Write a file's dataset into another file beside it, behind a header of its own; durably.

    It has the time of the first one, which says when it was received. Blocks on the disk.

    Parameters
    ----------
    record
        What the dataset is, with its digest and where it came from.

    Returns
    -------
    Path
        Of the other file; one of an earlier attempt is replaced.

    Raises
    ------
    StorageError
        The disk does not give or take it, or gives another dataset; nothing is left then.
    """
    target = path.with_name(f"{path.stem}~restated.dcm")
    draft = target.with_suffix(".part")
    header = file_header(
        sop_class_uid=record.sop_class_uid or "",
        sop_instance_uid=record.image_uid,
        transfer_syntax_uid=record.transfer_syntax_uid or "",
        source_aetitle=record.source or "",
    )
    try:
        try:
            _write(path, draft, header, record.sha256)
            draft.replace(target)
            sync_directory(target.parent)
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
    except OSError as error:
        raise StorageError(f"cannot write {target.name} anew: {reason_of(error)}") from error
    return target


def _write(path: Path, draft: Path, header: bytes, sha256: str | None) -> None:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        try:
            start, _ = after_file_meta(file.read(_LARGEST_HEADER), complete=True)
        except InvalidDicom as error:
            raise StorageError(f"{path.name} has no dataset any more: {error}") from error
        file.seek(start)
        written = os.fstat(file.fileno()).st_mtime_ns
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            write_all(descriptor, [header])
            while piece := file.read(_PIECE):
                digest.update(piece)
                write_all(descriptor, [piece])
            os.utime(descriptor, ns=(written, written))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    if digest.hexdigest() != sha256:
        raise StorageError(f"{path.name} has another dataset than a moment before")
