"""The archive: a spooled file gets its place, and stays where it is.

`place` links a file to its path. A path that is taken by the same bytes is reused; one that
is taken by others is left alone, and the new file gets a name of its own beside it. `set_aside`
keeps what cannot be indexed, below `.quarantine`. Nothing is ever overwritten but by `replace`: a
damaged file, which is in quarantine by then, by the good one.

What lies in the archive already is relied on only when its dataset was read, and made durable: it
may have been restored from a backup a moment ago.

All methods block on the disk: call them in a thread.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.config import Layout
from node.errors import StorageError
from node.storage import durable
from node.storage.failpoints import reach
from node.storage.files import identify_spooled
from node.storage.identity import made_storage_id
from node.storage.inspect import WrittenHeader, digest_of, written_header_of
from node.storage.layout import image_path, uid_component
from node.storage.names import numbered, own_names, same_bytes, same_entry, same_file
from schema.parsing.scan import QUARANTINE

_UNKNOWN = "unknown"
"""Stands in a name for the digest of what has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a spooled file has been placed.

    Attributes
    ----------
    created
        Whether the name is this file's own.
    fresh
        Whether it has got the name just now, not before a crash.
    others
        Names beside it that are this file's own as well, from an attempt before: nothing that was
        committed needs them, unless a row names one.
    """

    path: Path
    created: bool
    fresh: bool = False
    others: tuple[Path, ...] = ()


class Archive:
    """The image tree below a storage directory.

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
        self._directories = durable.Directories()
        self._identity: str | None = None

    def identity(self) -> str:
        """Return the id of the storage directory, durable; it gets one where it has none.

        Raises
        ------
        StorageError
            The disk does not give or take it.
        """
        if self._identity is None:
            self._identity = made_storage_id(self.directory)
        return self._identity

    def place(
        self,
        spooled: Path,
        *,
        sha256: str,
        patient_id: str,
        study_uid: str,
        series_uid: str,
        sop_instance_uid: str,
    ) -> Placed:
        """Give a spooled file its place. The name is durable after `sync`.

        Parameters
        ----------
        spooled
            The file; it keeps its old name as well.
        sha256
            Of its dataset.

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
        try:
            reach("archive.link")
            self._directories.make(path.parent)
            try:
                return self._link(spooled, path, sha256)
            except FileNotFoundError:
                self._directories.forget()
                self._directories.make(path.parent)
                return self._link(spooled, path, sha256)
        except OSError as error:
            # not the whole path: a folder of it may be named after the patient
            raise StorageError(
                f"cannot place {path.name} below {self.directory}: {error.strerror}"
            ) from error

    def sync(self, placed: Sequence[Placed]) -> list[StorageError | None]:
        """Make the names of placed files durable, each folder once.

        Returns
        -------
        list[StorageError or None]
            For each file, why it is not durable; its fresh name is removed again then, so
            that the next attempt begins anew and does not trust what may have been lost.
        """
        failures: dict[Path, StorageError] = {}
        for folder in sorted({one.path.parent for one in placed}):
            try:
                reach("archive.sync")
                durable.sync_directory(folder)
            except OSError as error:
                failures[folder] = StorageError(
                    f"cannot sync a folder below {self.directory}: {error.strerror}"
                )
        for one in placed:
            if one.fresh and one.path.parent in failures:
                with contextlib.suppress(StorageError):
                    self.discard(one.path)
        return [failures.get(one.path.parent) for one in placed]

    def _link(self, spooled: Path, path: Path, sha256: str) -> Placed:
        """Link to a path; reuse a taken one with the same bytes, else take a name beside it."""
        names = (path, *numbered(path, f"{path.stem}~{sha256[:16]}"))
        for number, name in enumerate(names):
            try:
                os.link(spooled, name)
            except FileExistsError:
                pass
            else:
                # The spool's name and this one are two: a third one is from before a crash.
                several = spooled.stat().st_nlink > 2
                others = own_names(names[number + 1 :], spooled) if several else ()
                return Placed(path=name, created=True, fresh=True, others=others)
            # A process that died may have linked this very file already: that link is ours.
            ours = same_file(name, spooled)
            if ours or _is_identical(name, spooled):
                others = own_names(names[number + 1 :], spooled)
                return Placed(path=name, created=ours, others=others)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def rely_on(self, path: Path) -> None:
        """Make a file durable that lies in the archive already: who wrote it may not have.

        Raises
        ------
        StorageError
            When the disk does not do it: it must not be relied on.
        """
        try:
            durable.sync_file(path)
            self._directories.make(path.parent)
            durable.sync_directory(path.parent)
        except OSError as error:
            raise StorageError(
                f"cannot sync {path.name} below {self.directory}: {error.strerror}"
            ) from error

    def replace(self, damaged: Path, good: Path, *, placed: Placed, sha256: str) -> None:
        """Let a good file have the name of a damaged one, which is in quarantine by now.

        At each moment one of the two has the name.

        Parameters
        ----------
        good
            The file as it came; it keeps its old name as well.
        placed
            The place that it has got: if that is a name of its own, it gives it up.
        sha256
            Of its dataset.

        Raises
        ------
        StorageError
            When the disk does not do it; it can be done again then.
        """
        try:
            name = placed.path
            if not placed.created or same_entry(name, damaged):
                name = damaged.with_name(f"{damaged.stem}~{sha256[:16]}.new")
                try:
                    os.link(good, name)
                except FileExistsError:
                    name.unlink()  # from an attempt before
                    os.link(good, name)
            reach("archive.replace")
            name.replace(damaged)
            name.unlink(missing_ok=True)  # of two names for one file a rename leaves both
            reach("archive.replaced")
            for folder in {name.parent, damaged.parent}:
                durable.sync_directory(folder)
        except OSError as error:
            raise StorageError(
                f"cannot replace {damaged.name} below {self.directory}: {error.strerror}"
            ) from error

    def quarantine_path(self, sop_instance_uid: str, sha256: str) -> Path:
        """Return where `set_aside` keeps an object."""
        name = f"{uid_component(sop_instance_uid)}~{sha256[:16]}.dcm"
        return self.directory / QUARANTINE / name

    def set_aside(
        self, path: Path, *, sop_instance_uid: str, sha256: str | None, damaged: bool = False
    ) -> Path:
        """Keep a file in `.quarantine` as well, durably, and return its path there.

        Parameters
        ----------
        sha256
            Of its dataset; None where it cannot be told.
        damaged
            Whether it is a damaged file, whose name must not be that of what was received.

        Raises
        ------
        StorageError
            When the disk does not take it; nothing is left of it then.
        """
        sha256 = sha256 or _UNKNOWN
        target = self.quarantine_path(sop_instance_uid, sha256)
        if damaged:
            target = target.with_name(f"{target.stem}~damaged.dcm")
        created = False
        try:
            reach("archive.aside")
            self._directories.make(target.parent)
            try:
                target, created = self._link_aside(path, target, sha256)
            except FileNotFoundError:
                self._directories.forget()
                self._directories.make(target.parent)
                target, created = self._link_aside(path, target, sha256)
            durable.sync_directory(target.parent)
        except OSError as error:
            if created:
                with contextlib.suppress(StorageError):
                    self.discard(target)
            raise StorageError(
                f"cannot put {path.name} into quarantine: {error.strerror}"
            ) from error
        return target

    @staticmethod
    def _link_aside(path: Path, target: Path, sha256: str) -> tuple[Path, bool]:
        for name in numbered(target, target.stem):
            try:
                os.link(path, name)
            except FileExistsError:
                if same_file(name, path) or _has_object(name, path, sha256):  # it is there
                    return name, False
            else:
                return name, True
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def discard(self, path: Path) -> None:
        """Remove a file that nobody has been told about.

        Raises
        ------
        StorageError
            When the disk does not remove it.
        """
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot remove {path.name} below {self.directory}: {error.strerror}"
            ) from error


def _is_identical(path: Path, other: Path) -> bool:
    """Tell whether a file has the bytes of another one, and make it durable if it has.

    With another header it would not be what the row says that is made for the other one.
    """
    try:
        if not same_bytes(path, other):
            return False
    except OSError:  # unreadable: then nobody knows
        return False
    durable.sync_file(path)
    return True


def _has_object(path: Path, other: Path, sha256: str) -> bool:
    """Tell whether a file has the dataset of another one, and make it durable if it has.

    Its header may name another sender, but must be whole, and say the same of the dataset.
    """
    if _is_identical(path, other):
        return True
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        if sha256 not in (digest_of(str(path)), identify_spooled(path).sha256):
            return False
        one, two = written_header_of(str(path)), written_header_of(str(other))
    except OSError:  # unreadable: then nobody knows
        return False
    if one is None or two is None or _said(one) != _said(two):
        return False
    durable.sync_file(path)
    return True


def _said(header: WrittenHeader) -> tuple[str, str, str]:
    return header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid
