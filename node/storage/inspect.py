"""Comparing a file with what its row says, and reading back the header that we gave a file.

All functions block on the disk: call them in a thread.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from node.dicom.part10 import file_header, read_file_header
from node.errors import StorageError
from node.storage.folders import is_own_name
from schema import InvalidDicom
from schema.header.values import clean_text
from schema.inventory import Held
from schema.judgement import Kept, Lies
from schema.parsing.extract import both_digests, dataset_digest, past_meta
from schema.parsing.kept import REPLACEMENT, look_at
from schema.parsing.recognise import why_not_image
from schema.parsing.scan import SPOOL, open_regular, reason_of
from schema.text.words import counted

_FEW = 16
"""Bytes by which a header that we made may differ and still be taken for it."""

_LARGEST_HEADER = 1 << 14
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG))
_HEADER_CHANGED = "its File Meta Information is not as it was written"


class Fault(StrEnum):
    """What is wrong with the file of an image."""

    MISSING = "missing"
    CHANGED = "changed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What a file is, compared with its row.

    Attributes
    ----------
    fault, reason
        What is wrong, as a word and in words; None and empty when nothing is.
    sha256
        Of the dataset; None when it was not computed.
    size
        Bytes of the file; 0 when there is none.
    file_sha256
        Of all its bytes; None when it was not asked for.
    """

    fault: Fault | None = None
    reason: str = ""
    sha256: str | None = None
    size: int = 0
    file_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenHeader:
    """What the header says that we write before a received dataset, and when that was.

    Attributes
    ----------
    received_on
        When the file was last written; naive UTC.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source: str
    received_on: datetime


def inspect(held: Held, *, whole: bool = False) -> Inspected:
    """Read the file of an image to its end, and compare it with the image's row.

    Its own digest is told where `whole` asks for it.
    """
    path = held.filepath or ""
    if not path:
        return Inspected(fault=Fault.MISSING, reason="the row names no file any more")
    try:
        return _compared(path, held, whole=whole)
    except InvalidDicom as error:
        return Inspected(fault=Fault.CHANGED, reason=f"it is no DICOM file any more: {error}")
    except (OSError, ValueError) as error:
        return _not_read(path, error)


def glance(path: str, size: int | None = None) -> Inspected:
    """Say what a file is without reading it: gone, unreadable, or of another size.

    It is gone only where the operating system says that there is no such file; a disk or a folder
    that does not answer says nothing about what is on it.

    Parameters
    ----------
    size
        The bytes that it should have; None where nobody knows.
    """
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError) as error:
        return _not_read(path, error)
    if not stat.S_ISREG(status.st_mode):
        return Inspected(fault=Fault.UNREADABLE, reason="it is no regular file")
    if size is not None and status.st_size != size:
        reason = f"{counted(status.st_size, 'byte')}, {size} expected"
        return Inspected(fault=Fault.CHANGED, reason=reason, size=status.st_size)
    return Inspected(size=status.st_size)


def written_header_of(path: str) -> WrittenHeader | None:
    """Return what our own header says; None when the file has another one.

    Raises
    ------
    OSError
        It cannot be read, which says nothing about what it has.
    """
    with open_regular(path) as file:
        head = file.read(_LARGEST_HEADER)
        written = os.fstat(file.fileno()).st_mtime
    if (read := read_file_header(head)) is None:
        return None
    elements, end = read
    sop_class, instance, syntax, source = (
        elements.get(element, "") for element in (0x0002, 0x0003, 0x0010, 0x0016)
    )
    ours = file_header(
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        transfer_syntax_uid=syntax,
        source_aetitle=source,
    )
    if ours != head[:end]:
        return None
    return WrittenHeader(
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        transfer_syntax_uid=syntax,
        source=clean_text(source),
        received_on=datetime.fromtimestamp(written, UTC).replace(tzinfo=None),
    )


def kept_of(held: Held, directory: Path) -> Kept:
    """Return what lies where the row of an image says.

    A file of another size or with a damaged header, although nothing is known against its dataset,
    is broken: it is to be repaired as any other damage is. So is one that nobody has received and
    that names another transfer syntax than its row, which `inspect` does not ask.

    Parameters
    ----------
    directory
        The storage directory.
    """
    kept = look_at(held.filepath, archive=directory)
    if kept.lies is not Lies.DATASET or not kept.archived:
        return kept
    if held.sha256 not in (None, kept.sha256):
        return kept
    path = held.filepath or ""
    try:
        if held.size is not None and os.stat(path).st_size != held.size:  # noqa: PTH116
            reason = "its File Meta Information has another length"
        elif _header_damaged(path, held) if held.node else _is_encoded_otherwise(path, held):
            reason = _HEADER_CHANGED
        else:
            return kept
    except InvalidDicom as error:
        reason = str(error)
    except OSError as error:
        return Kept(lies=Lies.UNREADABLE, archived=True, reason=reason_of(error))
    return replace(kept, lies=Lies.BROKEN, sha256=None, reason=reason)


def digest_of(path: str) -> str | None:
    """Return the SHA-256 of a file's dataset; None when it has none.

    Raises
    ------
    OSError
        The file cannot be read: then nobody knows.
    """
    try:
        return dataset_digest(path)
    except InvalidDicom:
        return None


def is_below(path: str, directory: Path) -> bool:
    """Tell whether a path lies below a directory, by its name alone."""
    return Path(path).is_relative_to(directory)


def is_own(path: str, directory: Path) -> bool:
    """Tell whether a path is one that the node keeps for itself: spool, quarantine, locks, id."""
    return is_below(path, directory) and is_own_name(*Path(path).relative_to(directory).parts)


class Spooled:
    """Which files are in the spool as well: the node is about to index them.

    An object gets its second name, in the archive or in quarantine, before it gets its row,
    and loses its first one after that.

    Parameters
    ----------
    directory
        The storage directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def among(self, paths: list[str]) -> set[str]:
        """Return those of these files that the node is about to index.

        Raises
        ------
        StorageError
            The spool cannot be looked at, so that nobody can tell.
        """
        several = {}
        for path in paths:
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:
                continue
            if status.st_nlink > 1:
                several[path] = (status.st_dev, status.st_ino)
        if not several:
            return set()
        try:
            spooled = set(self._inodes())
        except OSError as error:
            reason = f"the spool of {self._directory} cannot be looked at: {reason_of(error)}"
            raise StorageError(reason) from error
        return {path for path, inode in several.items() if inode in spooled}

    def _inodes(self) -> Iterator[tuple[int, int]]:
        for folder, _, names in os.walk(self._directory / SPOOL, onerror=_unless_gone):
            for name in names:
                try:
                    status = os.stat(os.path.join(folder, name))  # noqa: PTH116
                except FileNotFoundError:  # the node has indexed it
                    continue
                yield status.st_dev, status.st_ino


def _compared(path: str, held: Held, *, whole: bool) -> Inspected:
    found = glance(path, held.size)
    if found.fault is not None:
        return found
    if held.sha256 is None and (foreign := _why_not_image(path, found.size)):
        raise InvalidDicom(foreign)  # any bytes at all have a digest
    sha256, of_file = both_digests(path) if whole else (dataset_digest(path), None)
    reason = ""
    if held.sha256 is not None and sha256 != held.sha256:
        reason = "the SHA-256 of its dataset is another one"
    elif held.node is not None and _header_damaged(path, held):
        reason = _HEADER_CHANGED
    fault = Fault.CHANGED if reason else None
    return replace(found, fault=fault, reason=reason, sha256=sha256, file_sha256=of_file)


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _not_read(path: str, error: OSError | ValueError) -> Inspected:
    """Say what an error means: that there is no such file, or that nobody can tell."""
    if not isinstance(error, OSError):  # a name that the operating system cannot have
        return Inspected(fault=Fault.UNREADABLE, reason=str(error))
    if error.errno not in _GONE:
        return Inspected(fault=Fault.UNREADABLE, reason=reason_of(error))
    reason = "there is no such file"
    if REPLACEMENT in path:
        reason += "; its name has characters that the database cannot keep"
    return Inspected(fault=Fault.MISSING, reason=reason)


def _why_not_image(path: str, size: int) -> str | None:
    with open(path, "rb") as file:  # noqa: PTH123
        return why_not_image(file.read(_LARGEST_HEADER), size)


def _header_damaged(path: str, held: Held) -> bool:
    """Tell whether the header of a file that we received is not what the row says.

    The file may have been lost, and the row then have got another program's copy of it: such a
    header is of another length, and names the transfer syntax that the row has.
    """
    found = written_header_of(path)
    if found is not None:
        said = (found.sop_class_uid, found.sop_instance_uid, found.transfer_syntax_uid)
        row = (held.sop_class_uid, held.image_uid, held.transfer_syntax_uid)
        if said == tuple(_plain(value or "") for value in row) and found.source == _plain(
            held.source or ""
        ):
            return False
    expected = file_header(
        sop_class_uid=held.sop_class_uid or "",
        sop_instance_uid=held.image_uid,
        transfer_syntax_uid=held.transfer_syntax_uid or "",
        source_aetitle=held.source or "",
    )
    with open_regular(path) as file:
        head = file.read(len(expected))
    differing = sum(one != other for one, other in zip(head, expected, strict=False))
    if len(head) == len(expected) and 0 < differing <= _FEW:
        return True
    end, syntax = _header_end(path)
    return end == len(expected) or syntax != held.transfer_syntax_uid


def _is_encoded_otherwise(path: str, held: Held) -> bool:
    """Tell whether a file names another transfer syntax than its row."""
    _, syntax = _header_end(path)
    return None not in (syntax, held.transfer_syntax_uid) and syntax != held.transfer_syntax_uid


def _header_end(path: str) -> tuple[int, str | None]:
    """Return where the dataset of a file begins, and the transfer syntax that its header names."""
    with open_regular(path) as file:
        _, end, transfer_syntax = past_meta(file, _LARGEST_HEADER)
    return end, transfer_syntax


def _plain(text: str) -> str:
    """Return a text as a header has it, without padding."""
    return text.encode("ascii", "replace").decode().strip(" \0")
