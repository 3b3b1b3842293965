"""What a row says of its file, and what the file is now: there the disk is asked, not the row."""

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path

from schema.errors import InvalidDicom
from schema.inventory import Held
from schema.judgement import Kept, Known, Lies
from schema.parsing.extract import dataset_digest
from schema.parsing.scan import OWN_FOLDERS, reason_of

_OWN = frozenset((name,) for name in OWN_FOLDERS)

REPLACEMENT = "\ufffd"
"""Stands in a row for what a database cannot keep: such a path is not the file's own name."""


def known_of(held: Held, storage_id: str | None) -> Known:
    """Return what a row says of its file, as seen from a storage directory.

    Parameters
    ----------
    storage_id
        Its id; None where it has none, or there is no such directory.
    """
    return Known(
        filepath=held.filepath,
        sha256=held.sha256,
        size=held.size,
        elsewhere=held.filepath is not None and held.storage_id not in (None, storage_id),
    )


def look_at(path: str | None, *, archive: Path | None = None, read: bool = True) -> Kept:
    """Return what lies at the path that a row names.

    Parameters
    ----------
    archive
        The storage directory; None where there is none.
    read
        Whether to read the file to its end, for its digest.
    """
    if not path:
        return Kept(lies=Lies.NOTHING)
    try:
        status = os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return _unnamed(read=read) if REPLACEMENT in path else Kept(lies=Lies.NOTHING)
    except OSError as error:
        if error.errno == errno.ELOOP:  # links that lead to each other lead to no file
            return Kept(lies=Lies.NOTHING)
        archived = archive is not None and _is_named_in(path, archive)
        return Kept(lies=Lies.UNREADABLE, archived=archived, reason=reason_of(error))
    if not stat.S_ISREG(status.st_mode):
        return Kept(lies=Lies.NOTHING)
    archived = archive is not None and _is_in(path, status, archive)
    found = Kept(lies=Lies.UNREAD, size=status.st_size, archived=archived)
    return _read(path, found) if read else found


def _unnamed(*, read: bool) -> Kept:
    """Return what is known of a file whose own name the row could not keep."""
    reason = "its name has characters that the database cannot keep"
    return Kept(lies=Lies.UNREADABLE if read else Lies.UNREAD, reason=reason)


def _read(path: str, found: Kept) -> Kept:
    try:
        return replace(found, lies=Lies.DATASET, sha256=dataset_digest(path))
    except InvalidDicom as error:
        return replace(found, lies=Lies.BROKEN, reason=str(error))
    except OSError as error:
        return replace(found, lies=Lies.UNREADABLE, reason=reason_of(error))


def _is_in(path: str, status: os.stat_result, archive: Path) -> bool:
    """Tell whether a file is one of the image tree: not by a link, not on another disk.

    What the node keeps for itself is not in it: from there files go away again.
    """
    return _is_named_in(path, archive) and status.st_dev == archive.stat().st_dev


def _is_named_in(path: str, archive: Path) -> bool:
    """Tell whether a path leads into the image tree, as far as its name says."""
    real, root = Path(os.path.realpath(path)), os.path.realpath(archive)
    return real.is_relative_to(root) and real.relative_to(root).parts[:1] not in _OWN
