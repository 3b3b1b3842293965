"""The spool: where a received object is durable before its sender is told so.

An entry is a DICOM file: the header that is made here and the dataset as it came. It is
written under a name that ends in `.part`, renamed to one that says its size and digest and ends
in `.dcm`, and it and the directory are fsynced: from then on it survives everything. The indexer
links it to its place in the archive, and removes it from the spool when its row is committed.

What a process that died has left is taken over by the next one. A `.part` was never acknowledged
and is removed. A `.dcm` that is not what its name says was being written when the power was lost,
and was never acknowledged, or the disk has damaged it: nobody can tell, so it is kept apart.

All methods block on the disk: call them in a thread.
"""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from node.errors import StorageError
from node.storage.durable import Directories, DirectorySync, sync_file
from node.storage.failpoints import reach
from node.storage.files import identify_spooled
from node.storage.folders import free_bytes
from node.storage.locks import lock
from node.storage.writing import PART, WHOLE, Entry, Sender, Writing, named, sender_named
from schema.parsing.scan import SPOOL


class Spool:
    """The spool below a storage directory, as far as it is this process's.

    Parameters
    ----------
    directory
        The root of the image tree; created when missing.
    """

    def __init__(self, directory: Path) -> None:
        self._parent = directory.absolute() / SPOOL
        self._own = self._parent / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: int | None = None
        self._sync: DirectorySync | None = None
        self._directories = Directories()
        self._unremoved: list[Path] = []

    def open(self) -> list[Path]:
        """Prepare the spool; return what processes that died had acknowledged, see `recover`.

        Raises
        ------
        StorageError
            When the directory cannot be created or written to, has no hard links, or holds
            what we may not read.
        """
        try:
            self._directories.make(self._parent)
            with _locked(self._parent):  # or another process might take ours for abandoned
                self._directories.make(self._own)
                self._lock = _lock(self._own)
                self._sync = DirectorySync(self._own)
                self._try_link()
                taken = (path for folder in self._others() for path in self._take_over(folder))
                return list(dict.fromkeys(taken))
        except OSError as error:
            self.close()
            raise StorageError(
                f"cannot use the storage directory {self._parent.parent}: {error.strerror}"
            ) from error
        except StorageError:
            self.close()
            raise

    def open_beside(self) -> None:
        """Prepare a folder of ours for what is handed on to the process that receives here.

        What it holds was never acknowledged, and what is left of it is removed when it is closed,
        or by the process that opens the spool next.

        Raises
        ------
        StorageError
            When the directory cannot be created or written to.
        """
        try:
            self._directories.make(self._parent)
            with _locked(self._parent):
                self._directories.make(self._own)
                self._lock = _lock(self._own)
        except OSError as error:
            self.close()
            raise StorageError(
                f"cannot use the storage directory {self._parent.parent}: {error.strerror}"
            ) from error

    def recover(self, path: Path) -> Entry | None:
        """Return an entry that a process which died has left; None when it is gone.

        Where its header is damaged, the entry says nothing of what it holds. What its process had
        not made durable any more is so on return.

        Raises
        ------
        StorageError
            When the disk does not give it.
        """
        try:
            status = path.stat()
            identity = identify_spooled(path)
            sync_file(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error
        return Entry(
            path=path,
            size=status.st_size,
            sha256=identity.sha256,
            sop_class_uid=identity.sop_class_uid,
            sop_instance_uid=identity.sop_instance_uid,
            transfer_syntax_uid=identity.transfer_syntax_uid,
            sender=sender_named(path, identity.source),
            received_on=datetime.fromtimestamp(status.st_mtime, UTC).replace(tzinfo=None),
            damaged=named(path) not in (None, (status.st_size, identity.sha256)),
        )

    def close(self) -> None:
        """Let go of the spool; entries that are left are for the next process."""
        if self._sync is not None:
            self._sync.close()
            self._sync = None
        if self._lock is not None:
            _remove_empty(self._own)
            os.close(self._lock)
            self._lock = None

    def begin(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, sender: Sender
    ) -> Writing:
        """Begin an entry; nothing is written yet."""
        return Writing(
            folder=self._own,
            sync=self._directory_sync,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            sender=sender,
        )

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget entries: their rows are committed, and their files are where these say.

        What the disk does not remove is tried again with the next ones; should this process
        end before, the next one sees that it is indexed.
        """
        paths = [*self._unremoved, *(entry.path for entry in entries)]
        self._unremoved = []
        for path in paths:
            try:
                reach("spool.remove")
                path.unlink(missing_ok=True)
            except OSError:
                self._unremoved.append(path)

    def free_bytes(self) -> int:
        """Return how many bytes the filesystem has left for us.

        Raises
        ------
        StorageError
            When it does not say.
        """
        return free_bytes(self._parent.parent)

    def _directory_sync(self) -> None:
        if self._sync is None:
            raise OSError(0, "the spool is closed")
        self._sync.sync()

    def _try_link(self) -> None:
        """Make sure that the archive can be linked to, before anything is acknowledged."""
        probe = self._own / f"probe{PART}"
        other = self._own / f"probe-link{PART}"
        probe.touch()
        try:
            os.link(probe, other)
            other.unlink()
        except OSError as error:
            raise StorageError(
                f"the filesystem of the storage directory {self._parent.parent} has no hard links"
                f" ({error.strerror}): put it on one that has"
            ) from error
        finally:
            probe.unlink(missing_ok=True)

    def _others(self) -> list[Path]:
        return [path for path in sorted(self._parent.iterdir()) if path != self._own]

    def _take_over(self, folder: Path) -> list[Path]:
        """Make the entries of a folder ours, when its process is dead."""
        try:
            descriptor = _lock(folder)
        except (BlockingIOError, FileNotFoundError, NotADirectoryError):
            return []  # its process lives, or has just removed it
        try:
            left = _entries(folder)
            taken = [self._own / path.name for path in left]
            for path, ours in zip(left, taken, strict=True):
                with contextlib.suppress(FileExistsError):  # one who died had begun with it
                    os.link(path, ours)
            if left:
                self._directory_sync()
            for path in left:
                path.unlink()
            _remove_empty(folder)
            return taken
        finally:
            os.close(descriptor)


def _entries(folder: Path) -> list[Path]:
    """Return the entries that a process has left; what it had not finished is removed."""
    entries = []
    for path in sorted(folder.iterdir()):
        if path.suffix == PART or (path.suffix == WHOLE and not path.stat().st_size):
            path.unlink(missing_ok=True)
        elif path.suffix == WHOLE:
            entries.append(path)
    return entries


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for path in folder.glob(f"*{PART}"):
            path.unlink(missing_ok=True)
        folder.rmdir()


def _lock(folder: Path) -> int:
    """Hold a lock on a folder for as long as this process lives, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(descriptor, folder)
    except (OSError, StorageError):
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(descriptor, folder, wait=True)
        yield
    finally:
        os.close(descriptor)
