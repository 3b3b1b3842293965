"""The storage directory: an object is staged, then placed, and stays where it is.

1. `stage` writes header and dataset to a file of its own below `.incoming`, and fsyncs it.
2. `place` links the file to its path and fsyncs the directory. A path that is taken by the
   same bytes is reused; one that is taken by others is left alone, and the new file gets a
   name of its own beside it. Nothing is ever overwritten.
3. `set_aside` keeps what cannot be indexed, below `.quarantine`.

All methods block on the disk: call them in a thread.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from node.config import Layout
from node.dicom.part10 import file_header
from node.errors import StorageError
from node.storage import durable
from node.storage.files import dataset_digest
from node.storage.layout import image_path, uid_component


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A received object in a file that is durable but has no place yet.

    Attributes
    ----------
    path
        The file below `.incoming`.
    sha256
        Of the encoded dataset, in hexadecimal digits.
    size
        Of the whole file, in bytes.
    """

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a staged object has been placed, and whether this made the file."""

    path: Path
    created: bool


class Archive:
    """A storage directory that this process writes to; use it as a context manager.

    Parameters
    ----------
    directory
        The root of the image tree; created when missing.
    layout
        How the tree is divided.
    """

    def __init__(self, directory: Path, layout: Layout) -> None:
        self.directory = directory.absolute()
        self.layout = layout
        self._incoming = self.directory / ".incoming" / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: int | None = None
        self._directories = durable.Directories()

    def open(self) -> None:
        """Prepare the directory, and remove what processes that died had staged.

        Staged files have not been acknowledged to anybody: their senders send them again.

        Raises
        ------
        StorageError
            When the directory cannot be created or written to.
        """
        try:
            self._directories.make(self._incoming.parent)
            with _locked(self._incoming.parent):  # or another process might take ours for abandoned
                self._directories.make(self._incoming)
                self._lock = _lock(self._incoming)
                for other in self._incoming.parent.iterdir():
                    if other != self._incoming:
                        _remove_if_abandoned(other)
        except OSError as error:
            raise StorageError(
                f"cannot use the storage directory {self.directory}: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Remove this process's staging area."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            shutil.rmtree(self._incoming, ignore_errors=True)

    def stage(
        self,
        dataset: bytes,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        source_aetitle: str,
    ) -> Staged:
        """Write an object to a durable file of its own.

        Raises
        ------
        StorageError
            When the disk does not take it; nothing is left of it then.
        """
        header = file_header(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            source_aetitle=source_aetitle,
        )
        path = self._incoming / f"{secrets.token_hex(12)}.part"
        try:
            durable.write_file(path, (header, dataset))
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error
        return Staged(
            path=path,
            sha256=hashlib.sha256(dataset).hexdigest(),
            size=len(header) + len(dataset),
        )

    def place(
        self,
        staged: Staged,
        *,
        patient_id: str,
        study_uid: str,
        series_uid: str,
        sop_instance_uid: str,
    ) -> Placed:
        """Give a staged object its place, durably, and end its staging.

        Raises
        ------
        StorageError
            When the disk does not take it; nothing is left of it then.
        """
        path = self.directory / image_path(
            self.layout,
            patient_id=patient_id,
            study_uid=study_uid,
            series_uid=series_uid,
            sop_instance_uid=sop_instance_uid,
        )
        placed: Placed | None = None
        try:
            self._directories.make(path.parent)
            try:
                placed = self._link(staged, path)
            except FileNotFoundError:
                self._directories.forget()
                self._directories.make(path.parent)
                placed = self._link(staged, path)
            durable.sync_directory(placed.path.parent)
        except OSError as error:
            if placed is not None and placed.created:
                self.discard(placed.path)
            # not the whole path: a folder of it may be named after the patient
            raise StorageError(
                f"cannot place {path.name} below {self.directory}: {error.strerror}"
            ) from error
        finally:
            self.discard(staged.path)
        return placed

    def _link(self, staged: Staged, path: Path) -> Placed:
        """Link to a path; reuse a taken one for the same dataset, else take a name beside it."""
        try:
            os.link(staged.path, path)
        except FileExistsError:
            pass
        else:
            return Placed(path=path, created=True)
        with contextlib.suppress(StorageError):  # unreadable: then it is not the same
            if dataset_digest(path) == staged.sha256:
                return Placed(path=path, created=False)
        beside = path.with_name(f"{path.stem}~{staged.sha256[:16]}.dcm")
        try:
            os.link(staged.path, beside)
        except FileExistsError:
            return Placed(path=beside, created=False)
        return Placed(path=beside, created=True)

    def quarantine_path(self, sop_instance_uid: str, sha256: str) -> Path:
        """Return where `set_aside` keeps an object."""
        name = f"{uid_component(sop_instance_uid)}~{sha256[:16]}.dcm"
        return self.directory / ".quarantine" / name

    def set_aside(self, path: Path, *, sop_instance_uid: str, sha256: str) -> Path:
        """Move a staged or placed file to `.quarantine`, durably, and return its new path.

        Raises
        ------
        StorageError
            When the disk does not take it; nothing is left of it then.
        """
        target = self.quarantine_path(sop_instance_uid, sha256)
        created = False
        try:
            self._directories.make(target.parent)
            try:
                created = self._link_aside(path, target)
            except FileNotFoundError:
                self._directories.forget()
                self._directories.make(target.parent)
                created = self._link_aside(path, target)
            durable.sync_directory(target.parent)
        except OSError as error:
            if created:
                self.discard(target)
            raise StorageError(
                f"cannot put {path.name} into quarantine: {error.strerror}"
            ) from error
        finally:
            self.discard(path)
        return target

    @staticmethod
    def _link_aside(path: Path, target: Path) -> bool:
        try:
            os.link(path, target)
        except FileExistsError:  # the same bytes are in quarantine already
            return False
        return True

    def discard(self, path: Path) -> None:
        """Remove a file that nobody has been told about."""
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _lock(folder: Path) -> int:
    """Hold a lock on a folder for as long as this process lives, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        descriptor = _lock(folder)
    except OSError:
        return  # its process lives, or another one is clearing it away
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)
